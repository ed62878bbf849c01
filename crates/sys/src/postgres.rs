//! Questions to PostgreSQL. Values travel beside the statement, never in it.
//!
//! One connection serves all questions, which it takes one behind the other without waiting; one
//! that broke is made again.

use crate::net::{BoxStream, Stream};
use crate::tls::TlsClient;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config};

/// How long a server may take to be reached.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long a server may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long nobody is asked after no server could be reached.
const DOWN_WAIT: Duration = Duration::from_secs(2);
/// Rows of an answer.
pub(crate) const ROWS_MAX: usize = 1000;

/// A client. Cloning is cheap.
#[derive(Clone)]
pub struct SqlClient {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    tls: TlsClient,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Arc<Client>>,
    down: Option<(Instant, String)>,
}

/// A row of texts; `None` for NULL.
pub type SqlRow = Vec<Option<String>>;

/// The connection to the server of this URL is to be under TLS: it says so (`sslmode=require`), or
/// the server is not on this machine.
pub fn wants_tls(url: &str) -> Result<bool, String> {
    let config: Config = url.parse().map_err(|error| format!("{error}"))?;
    Ok(!local(&config) || config.get_ssl_mode() == SslMode::Require)
}

fn local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Host::Unix(_) => true,
    })
}

impl SqlClient {
    /// A client of the servers of a URL, `postgresql://user@host/database`, which connects when it
    /// is asked something; under TLS unless they are on this machine.
    pub fn new(url: &str, password: &str, tls: TlsClient) -> Result<SqlClient, String> {
        let mut config: Config = url.parse().map_err(|error| format!("{error}"))?;
        config.connect_timeout(CONNECT_WAIT).application_name("postrider");
        if !password.is_empty() {
            config.password(password);
        }
        match (local(&config), config.get_ssl_mode()) {
            (false, _) => config.ssl_mode(SslMode::Require),
            (true, SslMode::Require) => &mut config,
            (true, _) => config.ssl_mode(SslMode::Disable),
        };
        let inner = Inner { config, tls, state: Mutex::default() };
        Ok(SqlClient { inner: Arc::new(inner) })
    }

    async fn client(&self, fresh: bool) -> Result<Arc<Client>, String> {
        let mut state = self.inner.state.lock().await;
        if let Some((until, why)) = &state.down
            && Instant::now() < *until
        {
            return Err(why.clone());
        }
        if let Some(client) = &state.client
            && !fresh
            && !client.is_closed()
        {
            return Ok(client.clone());
        }
        *state = State::default();
        let connecting = self.inner.config.connect(MakeTls(self.inner.tls.clone()));
        let why = match tokio::time::timeout(CONNECT_WAIT * 2, connecting).await {
            Ok(Ok((client, connection))) => {
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::info!(%error, "SQL connection");
                    }
                });
                let client = Arc::new(client);
                state.client = Some(client.clone());
                return Ok(client);
            }
            Ok(Err(error)) => explained(&error),
            Err(_) => "no answer".to_owned(),
        };
        state.down = Some((Instant::now() + DOWN_WAIT, why.clone()));
        Err(why)
    }

    /// Asks; the values are `$1`, `$2` and so on, as texts, and as many as the statement has.
    /// Columns must be texts.
    pub async fn query(&self, statement: &str, values: &[&str]) -> Result<Vec<SqlRow>, String> {
        let known = (1..=values.len()).rev().find(|n| statement.contains(&format!("${n}")));
        let values = values.get(..known.unwrap_or(0)).unwrap_or_default();
        let params: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        let mut fresh = false;
        loop {
            let client = self.client(fresh).await?;
            let asked = client.query_typed(statement, &params);
            match tokio::time::timeout(ANSWER_WAIT, asked).await {
                Ok(Ok(rows)) => {
                    let texts = |row: &tokio_postgres::Row| {
                        let columns = 0..row.len();
                        columns.map(|n| row.try_get(n)).collect::<Result<SqlRow, _>>()
                    };
                    let rows: Result<Vec<SqlRow>, _> =
                        rows.iter().take(ROWS_MAX).map(texts).collect();
                    return rows.map_err(|error| explained(&error));
                }
                // The server may have closed an idle connection: once more on a new one.
                Ok(Err(_)) if !fresh && client.is_closed() => fresh = true,
                Ok(Err(error)) => return Err(explained(&error)),
                Err(_) => return Err("no answer".to_owned()),
            }
        }
    }
}

/// The error and what the server says of it.
fn explained(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Our TLS for theirs.
#[derive(Clone)]
struct MakeTls(TlsClient);

struct ConnectTls(TlsClient, String);

struct Secured(BoxStream);

impl<S: Stream + 'static> MakeTlsConnect<S> for MakeTls {
    type Stream = Secured;
    type TlsConnect = ConnectTls;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<ConnectTls, io::Error> {
        Ok(ConnectTls(self.0.clone(), domain.to_owned()))
    }
}

impl<S: Stream + 'static> TlsConnect<S> for ConnectTls {
    type Stream = Secured;
    type Error = io::Error;
    type Future = crate::BoxFuture<'static, io::Result<Secured>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let (stream, _) = self.0.connect(&self.1, Box::new(stream)).await?;
            Ok(Secured(stream))
        })
    }
}

impl tokio_postgres::tls::TlsStream for Secured {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
