//! Serving: accept, one task a connection, a bounded number of each, and a stop that lets requests
//! in flight end.
//!
//! A panic in a handler is not swallowed: [`serve`] ends with the same panic, and so does the role
//! that awaits it.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
};
use tracing::{debug, warn};

use crate::lenient::LenientTarget;
use crate::{Body, Limits, error_json};

/// Pause after a failed accept, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the deadline and were cut off.
    pub cut_off: usize,
}

/// Serves HTTP/1.1 on `listener` until `stop` completes, then lets requests in flight end for
/// [`Limits::stop_deadline`] and cuts off the rest.
///
/// `handler` is called with each request's head as soon as it has arrived; the body is read by the
/// handler. The handler's future is dropped when its client goes away: work that must not end half
/// done is spawned.
///
/// # Panics
/// When `handler` panics.
pub async fn serve<H, F>(
    listener: TcpListener,
    handler: H,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> Drained
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let requests = Arc::new(Semaphore::new(limits.requests_max));
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => pass_panic_on(ended),
            accepted = accept(&listener, &connections) => match accepted {
                Some((stream, peer, permit)) => {
                    let turn = Turn { requests: requests.clone(), wait: limits.request_wait };
                    let serving = connection(stream, peer, handler.clone(), turn, &limits, stopped.clone());
                    tasks.spawn(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                None => tokio::time::sleep(ACCEPT_RETRY_DELAY).await,
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let drain = async {
        while let Some(ended) = tasks.join_next().await {
            pass_panic_on(ended);
        }
    };
    if tokio::time::timeout(limits.stop_deadline, drain)
        .await
        .is_ok()
    {
        return Drained { cut_off: 0 };
    }
    let cut_off = tasks.len();
    tasks.shutdown().await;
    warn!(
        cut_off,
        "requests in flight were cut off at the stop deadline"
    );
    Drained { cut_off }
}

/// Waits for a free place and takes the next connection; `None` when accepting failed.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%peer, %error, "set TCP_NODELAY");
            }
            Some((stream, Peer(peer), permit))
        }
        Err(error) => {
            warn!(%error, "accept a connection");
            None
        }
    }
}

fn pass_panic_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// A place among the requests that are handled at once.
struct Turn {
    requests: Arc<Semaphore>,
    wait: Duration,
}

impl Turn {
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let waiting = self.requests.clone().acquire_owned();
        tokio::time::timeout(self.wait, waiting).await.ok()?.ok()
    }
}

/// Serves one connection over any byte stream.
fn connection<I, H, F>(
    io: I,
    peer: Peer,
    handler: H,
    turn: Turn,
    limits: &Limits,
    mut stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + use<I, H, F>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let turn = Arc::new(turn);
    let service = service_fn(move |request| {
        let (turn, handler) = (turn.clone(), handler.clone());
        async move {
            let response = match turn.take().await {
                Some(_place) => handler(request, peer).await,
                None => error_json(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many requests in flight",
                ),
            };
            Ok::<_, Infallible>(response)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_header_size(limits.header_bytes_max)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(LenientTarget::new(io)), service);
    async move {
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            debug!(peer = %peer.0, %error, "connection ended");
        }
    }
}
