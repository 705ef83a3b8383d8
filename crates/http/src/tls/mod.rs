//! TLS at both ends, by rustls: a listener with a certificate that can be exchanged while it serves,
//! and a client that knows whom it trusts.
//!
//! * A server: [`ServerTls::load`], then `Listener::from(tcp).with_tls(tls)` for [`crate::serve`].
//!   [`ServerTls::reload`] takes renewed files; connections that are open keep what they began with.
//! * A client: a [`crate::Url`] with `https://` is called over TLS. Without more, the authorities of
//!   the system are trusted; [`ClientTls::load`] makes what goes into
//!   [`crate::ClientConfig::tls`] for an authority of one's own, a client certificate, another
//!   server name, or, on explicit wish alone, no verification at all.
//!
//! TLS 1.2 and 1.3 are spoken, HTTP/1.1 is announced by ALPN, and keys are never shown by `Debug`.

mod client;
mod error;
mod files;
mod server;
mod transport;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::{ClientTls, ClientTlsConfig};
pub use error::TlsError;
pub use server::{ServerTls, ServerTlsConfig};
pub(crate) use transport::Transport;

/// What both ends announce to speak above TLS.
const HTTP_1_1: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
