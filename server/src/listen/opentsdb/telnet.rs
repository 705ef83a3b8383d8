//! Lines `put name time value tag=value…`; `version` is answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tandem_http::Seat;
use tandem_line::Writer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::super::batches::Feeder;
use super::super::tcp::LineReader;
use super::super::{InputCounters, until};
use super::point;

/// What InfluxDB answers to `version`.
const VERSION: &[u8] = b"InfluxDB TSDB proxy\n";

/// Of these that one read of a connection is answered with; it may hold thousands of questions.
const ANSWERS_MAX: usize = 100;

/// How long a client may take nothing of its answer.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// Reads a connection to its end.
pub(super) async fn serve(
    (stream, seat): (TcpStream, Arc<Seat>),
    counters: &InputCounters,
    feeder: &Feeder,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut reader = LineReader::new(stream);
    loop {
        let (mut writer, mut versions, mut is_over) = (Writer::new(), 0_usize, false);
        let more = tokio::select! {
            more = reader.read(counters, |line| match line.trim_ascii() {
                b"" => {}
                b"version" => versions += 1,
                b"exit" => is_over = true,
                line => {
                    counters.messages.add(1);
                    match put(line, &mut writer) {
                        Put::Written => {}
                        Put::NotANumber => counters.not_a_number.add(1),
                        Put::Malformed => counters.malformed.add(1),
                    }
                }
            }) => more?,
            () = seat.evicted() => return Ok(()),
            () = until(&mut stopped) => return Ok(()),
        };
        let points = writer.lines() as u64;
        // Points are not lost on their way, and who sends some keeps its seat.
        let busy = (points > 0).then(|| seat.busy());
        feeder.send(writer.into_bytes(), points).await;
        drop(busy);
        if versions > 0 {
            let answers = VERSION.repeat(versions.min(ANSWERS_MAX));
            tokio::select! {
                // Who asks and does not listen would stay for ever, and the listener with it.
                written = tokio::time::timeout(WRITE_MAX, reader.stream().write_all(&answers)) => {
                    written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                }
                () = until(&mut stopped) => return Ok(()),
            }
        }
        if !more || is_over {
            return Ok(());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Put {
    Written,
    Malformed,
    NotANumber,
}

/// Writes the point of a line. A tag that is none is left out, as by InfluxDB.
fn put(line: &[u8], writer: &mut Writer) -> Put {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let (Some("put"), Some(metric), Some(time), Some(value)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Put::Malformed;
    };
    let digits = time.len();
    let time = time.parse().ok().filter(|_| matches!(digits, 10 | 13));
    let (Some(time_ns), Ok(value)) = (time.and_then(point::time_ns), value.parse::<f64>()) else {
        return Put::Malformed;
    };
    if !value.is_finite() {
        return Put::NotANumber;
    }
    let mut tags: Vec<(&str, &str)> = words
        .filter_map(|word| word.split_once('='))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .collect();
    let line = writer.line(metric).tags(&mut tags).float("value", value);
    match line.end(Some(time_ns)) {
        true => Put::Written,
        false => Put::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_points() {
        let mut writer = Writer::new();
        for line in [
            "put sys.cpu 1356998400 42.5 host=webserver01 cpu=0",
            "put  sys.cpu\t1356998400123 -1e3 host=a junk =b c= ",
            "put bare 1356998400 0",
        ] {
            assert_eq!(put(line.as_bytes(), &mut writer), Put::Written, "{line}");
        }
        let expected = "sys.cpu,cpu=0,host=webserver01 value=42.5 1356998400000000000\n\
            sys.cpu,host=a value=-1000 1356998400123000000\nbare value=0 1356998400000000000\n";
        assert_eq!(writer.as_bytes(), expected.as_bytes());
    }

    #[test]
    fn what_is_no_point_is_told_apart() {
        let mut writer = Writer::new();
        for line in [
            "",
            "put",
            "put a 1356998400",
            "get a 1356998400 1",
            "put a 135699840 1 x=y",
            "put a now 1 x=y",
            "put a 1356998400 one x=y",
            "put a -356998400 \u{1}",
        ] {
            assert_eq!(put(line.as_bytes(), &mut writer), Put::Malformed, "{line}");
        }
        assert_eq!(put(b"put a 1356998400 nan", &mut writer), Put::NotANumber);
        assert_eq!(writer.lines(), 0);
    }
}
