//! HTTP/1.1 at both ends: what the relay, the stores and the agent serve and call with.
//!
//! Everything that comes from a network has a named maximum here: connections, requests in flight,
//! header bytes, body bytes before and after gunzip, waiting times. What a room does with a request
//! is its own business; this crate knows no path and no status beyond those of overload.
//!
//! Connections are plain TCP, or TLS over it: [`ServerTls`] for a [`Listener`], [`ClientTls`] for a
//! [`Client`] that calls `https://`.

mod bind;
mod body;
mod client;
mod credentials;
mod express;
mod form;
mod gunzip;
mod held;
mod json;
mod lenient;
mod limits;
mod listener;
mod patient;
mod request_id;
mod respond;
mod rewind;
mod seats;
mod serve;
mod stream;
mod tls;
mod url;

pub use bind::{BindError, bind, bind_udp};
pub use body::{BodyError, Pace, Payload, discard_body, read_body, read_body_held, read_body_into};
pub use client::{
    Answer, Call, Client, ClientConfig, ClientError, Network, Opening, Stream, Streamed,
};
pub use credentials::{Credentials, CredentialsError, Secret};
pub use express::{Express, NoExpress, WireBody};
pub use form::{Params, percent_encode};
pub use gunzip::{gunzip, gunzip_into};
pub use held::{Held, Room};
pub use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
pub use http_body::Body as HttpBody;
pub use hyper::body::Incoming;
pub use json::write_json_string;
pub use limits::Limits;
pub use listener::{Listener, ListenerStats};
pub use request_id::RequestIds;
pub use respond::{Body, empty, error_json, full, header_text};
pub use seats::{Busy, Seat, Seats, Waiting, waits_for_peer};
pub use serve::{Drained, Peer, serve, serve_connection, serve_connection_express, serve_express};
pub use stream::{Aborted, Gone, StreamWriter, stream};
pub use tls::{ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig, TlsError};
pub use url::{Url, UrlError};
