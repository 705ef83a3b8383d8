//! `bench rivals`: every row that has a goal or a rival, in turn, several times over; medians and ratios.
//!
//! A round measures everything once, row by row, ours and the rivals' next to one another. The table has
//! the median of each figure over all rounds, so that one disturbance does not make a figure.

use std::collections::BTreeMap;

use anyhow::ensure;

use crate::args::Args;
use crate::report::{self, Figure, Row};
use crate::{chain, query, relay, store};

/// Odd, so that a median is a figure that was measured.
const ROUNDS: usize = 3;

/// Measures all rounds, prints the table (or JSON, as asked) and writes the report.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        store::run(args)?;
        query::run(args)?;
        println!("{:<22} {}", relay::NAME, relay::WHAT);
        return chain::run(args);
    }
    let rounds = args.rounds.unwrap_or(ROUNDS);
    ensure!(rounds > 0, "--rounds has to be 1 at least");
    let mut measured = Vec::new();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        measured.push(
            [
                store::measure(args)?,
                query::measure(args)?,
                relay::measure(args)?,
                chain::measure(args)?,
            ]
            .concat(),
        );
    }
    ensure!(
        measured.iter().any(|rows| !rows.is_empty()),
        "no row's name starts so; --list names them"
    );
    report::finish(args, "rivals", &medians(measured))
}

/// The rows with the median of each figure. A figure that failed in a round has failed.
fn medians(rounds: Vec<Vec<Row>>) -> Vec<Row> {
    let mut rounds = rounds.into_iter();
    let Some(mut rows) = rounds.next() else {
        return Vec::new();
    };
    let rest: Vec<Row> = rounds.flatten().collect();
    for row in &mut rows {
        let again: Vec<&Row> = rest.iter().filter(|other| other.name == row.name).collect();
        let servers: Vec<&'static str> = row.figures.keys().copied().collect();
        let mut figures = BTreeMap::new();
        for server in servers {
            let all = again.iter().filter_map(|other| other.figures.get(server));
            let all: Result<Vec<&Figure>, &String> = row
                .figures
                .get(server)
                .into_iter()
                .chain(all)
                .map(Result::as_ref)
                .collect();
            let median = match all {
                Err(why) => Err(why.clone()),
                Ok(mut all) => {
                    all.sort_by(|a, b| a.value.total_cmp(&b.value));
                    let (least, most) = (all[0].value, all[all.len() - 1].value);
                    let mut middle = all[all.len() / 2].clone();
                    middle.details.insert("least", least);
                    middle.details.insert("most", most);
                    middle.details.insert("rounds", all.len() as f64);
                    Ok(middle)
                }
            };
            figures.insert(server, median);
        }
        row.figures = figures;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Goal, Unit};

    fn row(ours: Result<f64, &str>) -> Row {
        let figure = ours
            .map(|value| Figure::new(value, []))
            .map_err(str::to_owned);
        Row {
            name: "a",
            what: "…",
            unit: Unit::Seconds,
            goal: Goal::None,
            figures: [("tandem", figure)].into(),
        }
    }

    fn median(rounds: &[Result<f64, &str>]) -> Result<Figure, String> {
        let rounds = rounds.iter().map(|&ours| vec![row(ours)]).collect();
        medians(rounds).remove(0).figures.remove("tandem").unwrap()
    }

    #[test]
    fn the_middle_of_all_rounds_counts_and_the_ends_are_told() {
        let figure = median(&[Ok(9.0), Ok(1.0), Ok(2.0)]).unwrap();
        assert_eq!(figure.value, 2.0);
        assert_eq!(
            (figure.details["least"], figure.details["most"]),
            (1.0, 9.0)
        );
        assert_eq!(figure.details["rounds"], 3.0);
    }

    #[test]
    fn what_failed_once_has_no_figure() {
        assert_eq!(median(&[Ok(9.0), Err("gone")]).unwrap_err(), "gone");
    }
}
