//! Graphite's plain text: `name value [time]`, a line each, over TCP or UDP. A template says what of a name is
//! measurement, tag and field.

mod line;
mod matcher;
mod template;

use std::io;
use std::sync::Arc;

use tandem_http::Seat;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::batches::Feeder;
use super::socket::Decode;
use super::tcp::LineReader;
use super::{InputCounters, until};

pub(super) use line::Parser;
pub use template::TemplateError;

use line::LineError;

impl Parser {
    /// Appends the point of a line, if it is one, and counts it if not.
    fn take(&self, line: &[u8], now_ns: i64, counters: &InputCounters, out: &mut Vec<u8>) -> u64 {
        if line.trim_ascii().is_empty() {
            return 0;
        }
        match self.parse(line, now_ns, out) {
            Ok(()) => return 1,
            Err(LineError::NotANumber) => counters.not_a_number.add(1),
            Err(LineError::Malformed) => counters.malformed.add(1),
        }
        0
    }
}

impl Decode for Parser {
    fn decode(
        &mut self,
        datagram: &[u8],
        now_ns: i64,
        counters: &InputCounters,
        out: &mut Vec<u8>,
    ) -> u64 {
        let lines = datagram.split(|byte| *byte == b'\n');
        lines
            .map(|line| self.take(line, now_ns, counters, out))
            .sum()
    }
}

/// Reads a connection to its end.
pub(super) async fn serve(
    (stream, seat): (TcpStream, Arc<Seat>),
    parser: Arc<Parser>,
    counters: Arc<InputCounters>,
    feeder: Feeder,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut reader = LineReader::new(stream);
    loop {
        let (mut lines, mut points) = (Vec::new(), 0);
        let now_ns = crate::api::now_ns();
        let more = tokio::select! {
            more = reader.read(&counters, |line| {
                counters.messages.add(1);
                points += parser.take(line, now_ns, &counters, &mut lines);
            }) => more?,
            () = seat.evicted() => return Ok(()),
            () = until(&mut stopped) => return Ok(()),
        };
        // Points are not lost on their way, and who sends some keeps its seat.
        let busy = (points > 0).then(|| seat.busy());
        feeder.send(lines, points).await;
        drop(busy);
        if !more {
            return Ok(());
        }
    }
}
