//! Debian's Postfix and Dovecot as one server: Postfix takes mail and hands it to Dovecot's LMTP,
//! Dovecot keeps it as mdbox and serves IMAP and POP3. Both sync before they answer, as installed.

use super::{Server, banner, run};
use crate::target::{DOMAIN, PASSWORD, SINK_DOMAIN, Target, USERS, user};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Postfix and Dovecot.
pub struct Peer {
    root: PathBuf,
    port_base: u16,
    tls: bool,
    sink: SocketAddr,
    dovecot: Option<Child>,
}

/// The port of Dovecot's LMTP, above the base.
const LMTP: u16 = 24;
/// Whose the mail is.
const MAIL_USER: &str = "nobody";

impl Peer {
    /// A pair that is not set up yet.
    pub fn new(root: PathBuf, port_base: u16, tls: bool, sink: SocketAddr) -> Peer {
        Peer { root, port_base, tls, sink, dovecot: None }
    }

    /// Whether both are installed.
    pub fn is_installed() -> bool {
        ["/usr/sbin/postfix", "/usr/sbin/dovecot"].iter().all(|file| Path::new(file).exists())
    }

    fn postfix(&self, verb: &str) -> io::Result<String> {
        run(Command::new("postfix").arg("-c").arg(self.root.join("postfix")).arg(verb))
    }

    fn certificate(&self) -> io::Result<()> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.map_err(io::Error::other)?;
        fs::write(self.root.join("cert.pem"), made.cert.pem())?;
        fs::write(self.root.join("key.pem"), made.signing_key.serialize_pem())
    }

    fn set_up_postfix(&self) -> io::Result<()> {
        let folder = self.root.join("postfix");
        for made in ["postfix", "spool", "data"] {
            fs::create_dir_all(self.root.join(made))?;
        }
        run(Command::new("chown").arg("postfix").arg(self.root.join("data")))?;
        let root = self.root.display();
        let (lmtp, sink) = (self.port_base + LMTP, self.sink.port());
        let text = format!(
            "compatibility_level = 3.6\nqueue_directory = {root}/spool\n\
             data_directory = {root}/data\nmail_owner = postfix\n\
             maillog_file = {root}/postfix.log\nmaillog_file_prefixes = {root}\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.{DOMAIN}\n\
             mydestination =\nalias_maps =\nalias_database =\nbiff = no\n\
             virtual_mailbox_domains = {DOMAIN}\nvirtual_mailbox_maps = static:all\n\
             virtual_transport = lmtp:inet:127.0.0.1:{lmtp}\n\
             transport_maps = inline:{{{SINK_DOMAIN}=smtp:[127.0.0.1]:{sink}}}\n\
             mynetworks = 127.0.0.0/8\nsmtpd_sasl_auth_enable = yes\n\
             smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {root}/auth\n\
             smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {root}/cert.pem\n\
             smtpd_tls_key_file = {root}/key.pem\nmessage_size_limit = 52428800\n\
             mailbox_size_limit = 0\nsmtpd_client_connection_count_limit = 0\n"
        );
        fs::write(folder.join("main.cf"), text)?;
        let (smtp, submission) = (self.port_base + 25, self.port_base + 587);
        let master: String = fs::read_to_string("/etc/postfix/master.cf")?
            .lines()
            .filter(|line| !line.starts_with(['#', ' ', '\t']))
            .map(|line| unconfined(line, smtp))
            .collect();
        let more = format!(
            "127.0.0.1:{submission} inet n - n - - smtpd\n\
             postlog unix-dgram n - n - 1 postlogd\n"
        );
        fs::write(folder.join("master.cf"), master + &more)
    }

    fn set_up_dovecot(&self) -> io::Result<()> {
        let mail = self.root.join("mail");
        fs::create_dir_all(&mail)?;
        run(Command::new("chown").arg(MAIL_USER).arg(&mail))?;
        let line = |n| format!("{}:{{PLAIN}}{PASSWORD}\n", user(n));
        fs::write(self.root.join("users"), (0..USERS).map(line).collect::<String>())?;
        let root = self.root.display();
        let id = |flag: &str| run(Command::new("id").args([flag, MAIL_USER]));
        let (uid, gid) = (id("-u")?, id("-g")?);
        let (uid, gid) = (uid.trim(), gid.trim());
        let port = |standard: u16| self.port_base + standard;
        let text = format!(
            "protocols = imap pop3 lmtp\nlisten = 127.0.0.1\nbase_dir = {root}/run\n\
             state_dir = {root}/state\nlog_path = {root}/dovecot.log\nssl = yes\n\
             ssl_cert = <{root}/cert.pem\nssl_key = <{root}/key.pem\n\
             disable_plaintext_auth = no\nauth_mechanisms = plain login\n\
             auth_cache_size = 10 M\nmail_location = mdbox:{root}/mail/%u\n\
             first_valid_uid = 1\nfirst_valid_gid = 1\nmail_max_userip_connections = 10000\n\
             default_vsz_limit = 4 G\ndefault_client_limit = 20000\n\
             namespace inbox {{\n  inbox = yes\n  separator = /\n\
             mailbox Drafts {{\n auto = subscribe\n}}\n}}\n\
             passdb {{\n  driver = passwd-file\n  args = {root}/users\n}}\n\
             userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={root}/mail/%u\n}}\n\
             service imap-login {{\n  service_count = 0\n  process_min_avail = 2\n\
             inet_listener imap {{\n port = {imap}\n}}\n\
             inet_listener imaps {{\n port = {imaps}\n ssl = yes\n}}\n}}\n\
             service pop3-login {{\n  service_count = 0\n  process_min_avail = 2\n\
             inet_listener pop3 {{\n port = {pop3}\n}}\n\
             inet_listener pop3s {{\n port = {pop3s}\n ssl = yes\n}}\n}}\n\
             service imap {{\n  process_limit = 10000\n  service_count = 1000\n}}\n\
             service pop3 {{\n  process_limit = 1000\n  service_count = 1000\n}}\n\
             service lmtp {{\n  inet_listener lmtp {{\n address = 127.0.0.1\n port = {lmtp}\n\
             }}\n}}\n\
             service auth {{\n  unix_listener {root}/auth {{\n mode = 0666\n}}\n}}\n",
            imap = port(143),
            imaps = port(993),
            pop3 = port(110),
            pop3s = port(995),
            lmtp = port(LMTP),
        );
        fs::write(self.root.join("dovecot.conf"), text)
    }
}

/// A line of Debian's master.cf without chroot, with smtp at our port.
fn unconfined(line: &str, smtp: u16) -> String {
    let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if let Some(chroot) = fields.get_mut(4) {
        *chroot = "n".to_owned();
    }
    if fields.get(1).is_some_and(|kind| kind == "inet")
        && let Some(name) = fields.first_mut()
    {
        *name = format!("127.0.0.1:{smtp}");
    }
    if fields.first().is_some_and(|name| name == "postlog") {
        return String::new();
    }
    fields.join(" ") + "\n"
}

impl Server for Peer {
    fn set_up(&mut self) -> io::Result<()> {
        let _ = fs::remove_dir_all(&self.root);
        fs::create_dir_all(&self.root)?;
        self.certificate()?;
        self.set_up_postfix()?;
        self.set_up_dovecot()
    }

    fn start(&mut self) -> io::Result<Duration> {
        let began = Instant::now();
        let mut dovecot = Command::new("/usr/sbin/dovecot");
        dovecot.arg("-F").arg("-c").arg(self.root.join("dovecot.conf"));
        self.dovecot = Some(dovecot.stdout(Stdio::null()).spawn()?);
        self.postfix("start")?;
        let target = self.target();
        banner(target.at(25))?;
        banner(target.at(143))?;
        Ok(began.elapsed())
    }

    fn stop(&mut self) -> io::Result<()> {
        let Some(mut dovecot) = self.dovecot.take() else { return Ok(()) };
        self.postfix("stop")?;
        run(Command::new("kill").arg(dovecot.id().to_string()))?;
        dovecot.wait().map(drop)
    }

    fn target(&self) -> Target {
        let mut target = Target::new("Postfix + Dovecot", self.port_base, self.tls);
        target.pids.extend(self.dovecot.as_ref().map(Child::id));
        let master = fs::read_to_string(self.root.join("spool/pid/master.pid"));
        target.pids.extend(master.ok().and_then(|text| text.trim().parse::<u32>().ok()));
        target
    }

    fn version(&self) -> String {
        let postfix = run(Command::new("postconf").args(["-h", "mail_version"]));
        let dovecot = run(Command::new("dovecot").arg("--version"));
        let text = |got: io::Result<String>| got.unwrap_or_default().trim().to_owned();
        format!("Postfix {}, Dovecot {}, mdbox", text(postfix), text(dovecot))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
