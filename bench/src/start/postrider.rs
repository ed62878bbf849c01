//! Postrider, from its binary.

use super::{Server, banner, run};
use crate::target::{PASSWORD, SINK_DOMAIN, Target, USERS, user};
use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A Postrider.
pub struct Postrider {
    /// The binary.
    pub binary: PathBuf,
    /// Its root folder; made anew by each set-up.
    pub root: PathBuf,
    /// Added to the standard ports.
    pub port_base: u16,
    /// Drive it over TLS.
    pub tls: bool,
    /// Where the sink listens.
    pub sink: SocketAddr,
    /// Further settings, `KEY=VALUE`.
    pub settings: Vec<String>,
    /// Run it under callgrind, whose dumps are called like this file.
    pub counted: Option<PathBuf>,
    child: Option<Child>,
}

impl Postrider {
    /// A server that is not set up yet.
    pub fn new(binary: PathBuf, root: PathBuf, port_base: u16, sink: SocketAddr) -> Postrider {
        let settings = Vec::new();
        Postrider {
            binary,
            root,
            port_base,
            tls: false,
            sink,
            settings,
            counted: None,
            child: None,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--root").arg(&self.root);
        command
    }

    /// What serves, under callgrind where that is asked for.
    fn serve(&self) -> Command {
        let mut command = self.command();
        if let Some(dumps) = &self.counted {
            command = Command::new("valgrind");
            command.arg("--tool=callgrind");
            command.arg(format!("--callgrind-out-file={}", dumps.display()));
            command.arg(&self.binary).arg("--root").arg(&self.root);
        }
        command.arg("serve");
        command
    }

    /// Ends it as a power cut would, but for what the kernel keeps: SIGKILL.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }
}

impl Server for Postrider {
    fn set_up(&mut self) -> io::Result<()> {
        let _ = fs::remove_dir_all(&self.root);
        let base = self.port_base.to_string();
        let mut command = self.command();
        command.args(["setup", "--yes", "--listen", "127.0.0.1", "--hostname", "localhost"]);
        command.args(["--port-base", &base, "--set", "auth.plaintext=true"]);
        command.args(["--set", "limits.connections_per_address=10000"]);
        command.args(["--set", "limits.connections_per_account=10000"]);
        command.args(["--set", "limits.recipients_per_hour=0"]);
        command.args(["--set", "limits.recipients_per_day=0"]);
        command.args(["--set", "limits.strangers_per_day=0"]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        run(command.arg("admin@bench.test"))?;
        let accounts = self.root.join("accounts.csv");
        let lines: String = (0..USERS).map(|n| format!("{},{PASSWORD}\n", user(n))).collect();
        fs::File::create(&accounts)?.write_all(lines.as_bytes())?;
        run(self.command().args(["account", "import"]).arg(&accounts))?;
        run(self.command().args(["route", "add", SINK_DOMAIN, &self.sink.to_string()]))?;
        Ok(())
    }

    fn start(&mut self) -> io::Result<Duration> {
        let log = fs::File::create(self.root.join("log"))?;
        // Another server's banner must not be taken for ours.
        let address = self.target().at(25);
        TcpListener::bind(address)
            .map_err(|error| io::Error::other(format!("{address} is taken: {error}")))?;
        let began = Instant::now();
        let child = self.serve().stdout(Stdio::null()).stderr(log).spawn()?;
        self.child = Some(child);
        let target = self.target();
        banner(target.at(25))?;
        banner(target.at(143))?;
        let took = began.elapsed();
        if self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
            let log = fs::read_to_string(self.root.join("log")).unwrap_or_default();
            return Err(io::Error::other(format!("Postrider does not run: {}", log.trim())));
        }
        Ok(took)
    }

    fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        run(Command::new("kill").arg(child.id().to_string()))?;
        child.wait().map(drop)
    }

    fn target(&self) -> Target {
        let mut target = Target::new("Postrider", self.port_base, self.tls);
        target.pids.extend(self.child.as_ref().map(Child::id));
        target
    }

    fn version(&self) -> String {
        let version = run(Command::new(&self.binary).arg("--version"));
        version.map_or_else(|error| error.to_string(), |text| text.trim().to_owned())
    }
}

impl Drop for Postrider {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
