//! Postrider: `main`, the command line, and the wiring.

mod access;
mod admin;
mod backup;
mod bans;
mod certificate;
mod check;
mod cli;
mod comments;
mod config;
mod control;
mod demo;
mod dkim;
mod dns;
mod fsck;
mod housekeeping;
mod judging;
mod logins;
mod metrics;
mod mta_sts;
mod nearest;
mod port_owner;
mod privilege;
mod progress;
mod reports;
mod serve;
mod setup;
mod spam;
mod unique_ids;

use admin::{Failure, exit};
use clap::Parser;
use cli::{Cli, Command, DomainCommand};
use config::Config;
use privilege::Root;
use sd_notify::NotifyState;
use serve::Held;
use server::listen::Service;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use sys::program::{PROGRAM_WAIT, helper};
use tokio::sync::watch;

fn main() -> ExitCode {
    privilege::harden();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            if told.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
                let text = told.to_string().trim_start_matches("error: ").to_owned();
                return complain(true, &Failure { text, code: exit::USAGE });
            }
            let _ = told.print();
            return ExitCode::from(if told.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    let (json, root) = (cli.json, cli.root.clone());
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, code }) => {
            complain(json, &Failure { text: control::retyped(&root, &text), code })
        }
    }
}

/// Says on standard error why a command failed, for people or for scripts.
fn complain(json: bool, failure: &Failure) -> ExitCode {
    let Failure { text, code } = failure;
    let text = text.trim_end();
    let mut stderr = std::io::stderr();
    let _ = match json {
        true => writeln!(stderr, "{}", serde_json::json!({ "error": text, "code": code })),
        false => writeln!(stderr, "postrider: {text}"),
    };
    ExitCode::from(*code)
}

fn start(cli: Cli) -> Result<(), Failure> {
    if let Command::PasswordHelper { command } = cli.command {
        return help(command);
    }
    let serving = match &cli.command {
        Command::Serve { log_format } => Some(prepare(&cli.root, log_format)?),
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure { text: error.to_string(), code: exit::SOFTWARE })?;
    match serving {
        Some((config, held)) => runtime.block_on(serve_until_told(&cli.root, config, held)),
        None => runtime.block_on(run(cli)),
    }
}

/// Runs the program of `[program]` for the server that started us, as long as that lives.
fn help(command: Vec<String>) -> Result<(), Failure> {
    let trouble = |error: std::io::Error| Failure {
        text: format!("password-helper is started by 'serve' only: {error}"),
        code: exit::USAGE,
    };
    let server = helper::standard_input().map_err(trouble)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .and_then(|runtime| runtime.block_on(helper::help(server, command, PROGRAM_WAIT)))
        .map_err(trouble)
}

/// Binds the ports, starts the helper of passwords, gives up root, confines writing: all before the
/// process has threads, because Landlock holds for one thread and those that it starts.
fn prepare(root: &Path, log_format: &str) -> Result<(Config, Held), Failure> {
    log_to_stderr(log_format);
    let config = Config::load(root).map_err(|text| Failure { text, code: exit::CONFIG })?;
    serve::has_store(root, &config)?;
    let held = Held {
        bound: serve::bind(root, &config)?,
        metrics: serve::bind_metrics(&config)?,
        helper: serve::start_helper(&config)?,
    };
    match privilege::drop_root(root, &config)? {
        Root::Dropped(user) => tracing::info!(user, "gave up root"),
        Root::Kept => tracing::warn!("runs as root; make a user: useradd --system postrider"),
        Root::Never => {}
    }
    match privilege::confine(root, &config) {
        Ok(true) => tracing::info!("writing is confined to our folders"),
        Ok(false) => tracing::warn!("this kernel has no Landlock: writing is not confined"),
        Err(error) => tracing::warn!(%error, "writing is not confined"),
    }
    Ok((config, held))
}

fn log_to_stderr(format: &str) {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    let log = log.with_max_level(tracing::Level::INFO);
    match format {
        "json" => log.json().flatten_event(true).init(),
        _ => log.init(),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { root, json, command } = cli;
    match command {
        Command::Demo { once } => demo::demo(json, once).await,
        Command::Setup(setup) => set_up(&root, &setup, json).await,
        Command::Check => check::check(&root, json),
        Command::Fsck { repair, folder } => fsck::run(&root, folder.as_deref(), repair, json),
        Command::Backup { folder } => backup::back_up(&root, &folder, json),
        Command::Restore { folder } => backup::bring_back(&root, &folder, json),
        Command::Domain(DomainCommand::Dns { domain }) => {
            let told = dns::told(&root, &domain).await?;
            say(&if json { told.value.to_string() } else { told.text });
            Ok(())
        }
        command => {
            let mut made = None;
            let request = cli::request(command, |stdin| {
                let password = password(stdin)?;
                made = (!stdin).then(|| password.clone());
                Ok(password)
            });
            let Some(request) = request? else { return Ok(()) };
            // What others said is shown as it is.
            let ours = !request.shows_what_others_say();
            let response = control::administer(&root, request).await?;
            if json {
                let mut value = response.value;
                if let (Some(password), Some(object)) = (made, value.as_object_mut()) {
                    object.insert("password".to_owned(), password.into());
                }
                say(&value.to_string());
            } else {
                let text = response.text;
                let text = if ours { control::retyped(&root, &text) } else { text };
                say(if text.is_empty() { "none" } else { &text });
                if let Some(password) = made {
                    say(&format!("password: {password}"));
                }
            }
            Ok(())
        }
    }
}

/// Prints a line; a reader that went away is no error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The first line of standard input, or a fresh password of 100 random bits.
fn password(stdin: bool) -> Result<String, Failure> {
    if stdin {
        let mut text = String::new();
        let read = std::io::stdin().take(64 * 1024).read_to_string(&mut text);
        read.map_err(|error| Failure {
            text: format!("standard input: {error}"),
            code: exit::NO_INPUT,
        })?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    use sys::random::Random as _;
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567890";
    let mut bytes = [0; 20];
    sys::random::SystemRandom.fill(&mut bytes);
    let letter = |b: &u8| LETTERS.get(usize::from(b % 32)).map_or('a', |l| char::from(*l));
    let letters: Vec<char> = bytes.iter().map(letter).collect();
    Ok(letters
        .chunks(5)
        .map(|group| group.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join("-"))
}

async fn set_up(root: &Path, setup: &cli::Setup, json: bool) -> Result<(), Failure> {
    let password = password(setup.password_stdin)?;
    let config = setup::setup(root, setup, password.clone()).await?;
    let port = |n: u16| config.listen.port_base + n;
    if json {
        say(&serde_json::json!({ "root": root, "account": setup.address, "password": password })
            .to_string());
        return Ok(());
    }
    let (domain, hostname, folder) = (&config.domain, &config.hostname, root.display());
    say(&format!("Postrider is set up in {folder}.\n"));
    say(&format!("Account   {}", setup.address));
    if !setup.password_stdin {
        say(&format!("Password  {password}"));
    }
    let serve = control::typed(root, "serve");
    let dns = control::typed(root, &format!("domain dns {domain}"));
    let [imaps, pop3s, submissions, submission] = [993, 995, 465, 587].map(port);
    say(&format!(
        "IMAP      {hostname}, port {imaps} (TLS)\n\
         POP3      {hostname}, port {pop3s} (TLS)\n\
         SMTP      {hostname}, port {submissions} (TLS) or {submission} (STARTTLS)\n\n\
         Next (docs/running.md):\n  \
           {serve}\n  \
           A certificate that others trust goes to {} and {};\n  \
           it is read again when it changes.\n  \
           These records go into DNS; again by: {dns}\n",
        root.join(&config.tls.certificate).display(),
        root.join(&config.tls.key).display()
    ));
    say(&dns::told(root, domain).await?.text);
    Ok(())
}

async fn serve_until_told(root: &Path, config: Config, held: Held) -> Result<(), Failure> {
    let sockets = config.listen.lmtp_sockets(root);
    let (down, shutdown) = watch::channel(false);
    tokio::spawn(async move {
        signalled().await;
        tracing::info!("shutting down");
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        let _ = down.send(true);
        std::future::pending::<()>().await;
    });
    tokio::spawn(alive());
    serve::serve(root, config, held, shutdown, |addresses| {
        for (service, address) in addresses {
            say(&format!("listening {} {address}", service.name()));
        }
        for socket in sockets {
            say(&format!("listening {} {}", Service::Lmtp.name(), socket.display()));
        }
        say("ready");
        let _ = std::io::stdout().flush();
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    })
    .await
}

/// Tells systemd that our tasks have their turn, as often as `WatchdogSec=` wants to hear it.
async fn alive() {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    loop {
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        tokio::time::sleep(within / 2).await;
    }
}

/// SIGTERM or SIGINT.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
