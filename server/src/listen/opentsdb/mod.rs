//! OpenTSDB's two ways in, on one port: lines `put name time value tag=value…`, and `POST /api/put` with JSON.
//!
//! Which of the two a connection speaks, its first byte tells: methods of HTTP are written in capitals.
//! A line of telnet gets no answer; its points are batched. A body is answered when its points are stored.

mod http;
mod point;
mod telnet;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem_http::{Limits, Peer, Seat};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use super::batches::Feeder;
use super::{InputConfig, InputCounters, OpenTsdbConfig, until};
use crate::intake::Intake;

/// How long a connection may wait before its first byte.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(75);

/// What the requests of a listener share.
#[derive(Debug)]
pub(super) struct Room {
    limits: OpenTsdbConfig,
    database: String,
    policy: Option<String>,
    intake: Intake,
    counters: Arc<InputCounters>,
    bodies: tandem_http::Room,
    places: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new(
        limits: OpenTsdbConfig,
        config: &InputConfig,
        intake: Intake,
        counters: Arc<InputCounters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits,
            database: config.database.clone(),
            policy: config.retention_policy.clone(),
            intake,
            counters,
            bodies: tandem_http::Room::new(
                limits.body_bytes_max.saturating_mul(limits.requests_max),
                http::WAIT_MAX,
            ),
            places: Arc::new(Semaphore::new(limits.requests_max)),
        })
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(
    (stream, seat): (TcpStream, Arc<Seat>),
    peer: SocketAddr,
    room: Arc<Room>,
    feeder: Feeder,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = tokio::time::timeout(FIRST_BYTE_MAX, stream.peek(&mut first)) => {
            peeked.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
        }
        () = seat.evicted() => return Ok(()),
        () = until(&mut stopped) => return Ok(()),
    };
    if peeked == 0 {
        return Ok(());
    }
    if !first[0].is_ascii_uppercase() {
        return telnet::serve((stream, seat), &room.counters, &feeder, stopped).await;
    }
    let handler = move |request, _: Peer| {
        let room = room.clone();
        async move { room.answer(request).await }
    };
    let limits = Limits::default();
    tandem_http::serve_connection(stream, Peer(peer), handler, &limits, seat, stopped).await;
    Ok(())
}
