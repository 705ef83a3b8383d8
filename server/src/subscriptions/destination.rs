//! One destination: `POST /write` over HTTP or HTTPS, or datagrams of whole lines.

use std::sync::Arc;

use bytes::Bytes;
use tandem_http::{Call, Client, Url, percent_encode};
use tandem_line::lines;
use tokio::net::UdpSocket;

use crate::counters::Counter;

/// Bytes of a datagram, unless a single line is longer: what Ethernet carries in one piece.
const DATAGRAM_BYTES_MAX: usize = 1400;

/// What a destination has taken.
#[derive(Debug, Default)]
pub(crate) struct DestinationCounters {
    /// Points delivered; over UDP, points sent.
    pub(crate) points: Counter,
    /// Writes that could not be delivered.
    pub(crate) failures: Counter,
    /// Writes for which there was no room.
    pub(crate) writes_dropped: Counter,
}

#[derive(Debug)]
pub(super) struct Destination {
    name: String,
    kind: Kind,
    counters: Arc<DestinationCounters>,
}

#[derive(Debug)]
enum Kind {
    Http {
        url: Url,
        client: Client,
    },
    Udp {
        address: String,
        socket: Option<UdpSocket>,
    },
    /// It was taken as InfluxDB takes it, and cannot be sent to.
    Unusable,
}

impl Destination {
    pub(super) fn new(url: &str, client: &Client) -> Self {
        // InfluxDB leaves out what stands behind a question mark.
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let scheme_end = url.find("://").unwrap_or_default();
        let scheme = url.get(..scheme_end).unwrap_or_default();
        let (name, kind) = if scheme.eq_ignore_ascii_case("udp") {
            let address = url.get(scheme_end + 3..).unwrap_or_default();
            let address = address.split('/').next().unwrap_or_default();
            let address = address.rsplit('@').next().unwrap_or_default().to_owned();
            let name = format!("udp://{address}");
            let socket = None;
            (name, Kind::Udp { address, socket })
        } else {
            match Url::parse(url) {
                Ok(url) => {
                    let client = client.clone();
                    (url.to_string(), Kind::Http { url, client })
                }
                Err(_) => (format!("{scheme}://…"), Kind::Unusable),
            }
        };
        Self {
            name,
            kind,
            counters: Arc::default(),
        }
    }

    /// Its address without a password.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counters(&self) -> Arc<DestinationCounters> {
        self.counters.clone()
    }

    /// What is called over HTTP.
    pub(super) fn target(database: &str, policy: &str) -> String {
        format!(
            "/write?consistency=&db={}&precision=ns&rp={}",
            percent_encode(database),
            percent_encode(policy)
        )
    }

    /// Sends lines with times in nanoseconds.
    pub(super) async fn send(&mut self, target: &str, text: &Bytes) -> Result<(), String> {
        match &mut self.kind {
            Kind::Http { url, client } => {
                let call = Call::post(target, vec![text.clone()], true);
                let answer = client.send(url, call).await;
                let answer = answer.map_err(|error| chain(&error))?;
                if answer.status.is_success() {
                    return Ok(());
                }
                let said = answer.body.into_bytes();
                let said = String::from_utf8_lossy(said.get(..said.len().min(200)).unwrap_or(&[]))
                    .trim()
                    .to_owned();
                Err(format!("{}: {said}", answer.status))
            }
            Kind::Udp { address, socket } => {
                let sent = send_datagrams(address, socket, text).await;
                sent.map_err(|error| {
                    // Its name may have another address by now.
                    *socket = None;
                    error.to_string()
                })
            }
            Kind::Unusable => Err("it is no address that can be sent to".to_owned()),
        }
    }
}

async fn send_datagrams(
    address: &str,
    place: &mut Option<UdpSocket>,
    text: &[u8],
) -> std::io::Result<()> {
    if place.is_none() {
        let to = tokio::net::lookup_host(address).await?.next();
        let to = to.ok_or_else(|| std::io::Error::other("no such host"))?;
        let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own).await?;
        socket.connect(to).await?;
        *place = Some(socket);
    }
    let Some(socket) = place else {
        return Ok(());
    };
    let mut datagram = Vec::with_capacity(DATAGRAM_BYTES_MAX);
    for line in lines(text) {
        if !datagram.is_empty() && datagram.len() + line.len() >= DATAGRAM_BYTES_MAX {
            socket.send(&datagram).await?;
            datagram.clear();
        }
        datagram.extend_from_slice(line);
        datagram.push(b'\n');
    }
    if !datagram.is_empty() {
        socket.send(&datagram).await?;
    }
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}
