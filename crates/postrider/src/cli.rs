//! The command line, declared once.

use crate::admin::{Failure, Request, exit};
use crate::dkim::{self, DomainDkim};
use crate::mta_sts::{self, MtaSts};
use crate::reports::{self, Reports};
use crate::spam::{self, AccountSpam};
use crate::unique_ids;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The folder with the configuration unless another is named. Its mail is in /var/lib/postrider.
pub const ROOT: &str = "/etc/postrider";

/// A complete mail server: SMTP in and out, IMAP, POP3, queue and store in one program.
#[derive(Parser)]
#[command(version, about, max_term_width = 100, after_help = exit::TOLD)]
pub struct Cli {
    /// The folder with postrider.toml
    #[arg(long, global = true, default_value = ROOT, value_name = "DIR")]
    pub root: PathBuf,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Subcommand)]
pub enum Command {
    /// Show the whole journey of a message between two servers on loopback
    #[command(after_help = "Example:\n  postrider demo --once")]
    Demo {
        /// Exit at the end; the exit code tells whether all went well
        #[arg(long)]
        once: bool,
    },
    /// Make a working configuration and the first account
    #[command(after_help = "Example:\n  postrider setup --root /srv/mail you@example.org")]
    Setup(Setup),
    /// Run the server in the foreground
    #[command(
        after_help = "Example:\n  postrider serve --root /srv/mail\n\nSays 'ready' on stdout \
        when all listeners are up; ends cleanly on SIGTERM and SIGINT."
    )]
    Serve {
        /// How log lines look: text or json
        #[arg(long, default_value = "text", value_parser = ["text", "json"])]
        log_format: String,
    },
    /// Check the configuration before the server is started again with it
    #[command(
        after_help = "Example:\n  postrider check && systemctl restart postrider\n\nReads all \
        that 'serve' would read, as the user that it would be, and opens neither a port nor\nthe \
        store. Says when the TLS certificate expires. The exit code is 0 when 'serve' would\n\
        start, and that of 'serve' otherwise."
    )]
    Check,
    /// Run a program that proves passwords; 'serve' starts this for `[program]`
    #[command(hide = true)]
    PasswordHelper {
        /// The program and its arguments
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Manage accounts
    #[command(subcommand)]
    Account(Account),
    /// Look at and change which addresses may not log in
    #[command(subcommand)]
    Ban(Ban),
    /// Manage domains
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Manage aliases
    #[command(subcommand)]
    Alias(Alias),
    /// Manage fixed routes for outgoing mail
    #[command(subcommand)]
    Route(Route),
    /// Look at and change the queue of outgoing mail
    #[command(subcommand)]
    Queue(Queue),
    /// Look at which servers other domains name by MTA-STS
    #[command(subcommand)]
    MtaSts(MtaSts),
    /// Look at what other receivers report about mail from our domains
    #[command(subcommand)]
    Reports(Reports),
    /// Tell whether the server runs and how its store is
    #[command(
        after_help = "Example:\n  postrider status --root /srv/mail --json\n\nThe exit code is 0 \
        when it runs and can write, 69 when it does not run, 74 when its store stopped writing."
    )]
    Status,
    /// Check the store, and mend it
    #[command(
        after_help = "Stop the server first. Checks the database, every record of every segment, \
        every mailbox\nand all counters. With --repair it makes anew what can be made anew; \
        messages whose bytes\nare damaged are taken out of their mailboxes; a mailbox that lost \
        rows gets back what the\nsegments know of it, under a new UIDVALIDITY. The exit code is \
        0 when all is well or\nmended, 65 when it is not.\n\nExamples:\n  \
        postrider fsck --root /srv/mail\n  postrider fsck --root /srv/mail --repair --json"
    )]
    Fsck {
        /// Mend what can be mended
        #[arg(long)]
        repair: bool,
        /// Check the store in this folder, as the one of a backup
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Copy the configuration and the store to another folder while the server runs
    #[command(
        after_help = "The copy is of one moment. The next one into the same folder copies only \
        what is new. The\nexit code is 0 when the copy is whole, 65 when messages are damaged \
        where they come from,\n74 when reading or writing failed.\n\nExample:\n  \
        postrider backup /backup/mail"
    )]
    Backup {
        /// Where the copy is
        folder: PathBuf,
    },
    /// Make a server of a backup
    #[command(
        after_help = "Makes the configuration where there is none, and the store, which must not \
        be there. Mail\nof the queue is held, because it may have been sent since: see \
        'postrider queue'.\n\nExample:\n  postrider restore /backup/mail"
    )]
    Restore {
        /// Where the copy is
        folder: PathBuf,
    },
}

/// `setup`
#[derive(Args)]
pub struct Setup {
    /// The first account
    pub address: String,
    /// For scripts: ask nothing, as it never does
    #[arg(long)]
    pub yes: bool,
    /// Our host name; default: mail.DOMAIN
    #[arg(long)]
    pub hostname: Option<String>,
    /// Listen on this address only (may be given several times)
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<std::net::IpAddr>,
    /// Add this to every standard port
    #[arg(long, value_name = "N")]
    pub port_base: Option<u16>,
    /// Set a key of the configuration, as auth.plaintext=true (may be given several times)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Read the password from standard input; otherwise one is made and printed
    #[arg(long)]
    pub password_stdin: bool,
}

/// `ban`
#[derive(Subcommand)]
pub enum Ban {
    /// List the addresses that are banned
    #[command(after_help = "Example:\n  postrider ban list --json")]
    List,
    /// Ban an address from every port but 25
    #[command(after_help = "Example:\n  postrider ban add 192.0.2.1 --minutes 1440")]
    Add {
        /// An IP address; of IPv6 its whole /64 counts
        address: String,
        /// For so many minutes
        #[arg(long, default_value_t = 60, value_name = "N")]
        minutes: u64,
    },
    /// Lift a ban
    #[command(alias = "rm", after_help = "Example:\n  postrider ban remove 192.0.2.1")]
    Remove {
        /// The address
        address: String,
    },
}

/// `account app-password`
#[derive(Subcommand)]
pub enum AppPassword {
    /// Make a password for one device, and print it
    #[command(after_help = "Example:\n  postrider account app-password add bob@example.org phone")]
    Add {
        /// The account
        address: String,
        /// What it is for, one word
        name: String,
        /// What it is good for: send, read or both
        #[arg(long, default_value = "both", value_parser = ["send", "read", "both"])]
        scope: String,
    },
    /// Take one back
    #[command(
        alias = "rm",
        after_help = "Example:\n  postrider account app-password remove bob@example.org phone"
    )]
    Remove {
        /// The account
        address: String,
        /// Its name
        name: String,
    },
    /// List the names and scopes
    #[command(after_help = "Example:\n  postrider account app-password list bob@example.org")]
    List {
        /// The account
        address: String,
    },
}

/// `account`
#[derive(Subcommand)]
pub enum Account {
    /// Make an account with its default mailboxes
    #[command(
        after_help = "Example:\n  echo secret | postrider account add bob@example.org --password-stdin"
    )]
    Add {
        /// Its address
        address: String,
        /// Read the password from standard input; otherwise one is made and printed
        #[arg(long)]
        password_stdin: bool,
        /// Its password is in LDAP, in SQL, or with the program of `[program]`
        #[arg(long, conflicts_with = "password_stdin")]
        elsewhere: bool,
    },
    /// Make accounts from a file of lines 'address,password or hash'
    #[command(
        after_help = "Hashes are those of Dovecot ({SSHA512}, {CRYPT}, {SCRAM-SHA-256}, ...), of \
        /etc/shadow\n($6$..., $y$...) and Argon2; a hash of another kind is refused. Empty lines \
        and those that\nbegin with # are passed over. All accounts are made, or none. Passwords \
        are hashed, which\ntakes a while for thousands of them.\n\nExample:\n  \
        postrider account import accounts.csv"
    )]
    Import {
        /// The file
        file: PathBuf,
    },
    /// Give messages the POP3 unique ids that they had at Dovecot
    #[command(
        name = "unique-ids",
        after_help = "Move the mail first, by IMAP. Messages of the INBOX are then found by \
        Message-ID. FROM is a\nMaildir with its dovecot-uidlist, or a file that this prints:\n  \
        doveadm -f tab fetch -u bob 'pop3.uidl hdr.message-id' mailbox INBOX\n\nExample:\n  \
        postrider account unique-ids bob@example.org /var/vmail/bob/Maildir"
    )]
    UniqueIds {
        /// The account
        address: String,
        /// The Maildir or file
        from: PathBuf,
        /// Dovecot's pop3_uidl_format, for a Maildir
        #[arg(long, default_value = "%08Xu%08Xv")]
        format: String,
    },
    /// Set a password
    #[command(
        after_help = "Example:\n  echo new-secret | postrider account password bob@example.org --password-stdin"
    )]
    Password {
        /// The account
        address: String,
        /// Read the password from standard input; otherwise one is made and printed
        #[arg(long)]
        password_stdin: bool,
    },
    /// Switch logging in off; mail still arrives
    #[command(after_help = "Example:\n  postrider account disable bob@example.org")]
    Disable {
        /// The account
        address: String,
    },
    /// Switch logging in on again
    #[command(after_help = "Example:\n  postrider account enable bob@example.org")]
    Enable {
        /// The account
        address: String,
    },
    /// Do not announce IMAP capabilities to an account whose program misuses them
    #[command(
        after_help = "Examples:\n  postrider account hide-capabilities bob@example.org QRESYNC\n  \
        postrider account hide-capabilities bob@example.org    # hides none"
    )]
    HideCapabilities {
        /// The account
        address: String,
        /// What is hidden from its next login on
        names: Vec<String>,
    },
    /// Make the mailboxes of one account public folders
    #[command(
        long_about = "Make the mailboxes of one account public folders: everybody who has rights \
            to them by their lists of access (IMAP SETACL) finds them under 'Public Folders'. \
            Without an account, tell which one it is; there is one at most.",
        after_help = "Examples:\n  postrider account public office@example.org\n  \
        postrider account public --off"
    )]
    Public {
        /// The account
        #[arg(conflicts_with = "off")]
        address: Option<String>,
        /// There are none any more
        #[arg(long)]
        off: bool,
    },
    /// Let an account that sent to too many recipients send again
    #[command(after_help = "Example:\n  postrider account release bob@example.org")]
    Release {
        /// The account
        address: String,
    },
    /// Manage passwords for single devices
    #[command(
        subcommand,
        after_help = "Example:\n  postrider account app-password add bob@example.org phone"
    )]
    AppPassword(AppPassword),
    /// Look at what an account taught about spam
    #[command(subcommand, after_help = "Example:\n  postrider account spam show bob@example.org")]
    Spam(AccountSpam),
    /// Say how much an account may hold; without a number, show it
    #[command(
        after_help = "Examples:\n  postrider account quota bob@example.org --storage 5000000000\n  \
        postrider account quota bob@example.org --messages none"
    )]
    Quota {
        /// The account
        address: String,
        /// Octets of all its messages, or 'none'
        #[arg(long, value_name = "N")]
        storage: Option<String>,
        /// Messages, or 'none'
        #[arg(long, value_name = "N")]
        messages: Option<String>,
        /// Mailboxes, or 'none'
        #[arg(long, value_name = "N")]
        mailboxes: Option<String>,
        /// Octets of all annotations (IMAP METADATA), or 'none'
        #[arg(long, value_name = "N")]
        annotations: Option<String>,
        /// Whether the account may set the limits of all accounts, by IMAP SETQUOTA
        #[arg(long, value_name = "true|false")]
        manager: Option<bool>,
    },
    /// Remove an account and all its mail, at once and for good
    #[command(after_help = "Example:\n  postrider account remove bob@example.org")]
    Remove {
        /// The account
        address: String,
    },
    /// List accounts
    #[command(after_help = "Example:\n  postrider account list --json")]
    List,
}

/// `domain`
#[derive(Subcommand)]
pub enum DomainCommand {
    /// Take mail for a domain
    #[command(after_help = "Example:\n  postrider domain add example.net")]
    Add {
        /// The domain
        domain: String,
    },
    /// Stop taking mail for a domain
    #[command(after_help = "Example:\n  postrider domain remove example.net")]
    Remove {
        /// The domain
        domain: String,
    },
    /// Say who gets mail for unknown addresses; nobody when no address is given
    #[command(after_help = "Example:\n  postrider domain catch-all example.net bob@example.org")]
    CatchAll {
        /// The domain
        domain: String,
        /// Who gets it
        to: Option<String>,
    },
    /// List domains
    #[command(after_help = "Example:\n  postrider domain list")]
    List,
    /// Print the DNS records that a domain should have
    #[command(after_help = "Example:\n  postrider domain dns example.net")]
    Dns {
        /// The domain
        domain: String,
    },
    /// Look at the keys by which a domain signs, and make new ones
    #[command(subcommand, after_help = "Example:\n  postrider domain dkim show example.net")]
    Dkim(DomainDkim),
}

/// `alias`
#[derive(Subcommand)]
pub enum Alias {
    /// Make an alias
    #[command(
        after_help = "Example:\n  postrider alias add team@example.org ann@example.org bob@else.example"
    )]
    Add {
        /// The address
        address: String,
        /// Where its mail goes
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Remove an alias
    #[command(after_help = "Example:\n  postrider alias remove team@example.org")]
    Remove {
        /// The address
        address: String,
    },
    /// List aliases, and which of them lead to nobody
    #[command(after_help = "Example:\n  postrider alias list")]
    List,
}

/// `route`
#[derive(Subcommand)]
pub enum Route {
    /// Send all mail for a domain to one server, whatever its MX is
    #[command(after_help = "Examples:\n  postrider route add example.com 192.0.2.1:25\n  \
        postrider route add example.net mx.example.com")]
    Add {
        /// The domain
        domain: String,
        /// HOST:PORT, or HOST for port 25
        target: String,
    },
    /// Go by the domain's MX again
    #[command(after_help = "Example:\n  postrider route remove example.com")]
    Remove {
        /// The domain
        domain: String,
    },
    /// List routes
    #[command(after_help = "Example:\n  postrider route list")]
    List,
}

/// `queue`
#[derive(Subcommand)]
pub enum Queue {
    /// List queued messages
    #[command(after_help = "Example:\n  postrider queue list --domain example.com")]
    List {
        /// Only with a recipient in this domain
        #[arg(long)]
        domain: Option<String>,
        /// At most so many; 0 is all
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show a message and its journey so far, queued or not
    #[command(after_help = "Example:\n  postrider queue show 01JABCDEF")]
    Show {
        /// Its id, as the 250 reply and the log have it
        id: String,
    },
    /// Try a message now
    #[command(after_help = "Example:\n  postrider queue retry 01JABCDEF")]
    Retry {
        /// Its id
        id: String,
    },
    /// Hold a message back
    #[command(after_help = "Example:\n  postrider queue hold 01JABCDEF")]
    Hold {
        /// Its id
        id: String,
    },
    /// Let a held message go
    #[command(after_help = "Example:\n  postrider queue release 01JABCDEF")]
    Release {
        /// Its id
        id: String,
    },
    /// Drop a message without a report to its sender
    #[command(after_help = "Example:\n  postrider queue drop 01JABCDEF")]
    Drop {
        /// Its id
        id: String,
    },
}

/// A command that is carried out by [`crate::admin`]; `None` for the others. `password` reads or
/// makes one.
pub fn request(
    command: Command,
    mut password: impl FnMut(bool) -> Result<String, Failure>,
) -> Result<Option<Request>, Failure> {
    Ok(Some(match command {
        Command::Setup(_)
        | Command::Serve { .. }
        | Command::PasswordHelper { .. }
        | Command::Check
        | Command::Demo { .. }
        | Command::Fsck { .. }
        | Command::Backup { .. }
        | Command::Domain(DomainCommand::Dns { .. })
        | Command::Restore { .. } => return Ok(None),
        Command::Status => Request::Status,
        Command::Account(command) => account(command, &mut password)?,
        Command::Ban(command) => match command {
            Ban::List => Request::BanList,
            Ban::Add { address, minutes } => Request::BanAdd { address, minutes },
            Ban::Remove { address } => Request::BanRemove { address },
        },
        Command::Domain(command) => match command {
            DomainCommand::Add { domain } => Request::DomainAdd { domain },
            DomainCommand::Remove { domain } => Request::DomainRemove { domain },
            DomainCommand::CatchAll { domain, to } => Request::DomainCatchAll { domain, to },
            DomainCommand::List => Request::DomainList,
            DomainCommand::Dns { .. } => return Ok(None),
            DomainCommand::Dkim(command) => dkim::request(command),
        },
        Command::Alias(command) => match command {
            Alias::Add { address, targets } => Request::AliasAdd { address, targets },
            Alias::Remove { address } => Request::AliasRemove { address },
            Alias::List => Request::AliasList,
        },
        Command::Route(command) => match command {
            Route::Add { domain, target } => Request::RouteAdd { domain, target },
            Route::Remove { domain } => Request::RouteRemove { domain },
            Route::List => Request::RouteList,
        },
        Command::MtaSts(command) => mta_sts::request(command),
        Command::Reports(command) => reports::request(command),
        Command::Queue(command) => match command {
            Queue::List { domain, limit } => Request::QueueList { domain, limit },
            Queue::Show { id } => Request::QueueShow { id },
            Queue::Retry { id } => Request::QueueRetry { id },
            Queue::Hold { id } => Request::QueueHold { id },
            Queue::Release { id } => Request::QueueRelease { id },
            Queue::Drop { id } => Request::QueueDrop { id },
        },
    }))
}

/// `account`
fn account(
    command: Account,
    password: &mut impl FnMut(bool) -> Result<String, Failure>,
) -> Result<Request, Failure> {
    Ok(match command {
        Account::Add { address, password_stdin, elsewhere } => {
            let password = (!elsewhere).then(|| password(password_stdin)).transpose()?;
            Request::AccountAdd { address, password }
        }
        Account::Import { file } => {
            let text = std::fs::read_to_string(&file);
            let csv = text.map_err(|error| Failure {
                text: format!("{}: {error}", file.display()),
                code: exit::NO_INPUT,
            })?;
            Request::AccountImport { csv }
        }
        Account::UniqueIds { address, from, format } => {
            Request::AccountUniqueIds { address, lines: unique_ids::gather(&from, &format)? }
        }
        Account::Password { address, password_stdin } => {
            Request::AccountPassword { address, password: password(password_stdin)? }
        }
        Account::Disable { address } => Request::AccountDisable { address, disabled: true },
        Account::Enable { address } => Request::AccountDisable { address, disabled: false },
        Account::Quota { address, storage, messages, mailboxes, annotations, manager } => {
            let limits = [storage, messages, mailboxes, annotations];
            Request::AccountQuota { address, limits, manager }
        }
        Account::Remove { address } => Request::AccountRemove { address },
        Account::List => Request::AccountList,
        Account::Public { address, off } => Request::AccountPublic { address, off },
        Account::HideCapabilities { address, names } => Request::AccountHide { address, names },
        Account::Release { address } => Request::AccountRelease { address },
        Account::AppPassword(command) => app_password(command),
        Account::Spam(command) => spam::request(command),
    })
}

fn app_password(command: AppPassword) -> Request {
    match command {
        AppPassword::Add { address, name, scope } => {
            Request::AppPasswordAdd { address, name, scope }
        }
        AppPassword::Remove { address, name } => Request::AppPasswordRemove { address, name },
        AppPassword::List { address } => Request::AppPasswordList { address },
    }
}
