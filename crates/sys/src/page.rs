//! One page over HTTP/1.1, for a program of the operator that looks at it now and then. RFC 9110,
//! RFC 9112.
//!
//! Invariant: it reads nothing but the method and the path of a request, and whoever is slow holds
//! up nobody else.

use crate::BoxFuture;
use crate::net::{Listener, NotAccepted};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long a connection may last.
const CONNECTION_WAIT: Duration = Duration::from_secs(30);
/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 16;
/// Octets of a request's head; 8,192 is the least that hyper takes.
const HEAD_OCTETS_MAX: usize = 8_192;

/// Makes what is on the page now.
pub type Content = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// A page.
#[derive(Clone)]
pub struct Page {
    /// Its path.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Makes it.
    pub content: Content,
}

/// Serves a page until `shutdown`.
pub async fn serve(listener: Box<dyn Listener>, page: Page, mut shutdown: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut failing = NotAccepted::default();
    loop {
        let Ok(seat) = room.clone().acquire_owned().await else { return };
        let got = tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            got = listener.accept() => got,
        };
        let stream = match got {
            Ok((stream, ..)) => stream,
            Err(error) => {
                if let Some(times) = failing.again() {
                    tracing::warn!(times, %error, "cannot accept");
                }
                tokio::time::sleep(NotAccepted::WAIT).await;
                continue;
            }
        };
        let page = page.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(&page, request));
            let mut server = hyper::server::conn::http1::Builder::new();
            server.max_buf_size(HEAD_OCTETS_MAX).keep_alive(false);
            let served = server.serve_connection(TokioIo::new(stream), answer);
            // What a client does wrong is its own affair.
            let _ = tokio::time::timeout(CONNECTION_WAIT, served).await;
            drop(seat);
        });
    }
}

async fn answer(
    page: &Page,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut answer = Response::new(Full::default());
    if request.uri().path() != page.path {
        *answer.status_mut() = StatusCode::NOT_FOUND;
    } else if !is_read {
        *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else {
        *answer.body_mut() = Full::from((page.content)().await);
        let media_type = HeaderValue::from_static(page.media_type);
        answer.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    Ok(answer)
}
