//! As much HTTP as the comparison needs: one kept connection to a server on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Of an answer's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As it came, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body; bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A server, and a connection to it that is opened when needed and kept.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// What came behind the last answer.
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        self.send("GET", target, &[], &[])
    }

    /// Sends a request and waits for its answer. `headers` beside Host and Content-Length.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        let kept = self.stream.is_some();
        let answer = self.exchange(&request);
        if answer.is_err() {
            self.stream = None;
            self.buffer.clear();
            // The server may have closed a connection that it was tired of.
            if kept {
                return self.send(method, target, headers, body);
            }
        }
        answer.with_context(|| format!("{method} http://{}{target}", self.address))
    }

    fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, ANSWER_MAX)?;
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream.set_write_timeout(Some(ANSWER_MAX))?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        self.stream.insert(stream).write_all(request)?;
        let (status, headers) = self.head()?;
        let header = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let body = match (header("content-length"), header("transfer-encoding")) {
            _ if status == 204 => Vec::new(),
            (Some(length), _) => self.take(length.parse().context("Content-Length")?)?,
            (None, Some("chunked")) => self.chunks()?,
            _ => bail!("an answer of unknown length: {headers:?}"),
        };
        if header("connection") == Some("close") {
            self.stream = None;
            self.buffer.clear();
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    fn head(&mut self) -> anyhow::Result<(u16, Vec<(String, String)>)> {
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
        let head = self.take(head_bytes)?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("no status in {first:?}"))?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Ok((status, headers.collect()))
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        let mut piece = [0; 64 << 10];
        let stream = self.stream.as_mut().context("no connection")?;
        let length = stream.read(&mut piece).context("receive")?;
        ensure!(length > 0, "the server hung up");
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

    fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_bytes = loop {
                if let Some(at) = self.buffer.windows(2).position(|end| end == b"\r\n") {
                    break at + 2;
                }
                ensure!(self.buffer.len() < HEAD_BYTES_MAX, "a chunk without length");
                self.receive()?;
            };
            let line = self.take(line_bytes)?;
            let text = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(text.trim(), 16).context("a chunk's length")?;
            ensure!(length <= ANSWER_BYTES_MAX, "a chunk is too long");
            let chunk = self.take(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
            ensure!(body.len() <= ANSWER_BYTES_MAX, "the answer is too long");
        }
    }
}

/// A text as it stands in the query of a target: every byte encoded that is no letter or digit.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers each connection once per text of `answers`.
    fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                for answer in answers {
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                        line.clear();
                    }
                    let _ = reader.get_mut().write_all(answer.as_bytes());
                }
            }
        });
        address
    }

    #[test]
    fn answers_of_both_lengths_over_one_connection() {
        let address = server(&[
            "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ]);
        let mut client = Client::new(address);
        let first = client.get("/").expect("an answer");
        assert_eq!((first.status, first.text().as_str()), (200, "hi"));
        assert_eq!(first.headers[0], ("x-a".to_owned(), "b".to_owned()));
        let second = client.get("/").expect("an answer");
        assert_eq!((second.status, second.text().as_str()), (400, "abc"));
        // It has hung up by now; the next request opens another connection.
        assert_eq!(client.get("/").expect("an answer").status, 200);
    }

    #[test]
    fn targets_hold_letters_and_digits_alone() {
        assert_eq!(encode("a b'µ"), "a%20b%27%C2%B5");
    }
}
