//! HTTP/1.1 requests, for the few things that web servers are asked. RFC 9110, RFC 9112.
//!
//! One connection for each request, so that nothing is left open; no redirections; a limit on time
//! and on octets.

use crate::World;
use crate::net::{BoxStream, Net};
use crate::resolver::Resolver;
use crate::tls::TlsClient;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a whole exchange may take.
const EXCHANGE_WAIT: Duration = Duration::from_secs(10);
/// How long one address may take to be reached.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Octets of an answer.
const ANSWER_OCTETS_MAX: usize = 512 * 1024;
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// Asks web servers.
#[derive(Clone)]
pub struct HttpClient {
    resolver: Arc<dyn Resolver>,
    net: Arc<dyn Net>,
    tls: TlsClient,
}

/// What a web server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code. RFC 9110 §15.
    pub status: u16,
    /// The media type in lower case, without parameters; empty if there is none. RFC 9110 §8.3.
    pub media_type: String,
    /// The content.
    pub content: Vec<u8>,
}

/// What is asked.
struct Asked<'a> {
    method: Method,
    accept: &'static str,
    octets_max: usize,
    authorization: Option<&'a str>,
    form: Vec<u8>,
}

impl Asked<'_> {
    const JSON: Asked<'static> = Asked {
        method: Method::GET,
        accept: "application/json",
        octets_max: ANSWER_OCTETS_MAX,
        authorization: None,
        form: Vec::new(),
    };
}

impl HttpClient {
    /// A client in `world` that trusts whom `tls` trusts.
    pub fn new(world: &World, tls: TlsClient) -> HttpClient {
        HttpClient { resolver: world.resolver.clone(), net: world.net.clone(), tls }
    }

    /// GET. The URL is `https`, or `http` of this very machine.
    pub async fn get(&self, url: &str) -> io::Result<HttpAnswer> {
        self.exchange(url, Asked::JSON).await
    }

    /// GET of a text that has so many octets at most.
    pub async fn get_text(&self, url: &str, octets_max: usize) -> io::Result<HttpAnswer> {
        self.exchange(url, Asked { accept: "text/plain", octets_max, ..Asked::JSON }).await
    }

    /// POST of a form (`application/x-www-form-urlencoded`, encoded already), with the value of an
    /// Authorization field.
    pub async fn post(&self, url: &str, form: &str, authorization: &str) -> io::Result<HttpAnswer> {
        let (method, form) = (Method::POST, form.as_bytes().to_vec());
        let authorization = Some(authorization);
        self.exchange(url, Asked { method, authorization, form, ..Asked::JSON }).await
    }

    async fn exchange(&self, url: &str, asked: Asked<'_>) -> io::Result<HttpAnswer> {
        let done = tokio::time::timeout(EXCHANGE_WAIT, self.exchange_now(url, asked)).await;
        done.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn exchange_now(&self, url: &str, asked: Asked<'_>) -> io::Result<HttpAnswer> {
        let place = Place::parse(url)?;
        let stream = self.connect(&place).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let target = place.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::builder()
            .method(asked.method)
            .uri(target)
            .header(HOST, place.authority())
            .header(USER_AGENT, "Postrider")
            .header(ACCEPT, asked.accept);
        if let Some(value) = asked.authorization {
            let form = "application/x-www-form-urlencoded";
            request = request.header(AUTHORIZATION, value).header(CONTENT_TYPE, form);
        }
        let request = request.body(Full::new(Bytes::from(asked.form))).map_err(failed)?;
        let talk = async {
            let answer = sender.send_request(request).await.map_err(failed)?;
            let status = answer.status().as_u16();
            let named = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = named.and_then(|value| value.split(';').next()).unwrap_or_default();
            let media_type = media_type.trim().to_ascii_lowercase();
            let content = Limited::new(answer.into_body(), asked.octets_max).collect().await;
            let content = content.map_err(|error| io::Error::other(error.to_string()))?;
            Ok(HttpAnswer { status, media_type, content: content.to_bytes().to_vec() })
        };
        // The connection does the work; the answer may be whole before it ends.
        let (mut talk, mut connection) = (std::pin::pin!(talk), std::pin::pin!(connection));
        tokio::select! {
            biased;
            answer = &mut talk => answer,
            // A server that hangs up without a word of TLS has said all that it announced, or not.
            ended = &mut connection => match (talk.await, ended) {
                (Err(_), Err(error)) => Err(failed(error)),
                (answer, _) => answer,
            },
        }
    }

    async fn connect(&self, place: &Place) -> io::Result<BoxStream> {
        let addresses = match place.host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) if place.host == "localhost" => vec![IpAddr::from([127, 0, 0, 1])],
            Err(_) => {
                let found = self.resolver.addresses(&place.host).await;
                found.map_err(|error| io::Error::other(format!("{}: {error}", place.host)))?
            }
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            let to = SocketAddr::new(address, place.port);
            match self.net.connect(to, None, CONNECT_WAIT).await {
                Ok(stream) if place.secure => {
                    return Ok(self.tls.connect(&place.host, stream).await?.0);
                }
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// Where a URL leads.
struct Place {
    uri: Uri,
    host: String,
    port: u16,
    secure: bool,
}

impl Place {
    fn parse(url: &str) -> io::Result<Place> {
        let wrong = |why: &str| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("the URL '{url}' {why}"))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is not well formed"))?;
        let host = uri.host().ok_or_else(|| wrong("has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let here = host.parse::<IpAddr>().map_or(host == "localhost", |ip| ip.is_loopback());
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if here => false,
            _ => return Err(wrong("must begin with https://")),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Place { host, port, secure, uri })
    }

    fn authority(&self) -> &str {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }
}

/// The URL may be asked.
pub fn check_url(url: &str) -> io::Result<()> {
    Place::parse(url).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_leaves_this_machine() {
        for fine in
            ["https://id.example/x?y", "http://127.0.0.1:8/", "http://[::1]", "http://localhost/"]
        {
            assert!(check_url(fine).is_ok(), "{fine}");
        }
        for bad in [
            "http://id.example/",
            "ftp://127.0.0.1/",
            "id.example",
            "https://",
            "http://127.0.0.1.example/",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        let place = Place::parse("https://u:p@[2001:db8::1]:8443/a").unwrap();
        assert_eq!((place.host.as_str(), place.port), ("2001:db8::1", 8443));
        assert_eq!(place.authority(), "[2001:db8::1]:8443");
    }
}
