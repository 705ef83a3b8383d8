//! When a continuous query runs, and over which time.
//!
//! Pure: times come in, times go out. All are nanoseconds since 1970; windows are aligned to the query's time
//! zone, also where a day has 23 or 25 hours.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tandem_influxql::ast::{CreateContinuousQuery, Expr};
use tandem_influxql::zone;

/// The rhythm of one continuous query.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// `GROUP BY time(interval, offset)`
    interval_ns: i64,
    offset_ns: i64,
    /// `RESAMPLE EVERY`
    every_ns: Option<i64>,
    /// `RESAMPLE FOR`
    for_ns: Option<i64>,
    zone: TimeZone,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The time to run the query over, the end exclusive; `None` while no window has passed.
    pub(super) range: Option<(i64, i64)>,
    /// What to note as the last run.
    pub(super) run_ns: i64,
}

impl Schedule {
    /// The rhythm of `create`; `None` when it has no windows.
    ///
    /// # Errors
    /// What is wrong with its windows, as text.
    pub(super) fn of(create: &CreateContinuousQuery) -> Result<Option<Self>, String> {
        let select = &create.source;
        let interval_ns = select.group_by_interval().map_err(|e| e.to_string())?;
        if interval_ns <= 0 || select.is_raw() {
            return Ok(None);
        }
        let zone = match &select.time_zone {
            Some(name) => {
                zone::find(name).ok_or_else(|| format!("unable to find time zone {name}"))?
            }
            None => TimeZone::UTC,
        };
        let offset_ns = select
            .dimensions
            .iter()
            .find_map(|dimension| match dimension {
                Expr::Call(call) if call.name == "time" => match call.args.get(1) {
                    Some(Expr::Duration(offset_ns)) => Some(offset_ns % interval_ns),
                    _ => None,
                },
                _ => None,
            });
        Ok(Some(Self {
            interval_ns,
            offset_ns: offset_ns.unwrap_or(0),
            every_ns: create.resample_every_ns.filter(|every| *every > 0),
            for_ns: create.resample_for_ns.filter(|given| *given > 0),
            zone,
        }))
    }

    /// As it is, and each run goes back over this time at least: for points that come late. `RESAMPLE FOR` says
    /// the same of one query.
    pub(super) fn reaching_back(mut self, late_ns: i64) -> Self {
        if late_ns > 0 {
            let own_ns = self.for_ns.unwrap_or(self.interval_ns.max(self.every_ns()));
            self.for_ns = Some(own_ns.max(late_ns));
        }
        self
    }

    /// How much time lies between two runs.
    pub(super) fn every_ns(&self) -> i64 {
        self.every_ns.unwrap_or(self.interval_ns)
    }

    /// Whether the query, whose last run was noted as `last_run`, is to run at `now_ns`.
    pub(super) fn due(&self, last_run: Option<i64>, now_ns: i64) -> Option<Due> {
        let every_ns = self.every_ns();
        let next_ns = match last_run {
            Some(last_ns) => self.after(last_ns, every_ns),
            None => now_ns,
        };
        if next_ns > now_ns {
            return None;
        }
        let for_ns = self.for_ns.unwrap_or(self.interval_ns.max(every_ns));
        let step_ns = every_ns.min(self.interval_ns);
        let window = |time_ns: i64| {
            let inside_ns = time_ns
                .saturating_add(self.interval_ns)
                .saturating_sub(self.offset_ns);
            self.truncate(inside_ns, self.interval_ns)
                .saturating_add(self.offset_ns)
        };
        let start_ns = window(next_ns.saturating_sub(for_ns).saturating_sub(1));
        let end_ns = window(now_ns.saturating_sub(step_ns));
        let run_ns = self.truncate(now_ns.saturating_sub(self.offset_ns), every_ns);
        Some(Due {
            range: (start_ns < end_ns).then_some((start_ns, end_ns)),
            run_ns: run_ns.saturating_add(self.offset_ns),
        })
    }

    /// The run after one at `last_ns`, at the same time of the day where the zone's clock is set in between.
    fn after(&self, last_ns: i64, every_ns: i64) -> i64 {
        let next_ns = last_ns.saturating_add(every_ns);
        let set_ns =
            self.zone_ns(last_ns.saturating_sub(1)) - self.zone_ns(next_ns.saturating_sub(1));
        if set_ns.abs() < every_ns {
            next_ns.saturating_add(set_ns)
        } else {
            next_ns
        }
    }

    /// The start of the span of `length_ns` that `time_ns` is in.
    fn truncate(&self, time_ns: i64, length_ns: i64) -> i64 {
        let zone_ns = self.zone_ns(time_ns);
        let past_ns = time_ns.saturating_add(zone_ns).rem_euclid(length_ns);
        let start_ns = time_ns.saturating_sub(past_ns);
        let set_ns = zone_ns - self.zone_ns(start_ns);
        if set_ns.abs() < length_ns {
            start_ns.saturating_add(set_ns)
        } else {
            start_ns
        }
    }

    /// How far the zone's clock is ahead of UTC.
    fn zone_ns(&self, time_ns: i64) -> i64 {
        match Timestamp::from_nanosecond(time_ns.into()) {
            Ok(time) => i64::from(self.zone.to_offset(time).seconds()) * 1_000_000_000,
            Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_influxql::ast::Statement;
    use tandem_influxql::{Params, parse_statement};

    use super::*;

    /// The schedule of a query, its `due` in text: each time as the clock shows it on that day.
    fn due(resample: &str, windows: &str, last: Option<&str>, now: &str) -> String {
        due_late(0, resample, windows, last, now)
    }

    fn due_late(
        late_ns: i64,
        resample: &str,
        windows: &str,
        last: Option<&str>,
        now: &str,
    ) -> String {
        let text = format!(
            "CREATE CONTINUOUS QUERY q ON d {resample} BEGIN SELECT mean(x) INTO y FROM m GROUP BY {windows} END"
        );
        let Ok(Statement::CreateContinuousQuery(create)) = parse_statement(&text, &Params::new())
        else {
            panic!("{text}");
        };
        let schedule = Schedule::of(&create).unwrap().unwrap();
        let schedule = schedule.reaching_back(late_ns);
        let ns = |text: &str| {
            let day = if text.contains('T') {
                ""
            } else {
                "2024-03-31T"
            };
            let time: Timestamp = format!("{day}{text}Z").parse().unwrap();
            i64::try_from(time.as_nanosecond()).unwrap()
        };
        let shown = |ns: i64| {
            let text = Timestamp::from_nanosecond(ns.into()).unwrap().to_string();
            text.replace("2024-03-31T", "").replace('Z', "")
        };
        match schedule.due(last.map(ns), ns(now)) {
            None => "not yet".into(),
            Some(due) => match due.range {
                Some((start, end)) => {
                    format!(
                        "{} to {}, noted {}",
                        shown(start),
                        shown(end),
                        shown(due.run_ns)
                    )
                }
                None => format!("noted {}", shown(due.run_ns)),
            },
        }
    }

    #[test]
    fn a_run_goes_back_over_points_that_came_late() {
        let late = |minutes: i64, resample, last| {
            let late_ns = minutes * 60_000_000_000;
            due_late(late_ns, resample, "time(1m)", last, "12:01:00")
        };
        let back = "11:56:00 to 12:01:00, noted 12:01:00";
        assert_eq!(late(5, "", Some("12:00:00")), back);
        assert_eq!(late(5, "RESAMPLE FOR 2m", Some("12:00:00")), back);
        assert_eq!(late(1, "RESAMPLE FOR 5m", Some("12:00:00")), back);
        assert_eq!(late(5, "", Some("12:00:30")), "not yet");
    }

    #[test]
    fn a_window_is_run_once_it_has_passed() {
        let minute = |last, now| due("", "time(1m)", last, now);
        assert_eq!(minute(None, "12:00:30"), "noted 12:00:00");
        assert_eq!(minute(Some("12:00:00"), "12:00:59"), "not yet");
        assert_eq!(
            minute(Some("12:00:00"), "12:01:00"),
            "12:00:00 to 12:01:00, noted 12:01:00"
        );
        assert_eq!(
            minute(Some("12:00:00"), "12:01:07"),
            "12:00:00 to 12:01:00, noted 12:01:00"
        );
    }

    #[test]
    fn windows_that_passed_unnoticed_are_made_up_for() {
        assert_eq!(
            due("", "time(1m)", Some("12:00:00"), "13:30:20"),
            "12:00:00 to 13:30:00, noted 13:30:00"
        );
    }

    #[test]
    fn an_offset_shifts_windows_and_runs() {
        let shifted = |last, now| due("", "time(1h, 15m)", last, now);
        assert_eq!(shifted(Some("12:15:00"), "13:14:59"), "not yet");
        assert_eq!(
            shifted(Some("12:15:00"), "13:15:00"),
            "12:15:00 to 13:15:00, noted 13:15:00"
        );
    }

    #[test]
    fn resample_runs_more_often_and_further_back() {
        // The window that has begun is included when runs are closer than windows.
        assert_eq!(
            due(
                "RESAMPLE EVERY 30s",
                "time(1m)",
                Some("12:00:00"),
                "12:00:30"
            ),
            "12:00:00 to 12:01:00, noted 12:00:30"
        );
        assert_eq!(
            due("RESAMPLE FOR 1h", "time(30m)", Some("12:00:00"), "12:30:00"),
            "11:30:00 to 12:30:00, noted 12:30:00"
        );
        assert_eq!(
            due(
                "RESAMPLE EVERY 1h",
                "time(30m)",
                Some("12:00:00"),
                "13:00:00"
            ),
            "12:00:00 to 13:00:00, noted 13:00:00"
        );
        assert_eq!(
            due(
                "RESAMPLE EVERY 15m FOR 90m",
                "time(30m)",
                Some("12:00:00"),
                "12:15:00"
            ),
            "11:00:00 to 12:30:00, noted 12:15:00"
        );
    }

    /// On that day clocks in Berlin are set from 2 to 3, at 01:00 in UTC.
    #[test]
    fn a_day_of_a_zone_may_be_shorter() {
        let day = |now| {
            let windows = "time(1d) TZ('Europe/Berlin')";
            due("", windows, Some("2024-03-30T23:00:00"), now)
        };
        assert_eq!(day("21:59:59"), "not yet");
        assert_eq!(
            day("22:00:00"),
            "2024-03-30T23:00:00 to 22:00:00, noted 22:00:00"
        );
    }

    #[test]
    fn what_has_no_windows_has_no_schedule() {
        let text = "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT x INTO y FROM m END";
        let Ok(Statement::CreateContinuousQuery(create)) = parse_statement(text, &Params::new())
        else {
            panic!("{text}");
        };
        assert!(Schedule::of(&create).unwrap().is_none());
    }
}
