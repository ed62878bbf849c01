//! A server of a test's own: set up in a temporary folder, driven over real sockets, and gone when
//! the test ends.

#![allow(dead_code, reason = "each test program uses its part of it")]
#![allow(clippy::disallowed_methods, reason = "a client of the real server, over real sockets")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_postrider");

/// A server of the test's own, killed when it goes.
pub struct Server {
    /// Its root folder.
    pub root: PathBuf,
    base: u16,
    /// The process, while it runs.
    pub child: Option<Child>,
    /// How its log looks: text or json.
    pub log_format: &'static str,
}

impl Server {
    /// Sets a server up and starts it; `name` is the test's own.
    pub fn new(name: &str, domain: &str, set: &[String]) -> Server {
        let root =
            std::env::temp_dir().join(format!("postrider-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let base = free_base();
        let mut server = Server { root, base, child: None, log_format: "text" };
        let address = format!("admin@{domain}");
        let base_text = base.to_string();
        let mut args = vec!["setup", "--yes", "--listen", "127.0.0.1", "--port-base", &base_text];
        let cheap = [
            "auth.plaintext=true",
            "auth.hash_memory_kib=64",
            "store.min_free_octets=1000000",
            "limits.recipients_per_hour=0",
            "limits.recipients_per_day=0",
            "limits.strangers_per_day=0",
        ];
        for assignment in cheap.iter().copied().chain(set.iter().map(String::as_str)) {
            args.extend(["--set", assignment]);
        }
        args.extend(["--password-stdin", &address]);
        server.run(&args, "secret\n");
        server.start();
        server
    }

    /// Runs a command that must succeed; what it printed.
    pub fn run(&self, args: &[&str], stdin: &str) -> String {
        let mut child = Command::new(BINARY)
            .arg("--root")
            .arg(&self.root)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts it and waits until it is ready. The log is the file `log` in its root folder.
    pub fn start(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.root.join("log")).unwrap();
        let mut child = Command::new(BINARY)
            .args(["serve", "--log-format", self.log_format, "--root"])
            .arg(&self.root)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().any(|line| line.is_ok_and(|line| line == "ready"));
        assert!(ready, "{}", std::fs::read_to_string(self.root.join("log")).unwrap_or_default());
        self.child = Some(child);
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where a standard port is.
    pub fn port(&self, standard: u16) -> u16 {
        self.base + standard
    }

    /// Connects to a standard port.
    pub fn talk(&self, standard: u16) -> std::io::Result<Talk> {
        Talk::new(self.port(standard))
    }

    /// The subjects in the INBOX of an account, by POP3 (without deleting).
    pub fn subjects(&self, user: &str) -> Vec<String> {
        let mut pop3 = self.talk(110).unwrap();
        pop3.line().unwrap();
        for command in [format!("USER {user}"), "PASS secret".to_owned()] {
            assert!(pop3.ask(&command).unwrap().starts_with("+OK"));
        }
        let stat = pop3.ask("STAT").unwrap();
        let count: u32 = stat.split(' ').nth(1).unwrap().parse().unwrap();
        let mut subjects = Vec::new();
        for n in 1..=count {
            pop3.say(&format!("TOP {n} 0")).unwrap();
            loop {
                let line = pop3.line().unwrap();
                if line == "." {
                    break;
                }
                subjects.extend(line.strip_prefix("Subject: ").map(str::to_owned));
            }
        }
        subjects
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

/// A number to which the standard ports can be added, below those that the kernel gives to clients,
/// and different in test programs that run at the same time.
fn free_base() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = std::process::id().wrapping_mul(31) + NEXT.fetch_add(1, Ordering::Relaxed);
        let base = 10_000 + (n % 420) as u16 * 50;
        let ports = [25, 110, 143, 465, 587, 993, 995].map(|standard| base + standard);
        if ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return base;
        }
    }
}

/// A conversation in lines.
pub struct Talk {
    /// The connection.
    pub reader: BufReader<TcpStream>,
}

impl Talk {
    /// Connects.
    pub fn new(port: u16) -> std::io::Result<Talk> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Talk { reader: BufReader::new(stream) })
    }
    /// Sends a line.
    pub fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.reader.get_mut().write_all(format!("{line}\r\n").as_bytes())
    }
    /// Reads a line.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches("\r\n").to_owned())
    }
    /// Sends a line and reads one.
    pub fn ask(&mut self, line: &str) -> std::io::Result<String> {
        self.say(line)?;
        self.line()
    }
    /// Sends an IMAP command whose tag is one letter; its tagged response.
    pub fn tagged(&mut self, command: &str) -> std::io::Result<String> {
        self.say(command)?;
        loop {
            let line = self.line()?;
            if line.get(..2) == command.get(..2) {
                return Ok(line);
            }
        }
    }
    /// The last line of an SMTP reply.
    pub fn smtp(&mut self, line: &str) -> std::io::Result<String> {
        self.say(line)?;
        self.reply()
    }
    /// Reads an SMTP reply; its last line.
    pub fn reply(&mut self) -> std::io::Result<String> {
        loop {
            let line = self.line()?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }
}

/// Submits a message; `Ok` only with the server's 250.
pub fn submit(server: &Server, from: &str, to: &str, subject: &str) -> std::io::Result<String> {
    let mut smtp = server.talk(587)?;
    smtp.reply()?;
    smtp.smtp("EHLO test")?;
    for command in ["AUTH LOGIN", &base64(from), "c2VjcmV0"] {
        smtp.smtp(command)?;
    }
    smtp.smtp(&format!("MAIL FROM:<{from}>"))?;
    smtp.smtp(&format!("RCPT TO:<{to}>"))?;
    smtp.smtp("DATA")?;
    let reply = smtp.smtp(&format!("Subject: {subject}\r\n\r\nbody of {subject}\r\n."))?;
    if reply.starts_with("250 ") { Ok(reply) } else { Err(std::io::Error::other(reply)) }
}

/// RFC 4648.
pub fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Waits until `done`, at most `seconds`.
pub fn wait(seconds: u64, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// An SMTP server that takes everything and keeps nothing, for ever.
pub fn sink(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        let mut talk = Talk { reader: BufReader::new(stream) };
        let _ = talk.say("220 sink");
        let mut body = false;
        while let Ok(line) = talk.line() {
            let said = match (body, line.as_str()) {
                (true, ".") => {
                    body = false;
                    talk.say("250 2.0.0 taken")
                }
                (true, _) => Ok(()),
                (false, "DATA") => {
                    body = true;
                    talk.say("354 go on")
                }
                (false, "QUIT") => break,
                (false, _) => talk.say("250 2.0.0 fine"),
            };
            if said.is_err() {
                break;
            }
        }
    }
}
