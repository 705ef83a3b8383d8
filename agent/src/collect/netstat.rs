//! `netstat`: how many sockets there are, by state.
//!
//! Sources: the kernel's own list, or `/proc/net/{tcp,tcp6,udp,udp6}` where that is of another network than
//! the host's or cannot be had; and `/proc/net/unix` (`influxdata/telegraf
//! plugins/inputs/netstat/netstat.go`). Telegraf also walks the open files of every process, which
//! takes most of a core on hosts with many connections and changes one number: how often a socket
//! is counted that several processes share. Here each counts once, so that the fields `tcp_none`
//! and `udp_socket`, which hold the sockets of the family `unix` too, do not depend on privileges.
//!
//! As in the original, sockets that share a local address while they listen count as one.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use super::net::proc_net;
use super::sock_diag::{self, Seen, Socket};
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// The fields in the order of the kernel's numbers from 1 on (`include/net/tcp_states.h`).
const STATES: [&str; 11] = [
    "tcp_established",
    "tcp_syn_sent",
    "tcp_syn_recv",
    "tcp_fin_wait1",
    "tcp_fin_wait2",
    "tcp_time_wait",
    "tcp_close",
    "tcp_close_wait",
    "tcp_last_ack",
    "tcp_listen",
    "tcp_closing",
];
/// Number of `tcp_listen`.
const LISTEN: usize = 10;
/// Local addresses that are told apart; beyond them every socket counts.
const ADDRESSES_MAX: usize = 4096;

/// The collector of `netstat`.
#[derive(Debug, Default)]
pub(crate) struct Netstat {
    source: Source,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    states: [u64; STATES.len()],
    udp: u64,
}

/// Whether `/proc` shows the network that this process is in, so that the kernel's list does, too.
fn is_own_network(roots: &Roots) -> bool {
    if !roots.proc_is_foreign() {
        return roots.proc("net") == Path::new("/proc/net");
    }
    let network = |path: &Path| std::fs::read_link(path).ok();
    let hosts = network(&roots.proc("1/ns/net"));
    hosts.is_some() && hosts == network(Path::new("/proc/self/ns/net"))
}

/// Counts by the kernel's list.
fn count_listed() -> io::Result<Counts> {
    let mut counts = Counts::default();
    for is_ipv6 in [false, true] {
        let mut listening = Seen::default();
        let mut take = |socket: Socket<'_>| {
            let state = usize::from(socket.state);
            let place = state.checked_sub(1);
            if let Some(count) = place.and_then(|at| counts.states.get_mut(at))
                && !(state == LISTEN && socket.shares_local(&mut listening))
            {
                *count += 1;
            }
        };
        sock_diag::each(sock_diag::TCP, is_ipv6, &mut take)?;
        let mut known = Seen::default();
        let mut take =
            |socket: Socket<'_>| counts.udp += u64::from(!socket.shares_pair(&mut known));
        sock_diag::each(sock_diag::UDP, is_ipv6, &mut take)?;
    }
    Ok(counts)
}

/// Counts by the files; `None` where none of them can be read.
fn count_files(roots: &Roots, source: &mut Source, troubles: &mut Troubles) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut any = false;
    for (file, is_optional) in [("tcp", false), ("tcp6", true)] {
        let path = proc_net(roots, file);
        // A kernel without IPv6 has no such file.
        if is_optional && !path.exists() {
            continue;
        }
        if let Some(strange) = troubles.note(count_tcp(source, &path, &mut counts.states)) {
            any = true;
            if strange > 0 {
                troubles.add(SourceError::Other {
                    what: format!("{strange} strange rows in {}", path.display()),
                });
            }
        }
    }
    for (file, is_optional) in [("udp", false), ("udp6", true)] {
        let path = proc_net(roots, file);
        if is_optional && !path.exists() {
            continue;
        }
        if let Some(count) = troubles.note(count_udp(source, &path)) {
            any = true;
            counts.udp += count;
        }
    }
    any.then_some(counts)
}

/// One table of TCP: a count for each state. Strange rows are counted apart.
fn count_tcp(source: &mut Source, path: &Path, states: &mut [u64; 11]) -> Result<u64, SourceError> {
    let (mut strange, mut is_heading) = (0, true);
    let mut listening: HashSet<Vec<u8>> = HashSet::new();
    source.each_line(path, |row| {
        if std::mem::take(&mut is_heading) {
            return;
        }
        // `sl: local remote state …`
        let mut words = text::words(row).skip(1);
        let local = words.next().unwrap_or_default();
        let number = words.nth(1).and_then(text::hexadecimal).unwrap_or(0);
        let number = usize::try_from(number).unwrap_or(0);
        let Some(state) = number.checked_sub(1).and_then(|at| states.get_mut(at)) else {
            // TCP_NEW_SYN_RECV and others that are not a connection yet.
            strange += u64::from(number == 0);
            return;
        };
        let is_known = number == LISTEN
            && listening.len() < ADDRESSES_MAX
            && !listening.insert(local.to_vec());
        *state += u64::from(!is_known);
    })?;
    Ok(strange)
}

/// Sockets of UDP, those of one pair of addresses once.
fn count_udp(source: &mut Source, path: &Path) -> Result<u64, SourceError> {
    let (mut count, mut is_heading) = (0, true);
    let mut known: HashSet<Vec<u8>> = HashSet::new();
    source.each_line(path, |row| {
        if std::mem::take(&mut is_heading) {
            return;
        }
        let mut words = text::words(row).skip(1);
        let mut pair = words.next().unwrap_or_default().to_vec();
        pair.extend_from_slice(words.next().unwrap_or_default());
        let is_known = known.len() < ADDRESSES_MAX && !known.insert(pair);
        count += u64::from(!is_known);
    })?;
    Ok(count)
}

/// Sockets of the family `unix`: those of datagrams, and the others.
fn count_unix(source: &mut Source, path: &Path) -> Result<(u64, u64), SourceError> {
    const TYPE_AT: usize = 4;
    let (mut datagram, mut others) = (0, 0);
    source.each_line(path, |row| match text::words(row).nth(TYPE_AT) {
        Some(b"0002") => datagram += 1,
        Some(b"0001" | b"0005") => others += 1,
        _ => {}
    })?;
    Ok((datagram, others))
}

impl Collector for Netstat {
    fn name(&self) -> &'static str {
        "netstat"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let listed = if is_own_network(roots) {
            count_listed().ok()
        } else {
            None
        };
        let counts = match listed {
            Some(counts) => Some(counts),
            None => count_files(roots, &mut self.source, &mut troubles),
        };
        let (mut any, mut none) = (counts.is_some(), 0);
        let Counts { states, mut udp } = counts.unwrap_or_default();
        let path = proc_net(roots, "unix");
        if path.exists()
            && let Some((datagram, others)) = troubles.note(count_unix(&mut self.source, &path))
        {
            any = true;
            udp += datagram;
            none += others;
        }
        if any {
            let mut line = out.line("netstat");
            for (name, count) in STATES.into_iter().zip(states) {
                line = line.unsigned(name, count);
            }
            line.unsigned("tcp_none", none)
                .unsigned("udp_socket", udp)
                .finish();
        }
        troubles.into_result()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn the_kernels_list_says_what_the_files_say() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams: Vec<TcpStream> = (0..20)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let accepted: Vec<_> = (0..20).map(|_| listener.accept().unwrap()).collect();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let roots = Roots::default();
        if !is_own_network(&roots) || count_listed().is_err() {
            println!("SKIPPED: sockets cannot be listed here");
            return;
        }
        // Others come and go meanwhile: at some moment both say the same.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let mut troubles = Troubles::default();
            let listed = count_listed().unwrap();
            let read = count_files(&roots, &mut Source::default(), &mut troubles).unwrap();
            let again = count_listed().unwrap();
            assert!(
                listed.states[0] >= 40 && listed.states[LISTEN - 1] >= 1,
                "{listed:?}"
            );
            assert!(listed.udp >= 1, "{listed:?}");
            if listed == read || again == read {
                break;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{listed:?} is not {read:?}"
            );
        }
        drop((streams, accepted, udp));
    }
}
