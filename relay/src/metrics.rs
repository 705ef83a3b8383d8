//! `/metrics`: the figures of `/status` in Prometheus' text format.

use std::fmt::Write;

use crate::report::{BackendStatus, Condition};

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A figure of a backend: name, type, help, value.
type Figure = (
    &'static str,
    &'static str,
    &'static str,
    fn(&BackendStatus) -> u64,
);

const FIGURES: [Figure; 21] = [
    (
        "divergences_total",
        "counter",
        "Windows in which it was found to differ from the first backend.",
        |s| s.divergences,
    ),
    (
        "written_batches_total",
        "counter",
        "Batches that it confirmed, live or from its queue.",
        |s| s.written_batches,
    ),
    ("written_lines_total", "counter", "Lines in them.", |s| {
        s.written_lines
    }),
    (
        "spilled_batches_total",
        "counter",
        "Batches that went to its queue.",
        |s| s.spilled_batches,
    ),
    ("spilled_lines_total", "counter", "Lines in them.", |s| {
        s.spilled_lines
    }),
    (
        "partial_batches_total",
        "counter",
        "Batches of which it refused some lines.",
        |s| s.partial_batches,
    ),
    (
        "dead_batches_total",
        "counter",
        "Batches that it refused for good, kept as dead letters.",
        |s| s.dead_batches,
    ),
    (
        "refused_batches_total",
        "counter",
        "Batches that neither it nor its queue took; clients were told.",
        |s| s.refused_batches,
    ),
    (
        "dropped_batches_total",
        "counter",
        "Batches dropped because its queue was full; they are in the gap list.",
        |s| s.dropped_batches,
    ),
    ("dropped_lines_total", "counter", "Lines in them.", |s| {
        s.dropped_lines
    }),
    (
        "corruptions_total",
        "counter",
        "Damaged places of its queue.",
        |s| s.corruptions,
    ),
    ("queued_batches", "gauge", "Batches in its queue.", |s| {
        s.queued_batches
    }),
    ("queued_bytes", "gauge", "Bytes of them.", |s| {
        s.queued_bytes
    }),
    (
        "queued_age_milliseconds",
        "gauge",
        "Age of the oldest of them.",
        |s| s.queued_age_ms,
    ),
    (
        "queue_bytes",
        "gauge",
        "Bytes on disk that its queue takes.",
        |s| s.queue_bytes,
    ),
    ("queue_bytes_max", "gauge", "The bound of that.", |s| {
        s.queue_bytes_max
    }),
    (
        "held_databases",
        "gauge",
        "Databases that it refuses until an operator mends something.",
        |s| s.held.len() as u64,
    ),
    (
        "held_batches",
        "gauge",
        "Batches that wait for that.",
        |s| s.held.iter().map(|held| held.batches).sum(),
    ),
    (
        "dead_bytes",
        "gauge",
        "Bytes on disk of the dead letters.",
        |s| s.dead_bytes,
    ),
    ("gap_points", "gauge", "Points in the gap list.", |s| {
        s.gap_points
    }),
    (
        "live",
        "gauge",
        "1 while every batch goes to it at once.",
        |s| u64::from(s.condition == Condition::Live),
    ),
];

/// The page; `all` are the bytes received, the lines left out, those of datagrams that failed, and windows that
/// were compared, points copied to mend them, and measurements that could not be compared.
pub(crate) fn text(backends: &[BackendStatus], all: [u64; 6]) -> String {
    let [
        received_bytes,
        left_out_lines,
        udp_failed_lines,
        windows,
        mended,
        failures,
    ] = all;
    let mut out = String::new();
    let mut alone = |name: &str, help: &str, value: u64| {
        // Writing to a `String` does not fail.
        let _ = writeln!(
            out,
            "# HELP tandem_relay_{name} {help}\n# TYPE tandem_relay_{name} counter\ntandem_relay_{name} {value}"
        );
    };
    alone(
        "received_bytes_total",
        "Bytes of bodies that were relayed.",
        received_bytes,
    );
    alone(
        "left_out_lines_total",
        "Lines that no backend wants.",
        left_out_lines,
    );
    alone(
        "udp_failed_lines_total",
        "Lines of datagrams that were refused or found no room.",
        udp_failed_lines,
    );
    alone(
        "compared_windows_total",
        "Windows of measurements that were compared between backends.",
        windows,
    );
    alone(
        "compare_mended_points_total",
        "Points that were copied because two backends differed.",
        mended,
    );
    alone(
        "compare_failures_total",
        "Measurements that could not be compared.",
        failures,
    );
    for (name, kind, help, value) in FIGURES {
        let _ = writeln!(
            out,
            "# HELP tandem_relay_backend_{name} {help}\n# TYPE tandem_relay_backend_{name} {kind}"
        );
        for backend in backends {
            let _ = writeln!(
                out,
                "tandem_relay_backend_{name}{{backend=\"{}\"}} {}",
                backend.name,
                value(backend)
            );
        }
    }
    let name = "tandem_relay_backend_tolerable_outage_seconds";
    let _ = writeln!(
        out,
        "# HELP {name} For how long its queue takes what comes in at present.\n# TYPE {name} gauge"
    );
    for backend in backends {
        if let Some(seconds) = backend.tolerable_outage_s {
            let _ = writeln!(out, "{name}{{backend=\"{}\"}} {seconds}", backend.name);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn every_figure_has_a_type_and_a_line_for_each_backend() {
        let report = Report::new("primary");
        report.written(7);
        let mut status = report.status();
        status.tolerable_outage_s = Some(60);
        let text = text(&[status], [5, 0, 0, 0, 0, 0]);
        assert!(text.contains("tandem_relay_backend_written_lines_total{backend=\"primary\"} 7\n"));
        assert!(
            text.contains(
                "tandem_relay_backend_tolerable_outage_seconds{backend=\"primary\"} 60\n"
            )
        );
        assert!(text.contains("tandem_relay_received_bytes_total 5\n"));
        let types = text.matches("# TYPE ").count();
        assert_eq!(
            types,
            text.lines().filter(|line| !line.starts_with('#')).count()
        );
    }
}
