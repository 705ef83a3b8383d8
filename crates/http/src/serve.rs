//! Serving: accept, TLS if the listener has it, one task a connection, a bounded number of each, and a
//! stop that lets requests in flight end.
//!
//! A panic in a handler is not swallowed: [`serve`] ends with the same panic, and so does the role
//! that awaits it.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::BytesMut;
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
};
use tracing::{debug, warn};

use crate::express::{self, Desk, Ended, Express, NoExpress};
use crate::lenient::LenientTarget;
use crate::patient::Patient;
use crate::rewind::Rewind;
use crate::seats::{Handled, Seat, Seats};
use crate::tls::Transport;
use crate::{Body, Limits, Listener, ServerTls, error_json};

/// What the first byte of a TLS connection is: the type "handshake" of its first record.
const TLS_HANDSHAKE: u8 = 22;

/// What Go's server says to who speaks plain HTTP to it.
const NOT_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

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

/// Serves HTTP/1.1 on `listener`, a bound socket or a [`Listener`] with TLS, until `stop` completes; then lets
/// requests in flight end for [`Limits::stop_deadline`] and cuts off the rest.
///
/// `handler` is called with each request's head as soon as it has arrived; the body is read by the
/// handler. The handler's future is dropped when its client goes away: work that must not end half
/// done is spawned.
///
/// # Panics
/// When `handler` panics.
pub async fn serve<H, F>(
    listener: impl Into<Listener>,
    handler: H,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> Drained
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    serve_express(listener, handler, NoExpress, limits, stop).await
}

/// As [`serve`]; plain requests to paths that `express` wants go to it.
///
/// # Panics
/// When `handler` or `express` panics.
pub async fn serve_express<H, F, E>(
    listener: impl Into<Listener>,
    handler: H,
    express: E,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> Drained
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
    E: Express,
{
    let Listener { tcp, tls, stats } = listener.into();
    let seats = Seats::new(limits.connections_max, stats.clone());
    let requests = Arc::new(Semaphore::new(limits.requests_max));
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    // Accepted, and without a seat yet.
    let mut waiting: Option<(TcpStream, Peer)> = None;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => pass_panic_on(ended),
            seat = seats.take(), if waiting.is_some() => if let Some((stream, peer)) = waiting.take() {
                let turn = Turn { requests: requests.clone(), wait: limits.request_wait };
                let (tls, handler, limits) = (tls.clone(), handler.clone(), limits.clone());
                let express = express.clone();
                let (stopped, stats) = (stopped.clone(), stats.clone());
                tasks.spawn(async move {
                    let beginning = begin(stream, tls.as_ref());
                    let begun = tokio::select! {
                        begun = tokio::time::timeout(limits.handshake_timeout, beginning) => begun,
                        () = seat.evicted() => return,
                        () = until(stopped.clone()) => return,
                    };
                    match begun {
                        Ok(Ok(stream)) => {
                            let answering = (handler, express);
                            connection(stream, peer, answering, turn, &limits, seat, stopped).await;
                        }
                        failed => {
                            stats.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                            debug!(peer = %peer.0, ?failed, "no TLS came about");
                        }
                    }
                });
            },
            accepted = tcp.accept(), if waiting.is_none() => match accepted {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%peer, %error, "set TCP_NODELAY");
                    }
                    stats.accepted.fetch_add(1, Ordering::Relaxed);
                    waiting = Some((stream, Peer(peer)));
                }
                Err(error) => {
                    warn!(%error, "accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    drop((tcp, waiting));
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

/// Serves one connection that was accepted elsewhere, until it ends or its seat is wanted for another; once `stopped`
/// is true, only the request that is in flight. For ports on which more than HTTP is spoken: who accepts gives the
/// seats, and bounds the number of requests at once.
pub async fn serve_connection<I, H, F>(
    io: I,
    peer: Peer,
    handler: H,
    limits: &Limits,
    seat: Arc<Seat>,
    stopped: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let turn = Turn::alone(limits);
    connection(io, peer, (handler, NoExpress), turn, limits, seat, stopped).await;
}

/// Serves one connection that has no other beside it, as [`serve_express`] does.
pub async fn serve_connection_express<I, H, F, E>(
    io: I,
    peer: Peer,
    handler: H,
    express: E,
    limits: &Limits,
    stopped: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
    E: Express,
{
    let seat = Seats::new(1, Arc::default()).take().await;
    let turn = Turn::alone(limits);
    connection(io, peer, (handler, express), turn, limits, seat, stopped).await;
}

/// Gets a connection as far as HTTP can begin.
async fn begin(mut stream: TcpStream, tls: Option<&ServerTls>) -> io::Result<Transport> {
    let Some(tls) = tls else {
        return Ok(Transport::Plain(stream));
    };
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first != [TLS_HANDSHAKE] {
        stream.write_all(NOT_TLS).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("plain text on a port of TLS"));
    }
    let stream = tls.accept(stream).await?;
    Ok(Transport::Tls(Box::new(stream.into())))
}

/// Completes when serving is to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    drop(stopped.wait_for(|stopped| *stopped).await);
}

fn pass_panic_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// A place among the requests that are handled at once.
#[derive(Debug)]
pub(crate) struct Turn {
    requests: Arc<Semaphore>,
    wait: Duration,
}

impl Turn {
    /// Of a connection of which nothing but itself bounds the requests.
    fn alone(limits: &Limits) -> Self {
        Self::new(1, limits.request_wait)
    }

    pub(crate) fn new(requests_max: usize, wait: Duration) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests_max)),
            wait,
        }
    }

    pub(crate) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let waiting = self.requests.clone().acquire_owned();
        tokio::time::timeout(self.wait, waiting).await.ok()?.ok()
    }
}

/// Serves one connection over any byte stream.
async fn connection<I, H, F, E>(
    io: I,
    peer: Peer,
    (handler, express): (H, E),
    turn: Turn,
    limits: &Limits,
    seat: Arc<Seat>,
    stopped: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
    E: Express,
{
    let mut io = Patient::new(io, limits.write_stall_max, seat.told());
    let turn = Arc::new(turn);
    let mut ahead = BytesMut::new();
    if E::IS_USED {
        let desk = Desk {
            express: &express,
            peer,
            turn: &turn,
            limits,
            seat: &seat,
            stopped: stopped.clone(),
        };
        match express::run(&mut io, desk).await {
            Ended::Closed => return,
            Ended::HandedOver(bytes) => ahead = bytes,
        }
    }
    let sitting = seat.clone();
    let service = service_fn(move |request| {
        let (turn, handler, busy) = (turn.clone(), handler.clone(), sitting.busy());
        let seat = sitting.clone();
        async move {
            let mut response = match turn.take().await {
                Some(place) => {
                    let handling = handler(request, peer);
                    Handled::run(seat, turn, place, handling).await
                }
                None => error_json(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many requests in flight",
                ),
            };
            // Until the last of the answer has been handed to the connection.
            response.body_mut().hold(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(LenientTarget::new(Rewind::new(ahead, io)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_header_size(limits.header_bytes_max)
        .title_case_headers(true)
        .serve_connection(io, service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = seat.evicted() => {
            debug!(peer = %peer.0, "an idle connection made room for another");
            return;
        }
        () = until(stopped) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!(peer = %peer.0, %error, "connection ended");
    }
}
