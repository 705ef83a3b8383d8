//! A client that knows just enough HTTP: one request a connection, read to its end.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value as Json;

/// Longer than the relay's write timeout, so that its own answer is seen.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Status and body of `GET target`.
pub(crate) fn get(address: SocketAddr, target: &str) -> io::Result<(u16, String)> {
    exchange(
        address,
        &format!("GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n"),
    )
}

/// Status and body of a write to `database`.
pub(crate) fn write(address: SocketAddr, database: &str, lines: &str) -> io::Result<(u16, String)> {
    let length = lines.len();
    let head = format!(
        "POST /write?db={database} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n"
    );
    exchange(address, &format!("{head}{lines}"))
}

/// The first result's series of a query, times in ns; `None` while there is no good answer.
pub(crate) fn series(address: SocketAddr, database: &str, query: &str) -> Option<Vec<Json>> {
    let target = format!("/query?db={database}&epoch=ns&q={}", encode(query));
    let (status, body) = get(address, &target).ok()?;
    let answer: Json = serde_json::from_str(&body).ok()?;
    let result = &answer["results"][0];
    if status != 200 || !result.is_object() || result["error"].is_string() {
        return None;
    }
    Some(result["series"].as_array().cloned().unwrap_or_default())
}

/// The rows of the only series of a query; none when there is no series.
pub(crate) fn rows(address: SocketAddr, database: &str, query: &str) -> Option<Vec<Json>> {
    let mut series = series(address, database, query)?;
    assert!(series.len() <= 1, "{query}: {} series", series.len());
    let first = series.pop().unwrap_or_default();
    Some(first["values"].as_array().cloned().unwrap_or_default())
}

/// Whether a statement that changes something was done.
pub(crate) fn statement(address: SocketAddr, database: &str, text: &str) -> bool {
    let target = format!("/query?db={database}&q={}", encode(text));
    let request = format!("POST {target} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    let Ok((200, body)) = exchange(address, &request) else {
        return false;
    };
    let answer: Json = serde_json::from_str(&body).unwrap_or_default();
    let result = &answer["results"][0];
    assert!(result["error"].is_null(), "{text}: {result}");
    result.is_object()
}

/// The names that `SHOW MEASUREMENTS` gives.
#[track_caller]
pub(crate) fn measurements(address: SocketAddr, database: &str) -> Vec<String> {
    let rows = rows(address, database, "SHOW MEASUREMENTS").expect("an answer");
    let names = rows.iter().filter_map(|row| row[0].as_str());
    names.map(str::to_owned).collect()
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn exchange(address: SocketAddr, request: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    // A server that was killed closes without an answer.
    parts.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
