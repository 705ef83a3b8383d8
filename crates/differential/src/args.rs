//! The command line, as `cargo xtask differential` hands it on.

use std::path::PathBuf;

use crate::server::Places;

pub(crate) const USAGE: &str = "usage: tandem-differential COMPARISON [OPTION]…

  query          random data, random statements: the answers must be the same
  write          random lines, half of them spoiled: the same answers, and the same data after them
  dashboards     the queries of dashboards, over an hour of the agent's data

  --minutes N    how long to go on [1]
  --seed S       what to begin with; the same seed asks the same [the clock]
  --sets N       ends after so many data sets (query)
  --batches N    ends after so many batches, however long that takes (write)
  --stop N       ends after so many differences [20]
  --statement Q  asks this over the data of the first set, and ends
  --influxd FILE the judge [influxd on the path]
  --tandem FILE  what is judged [target/debug/tandem]
  --work DIR     where both keep their data [target/differential]";

/// What to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Query,
    Write,
    Dashboards,
}

/// What to compare, with what, for how long.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) what: What,
    pub(crate) minutes: f64,
    /// `None` takes the clock's.
    pub(crate) seed: Option<u64>,
    /// Data sets; `None` is as many as there is time for.
    pub(crate) sets_max: Option<u64>,
    /// Batches; `None` is as many as there is time for.
    pub(crate) batches_max: Option<u64>,
    pub(crate) differences_max: usize,
    /// A single statement instead of random ones.
    pub(crate) statement: Option<String>,
    pub(crate) places: Places,
}

impl Args {
    /// Reads the arguments; `Err` says which one is not understood. `influxd` is where the judge
    /// was found.
    pub(crate) fn parse(arguments: &[String], influxd: Option<PathBuf>) -> Result<Self, String> {
        let mut rest = arguments.iter();
        let what = match rest.next().map(String::as_str) {
            Some("query") => What::Query,
            Some("write") => What::Write,
            Some("dashboards") => What::Dashboards,
            Some(other) => return Err(format!("unknown comparison {other}")),
            None => return Err("nothing is named that is to be compared".into()),
        };
        let mut args = Self {
            what,
            minutes: 1.0,
            seed: None,
            sets_max: None,
            batches_max: None,
            differences_max: 20,
            statement: None,
            places: Places {
                influxd: influxd.unwrap_or_default(),
                tandem: PathBuf::from("target/debug/tandem"),
                work: PathBuf::from("target/differential"),
            },
        };
        while let Some(argument) = rest.next() {
            let mut value = || {
                let next = rest.next().cloned();
                next.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--minutes" => args.minutes = number(argument, &value()?)?,
                "--seed" => args.seed = Some(number(argument, &value()?)?),
                "--sets" => args.sets_max = Some(number(argument, &value()?)?),
                "--batches" => args.batches_max = Some(number(argument, &value()?)?),
                "--stop" => args.differences_max = number(argument, &value()?)?,
                "--statement" => args.statement = Some(value()?),
                "--influxd" => args.places.influxd = value()?.into(),
                "--tandem" => args.places.tandem = value()?.into(),
                "--work" => args.places.work = value()?.into(),
                other => return Err(format!("unknown option {other}")),
            }
        }
        if args.places.influxd.as_os_str().is_empty() {
            return Err(
                "influxd is not on the path (Debian's package influxdb brings it); --influxd names it"
                    .into(),
            );
        }
        Ok(args)
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("{option} needs a number, not {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Args, String> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Args::parse(&arguments, Some("influxd".into()))
    }

    #[test]
    fn options_are_read() {
        let args = parse("query --minutes 0.5 --seed 7 --tandem x").expect("good");
        assert_eq!((args.minutes, args.seed), (0.5, Some(7)));
        assert_eq!(args.places.tandem, PathBuf::from("x"));
        let args = parse("write --batches 100").expect("good");
        assert_eq!((args.what, args.batches_max), (What::Write, Some(100)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, word) in [
            ("", "nothing is named"),
            ("soup", "soup"),
            ("query --fast", "--fast"),
            ("query --seed", "--seed needs"),
            ("query --seed x", "not x"),
        ] {
            let why = parse(text).expect_err("bad");
            assert!(why.contains(word), "{text}: {why}");
        }
        let why = Args::parse(&["query".to_owned()], None).expect_err("no judge");
        assert!(why.contains("influxd"), "{why}");
    }
}
