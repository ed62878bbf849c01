//! The control socket: how a command reaches the running server.

use crate::access::Live;
use crate::admin::{self, Failure, Request, Response, exit, fail};
use crate::cli;
use crate::config::Config;
use crate::privilege;
use crate::serve::open;
use directory::Directory;
use std::path::{Path, PathBuf};
use store::Store;
use sys::hands::{self, SystemHands};
use sys::net::NotAccepted;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// Octets of a request over the control socket.
const REQUEST_OCTETS_MAX: u64 = 64 << 20;

/// A command as it is typed: only a folder that is not the usual one has to be named.
pub fn typed(root: &Path, command: &str) -> String {
    match root == Path::new(cli::ROOT) {
        true => format!("postrider {command}"),
        false => format!("postrider --root {} {command}", root.display()),
    }
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

async fn command(stream: UnixStream, store: Store, directory: Directory, live: Live) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_OCTETS_MAX));
    if reader.read_line(&mut line).await.is_err() {
        return;
    }
    let outcome = match serde_json::from_str::<Request>(&line) {
        Ok(request) => admin::execute(&store, &directory, Some(&live), request).await,
        Err(error) => Err(fail(exit::DATA, format!("control socket: {error}"))),
    };
    let mut answer = serde_json::to_vec(&outcome).unwrap_or_default();
    answer.push(b'\n');
    let _ = writer.write_all(&answer).await;
}

/// Has a command carried out: by the running server, or here when there is none.
pub async fn administer(root: &Path, request: Request) -> Result<Response, Failure> {
    if let Ok(stream) = UnixStream::connect(control_socket(root)).await {
        let (reader, mut writer) = stream.into_split();
        let mut line = serde_json::to_vec(&request).unwrap_or_default();
        line.push(b'\n');
        let lost =
            |error: std::io::Error| fail(exit::UNAVAILABLE, format!("control socket: {error}"));
        writer.write_all(&line).await.map_err(lost)?;
        let mut answer = String::new();
        BufReader::new(reader).read_to_string(&mut answer).await.map_err(lost)?;
        let parsed: Result<Result<Response, Failure>, _> = serde_json::from_str(&answer);
        return parsed.unwrap_or_else(|error| Err(fail(exit::SOFTWARE, error.to_string())));
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
    let outcome = admin::execute(&store, &directory, None, request).await;
    let _ = hands::blocking(&SystemHands, move || store.close()).await;
    outcome
}
