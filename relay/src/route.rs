//! What of a batch a backend gets: filters by database, measurement and tag, its shard of the
//! series, another name for the database, and no credentials where it has its own.
//!
//! A backend that gets everything shares the batch with all others, so that nothing is looked into
//! and no byte is copied. Where lines are chosen, the copy is made of slices of the same body.
//! Bodies of Prometheus' remote write and statements are not looked into: of a route, only the
//! database counts for them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tandem_http::gunzip;

use crate::batch::{Batch, Head, Target};
use crate::scope::Scope;

/// Of a gzip body, so much is looked into.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// See the module's head. The default lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Only these databases; all when empty. `*` stands for any text.
    pub databases: Vec<String>,
    /// Only these measurements; all when empty. `*` stands for any text.
    pub measurements: Vec<String>,
    /// Not these measurements.
    pub without_measurements: Vec<String>,
    /// Only series with one of these tags, as key and value; all when empty. `*` stands for any text.
    pub tags: Vec<(String, String)>,
    /// Only the series of one shard: its number, below the count of shards.
    pub shard: Option<(u32, u32)>,
    /// Databases that have another name at the backend.
    pub rename: HashMap<String, String>,
    /// The client's credentials are left out.
    pub forget_credentials: bool,
}

impl Route {
    /// What the backend gets of a batch; `None` for nothing.
    pub(crate) fn copy(&self, batch: &Arc<Batch>) -> Option<Arc<Batch>> {
        if *self == Self::default() {
            return Some(batch.clone());
        }
        let (database, _) = batch.head.place();
        let is_statement = batch.head.target == Target::Query;
        let named = |pattern: &String| matches(pattern.as_bytes(), database.as_bytes());
        if !is_statement && !self.databases.is_empty() && !self.databases.iter().any(named) {
            return None;
        }
        let mut head = batch.head.clone();
        let mut body = batch.body.clone();
        if self.chooses_lines() && head.target == Target::Write {
            (head, body) = self.choose(head, &body)?;
        }
        if let Some(name) = self.rename.get(&database) {
            head.rename_database(name);
        }
        if self.forget_credentials {
            head.forget_credentials();
        }
        Some(Arc::new(Batch {
            head,
            body,
            memory: batch.memory.clone(),
        }))
    }

    /// Whether every line gets there, in the database that it was written to.
    pub(crate) fn is_everything(&self) -> bool {
        !self.chooses_lines() && self.databases.is_empty() && self.rename.is_empty()
    }

    /// The name that a database has at the backend; `None` when not all that is written to it gets there.
    pub(crate) fn whole(&self, database: &str) -> Option<String> {
        let named = |pattern: &String| matches(pattern.as_bytes(), database.as_bytes());
        let is_left_out = !self.databases.is_empty() && !self.databases.iter().any(named);
        if is_left_out || self.chooses_lines() {
            return None;
        }
        let renamed = self.rename.get(database).map(String::as_str);
        Some(renamed.unwrap_or(database).to_owned())
    }

    fn chooses_lines(&self) -> bool {
        !self.measurements.is_empty()
            || !self.without_measurements.is_empty()
            || !self.tags.is_empty()
            || self.shard.is_some()
    }

    /// The lines that the backend gets. A body that cannot be inflated goes on whole, to be refused.
    fn choose(&self, mut head: Head, body: &[Bytes]) -> Option<(Head, Vec<Bytes>)> {
        let whole = match body {
            [one] => one.clone(),
            several => several.concat().into(),
        };
        let plain = if head.gzip {
            match gunzip(&[whole], INFLATED_BYTES_MAX) {
                Ok(plain) => Bytes::from(plain),
                Err(_) => return Some((head, body.to_vec())),
            }
        } else {
            whole
        };
        let begin = plain.as_ptr().addr();
        let mut chosen: Vec<Bytes> = Vec::new();
        // Lines that stand side by side are one slice.
        let mut run: Option<(usize, usize)> = None;
        let mut left_out = false;
        for line in tandem_line::lines(&plain) {
            let start = line.as_ptr().addr() - begin;
            let end = start + line.len();
            if self.wants(line) {
                run = Some(run.map_or((start, end), |(from, _)| (from, end)));
            } else {
                left_out = true;
                close(&mut run, &plain, &mut chosen);
            }
        }
        if !left_out {
            return Some((head, body.to_vec()));
        }
        close(&mut run, &plain, &mut chosen);
        if chosen.is_empty() {
            return None;
        }
        let mut scope = Scope {
            lanes: 0,
            ..head.scope
        };
        head.lines = 0;
        for slice in &chosen {
            let scan = tandem_line::scan(slice);
            scope.lanes |= scan.lanes;
            head.lines += scan.lines;
        }
        head.scope = scope;
        head.gzip = false;
        Some((head, chosen))
    }

    fn wants(&self, line: &[u8]) -> bool {
        let key = key_of(line);
        let mut parts = split(key);
        let measurement = unescaped(parts.next().unwrap_or_default());
        let is = |pattern: &String| matches(pattern.as_bytes(), &measurement);
        if !self.measurements.is_empty() && !self.measurements.iter().any(is)
            || self.without_measurements.iter().any(is)
        {
            return false;
        }
        if !self.tags.is_empty() {
            let tagged = parts.any(|tag| {
                let at = tag
                    .iter()
                    .position(|byte| *byte == b'=')
                    .unwrap_or(tag.len());
                let (key, value) = tag.split_at(at);
                let value = unescaped(value.get(1..).unwrap_or_default());
                let key = unescaped(key);
                let wanted = |(k, v): &(String, String)| {
                    k.as_bytes() == key && matches(v.as_bytes(), &value)
                };
                self.tags.iter().any(wanted)
            });
            if !tagged {
                return false;
            }
        }
        self.shard.is_none_or(|(shard, shards)| {
            series_hash(key) % u64::from(shards.max(1)) == u64::from(shard)
        })
    }
}

fn close(run: &mut Option<(usize, usize)>, plain: &Bytes, chosen: &mut Vec<Bytes>) {
    if let Some((from, to)) = run.take() {
        // Lines are cut out without their ends.
        chosen.push(plain.slice(from..to));
        chosen.push(Bytes::from_static(b"\n"));
    }
}

/// Measurement and tags, as written.
fn key_of(line: &[u8]) -> &[u8] {
    let mut escaped = false;
    let end = line.iter().position(|&byte| {
        let ends = byte == b' ' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    line.get(..end.unwrap_or(line.len())).unwrap_or(line)
}

/// The parts of a key: the measurement, then tags.
fn split(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    key.split(move |&byte| {
        let ends = byte == b',' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| *byte != b'\\').collect()
}

/// The same for every order of tags and every spelling. It decides where series are, so it does
/// not change.
fn series_hash(key: &[u8]) -> u64 {
    let hash = split(key).fold(0_u64, |sum, part| {
        let part = unescaped(part);
        let text = String::from_utf8_lossy(&part);
        sum.wrapping_add(crate::scope::domain(&text))
    });
    // The low bits of a sum of hashes are mixed badly.
    (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16
}

/// Whether the text fits a pattern in which `*` stands for any text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut last: Option<&[u8]> = None;
    for part in parts {
        if let Some(previous) = last.replace(part) {
            let found = (0..=rest.len()).find(|at| {
                rest.get(*at..)
                    .is_some_and(|rest| rest.starts_with(previous))
            });
            let Some(at) = found else { return false };
            rest = rest.get(at + previous.len()..).unwrap_or_default();
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(query: &str, body: &'static str) -> Arc<Batch> {
        let body = Bytes::from_static(body.as_bytes());
        let scan = tandem_line::scan(&body);
        let mut head = Head {
            query: query.into(),
            lines: scan.lines,
            ..Head::default()
        };
        head.scope = Scope::write(&head.place().0, scan.lanes);
        Arc::new(Batch {
            head,
            body: vec![body],
            memory: None,
        })
    }

    fn text(batch: Option<Arc<Batch>>) -> Option<String> {
        batch.map(|batch| String::from_utf8(batch.body.concat()).unwrap())
    }

    #[test]
    fn patterns_fit() {
        for (pattern, text, want) in [
            ("cpu", "cpu", true),
            ("cpu", "cpux", false),
            ("*", "", true),
            ("c*", "cpu", true),
            ("*u", "cpu", true),
            ("c*u", "cu", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                want,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn lines_are_chosen_by_measurement_and_tag() {
        let all = batch(
            "db=d",
            "cpu,host=a v=1 1\ncpu,host=b v=1 1\nmem,host=a v=1 1\nm\\ x,k=a\\,b v=\"cpu\" 1",
        );
        let measurements = |names: &[&str]| Route {
            measurements: names.iter().map(|name| (*name).into()).collect(),
            ..Route::default()
        };
        let copy = measurements(&["c*"]).copy(&all);
        assert_eq!(copy.as_ref().unwrap().head.lines, 2);
        assert_eq!(
            text(copy).as_deref(),
            Some("cpu,host=a v=1 1\ncpu,host=b v=1 1\n")
        );
        assert_eq!(
            text(measurements(&["m x"]).copy(&all)).as_deref(),
            Some("m\\ x,k=a\\,b v=\"cpu\" 1\n")
        );
        assert_eq!(text(measurements(&["disk"]).copy(&all)), None);
        let without = Route {
            without_measurements: vec!["m*".into()],
            tags: vec![("host".into(), "b".into()), ("k".into(), "a*".into())],
            ..Route::default()
        };
        assert_eq!(
            text(without.copy(&all)).as_deref(),
            Some("cpu,host=b v=1 1\n")
        );
    }

    #[test]
    fn who_gets_everything_shares_the_bytes() {
        let all = batch("db=d&u=me&p=secret", "cpu v=1 1\n");
        let whole = Route::default().copy(&all).unwrap();
        assert!(Arc::ptr_eq(&whole, &all));
        let route = Route {
            measurements: vec!["cpu".into()],
            rename: [("d".into(), "e".into())].into(),
            forget_credentials: true,
            ..Route::default()
        };
        let copy = route.copy(&all).unwrap();
        assert_eq!(copy.body[0].as_ptr(), all.body[0].as_ptr());
        assert_eq!(copy.head.query, "db=e");
        let route = Route {
            databases: vec!["x*".into()],
            ..Route::default()
        };
        assert!(route.copy(&all).is_none());
    }

    #[test]
    fn a_series_is_in_one_shard_however_it_is_written() {
        let lines: String = (0..100)
            .map(|n| format!("m,host=h{n},a=1 v=1 1\n"))
            .collect();
        let all = batch("db=d", Box::leak(lines.into_boxed_str()));
        let shards = [0, 1, 2].map(|shard| {
            let route = Route {
                shard: Some((shard, 3)),
                ..Route::default()
            };
            route.copy(&all).unwrap().head.lines
        });
        assert_eq!(shards.iter().sum::<u64>(), 100);
        assert!(shards.iter().all(|lines| *lines > 10), "{shards:?}");
        assert_eq!(series_hash(b"m,a=1,b=x\\=y"), series_hash(b"m,b=x=y,a=1"));
    }
}
