//! A server that takes everything and keeps nothing: what an agent or a loader can be measured against.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// See the module's head. Its threads end with the process.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Sink {
    /// Starts one on a free port of loopback that answers with this status line's end: `204 No Content`.
    pub(crate) fn start(status: &'static str) -> std::io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), status)
    }

    /// The same on a certain port.
    pub(crate) fn start_at(address: SocketAddr, status: &'static str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let bytes = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&bytes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let bytes = Arc::clone(&theirs);
                // A client that hangs up is no matter.
                thread::spawn(move || serve(stream, status, &bytes).is_ok());
            }
        });
        Ok(Self { address, bytes })
    }

    /// Bytes of the bodies that it took.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn serve(stream: TcpStream, status: &str, bytes: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0_u64, String::new());
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        bytes.fetch_add(length, Ordering::Relaxed);
        let end = if status.starts_with("204") {
            ""
        } else {
            "Content-Length: 0\r\n"
        };
        writer.write_all(format!("HTTP/1.1 {status}\r\n{end}\r\n").as_bytes())?;
    }
}
