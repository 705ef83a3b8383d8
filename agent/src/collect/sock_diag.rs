//! Sockets as the kernel lists them over netlink (`sock_diag(7)`): the same as `/proc/net/tcp` and its
//! siblings, without the text. A host with a hundred thousand connections has fifteen megabytes of that, and
//! most of the work is to print and to parse it.
//!
//! It shows the network that this process is in, and nothing of another: whoever measures a host from a
//! container with a network of its own must read files.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// How long the kernel may take for a part of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The kernel fills as much at once.
const BUFFER_BYTES: usize = 32 << 10;

/// `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER_BYTES: usize = 16;
/// Messages begin at multiples of this.
const ALIGNMENT: usize = 4;
const TYPE_ERROR: u16 = 2;
const TYPE_DONE: u16 = 3;
/// `SOCK_DIAG_BY_FAMILY`
const TYPE_SOCKETS: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH`
const FLAGS_DUMP: u16 = 0x1 | 0x100 | 0x200;
/// `struct inet_diag_req_v2`: family, protocol, two bytes of nothing, states, an id that is not used here.
const REQUEST_BYTES: usize = 8 + SOCKET_ID_BYTES;
/// `struct inet_diag_sockid`: ports, addresses, interface, cookie.
const SOCKET_ID_BYTES: usize = 48;
/// Of a socket's id, ports and addresses.
const ADDRESSES_BYTES: usize = 36;
/// Where the local port and the local address are in it.
const LOCAL: [std::ops::Range<usize>; 2] = [0..2, 4..20];

/// `IPPROTO_TCP`
pub(super) const TCP: u8 = 6;
/// `IPPROTO_UDP`
pub(super) const UDP: u8 = 17;

/// One socket of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket<'a> {
    /// The kernel's number of its state (`include/net/tcp_states.h`).
    pub(super) state: u8,
    /// Ports and addresses.
    addresses: &'a [u8],
}

/// Addresses that are told apart; beyond them every socket is new.
const SEEN_MAX: usize = 4096;

/// Addresses that were seen, by a hash: that two of thousands have the same is not to be expected.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    /// Whether it was there before.
    fn add(&mut self, address: impl std::hash::Hash) -> bool {
        let hash = self.hasher.hash_one(address);
        self.hashes.len() < SEEN_MAX && !self.hashes.insert(hash)
    }
}

impl Socket<'_> {
    /// Whether another socket had the same local address and port.
    pub(super) fn shares_local(&self, seen: &mut Seen) -> bool {
        let part = |range: std::ops::Range<usize>| self.addresses.get(range).unwrap_or_default();
        let [port, address] = LOCAL.map(part);
        seen.add((port, address))
    }

    /// Whether another socket had the same pair of addresses and ports.
    pub(super) fn shares_pair(&self, seen: &mut Seen) -> bool {
        seen.add(self.addresses)
    }
}

/// Calls `take` with each socket of a protocol over IPv4 or IPv6.
///
/// # Errors
/// Where the kernel cannot list them (the module may be missing) or breaks off; some were taken by then.
pub(super) fn each(
    protocol: u8,
    is_ipv6: bool,
    take: &mut dyn FnMut(Socket<'_>),
) -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    let family = if is_ipv6 {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let kernel = SocketAddrNetlink::new(0, 0);
    let request = request(family, protocol);
    rustix::net::sendto(&socket, &request, SendFlags::empty(), &kernel)?;
    answers(&socket, take)
}

fn request(family: AddressFamily, protocol: u8) -> Vec<u8> {
    const ALL_STATES: u32 = u32::MAX;
    const SEQUENCE: u32 = 1;
    let length = HEADER_BYTES + REQUEST_BYTES;
    let mut request = Vec::with_capacity(length);
    request.extend_from_slice(&(length as u32).to_ne_bytes());
    request.extend_from_slice(&TYPE_SOCKETS.to_ne_bytes());
    request.extend_from_slice(&FLAGS_DUMP.to_ne_bytes());
    request.extend_from_slice(&SEQUENCE.to_ne_bytes());
    request.extend_from_slice(&[0; 4]);
    // Families fit into a byte here, as the kernel has them.
    request.extend_from_slice(&[family.as_raw() as u8, protocol, 0, 0]);
    request.extend_from_slice(&ALL_STATES.to_ne_bytes());
    request.resize(length, 0);
    request
}

fn answers(socket: &OwnedFd, take: &mut dyn FnMut(Socket<'_>)) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let received = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::TRUNC);
        let (_, length) = match received {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let datagram = buffer
            .get(..length)
            .ok_or_else(|| io::Error::other("the kernel's answer is longer than announced"))?;
        if parse(datagram, take)? {
            return Ok(());
        }
    }
}

/// Takes the sockets of one datagram; whether it was the last.
fn parse(mut datagram: &[u8], take: &mut dyn FnMut(Socket<'_>)) -> io::Result<bool> {
    let strange = || io::Error::other("the kernel's answer is not understood");
    while !datagram.is_empty() {
        let length = u32_at(datagram, 0).ok_or_else(strange)? as usize;
        let kind = u16_at(datagram, 4).ok_or_else(strange)?;
        let body = datagram.get(HEADER_BYTES..length).ok_or_else(strange)?;
        match kind {
            TYPE_DONE => return Ok(true),
            TYPE_ERROR => {
                let number = u32_at(body, 0).ok_or_else(strange)?.cast_signed();
                return Err(io::Error::from_raw_os_error(number.saturating_neg()));
            }
            TYPE_SOCKETS => {
                // `struct inet_diag_msg`: family, state, two bytes more, then the id.
                let state = *body.get(1).ok_or_else(strange)?;
                let addresses = body.get(4..4 + ADDRESSES_BYTES).ok_or_else(strange)?;
                take(Socket { state, addresses });
            }
            _ => {}
        }
        let next = length.next_multiple_of(ALIGNMENT);
        datagram = datagram.get(next..).unwrap_or_default();
    }
    Ok(false)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = HEADER_BYTES + body.len();
        let mut message = (length as u32).to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.resize(HEADER_BYTES, 0);
        message.extend_from_slice(body);
        message.resize(length.next_multiple_of(ALIGNMENT), 0);
        message
    }

    fn socket(state: u8, local: u8, remote: u8) -> Vec<u8> {
        let mut body = vec![2, state, 0, 0, 0, local, 0, remote];
        body.resize(72, 0);
        message(TYPE_SOCKETS, &body)
    }

    #[test]
    fn sockets_that_share_an_address_are_known() {
        let datagram = [socket(10, 7, 0), socket(10, 7, 0), socket(1, 7, 9)].concat();
        let (mut local, mut pairs, mut states) = (Seen::default(), Seen::default(), Vec::new());
        let is_last = parse(&datagram, &mut |socket| {
            states.push((
                socket.state,
                socket.shares_local(&mut local),
                socket.shares_pair(&mut pairs),
            ));
        });
        assert!(!is_last.unwrap());
        let expected = [(10, false, false), (10, true, true), (1, true, false)];
        assert_eq!(states, expected);
        assert!(parse(&message(TYPE_DONE, &[0; 4]), &mut |_| ()).unwrap());
    }

    #[test]
    fn what_the_kernel_refuses_and_what_is_cut_is_an_error() {
        let refused = message(TYPE_ERROR, &(-2_i32).to_ne_bytes());
        let error = parse(&refused, &mut |_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let whole = socket(1, 1, 1);
        for end in 1..whole.len() {
            assert!(parse(&whole[..end], &mut |_| ()).is_err(), "{end}");
        }
        // A length that is too short for its own header.
        let mut short = whole;
        short[0] = 3;
        assert!(parse(&short, &mut |_| ()).is_err());
    }

    #[test]
    fn a_listener_of_this_process_is_listed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_be_bytes();
        let mut is_listed = false;
        let listed = each(TCP, false, &mut |socket| {
            is_listed |= socket.state == 10 && socket.addresses.get(..2) == Some(&port);
        });
        match listed {
            Ok(()) => assert!(is_listed),
            // Some sandboxes have no netlink.
            Err(error) => println!("SKIPPED: sockets cannot be listed here: {error}"),
        }
    }
}
