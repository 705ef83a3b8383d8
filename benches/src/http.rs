//! As much HTTP as a benchmark needs, over a plain socket, so that the client costs little.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// Of an answer's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What came behind the last answer.
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends a whole request and counts the bytes of its answer, which comes in chunks or not.
    pub(crate) fn drain(&mut self, request: &[u8]) -> anyhow::Result<usize> {
        self.stream.write_all(request).context("send")?;
        let (status, length) = self.head()?;
        ensure!(status == 200, "answered with {status}");
        match length {
            Some(length) => self.skip(length).map(|()| length),
            None => {
                let mut bytes = 0;
                loop {
                    let length = self.chunk_bytes()?;
                    self.skip(length + 2)?;
                    bytes += length;
                    if length == 0 {
                        return Ok(bytes);
                    }
                }
            }
        }
    }

    /// Reads bytes that nobody wants.
    fn skip(&mut self, mut length: usize) -> anyhow::Result<()> {
        loop {
            let here = length.min(self.buffer.len());
            self.buffer.drain(..here);
            length -= here;
            if length == 0 {
                return Ok(());
            }
            self.receive()?;
        }
    }

    /// Sends a whole request, head and body, and waits for its answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).context("send")?;
        let (status, length) = self.head()?;
        let body = match length {
            _ if status == 204 => Vec::new(),
            Some(length) => self.take(length)?,
            None => self.chunks()?,
        };
        Ok(Answer { status, body })
    }

    /// The status of an answer, and the length of its body; none where it comes in chunks.
    fn head(&mut self) -> anyhow::Result<(u16, Option<usize>)> {
        let head_bytes = loop {
            if let Some(at) = self.buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(
                self.buffer.len() < HEAD_BYTES_MAX,
                "the answer's head is too long"
            );
            self.receive()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_bytes]).to_ascii_lowercase();
        self.buffer.drain(..head_bytes);
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("no status in {head:?}"))?;
        let header = |name: &str| {
            let found = head
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.map(str::trim)
        };
        Ok(
            match (header("content-length"), header("transfer-encoding")) {
                _ if status == 204 => (status, Some(0)),
                (Some(length), _) => (status, Some(length.parse().context("Content-Length")?)),
                (None, Some("chunked")) => (status, None),
                _ => bail!("an answer of unknown length: {head:?}"),
            },
        )
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        let mut piece = [0; 16 << 10];
        let length = self.stream.read(&mut piece).context("receive")?;
        ensure!(length > 0, "the server hung up");
        ensure!(
            self.buffer.len() < ANSWER_BYTES_MAX,
            "the answer is too long"
        );
        self.buffer.extend_from_slice(&piece[..length]);
        Ok(())
    }

    fn take(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(length <= ANSWER_BYTES_MAX, "the answer is too long");
        while self.buffer.len() < length {
            self.receive()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads the line before a chunk.
    fn chunk_bytes(&mut self) -> anyhow::Result<usize> {
        let line_bytes = loop {
            if let Some(at) = self.buffer.windows(2).position(|end| end == b"\r\n") {
                break at;
            }
            self.receive()?;
        };
        let line = self.take(line_bytes + 2)?;
        let text = String::from_utf8_lossy(&line);
        usize::from_str_radix(text.trim(), 16).context("a chunk's length")
    }

    fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = self.chunk_bytes()?;
            let chunk = self.take(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
            ensure!(body.len() <= ANSWER_BYTES_MAX, "the answer is too long");
        }
    }
}

/// `GET`s something over a new connection.
pub(crate) fn get(address: SocketAddr, target: &str) -> anyhow::Result<Answer> {
    let head = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    Connection::open(address)
        .context("connect")?
        .exchange(head.as_bytes())
}

/// The answer to an InfluxQL query, which must be 200.
pub(crate) fn query(
    address: SocketAddr,
    database: &str,
    text: &str,
) -> anyhow::Result<serde_json::Value> {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = get(address, &format!("/query?db={database}&q={encoded}"))?;
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "{text}: {} {body}", answer.status);
    serde_json::from_str(&body).with_context(|| format!("{text}: {body}"))
}
