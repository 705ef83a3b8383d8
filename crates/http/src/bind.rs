//! Opening a listener, with errors that say what to do.

use std::io;

use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};

/// Why a listener could not be opened.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another process listens there.
    #[error(
        "cannot listen on {addr}: the address is in use; stop the program that holds it, or choose another address"
    )]
    InUse {
        /// The address, as it was given.
        addr: String,
    },
    /// The operating system forbids it, as for ports below 1024 without the privilege.
    #[error(
        "cannot listen on {addr}: permission denied; ports below 1024 need a privilege, choose a higher one"
    )]
    Denied {
        /// The address, as it was given.
        addr: String,
    },
    /// The address belongs to no interface of this machine.
    #[error("cannot listen on {addr}: this machine has no such address; use 127.0.0.1 or 0.0.0.0")]
    NotHere {
        /// The address, as it was given.
        addr: String,
    },
    /// Anything else, such as a name that does not resolve.
    #[error("cannot listen on {addr}; give it as HOST:PORT")]
    Other {
        /// The address, as it was given.
        addr: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Opens a listener on `addr`, given as `HOST:PORT`; `:PORT` means every IPv4 interface, port 0 a
/// free port (ask the listener for it).
///
/// # Errors
/// A [`BindError`] that names the address.
pub async fn bind(addr: &str) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind(wanted(addr).as_str()).await;
    bound.map_err(|source| named(addr, source))
}

/// As [`bind()`], for datagrams.
///
/// # Errors
/// A [`BindError`] that names the address.
pub async fn bind_udp(addr: &str) -> Result<UdpSocket, BindError> {
    let bound = UdpSocket::bind(wanted(addr).as_str()).await;
    bound.map_err(|source| named(addr, source))
}

fn wanted(addr: &str) -> String {
    if addr.starts_with(':') {
        format!("0.0.0.0{addr}")
    } else {
        addr.to_owned()
    }
}

fn named(addr: &str, source: io::Error) -> BindError {
    let addr = addr.to_owned();
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr },
        io::ErrorKind::PermissionDenied => BindError::Denied { addr },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { addr },
        _ => BindError::Other { addr, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let first = bind("127.0.0.1:0").await.unwrap();
        let addr = first.local_addr().unwrap().to_string();
        let error = bind(&addr).await.unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }));
        assert!(error.to_string().contains(&addr));
    }

    #[tokio::test]
    async fn an_address_without_a_port_is_refused() {
        assert!(matches!(
            bind("127.0.0.1").await,
            Err(BindError::Other { .. })
        ));
    }
}
