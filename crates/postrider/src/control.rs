//! The control socket: how a command reaches the running server.

use crate::access::Live;
use crate::admin::{self, Failure, Request, Response, exit, fail};
use crate::cli::{self, Cli};
use crate::config::Config;
use crate::privilege;
use crate::serve::open;
use clap::CommandFactory as _;
use directory::Directory;
use serde::{Deserialize, Serialize};
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::Store;
use sys::hands::{self, SystemHands};
use sys::net::NotAccepted;
use tokio::io::{AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// Between two times that a long command says how far it is.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);
/// Octets of a request over the control socket.
const REQUEST_OCTETS_MAX: u64 = 64 << 20;

/// A command as it is typed: only a folder that is not the usual one has to be named.
pub fn typed(root: &Path, command: &str) -> String {
    match root == Path::new(cli::ROOT) {
        true => format!("postrider {command}"),
        false => format!("postrider --root {} {command}", root.display()),
    }
}

/// The commands that a text names, as they are typed.
pub fn retyped(root: &Path, text: &str) -> String {
    let names = Cli::command();
    let names = names.get_subcommands().map(|command| command.get_name());
    names.fold(text.to_owned(), |text, name| {
        text.replace(&format!("postrider {name}"), &typed(root, name))
    })
}

/// Where the control socket is.
pub fn control_socket(root: &Path) -> PathBuf {
    root.join("control.sock")
}

/// Takes commands over the control socket, one for each connection.
pub fn listen(
    root: &Path,
    store: Store,
    directory: Directory,
    live: Live,
    mut shutdown: watch::Receiver<bool>,
) -> Result<tokio::task::JoinHandle<()>, Failure> {
    let path = control_socket(root);
    // We hold the lock of the data folder, so a socket that is there is nobody's.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .map_err(|error| fail(exit::CANT_CREATE, format!("{}: {error}", path.display())))?;
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
    Ok(tokio::spawn(async move {
        let mut failing = NotAccepted::default();
        loop {
            let got = tokio::select! {
                _ = shutdown.wait_for(|down| *down) => break,
                got = listener.accept() => got,
            };
            match got {
                Ok((stream, _)) => {
                    tokio::spawn(command(stream, store.clone(), directory.clone(), live.clone()));
                }
                Err(error) => {
                    if let Some(times) = failing.again() {
                        tracing::warn!(times, %error, "cannot accept on the control socket");
                    }
                    tokio::time::sleep(NotAccepted::WAIT).await;
                }
            }
        }
        let _ = std::fs::remove_file(&path);
    }))
}

/// A command, and whether somebody waits who wants to hear how far it is.
#[derive(Serialize, Deserialize)]
struct Asked {
    #[serde(flatten)]
    request: Request,
    #[serde(default)]
    progress: bool,
}

/// What is said before the outcome.
#[derive(Serialize, Deserialize)]
struct Far {
    progress: (u64, u64),
}

async fn command(stream: UnixStream, store: Store, directory: Directory, live: Live) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_OCTETS_MAX));
    if reader.read_line(&mut line).await.is_err() {
        return;
    }
    let outcome = match serde_json::from_str::<Asked>(&line) {
        Ok(Asked { request, progress }) => {
            let (told, mut seen) = watch::channel((0, 0));
            let work = admin::execute(&store, &directory, Some(&live), request, &told);
            let mut work = Box::pin(work);
            loop {
                match watch_once(&mut work, &mut seen).await {
                    ControlFlow::Break(outcome) => break outcome,
                    ControlFlow::Continue(far) if progress => {
                        let mut line =
                            serde_json::to_vec(&Far { progress: far }).unwrap_or_default();
                        line.push(b'\n');
                        let _ = writer.write_all(&line).await;
                    }
                    ControlFlow::Continue(_) => {}
                }
            }
        }
        Err(error) => Err(fail(exit::DATA, format!("control socket: {error}"))),
    };
    let mut answer = serde_json::to_vec(&outcome).unwrap_or_default();
    answer.push(b'\n');
    let _ = writer.write_all(&answer).await;
}

/// Goes on with some work until it is done, or it is time to tell how far it is.
async fn watch_once<T>(
    work: &mut (impl Future<Output = T> + Unpin),
    seen: &mut watch::Receiver<(u64, u64)>,
) -> ControlFlow<T, (u64, u64)> {
    loop {
        tokio::select! {
            biased;
            done = &mut *work => return ControlFlow::Break(done),
            () = tokio::time::sleep(PROGRESS_PAUSE) => {}
        }
        if seen.has_changed().unwrap_or(false) {
            return ControlFlow::Continue(*seen.borrow_and_update());
        }
    }
}

/// Has a command carried out: by the running server, or here when there is none.
pub async fn administer(root: &Path, request: Request) -> Result<Response, Failure> {
    if let Ok(stream) = UnixStream::connect(control_socket(root)).await {
        let (reader, mut writer) = stream.into_split();
        let asked = Asked { request, progress: std::io::stderr().is_terminal() };
        let mut line = serde_json::to_vec(&asked).unwrap_or_default();
        line.push(b'\n');
        let lost =
            |error: std::io::Error| fail(exit::UNAVAILABLE, format!("control socket: {error}"));
        writer.write_all(&line).await.map_err(lost)?;
        let mut reader = BufReader::new(reader);
        loop {
            let mut answer = String::new();
            reader.read_line(&mut answer).await.map_err(lost)?;
            if let Ok(Far { progress: (done, all) }) = serde_json::from_str(&answer) {
                eprintln!("{done} of {all}");
                continue;
            }
            let parsed: Result<Result<Response, Failure>, _> = serde_json::from_str(&answer);
            return parsed.unwrap_or_else(|error| Err(fail(exit::SOFTWARE, error.to_string())));
        }
    }
    let config = Config::load(root).map_err(|text| fail(exit::CONFIG, text))?;
    if matches!(request, Request::Status) {
        let start = typed(root, "serve");
        return Err(fail(
            exit::UNAVAILABLE,
            format!("the server does not run\nTo start it: {start}"),
        ));
    }
    // What the store makes must belong to the user that the server runs as.
    privilege::drop_root(root, &config)?;
    let (store, directory) = open(root, &config, None)?;
    let (told, mut seen) = watch::channel((0, 0));
    let mut work = Box::pin(admin::execute(&store, &directory, None, request, &told));
    let outcome = loop {
        match watch_once(&mut work, &mut seen).await {
            ControlFlow::Break(outcome) => break outcome,
            ControlFlow::Continue((done, all)) if std::io::stderr().is_terminal() => {
                eprintln!("{done} of {all}");
            }
            ControlFlow::Continue(_) => {}
        }
    };
    drop(work);
    let _ = hands::blocking(&SystemHands, move || store.close()).await;
    outcome
}
