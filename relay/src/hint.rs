//! The records of a backend's hinted-handoff log.
//!
//! A hint is a batch that the backend still has to get. A cancel says that an earlier hint must
//! not be sent: its live write succeeded after all, or its client was told that it failed.
//!
//! ```text
//! hint                                      cancel
//!  0  1  kind, 1                             0  1  kind, 2
//!  1  1  flags: 1 body is gzip,              1  8  sequence of the hint
//!        2 a live write of it had begun,
//!        4 has an authorization,
//!        8 has a content type
//!  2  1  what it is: 0 line protocol, 1 Prometheus' remote write,
//!        2 a statement that makes something, 3 one that destroys
//!  3  8  FNV-1a of the database's name, 0 for all databases
//! 11  8  lanes
//! 19  8  lines
//! 27  8  time of receipt, ns since 1970
//! 35  4  length of the query string
//! 39  4  length of the authorization
//! 43  4  length of the content type
//! 47  .  query string, authorization, content type, then the body to the end
//! ```
//!
//! Integers are little-endian. Framing and checksums are the log's.

use tandem_seglog::Sequence;
use thiserror::Error;

use crate::batch::{Head, Target};
use crate::scope::{Kind, Scope};

const KIND_HINT: u8 = 1;
const KIND_CANCEL: u8 = 2;
const FLAG_GZIP: u8 = 1;
const FLAG_SENT: u8 = 2;
const FLAG_AUTHORIZATION: u8 = 4;
const FLAG_CONTENT_TYPE: u8 = 8;

/// A record that no version of this program wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a record of a hinted-handoff log")]
pub(crate) struct BadRecord;

/// A record, decoded; the body stays where it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Hint {
        head: Head,
        /// A live write of it had begun when it was written.
        sent: bool,
        /// Where the body starts in the record; it goes to the end.
        body_at: usize,
    },
    Cancel(Sequence),
}

/// Appends a hint without its body.
pub(crate) fn encode_head(head: &Head, sent: bool, out: &mut Vec<u8>) {
    let authorization = head.authorization.as_deref().unwrap_or_default();
    let content_type = head.content_type.as_deref().unwrap_or_default();
    let flag = |on: bool, flag: u8| if on { flag } else { 0 };
    out.push(KIND_HINT);
    out.push(
        flag(head.gzip, FLAG_GZIP)
            | flag(sent, FLAG_SENT)
            | flag(head.authorization.is_some(), FLAG_AUTHORIZATION)
            | flag(head.content_type.is_some(), FLAG_CONTENT_TYPE),
    );
    out.push(match (head.target, head.scope.kind) {
        (Target::Write, _) => 0,
        (Target::PromWrite, _) => 1,
        (Target::Query, Kind::Write | Kind::Make) => 2,
        (Target::Query, Kind::Destroy) => 3,
    });
    let domain = head.scope.domain.unwrap_or_default();
    out.extend_from_slice(&domain.to_le_bytes());
    out.extend_from_slice(&head.scope.lanes.to_le_bytes());
    out.extend_from_slice(&head.lines.to_le_bytes());
    out.extend_from_slice(&head.received_ns.to_le_bytes());
    let texts = [head.query.as_bytes(), authorization, content_type];
    for text in texts {
        // Bounded by the head of the request it came with, far below 4 GiB.
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    }
    for text in texts {
        out.extend_from_slice(text);
    }
}

/// A cancel of the hint with this number.
pub(crate) fn encode_cancel(sequence: Sequence) -> Vec<u8> {
    let mut out = vec![KIND_CANCEL];
    out.extend_from_slice(&sequence.to_le_bytes());
    out
}

/// Decodes a record.
pub(crate) fn decode(record: &[u8]) -> Result<Record, BadRecord> {
    let mut input = Input(record);
    match input.byte()? {
        KIND_CANCEL => {
            let sequence = input.u64()?;
            input.end().map(|()| Record::Cancel(sequence))
        }
        KIND_HINT => {
            let flags = input.byte()?;
            let (target, kind) = match input.byte()? {
                0 => (Target::Write, Kind::Write),
                1 => (Target::PromWrite, Kind::Write),
                2 => (Target::Query, Kind::Make),
                3 => (Target::Query, Kind::Destroy),
                _ => return Err(BadRecord),
            };
            let (domain, lanes, lines) = (input.u64()?, input.u64()?, input.u64()?);
            let domain = Some(domain).filter(|domain| *domain != 0);
            let scope = Scope {
                kind,
                domain,
                lanes,
            };
            let received_ns = input.u64()? as i64;
            let (query, authorization, content_type) = (input.u32()?, input.u32()?, input.u32()?);
            let query = String::from_utf8(input.take(query)?.to_vec()).map_err(|_| BadRecord)?;
            let authorization = input.take(authorization)?.to_vec();
            let content_type = input.take(content_type)?.to_vec();
            let head = Head {
                target,
                query,
                authorization: (flags & FLAG_AUTHORIZATION != 0).then_some(authorization),
                content_type: (flags & FLAG_CONTENT_TYPE != 0).then_some(content_type),
                gzip: flags & FLAG_GZIP != 0,
                scope,
                lines,
                received_ns,
            };
            Ok(Record::Hint {
                head,
                sent: flags & FLAG_SENT != 0,
                body_at: record.len() - input.0.len(),
            })
        }
        _ => Err(BadRecord),
    }
}

/// Bytes that are read from the front, never past their end.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, count: u32) -> Result<&'a [u8], BadRecord> {
        let (taken, rest) = self.0.split_at_checked(count as usize).ok_or(BadRecord)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, BadRecord> {
        self.take(1)?.first().copied().ok_or(BadRecord)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadRecord> {
        let bytes = self.take(4)?.try_into().map_err(|_| BadRecord)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BadRecord> {
        let bytes = self.take(8)?.try_into().map_err(|_| BadRecord)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn end(&self) -> Result<(), BadRecord> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(BadRecord)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            target: Target::Write,
            query: "db=x&p=secret".into(),
            authorization: Some(b"Basic abc".to_vec()),
            content_type: None,
            gzip: true,
            scope: Scope::write("x", 1 << 63 | 5),
            lines: 7,
            received_ns: -3,
        }
    }

    #[test]
    fn a_hint_comes_back_as_it_was() {
        let mut record = Vec::new();
        encode_head(&head(), true, &mut record);
        let body_at = record.len();
        record.extend_from_slice(b"m v=1");
        assert_eq!(
            decode(&record),
            Ok(Record::Hint {
                head: head(),
                sent: true,
                body_at
            })
        );
        assert_eq!(decode(&encode_cancel(9)), Ok(Record::Cancel(9)));
    }

    #[test]
    fn statements_come_back_as_what_they_are() {
        for (kind, domain) in [(Kind::Make, None), (Kind::Destroy, Some(7))] {
            let head = Head {
                target: Target::Query,
                scope: Scope {
                    kind,
                    domain,
                    lanes: 0,
                },
                ..head()
            };
            let mut record = Vec::new();
            encode_head(&head, false, &mut record);
            let Ok(Record::Hint { head: read, .. }) = decode(&record) else {
                panic!("no hint");
            };
            assert_eq!(read, head);
        }
    }

    #[test]
    fn a_record_that_is_cut_short_is_refused_and_nothing_panics() {
        let mut record = Vec::new();
        encode_head(&head(), false, &mut record);
        for end in 0..record.len() {
            assert_eq!(decode(&record[..end]), Err(BadRecord), "{end}");
        }
        for at in 0..record.len() {
            record[at] ^= 0xff;
            let _ = decode(&record);
            record[at] ^= 0xff;
        }
        let cancel = encode_cancel(1);
        assert_eq!(decode(&cancel[..8]), Err(BadRecord));
        assert_eq!(decode(&[cancel, vec![0]].concat()), Err(BadRecord));
    }
}
