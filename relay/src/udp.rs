//! Line protocol in datagrams. Nobody waits for an answer, so datagrams are joined into batches for a
//! moment; then a batch is as safe as one over HTTP. What the kernel drops before it is read here
//! cannot be counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tandem_http::{StatusCode, percent_encode};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::answer::Level;
use crate::api::Ask;
use crate::batch::Target;
use crate::config::UdpConfig;
use crate::service::Service;

/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// A batch that is at least so large goes at once.
const BATCH_BYTES: usize = 64 << 10;
/// One that is not goes so long after its first datagram.
const BATCH_AGE_MAX: Duration = Duration::from_millis(100);
/// Batches under way at once. While so many are, datagrams wait in the kernel.
const BATCHES_MAX: usize = 32;
/// After a failed read.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// Takes datagrams for ever.
pub(crate) async fn listen(service: Arc<Service>, socket: UdpSocket, config: UdpConfig) {
    let places = Arc::new(Semaphore::new(BATCHES_MAX));
    let ask = ask(&config);
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    let mut batch = BytesMut::new();
    let mut send_at: Option<Instant> = None;
    loop {
        let receiving = socket.recv_from(&mut datagram);
        let received = match send_at {
            Some(at) => timeout_at(at, receiving).await.ok(),
            None => Some(receiving.await),
        };
        match received {
            Some(Ok((length, _))) => {
                batch.extend_from_slice(datagram.get(..length).unwrap_or_default());
                if batch.last().is_some_and(|byte| *byte != b'\n') {
                    batch.extend_from_slice(b"\n");
                }
                send_at.get_or_insert_with(|| Instant::now() + BATCH_AGE_MAX);
                if batch.len() < BATCH_BYTES {
                    continue;
                }
            }
            Some(Err(error)) => {
                warn!(%error, "receive a datagram");
                tokio::time::sleep(RETRY_DELAY).await;
                continue;
            }
            None => {}
        }
        send_at = None;
        let body = batch.split().freeze();
        if body.is_empty() {
            continue;
        }
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (service, ask) = (service.clone(), ask.clone());
        tokio::spawn(async move {
            relay(&service, ask, body).await;
            drop(place);
        });
    }
}

async fn relay(service: &Arc<Service>, ask: Ask, body: Bytes) {
    match service.receiver.lines(ask, body).await {
        Ok(batch) => {
            let lines = batch.head.lines;
            let status = service.relay(batch, Level::Kept).await.status();
            if status != StatusCode::NO_CONTENT {
                service.udp_failed(lines);
                debug!(%status, "a batch of datagrams was refused");
            }
        }
        Err(error) => warn!(%error, "a batch of datagrams was lost"),
    }
}

fn ask(config: &UdpConfig) -> Ask {
    let mut query = format!("db={}", percent_encode(&config.database));
    for (key, value) in [
        ("rp", &config.retention_policy),
        ("precision", &config.precision),
    ] {
        if !value.is_empty() {
            query.push_str(&format!("&{key}={}", percent_encode(value)));
        }
    }
    Ask {
        target: Target::Write,
        query,
        database: config.database.clone(),
        precision: Some(config.precision.clone()),
    }
}
