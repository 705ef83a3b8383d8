//! The same HTTP on a Unix socket, for agents on the same host: who may connect is a matter of the
//! file's rights.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tandem_http::{Limits, Peer, serve_connection_express};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::service::{Door, Service};

/// After a failed accept.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// Binds the socket at `path`. One that a dead process has left is taken over.
pub(crate) async fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).await.is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// Serves until `stopped`; then requests in flight end by themselves.
pub(crate) async fn listen(
    service: Arc<Service>,
    listener: UnixListener,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    // A Unix socket has no address that would say anything.
    let peer = Peer(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let ending = stopped.clone();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let answering = service.clone();
                let handler = move |request, peer| answering.clone().answer(request, peer);
                let (limits, ending) = (limits.clone(), ending.clone());
                let service = service.clone();
                tokio::spawn(async move {
                    let door = Door(service);
                    serve_connection_express(stream, peer, handler, door, &limits, ending).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "accept a connection on the Unix socket");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}
