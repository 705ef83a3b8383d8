//! Clients that are cut off and go on: each knows what it was told is done, and the one request
//! whose answer it did not see.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr};

use serde_json::json;

use super::{http, loader::DATABASE};

/// 2023-11-14T22:13:20Z
const FIRST_TIME_NS: i64 = 1_700_000_000_000_000_000;
const STEP_NS: i64 = 1_000_000;
const BATCH_POINTS: usize = 20;
/// A delete follows each so many batches.
const BATCHES_A_DELETE: usize = 3;

/// One request after the other.
pub(crate) trait Client: Send {
    /// Makes the next request, or the one again that was not answered; false when it gets no good
    /// answer.
    fn go_on(&mut self, address: SocketAddr) -> bool;

    /// Everything acknowledged is there, and nothing else but perhaps the last request. Returns
    /// how many points there are.
    fn assert_held_by(&mut self, address: SocketAddr) -> usize;

    /// The same, point by point.
    fn assert_held_in_full_by(&mut self, address: SocketAddr);
}

/// Writes numbered points, and with each batch one point over and over.
#[derive(Debug)]
pub(crate) struct Writer {
    writer: usize,
    /// Acknowledged.
    points: usize,
    /// In the request that was not answered.
    in_flight: usize,
}

impl Writer {
    pub(crate) const fn new(writer: usize) -> Self {
        Self {
            writer,
            points: 0,
            in_flight: 0,
        }
    }

    fn row(&self, address: SocketAddr, query: &str) -> Vec<serde_json::Value> {
        let rows = http::rows(address, DATABASE, query).expect("an answer");
        assert!(rows.len() <= 1, "{query}: {rows:?}");
        let first = rows.first().and_then(|row| row.as_array());
        first.cloned().unwrap_or_default()
    }
}

fn time_ns(number: usize) -> i64 {
    FIRST_TIME_NS + i64::try_from(number).expect("a small number") * STEP_NS
}

impl Client for Writer {
    fn go_on(&mut self, address: SocketAddr) -> bool {
        let (writer, first) = (self.writer, self.points);
        let mut lines = String::new();
        for number in first..first + BATCH_POINTS {
            let _ = writeln!(
                lines,
                "numbered,writer={writer} number={number}i {}",
                time_ns(number)
            );
        }
        let last = first + BATCH_POINTS;
        let _ = writeln!(
            lines,
            "latest,writer={writer} number={last}i {FIRST_TIME_NS}"
        );
        self.in_flight = BATCH_POINTS;
        let done = matches!(http::write(address, DATABASE, &lines), Ok((204, _)));
        if done {
            self.points += BATCH_POINTS;
            self.in_flight = 0;
        }
        done
    }

    fn assert_held_by(&mut self, address: SocketAddr) -> usize {
        let (writer, known) = (self.writer, self.points);
        let row = self.row(
            address,
            &format!("SELECT count(number), sum(number) FROM numbered WHERE writer = '{writer}'"),
        );
        let count = row.get(1).and_then(|v| v.as_u64()).unwrap_or(0) as usize;
        assert!(
            count == known || count == known + self.in_flight,
            "writer {writer}: {known} acknowledged, {} in flight, {count} found",
            self.in_flight
        );
        let sum = count * count.saturating_sub(1) / 2;
        if count > 0 {
            assert_eq!(row[2], json!(sum), "writer {writer}: other values");
        }
        let query = format!("SELECT number FROM latest WHERE writer = '{writer}'");
        let row = self.row(address, &query);
        let expected = if count == 0 { None } else { Some(json!(count)) };
        assert_eq!(
            row.get(1),
            expected.as_ref(),
            "writer {writer}: a batch in part"
        );
        // What was found is as good as acknowledged.
        self.points = count;
        self.in_flight = 0;
        count
    }

    fn assert_held_in_full_by(&mut self, address: SocketAddr) {
        let writer = self.writer;
        let query = format!("SELECT number FROM numbered WHERE writer = '{writer}'");
        let rows = http::rows(address, DATABASE, &query).expect("an answer");
        assert_eq!(rows.len(), self.points, "writer {writer}");
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(*row, json!([time_ns(number), number]), "writer {writer}");
        }
    }
}

/// Points of `gone` by series and time.
type Held = BTreeMap<(usize, i64), usize>;

/// Writes points and deletes them: by time, by series, all.
#[derive(Debug, Default)]
pub(crate) struct Deleter {
    /// Requests answered.
    requests: usize,
    held: Held,
    /// What is there if the request that was not answered is done.
    after: Option<Held>,
}

impl Deleter {
    /// The next request, and what is there when it is done.
    fn next(&self) -> (Request, Held) {
        let at = self.requests;
        let mut held = self.held.clone();
        if at % (BATCHES_A_DELETE + 1) != BATCHES_A_DELETE {
            let mut lines = String::new();
            for point in 0..BATCH_POINTS {
                // Times meet again and again, so that what was deleted is written anew.
                let (series, time) = (point % 4, time_ns((at * 7 + point) % 100));
                let _ = writeln!(lines, "gone,kind={series} number={at}i {time}");
                held.insert((series, time), at);
            }
            return (Request::Write(lines), held);
        }
        let series = at / 4 % 4;
        let until = time_ns(at % 100);
        let statement = match at / 4 % 5 {
            0 => {
                held.clear();
                "DROP MEASUREMENT gone".to_owned()
            }
            1 => {
                held.retain(|(s, _), _| *s != series);
                format!("DROP SERIES FROM gone WHERE kind = '{series}'")
            }
            2 => {
                held.retain(|(s, time), _| *s != series || *time > until);
                format!("DELETE FROM gone WHERE kind = '{series}' AND time <= {until}")
            }
            _ => {
                held.retain(|(_, time), _| *time > until);
                format!("DELETE FROM gone WHERE time <= {until}")
            }
        };
        (Request::Statement(statement), held)
    }

    fn read(address: SocketAddr) -> Held {
        let query = "SELECT number, kind FROM gone";
        let rows = http::rows(address, DATABASE, query).expect("an answer");
        let point = |row: &serde_json::Value| {
            let series = row[2].as_str()?.parse().ok()?;
            let number = usize::try_from(row[1].as_u64()?).ok()?;
            Some(((series, row[0].as_i64()?), number))
        };
        rows.iter()
            .map(|row| point(row).expect("a point"))
            .collect()
    }
}

enum Request {
    Write(String),
    Statement(String),
}

impl Client for Deleter {
    fn go_on(&mut self, address: SocketAddr) -> bool {
        let (request, after) = self.next();
        self.after = Some(after);
        let done = match request {
            Request::Write(lines) => {
                matches!(http::write(address, DATABASE, &lines), Ok((204, _)))
            }
            Request::Statement(text) => http::statement(address, DATABASE, &text),
        };
        if done {
            self.held = self.after.take().unwrap_or_default();
            self.requests += 1;
        }
        done
    }

    fn assert_held_by(&mut self, address: SocketAddr) -> usize {
        let found = Self::read(address);
        let after = self.after.take();
        assert!(
            found == self.held || after.as_ref() == Some(&found),
            "after {} requests there is\n{found:?}, not\n{:?}",
            self.requests,
            self.held
        );
        self.held = found;
        self.held.len()
    }

    fn assert_held_in_full_by(&mut self, address: SocketAddr) {
        self.assert_held_by(address);
    }
}
