//! The command line, as `cargo xtask bench` hands it on.

use std::path::PathBuf;

pub(crate) const USAGE: &str =
    "usage: tandem-benches rivals|store|query|chain|growth|mixed|relay|agent|inside|guard [OPTION]…

  rivals         store, query and chain, all rows several times: medians beside goals and rivals
  store          ingest, bytes, opening and memory of a store, beside goals and rivals
  query          how long queries take, beside goals and rivals
  chain          values a second through a relay into two stores
  growth         what ingest and queries cost as series and values grow, as plots
  mixed          small queries beside many that want everything
  relay          what a relay to two backends costs, beside a bare TCP tee
  agent          memory and time of an agent, of the host alone and with 100 containers
  inside         the store's own work in this process, to be profiled
  guard          instructions of hot paths, beside those that are committed

  --quick        a tenth of the load
  --only ROW     only the rows whose names start so; may be given more than once
  --alone        not the rivals
  --tandem FILE  the program to measure [target/release/tandem]
  --work DIR     where loads, data directories and the report go [target/bench]
  --rounds N     rivals: how often each row is measured [3]
  --json         rivals, store, query, chain: the report on the terminal, not the table
  --bless        guard: commits to what was counted
  --list         names the rows and ends";

/// The benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Rivals,
    Store,
    Query,
    Chain,
    Growth,
    Mixed,
    Relay,
    Agent,
    Inside,
    Guard,
}

/// What to measure, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) what: What,
    pub(crate) quick: bool,
    pub(crate) alone: bool,
    pub(crate) list: bool,
    pub(crate) bless: bool,
    pub(crate) json: bool,
    pub(crate) rounds: Option<usize>,
    /// Starts of row names; all rows when empty.
    pub(crate) only: Vec<String>,
    pub(crate) tandem: PathBuf,
    pub(crate) work: PathBuf,
}

impl Args {
    /// Reads the arguments; `Err` says which one is not understood.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut rest = arguments.iter();
        let what = match rest.next().map(String::as_str) {
            Some("rivals") => What::Rivals,
            Some("store") => What::Store,
            Some("query") => What::Query,
            Some("chain") => What::Chain,
            Some("growth") => What::Growth,
            Some("mixed") => What::Mixed,
            Some("relay") => What::Relay,
            Some("agent") => What::Agent,
            Some("inside") => What::Inside,
            Some("guard") => What::Guard,
            Some(other) => return Err(format!("unknown benchmark {other}")),
            None => return Err("no benchmark is named".into()),
        };
        let mut args = Self {
            what,
            quick: false,
            alone: false,
            list: false,
            bless: false,
            json: false,
            rounds: None,
            only: Vec::new(),
            tandem: PathBuf::from("target/release/tandem"),
            work: PathBuf::from("target/bench"),
        };
        while let Some(argument) = rest.next() {
            let mut value = || {
                let next = rest.next().cloned();
                next.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--quick" => args.quick = true,
                "--alone" => args.alone = true,
                "--list" => args.list = true,
                "--json" => args.json = true,
                "--rounds" => {
                    let text = value()?;
                    let rounds = text
                        .parse()
                        .map_err(|_| format!("--rounds {text}: not a number"))?;
                    args.rounds = Some(rounds);
                }
                "--bless" => args.bless = true,
                "--only" => args.only.push(value()?),
                "--tandem" => args.tandem = value()?.into(),
                "--work" => args.work = value()?.into(),
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(args)
    }

    /// Whether the row is asked for.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|start| row.starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Args, String> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Args::parse(&arguments)
    }

    #[test]
    fn rows_are_chosen_by_the_start_of_their_names() {
        let args = parse("store --quick --only bytes --only open-clean").unwrap();
        assert!(args.quick && args.wants("bytes-full") && args.wants("open-clean"));
        assert!(!args.wants("open-kill"));
        assert!(parse("store").unwrap().wants("anything"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, word) in [
            ("", "no benchmark"),
            ("soup", "soup"),
            ("store --fast", "--fast"),
            ("store --only", "--only"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
