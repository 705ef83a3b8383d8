//! A request that writes: where to, and its body.

use crate::random::Random;
use crate::write::line::{Lines, UNITS, Unit, WEEKS};

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Parameters beside the database, each with `&` before it.
    pub(super) parameters: String,
    /// Another database than that of the group, to which nothing is written.
    pub(super) database: Option<&'static str>,
    /// Lines, each without its newline.
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) ending: Ending,
    /// Of its times.
    pub(super) unit: Unit,
}

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a newline, the last one too.
    Newline,
    /// With a newline, but not the last one.
    NoneAtEnd,
    /// With a carriage return before the newline.
    Crlf,
}

impl Batch {
    /// A batch; half of them hold lines that were spoiled.
    pub(super) fn random(random: &mut Random) -> Self {
        let unit = random.choose(&UNITS);
        let spoiled = random.chance(50);
        let spread = random.chance(5);
        let count = 1 + random.below(8);
        let mut lines = Vec::with_capacity(count);
        let mut week = random.between(0, WEEKS - 1);
        for at in 0..count {
            if spread {
                week = random.between(0, WEEKS - 1);
            }
            let is_spoiled = spoiled && (at == 0 || random.chance(40));
            let mut maker = Lines { random, unit, week };
            lines.push(maker.line(is_spoiled));
        }
        // What was spoiled need not come first.
        let to = random.below(count);
        lines.swap(0, to);
        // A carriage return within a string or behind a backslash is a part of what it is in.
        let has_strings = lines
            .iter()
            .any(|line| line.contains(&b'"') || line.last() == Some(&b'\\'));
        let ending = match random.below(20) {
            0..=3 => Ending::NoneAtEnd,
            4 | 5 if !has_strings => Ending::Crlf,
            _ => Ending::Newline,
        };
        let mut parameters = String::new();
        if !unit.name.is_empty() {
            parameters.push_str(&format!("&precision={}", unit.name));
        }
        let mut database = None;
        match random.below(100) {
            0 => parameters.push_str("&consistency=all"),
            1 => parameters.push_str("&consistency=ONE"),
            2 => parameters.push_str("&consistency=two"),
            3 => parameters.push_str("&rp=autogen"),
            4 => parameters.push_str("&rp=none"),
            5 => database = Some("none"),
            6 => database = Some(""),
            _ => {}
        }
        Self {
            parameters,
            database,
            lines,
            ending,
            unit,
        }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        let end: &[u8] = match self.ending {
            Ending::Crlf => b"\r\n",
            Ending::Newline | Ending::NoneAtEnd => b"\n",
        };
        let mut body = self.lines.join(end);
        if self.ending != Ending::NoneAtEnd {
            body.extend_from_slice(end);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_they_should() {
        let batch = |ending| Batch {
            parameters: String::new(),
            database: None,
            lines: vec![b"a".to_vec(), b"b".to_vec()],
            ending,
            unit: UNITS[0],
        };
        assert_eq!(batch(Ending::NoneAtEnd).body(), b"a\nb");
        assert_eq!(batch(Ending::Crlf).body(), b"a\r\nb\r\n");
    }

    #[test]
    fn about_half_are_spoiled() {
        let mut random = Random::new(1);
        let bodies: Vec<Vec<u8>> = (0..400)
            .map(|_| Batch::random(&mut random).body())
            .collect();
        assert!(bodies.iter().any(|body| body.len() > 60_000));
        assert!(bodies.iter().any(|body| std::str::from_utf8(body).is_err()));
    }
}
