//! `/health`: whether the store takes writes, and what is missing of its data.

use tandem_http::{Body, Response, StatusCode, full, write_json_string};
use tandem_store::Store;

use super::Api;

impl Api {
    /// Passes while the store takes writes; queries are answered either way. Damage is told and does not fail it: a
    /// store that is taken out for it would answer nothing, and take no writes, instead of nearly all.
    pub(super) fn health(&self) -> Response<Body> {
        let (status, name, message) = match self.store.check() {
            Ok(()) => {
                let mut message = "ready for queries and writes".to_owned();
                let damage = damage(&self.store);
                if !damage.is_empty() {
                    message.push_str(", but data is missing: ");
                    message.push_str(&damage.join(", "));
                }
                (StatusCode::OK, "pass", message)
            }
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, "fail", error.to_string()),
        };
        let mut body = b"{\"checks\":[],\"message\":".to_vec();
        write_json_string(&mut body, message.as_bytes());
        body.extend_from_slice(b",\"name\":\"influxdb\",\"status\":");
        write_json_string(&mut body, name.as_bytes());
        body.extend_from_slice(b",\"version\":");
        write_json_string(&mut body, self.config.version.as_bytes());
        body.push(b'}');
        full(status, "application/json", body)
    }
}

/// What of a store's data does not answer, in words; nothing where all is well.
fn damage(store: &Store) -> Vec<String> {
    let report = store.report();
    let counts = [
        (store.damaged().len() as u64, "damaged or missing files"),
        (report.orphans.len() as u64, "files without a manifest"),
        (report.lost_rows, "lost rows of the WAL"),
    ];
    let told = counts.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("{what}: {count}"))
        .collect()
}
