//! The queries, as the Time Series Benchmark Suite words them, and the nearest PromQL.
//!
//! A row asks several variants in turn: other hosts, another start. They come from a fixed seed, so all
//! servers are asked the same.

use crate::report::{Goal, Unit};
use tandem_benches::random::Random;

const HOUR_NS: i64 = 3_600_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const MINUTE: &str = "1m";
const HOSTS: u64 = 100;
pub(super) const METRICS: [&str; 10] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];
/// Variants of a row.
const VARIANTS: u64 = 16;

/// A row before it is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: Unit,
    pub(super) goal: Goal,
    ask: Ask,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// The largest of some metrics of some hosts, over hours, by windows.
    Max {
        metrics: usize,
        hosts: u64,
        hours: i64,
        by: &'static str,
    },
    /// The mean of some metrics of every host for each of twelve hours.
    Mean { metrics: usize },
    /// Rows of twelve hours in which `usage_user` is above 90; of one host or of all.
    HighCpu { hosts: u64 },
    /// The first five minutes there are.
    GroupByOrderByLimit,
    /// The percentile by five minutes of a day.
    Percentile,
    /// The last row of every host.
    LastPoint,
    /// How many values each field has.
    CountAll,
    /// Always this.
    Fixed(&'static str),
}

/// One query in three languages.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) influxql: String,
    /// Target of a request to VictoriaMetrics, where it can be asked.
    pub(super) promql: Option<Range>,
    /// What DuckDB is asked, over a table of all tags, all fields and `time` in nanoseconds.
    pub(super) sql: Option<String>,
}

/// A query over a range of time in PromQL.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) query: String,
    pub(super) start_s: i64,
    pub(super) end_s: i64,
    pub(super) step: &'static str,
}

const fn ms(name: &'static str, what: &'static str, goal_ms: f64, ask: Ask) -> Plan {
    Plan {
        name,
        what,
        unit: Unit::Milliseconds,
        goal: Goal::AtMost(goal_ms),
        ask,
    }
}

const fn max(metrics: usize, hosts: u64, hours: i64) -> Ask {
    Ask::Max {
        metrics,
        hosts,
        hours,
        by: MINUTE,
    }
}

const fn max_all(hosts: u64) -> Ask {
    Ask::Max {
        metrics: METRICS.len(),
        hosts,
        hours: 8,
        by: "1h",
    }
}

const fn shown(name: &'static str, what: &'static str, text: &'static str) -> Plan {
    Plan {
        name,
        what,
        unit: Unit::Milliseconds,
        goal: Goal::None,
        ask: Ask::Fixed(text),
    }
}

pub(super) const PLANS: &[Plan] = &[
    ms(
        "single-groupby-1-1-1",
        "1 metric, 1 host, 1 h by 1 m",
        0.2,
        max(1, 1, 1),
    ),
    ms(
        "single-groupby-1-1-12",
        "1 metric, 1 host, 12 h by 1 m",
        0.3,
        max(1, 1, 12),
    ),
    ms(
        "single-groupby-1-8-1",
        "1 metric, 8 hosts, 1 h by 1 m",
        0.35,
        max(1, 8, 1),
    ),
    ms(
        "single-groupby-5-8-1",
        "5 metrics, 8 hosts, 1 h by 1 m",
        0.8,
        max(5, 8, 1),
    ),
    ms(
        "cpu-max-all-1",
        "10 metrics, 1 host, 8 h by 1 h",
        0.5,
        max_all(1),
    ),
    ms(
        "cpu-max-all-8",
        "10 metrics, 8 hosts, 8 h by 1 h",
        2.0,
        max_all(8),
    ),
    ms(
        "double-groupby-1",
        "mean of 1 metric by host and hour, 12 h",
        3.0,
        Ask::Mean { metrics: 1 },
    ),
    ms(
        "double-groupby-5",
        "mean of 5 metrics by host and hour, 12 h",
        8.0,
        Ask::Mean { metrics: 5 },
    ),
    ms(
        "double-groupby-all",
        "mean of 10 metrics by host and hour, 12 h",
        15.0,
        Ask::Mean { metrics: 10 },
    ),
    ms(
        "high-cpu-1",
        "rows of 1 host above 90, 12 h",
        0.5,
        Ask::HighCpu { hosts: 1 },
    ),
    ms(
        "high-cpu-all",
        "rows of all hosts above 90, 12 h",
        30.0,
        Ask::HighCpu { hosts: HOSTS },
    ),
    ms(
        "groupby-orderby-limit",
        "the first five minutes of all hosts",
        1.0,
        Ask::GroupByOrderByLimit,
    ),
    ms(
        "lastpoint",
        "the last row of every host",
        0.7,
        Ask::LastPoint,
    ),
    ms("count-all", "values of every field", 1.0, Ask::CountAll),
    ms(
        "percentile-5m",
        "95th percentile of all hosts by 5 m, a day",
        15.0,
        Ask::Percentile,
    ),
    shown("show-measurements", "measurements", "SHOW MEASUREMENTS"),
    shown(
        "show-tag-values",
        "values of one tag",
        "SHOW TAG VALUES FROM cpu WITH KEY = hostname",
    ),
    shown(
        "show-field-keys",
        "fields and their types",
        "SHOW FIELD KEYS FROM cpu",
    ),
    shown("show-series", "all series", "SHOW SERIES"),
    Plan {
        name: "raw-rows",
        what: "all rows streamed as JSON, for a CPU second of the server",
        unit: Unit::MegabytesPerCpuSecond,
        goal: Goal::AtLeast(250e6),
        ask: Ask::Fixed("SELECT * FROM cpu GROUP BY *"),
    },
];

impl Plan {
    /// What is asked, over `hours` hours of data from `start_ns` on.
    pub(super) fn questions(&self, start_ns: i64, hours: i64) -> Vec<Question> {
        let mut random = Random::new(17);
        let count = match self.ask {
            Ask::Fixed(_) | Ask::LastPoint | Ask::CountAll => 1,
            _ => VARIANTS,
        };
        (0..count)
            .map(|_| self.ask.question(start_ns, hours, &mut random))
            .collect()
    }
}

impl Ask {
    fn question(self, start_ns: i64, hours: i64, random: &mut Random) -> Question {
        // A range of so many hours that begins at a whole minute, as far as there are data.
        let mut range = |wanted: i64| {
            let wanted = wanted.min(hours);
            let minutes = ((hours - wanted) * 60) as u64;
            let from = start_ns + random.below(minutes + 1) as i64 * MINUTE_NS;
            (from, from + wanted * HOUR_NS)
        };
        let both = |influxql: String, sql: String| Question {
            influxql,
            promql: None,
            sql: Some(sql),
        };
        match self {
            Self::Max {
                metrics,
                hosts,
                hours,
                by,
            } => {
                let (from, to) = range(hours);
                let hosts = some_hosts(hosts, random);
                let names = &METRICS[..metrics];
                let fields = list(names, |name| format!("max({name})"));
                let influxql = format!(
                    "SELECT {fields} FROM cpu WHERE ({}) AND {} GROUP BY time({by})",
                    either(&hosts),
                    between(from, to)
                );
                let selector = format!("{},hostname=~\"{}\"", metric(names), hosts.join("|"));
                let query = format!("max(max_over_time({{{selector}}}[{by}])) by (__name__)");
                let step_ns = if by == MINUTE { MINUTE_NS } else { HOUR_NS };
                let sql = format!(
                    "SELECT time // {step_ns} AS w, {fields} FROM cpu WHERE {} AND {} GROUP BY w ORDER BY w",
                    one_of(&hosts),
                    between(from, to)
                );
                Question {
                    influxql,
                    promql: Some(prom(query, from, to, by)),
                    sql: Some(sql),
                }
            }
            Self::Mean { metrics } => {
                let (from, to) = range(12);
                let names = &METRICS[..metrics];
                let fields = list(names, |name| format!("mean({name})"));
                let influxql = format!(
                    "SELECT {fields} FROM cpu WHERE {} GROUP BY time(1h), hostname",
                    between(from, to)
                );
                let query = format!(
                    "avg(avg_over_time({{{}}}[1h])) by (__name__, hostname)",
                    metric(names)
                );
                let sql = format!(
                    "SELECT time // {HOUR_NS} AS w, hostname, {} FROM cpu WHERE {} GROUP BY w, hostname ORDER BY hostname, w",
                    list(names, |name| format!("avg({name})")),
                    between(from, to)
                );
                Question {
                    influxql,
                    promql: Some(prom(query, from, to, "1h")),
                    sql: Some(sql),
                }
            }
            Self::HighCpu { hosts } => {
                let (from, to) = range(12);
                let (influx_hosts, sql_hosts) = if hosts == HOSTS {
                    Default::default()
                } else {
                    let hosts = some_hosts(hosts, random);
                    (
                        format!(" AND ({})", either(&hosts)),
                        format!(" AND {}", one_of(&hosts)),
                    )
                };
                let range = between(from, to);
                let rows = "SELECT * FROM cpu WHERE usage_user > 90.0";
                both(
                    format!("{rows}{influx_hosts} AND {range}"),
                    format!("{rows}{sql_hosts} AND {range} ORDER BY time"),
                )
            }
            Self::GroupByOrderByLimit => {
                let (_, to) = range(1);
                both(
                    format!(
                        "SELECT max(usage_user) FROM cpu WHERE time < {to} GROUP BY time(1m) LIMIT 5"
                    ),
                    format!(
                        "SELECT time // {MINUTE_NS} AS w, max(usage_user) FROM cpu WHERE time < {to} GROUP BY w ORDER BY w LIMIT 5"
                    ),
                )
            }
            Self::Percentile => {
                let (from, to) = range(24);
                let range = between(from, to);
                both(
                    format!(
                        "SELECT percentile(usage_user, 95) FROM cpu WHERE {range} GROUP BY time(5m)"
                    ),
                    format!(
                        "SELECT time // {} AS w, quantile_disc(usage_user, 0.95) FROM cpu WHERE {range} GROUP BY w ORDER BY w",
                        5 * MINUTE_NS
                    ),
                )
            }
            Self::LastPoint => both(
                "SELECT * FROM cpu GROUP BY hostname ORDER BY time DESC LIMIT 1".to_owned(),
                format!(
                    "SELECT hostname, max(time), {} FROM cpu GROUP BY hostname ORDER BY hostname",
                    list(&METRICS, |name| format!("arg_max({name}, time)"))
                ),
            ),
            Self::CountAll => both(
                "SELECT count(*) FROM cpu".to_owned(),
                format!(
                    "SELECT {} FROM cpu",
                    list(&METRICS, |name| format!("count({name})"))
                ),
            ),
            Self::Fixed(text) => Question {
                influxql: text.to_owned(),
                promql: None,
                sql: None,
            },
        }
    }
}

fn some_hosts(count: u64, random: &mut Random) -> Vec<String> {
    let mut hosts: Vec<u64> = Vec::new();
    while (hosts.len() as u64) < count {
        let host = random.below(HOSTS);
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts.iter().map(|host| format!("host_{host}")).collect()
}

fn list(names: &[&str], print: impl Fn(&str) -> String) -> String {
    let printed: Vec<String> = names.iter().map(|name| print(name)).collect();
    printed.join(", ")
}

fn either(hosts: &[String]) -> String {
    let tests: Vec<String> = hosts
        .iter()
        .map(|host| format!("hostname = '{host}'"))
        .collect();
    tests.join(" OR ")
}

fn one_of(hosts: &[String]) -> String {
    format!("hostname IN ('{}')", hosts.join("', '"))
}

fn between(from_ns: i64, to_ns: i64) -> String {
    format!("time >= {from_ns} AND time < {to_ns}")
}

/// VictoriaMetrics names a field by measurement and field.
fn metric(names: &[&str]) -> String {
    match names {
        [name] => format!("__name__=\"cpu_{name}\""),
        names => format!("__name__=~\"cpu_({})\"", names.join("|")),
    }
}

fn prom(query: String, from_ns: i64, to_ns: i64, step: &'static str) -> Range {
    Range {
        query,
        start_s: from_ns / 1_000_000_000,
        end_s: to_ns / 1_000_000_000,
        step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_stay_inside_of_the_data_and_never_change() {
        for plan in PLANS {
            for hours in [6, 24] {
                let questions = plan.questions(0, hours);
                assert!(!questions.is_empty());
                for question in &questions {
                    if let Some(prom) = &question.promql {
                        assert!(
                            prom.start_s >= 0 && prom.end_s <= hours * 3600,
                            "{question:?}"
                        );
                    }
                }
                let again = plan.questions(0, hours);
                assert_eq!(again[0].influxql, questions[0].influxql);
            }
        }
        let first = &PLANS[0].questions(0, 24)[0];
        assert!(
            first
                .influxql
                .starts_with("SELECT max(usage_user) FROM cpu WHERE (hostname = 'host_"),
            "{}",
            first.influxql
        );
    }
}
