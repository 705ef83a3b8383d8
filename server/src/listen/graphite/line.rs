//! A line of Graphite's: `name value [time]`, and the point it becomes.

use tandem_line::Writer;
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS};

use super::super::GraphiteConfig;
use super::matcher::Matcher;
use super::template::{TemplateError, tag};

/// Why a line is no point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    Malformed,
    /// NaN or infinite: sent on purpose, where there is no value.
    NotANumber,
}

/// Makes points of lines, for one listener.
#[derive(Debug)]
pub(in crate::listen) struct Parser {
    matcher: Matcher,
    tags: Vec<(String, String)>,
}

impl Parser {
    pub(in crate::listen) fn new(config: &GraphiteConfig) -> Result<Self, TemplateError> {
        let tags = config.tags.iter().map(|text| tag(text));
        Ok(Self {
            matcher: Matcher::new(&config.templates, &config.separator)?,
            tags: tags.collect::<Result<_, _>>()?,
        })
    }

    /// Appends the point of a line as line protocol.
    pub(super) fn parse(
        &self,
        line: &[u8],
        now_ns: i64,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        let (Some(name), Some(value), time, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(LineError::Malformed);
        };
        let value: f64 = value.parse().map_err(|_| LineError::Malformed)?;
        if !value.is_finite() {
            return Err(LineError::NotANumber);
        }
        let time_ns = match time {
            None => now_ns,
            Some(text) => time_of(text, now_ns).ok_or(LineError::Malformed)?,
        };
        let mut applied = self.matcher.find(name).apply(name);
        for (key, value) in &self.tags {
            if !applied.tags.iter().any(|(known, _)| known == key) {
                applied.tags.push((key.clone(), value.clone()));
            }
        }
        let measurement = match applied.measurement.as_str() {
            "" => name,
            measurement => measurement,
        };
        let field = match applied.field.as_str() {
            "" => "value",
            field => field,
        };
        let mut writer = Writer::new();
        let written = writer
            .line(measurement)
            .tags(&mut applied.tags)
            .float(field, value)
            .end(Some(time_ns));
        out.extend_from_slice(writer.as_bytes());
        if written {
            Ok(())
        } else {
            Err(LineError::Malformed)
        }
    }
}

/// Seconds, with or without a fraction; -1 stands for now.
fn time_of(text: &str, now_ns: i64) -> Option<i64> {
    let seconds: f64 = text.parse().ok().filter(|time: &f64| time.is_finite())?;
    if seconds == -1.0 {
        return Some(now_ns);
    }
    // Whole seconds do not go through a float of nanoseconds, which has too few digits.
    let whole = seconds.floor();
    let rest_ns = ((seconds - whole) * 1e9) as i64;
    let time_ns = (whole as i64)
        .checked_mul(1_000_000_000)?
        .checked_add(rest_ns)?;
    (MIN_TIME_NS..=MAX_TIME_NS)
        .contains(&time_ns)
        .then_some(time_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(templates: &[&str], tags: &[&str], line: &str) -> Result<String, LineError> {
        let config = GraphiteConfig {
            templates: templates.iter().map(|&text| text.to_owned()).collect(),
            tags: tags.iter().map(|&text| text.to_owned()).collect(),
            ..GraphiteConfig::default()
        };
        let parser = Parser::new(&config).unwrap();
        let mut out = Vec::new();
        parser.parse(line.as_bytes(), 77, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn lines_become_points() {
        for (line, expected) in [
            (
                "cpu.load 1.5 1435077219",
                "cpu.load value=1.5 1435077219000000000\n",
            ),
            (
                "cpu 1e3 1435077219.5",
                "cpu value=1000 1435077219500000000\n",
            ),
            ("  cpu\t-1  -1 ", "cpu value=-1 77\n"),
            ("cpu 1", "cpu value=1 77\n"),
            ("a,b=c 1 1", "a\\,b=c value=1 1000000000\n"),
        ] {
            assert_eq!(parse(&[], &[], line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn templates_and_tags_of_the_listener_go_together() {
        let templates = ["*.app env.measurement.host.field zone=x,a=1"];
        let line = parse(&templates, &["host=none", "dc=b"], "prod.app.h1.reads 5 9").unwrap();
        assert_eq!(
            line,
            "app,a=1,dc=b,env=prod,host=h1,zone=x reads=5 9000000000\n"
        );
        // A name that is too short for a measurement is one itself.
        let templates = ["host.dc.measurement"];
        assert_eq!(
            parse(&templates, &[], "web.x 5 9").unwrap(),
            "web.x,dc=x,host=web value=5 9000000000\n"
        );
    }

    #[test]
    fn what_is_no_point_is_told_apart() {
        for line in [
            "cpu",
            "cpu x 1",
            "cpu 1 x",
            "cpu 1 2 3",
            "cpu 1 1e300",
            "cpu 1 9999999999999",
            "cpu 1 nan",
            "",
        ] {
            assert_eq!(parse(&[], &[], line), Err(LineError::Malformed), "{line}");
        }
        for line in ["cpu nan 1", "cpu NaN", "cpu inf 1", "cpu -Inf 1"] {
            assert_eq!(parse(&[], &[], line), Err(LineError::NotANumber), "{line}");
        }
    }
}
