//! `/debug/vars`: what Telegraf's input `influxdb` and others read, in the shape of Go's `expvar`.

use std::fmt::Write as _;

use tandem_http::{Body, Response, StatusCode, full, write_json_string};

use super::{Api, finished, now_ns};
use crate::output::write_rfc3339;
use crate::statistics::{Memory, Statistic};

impl Api {
    pub(super) async fn vars(&self) -> Response<Body> {
        let sources = self.sources.clone();
        let gathering = tokio::task::spawn_blocking(move || {
            (Memory::now(&sources.store.stats()), sources.all())
        });
        let (memory, all) = finished(gathering).await;
        let text = text(now_ns(), self.started_s, memory, &all);
        full(StatusCode::OK, "application/json; charset=utf-8", text)
    }
}

fn text(now_ns: i64, started_s: i64, memory: Memory, all: &[Statistic]) -> Vec<u8> {
    let mut out = b"{\n\"system\": {\"currentTime\":\"".to_vec();
    write_rfc3339(&mut out, now_ns, None);
    out.extend_from_slice(b"\",\"started\":\"");
    write_rfc3339(&mut out, started_s.saturating_mul(1_000_000_000), None);
    let uptime = (now_ns / 1_000_000_000).saturating_sub(started_s);
    let Memory { used, resident, .. } = memory;
    // Programs may hold secrets in their arguments; only the name is told.
    let mut head =
        format!("\",\"uptime\":{uptime}}},\n\"cmdline\": [\"tandem\"],\n\"memstats\": {{");
    // What a Go program would tell of its heap; there is no garbage to collect here.
    for name in ["Alloc", "TotalAlloc", "HeapAlloc", "HeapInuse"] {
        let _ = write!(head, "\"{name}\":{used},");
    }
    for name in ["Sys", "HeapSys"] {
        let _ = write!(head, "\"{name}\":{resident},");
    }
    for name in [
        "Lookups",
        "Mallocs",
        "Frees",
        "HeapIdle",
        "HeapReleased",
        "HeapObjects",
        "StackInuse",
        "StackSys",
        "MSpanInuse",
        "MSpanSys",
        "MCacheInuse",
        "MCacheSys",
        "BuckHashSys",
        "GCSys",
        "OtherSys",
        "NextGC",
        "LastGC",
        "PauseTotalNs",
        "NumGC",
        "NumForcedGC",
        "GCCPUFraction",
    ] {
        let _ = write!(head, "\"{name}\":0,");
    }
    head.push_str(
        "\"PauseNs\":[0],\"PauseEnd\":[0],\"EnableGC\":true,\"DebugGC\":false,\"BySize\":[]}",
    );
    out.extend_from_slice(head.as_bytes());
    for statistic in all {
        out.extend_from_slice(b",\n");
        write_json_string(&mut out, statistic.key().as_bytes());
        out.extend_from_slice(b": {\"name\":");
        write_json_string(&mut out, statistic.name.as_bytes());
        out.extend_from_slice(b",\"tags\":{");
        for (at, (key, value)) in statistic.tags.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_json_string(&mut out, key.as_bytes());
            out.push(b':');
            write_json_string(&mut out, value.as_bytes());
        }
        out.extend_from_slice(b"},\"values\":{");
        for (at, (key, value)) in statistic.values.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_json_string(&mut out, key.as_bytes());
            out.extend_from_slice(format!(":{value}").as_bytes());
        }
        out.extend_from_slice(b"}}");
    }
    out.extend_from_slice(b"\n}\n");
    out
}
