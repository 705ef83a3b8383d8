//! The parts of a server beside its store and its API that count what they do: for `/metrics`, and for the
//! statistics under InfluxDB's names.

use std::sync::Arc;

use tandem_http::ListenerStats;

use crate::listen::InputCounters;
use crate::metrics::Exposition;
use crate::statistics::Statistic;
use crate::subscriptions::Feed;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Parts {
    /// By what they serve.
    pub(crate) listeners: Vec<(&'static str, Arc<ListenerStats>)>,
    pub(crate) inputs: Vec<Arc<InputCounters>>,
    pub(crate) feed: Feed,
}

impl Parts {
    /// Appends what goes to `/metrics`.
    pub(crate) fn expose(&self, out: &mut Exposition) {
        type OfListener = fn(&ListenerStats) -> u64;
        let counts: [(&str, &str, &str, OfListener); 4] = [
            (
                "http_connections_active",
                "Connections open.",
                "gauge",
                ListenerStats::open,
            ),
            (
                "http_connections_total",
                "Connections taken.",
                "counter",
                ListenerStats::accepted,
            ),
            (
                "http_connections_evicted_total",
                "Idle connections that made room for new ones.",
                "counter",
                ListenerStats::evicted,
            ),
            (
                "http_handshakes_failed_total",
                "Connections on which no TLS came about.",
                "counter",
                ListenerStats::handshakes_failed,
            ),
        ];
        for (name, help, kind, of) in counts {
            out.head(name, help, kind);
            for (serves, stats) in &self.listeners {
                out.line(name, &[("serves", serves)], of(stats));
            }
        }
        self.expose_inputs(out);
        self.expose_feed(out);
    }

    fn expose_inputs(&self, out: &mut Exposition) {
        if self.inputs.is_empty() {
            return;
        }
        type OfInput = fn(&InputCounters) -> u64;
        let counts: [(&str, &str, &str, OfInput); 13] = [
            (
                "listen_bytes_total",
                "Bytes that came.",
                "counter",
                |input| input.bytes.get(),
            ),
            (
                "listen_messages_total",
                "Datagrams, lines of connections, or bodies.",
                "counter",
                |input| input.messages.get(),
            ),
            (
                "listen_malformed_total",
                "What could not be decoded.",
                "counter",
                |input| input.malformed.get(),
            ),
            (
                "listen_not_a_number_total",
                "Values that are no numbers.",
                "counter",
                |input| input.not_a_number.get(),
            ),
            (
                "listen_points_total",
                "Points that were decoded.",
                "counter",
                |input| input.points.get(),
            ),
            (
                "listen_points_stored_total",
                "Points that are stored.",
                "counter",
                |input| input.points_stored.get(),
            ),
            (
                "listen_points_dropped_queue_total",
                "Points for which there was no room.",
                "counter",
                |input| input.dropped_queue.get(),
            ),
            (
                "listen_points_dropped_store_total",
                "Points that the store did not take.",
                "counter",
                |input| input.dropped_store.get(),
            ),
            (
                "listen_pending_bytes",
                "Bytes of lines that wait.",
                "gauge",
                |input| input.bytes_pending.get(),
            ),
            (
                "listen_batches_total",
                "Batches that were stored.",
                "counter",
                |input| input.batches.get(),
            ),
            (
                "listen_batches_failed_total",
                "Batches of which nothing was stored.",
                "counter",
                |input| input.batches_failed.get(),
            ),
            (
                "listen_connections_active",
                "Connections open.",
                "gauge",
                |input| input.connections_active.get(),
            ),
            (
                "listen_connections_evicted_total",
                "Connections closed to make room for others.",
                "counter",
                |input| input.seats.evicted(),
            ),
        ];
        for (name, help, kind, of) in counts {
            out.head(name, help, kind);
            for input in &self.inputs {
                let labels: [(&str, &dyn std::fmt::Display); 2] =
                    [("listener", &input.kind), ("bind", &input.bind)];
                out.line(name, &labels, of(input));
            }
        }
    }

    fn expose_feed(&self, out: &mut Exposition) {
        let destinations = self.feed.stats();
        if destinations.is_empty() {
            return;
        }
        for (name, help) in [
            ("subscription_points_total", "Points delivered."),
            (
                "subscription_failures_total",
                "Writes that could not be delivered.",
            ),
            (
                "subscription_dropped_total",
                "Writes for which there was no room.",
            ),
        ] {
            out.head(name, help, "counter");
            for one in &destinations {
                let counter = match name {
                    "subscription_points_total" => &one.counters.points,
                    "subscription_failures_total" => &one.counters.failures,
                    _ => &one.counters.writes_dropped,
                };
                let [database, policy, subscription, destination] =
                    [&one.database, &one.policy, &one.name, &one.destination]
                        .map(|text| crate::metrics::escaped(text));
                let labels: [(&str, &dyn std::fmt::Display); 4] = [
                    ("database", &database),
                    ("policy", &policy),
                    ("subscription", &subscription),
                    ("destination", &destination),
                ];
                out.line(name, &labels, counter.get());
            }
        }
    }

    /// What they tell under InfluxDB's names.
    pub(crate) fn statistics(&self) -> Vec<Statistic> {
        let mut all: Vec<Statistic> = self.inputs.iter().map(|input| of_input(input)).collect();
        let (mut points, mut failures) = (0, 0);
        for one in self.feed.stats() {
            let counters = &one.counters;
            points += counters.points.get();
            failures += counters.failures.get() + counters.writes_dropped.get();
            all.push(Statistic::new(
                "subscriber",
                [
                    ("database", one.database),
                    ("destination", one.destination),
                    ("mode", one.mode),
                    ("name", one.name),
                    ("retention_policy", one.policy),
                ],
                [
                    ("pointsWritten", counters.points.get()),
                    (
                        "writeFailures",
                        counters.failures.get() + counters.writes_dropped.get(),
                    ),
                ],
            ));
        }
        all.push(Statistic::new(
            "subscriber",
            [],
            [
                ("createFailures", 0),
                ("pointsWritten", points),
                ("writeFailures", failures),
            ],
        ));
        all
    }
}

fn of_input(input: &InputCounters) -> Statistic {
    let common = [
        ("batchesTx", input.batches.get()),
        ("batchesTxFail", input.batches_failed.get()),
        ("bytesRx", input.bytes.get()),
    ];
    let points = input.points.get();
    let (proto, own): (Option<&str>, Vec<(&'static str, u64)>) = match input.kind {
        "udp" => (
            None,
            vec![
                ("pointsRx", points),
                ("pointsParseFail", input.malformed.get()),
                ("pointsTx", input.points_stored.get()),
                ("readFail", 0),
            ],
        ),
        "graphite" => (
            Some(if input.is_udp { "udp" } else { "tcp" }),
            vec![
                ("connsActive", input.connections_active.get()),
                ("connsHandled", input.connections.get()),
                ("pointsNaNFail", input.not_a_number.get()),
                ("pointsParseFail", input.malformed.get()),
                ("pointsRx", points),
                ("pointsTx", input.points_stored.get()),
            ],
        ),
        "opentsdb" => (
            None,
            vec![
                ("connsActive", input.connections_active.get()),
                ("connsHandled", input.connections.get()),
                ("droppedPointsInvalid", input.malformed.get()),
                ("pointsTx", input.points_stored.get()),
            ],
        ),
        _ => (
            None,
            vec![
                ("droppedPointsInvalid", input.not_a_number.get()),
                ("pointsParseFail", input.malformed.get()),
                ("pointsRx", points),
                ("pointsTx", input.points_stored.get()),
                ("readFail", 0),
            ],
        ),
    };
    let mut tags = vec![("bind", input.bind.clone())];
    tags.extend(proto.map(|proto| ("proto", proto.to_owned())));
    Statistic::new(input.kind, tags, own.into_iter().chain(common))
}
