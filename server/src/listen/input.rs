//! A listener beside HTTP, from its configuration to tasks that run.

use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use tandem_http::{BindError, Drained};
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::batches::{self, Feeder};
use super::collectd::{self, CollectdAuthError, CollectdTypesError};
use super::graphite::{self, TemplateError};
use super::udp::Datagrams;
use super::{
    GraphiteTransport, InputConfig, InputCounters, InputKind, opentsdb, socket, tcp, until,
};
use crate::intake::Intake;

/// Why a listener cannot be opened.
#[derive(Debug, Error)]
pub enum InputError {
    /// Its address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A template of Graphite's is none.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A file of collectd's types cannot be used.
    #[error(transparent)]
    Types(#[from] CollectdTypesError),
    /// The file of collectd's users cannot be used.
    #[error(transparent)]
    Auth(#[from] CollectdAuthError),
    /// The kernel gives no buffer of this size.
    #[error("set the read buffer of {bind}")]
    Buffer {
        /// The listener.
        bind: String,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// A listener that is open and not read yet.
#[derive(Debug)]
pub struct Input {
    config: InputConfig,
    socket: Socket,
    ready: Ready,
    counters: Arc<InputCounters>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

/// What was made of the configuration's texts and files.
#[derive(Debug)]
enum Ready {
    Udp(Datagrams),
    Graphite(graphite::Parser),
    OpenTsdb(super::OpenTsdbConfig),
    Collectd(Box<collectd::Decoder>),
}

impl Input {
    /// Opens the listener that `config` describes, and reads the files that it names.
    ///
    /// # Errors
    /// An [`InputError`] that names what is wrong.
    pub async fn open(config: InputConfig) -> Result<Self, InputError> {
        let (kind, is_udp, ready) = match &config.kind {
            InputKind::Udp(udp) => ("udp", true, Ready::Udp(Datagrams::new(*udp))),
            InputKind::Graphite(graphite) => (
                "graphite",
                graphite.transport == GraphiteTransport::Udp,
                Ready::Graphite(graphite::Parser::new(graphite)?),
            ),
            InputKind::OpenTsdb(opentsdb) => ("opentsdb", false, Ready::OpenTsdb(*opentsdb)),
            InputKind::Collectd(collectd) => (
                "collectd",
                true,
                Ready::Collectd(Box::new(collectd::Decoder::new(collectd)?)),
            ),
        };
        let socket = if is_udp {
            let socket = tandem_http::bind_udp(&config.bind).await?;
            if let Some(bytes) = config.read_buffer_bytes {
                set_read_buffer(&socket, bytes).map_err(|source| InputError::Buffer {
                    bind: config.bind.clone(),
                    source,
                })?;
            }
            Socket::Udp(socket)
        } else {
            Socket::Tcp(tandem_http::bind(&config.bind).await?)
        };
        let mut input = Self {
            counters: Arc::new(InputCounters::new(kind, is_udp, String::new())),
            config,
            socket,
            ready,
        };
        let bind = input.local_addr().map(|addr| addr.to_string());
        input.counters = Arc::new(InputCounters::new(
            kind,
            is_udp,
            bind.unwrap_or_else(|| input.config.bind.clone()),
        ));
        Ok(input)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Udp(socket) => socket.local_addr().ok(),
            Socket::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    pub(crate) fn counters(&self) -> Arc<InputCounters> {
        self.counters.clone()
    }

    /// Reads and writes until `stopped`.
    pub(crate) fn start(
        self,
        intake: Intake,
        stopped: watch::Receiver<bool>,
        tasks: &mut JoinSet<Drained>,
    ) {
        let Self {
            config,
            socket,
            ready,
            counters,
        } = self;
        info!(
            listener = counters.kind,
            bind = counters.bind,
            database = config.database,
            "listening"
        );
        let (feeder, writer) =
            batches::open(&config, intake.clone(), counters.clone(), stopped.clone());
        tasks.spawn(writer.run());
        match (socket, ready) {
            (Socket::Udp(socket), Ready::Udp(decode)) => {
                tasks.spawn(datagrams(socket, decode, counters, feeder, stopped));
            }
            (Socket::Udp(socket), Ready::Graphite(decode)) => {
                tasks.spawn(datagrams(socket, decode, counters, feeder, stopped));
            }
            (Socket::Udp(socket), Ready::Collectd(decode)) => {
                tasks.spawn(datagrams(socket, *decode, counters, feeder, stopped));
            }
            (Socket::Tcp(listener), Ready::Graphite(parser)) => {
                let parser = Arc::new(parser);
                tasks.spawn(ends(async move {
                    let (counted, stop) = (counters.clone(), stopped.clone());
                    let max = config.connections_max;
                    tcp::accept(listener, max, counters, stopped, move |stream, _, seat| {
                        graphite::serve(
                            (stream, seat),
                            parser.clone(),
                            counted.clone(),
                            feeder.clone(),
                            stop.clone(),
                        )
                    })
                    .await;
                }));
            }
            (Socket::Tcp(listener), Ready::OpenTsdb(limits)) => {
                let room = opentsdb::Room::new(limits, &config, intake, counters.clone());
                tasks.spawn(ends(async move {
                    let stop = stopped.clone();
                    let max = config.connections_max;
                    tcp::accept(
                        listener,
                        max,
                        counters,
                        stopped,
                        move |stream, peer, seat| {
                            let (room, feeder) = (room.clone(), feeder.clone());
                            opentsdb::serve((stream, seat), peer, room, feeder, stop.clone())
                        },
                    )
                    .await;
                }));
            }
            // `open` pairs them as above.
            _ => warn!(listener = counters.kind, "this socket cannot carry that"),
        }
    }
}

async fn datagrams(
    socket: UdpSocket,
    decode: impl socket::Decode,
    counters: Arc<InputCounters>,
    feeder: Feeder,
    mut stopped: watch::Receiver<bool>,
) -> Drained {
    socket::receive(socket, decode, counters, feeder, until(&mut stopped)).await;
    Drained { cut_off: 0 }
}

async fn ends(serving: impl Future<Output = ()>) -> Drained {
    serving.await;
    Drained { cut_off: 0 }
}

fn set_read_buffer(socket: &UdpSocket, bytes: usize) -> std::io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_recv_buffer_size(
        socket.as_fd(),
        bytes,
    )?)
}
