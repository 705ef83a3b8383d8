//! What Prometheus sends to `remote_write` and asks of `remote_read`, as InfluxDB 1.8 takes it
//! (`prometheus/converters.go`).
//!
//! A metric's name is the measurement, every label is a tag, `__name__` too, and the value is the
//! field `value`. What InfluxDB cannot hold (NaN, infinities) is left out in silence.
//!
//! A body is a block of Snappy around protobuf. Both are read by hand: five messages with a handful of
//! fields do not need a code generator. Lengths are checked before anything is allocated, and unknown
//! fields (metadata, exemplars, histograms) are passed over.

mod read;
mod samples;
mod wire;

pub(super) use samples::lines;

use snap::raw::{Decoder, decompress_len};
use tandem_http::{Body, BodyError, Incoming, Response};
use tandem_model::Precision;

use super::encoding::{DecodeError, Encoding};
use super::write::Target;
use super::{Api, Ask};
use crate::auth::Identity;

/// The tag that holds a metric's name.
const NAME_LABEL: &str = "__name__";
/// The measurement of what has no name.
const NO_NAME: &[u8] = b"prom_metric_not_specified";
/// The field that holds the value.
const FIELD: &str = "value";

impl Api {
    /// `/api/v1/prom/write`.
    pub(super) async fn prometheus_write(
        &self,
        ask: &Ask,
        identity: &Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        self.counters.prometheus_writes.add(1);
        let writing = async {
            let database = ask.params.get_filled("db");
            let database = database.ok_or_else(|| ask.bad("database is required"))?;
            self.may_write(ask, identity, database)?;
            let target = Target {
                database: database.to_owned(),
                policy: ask.params.get_filled("rp").map(str::to_owned),
                precision: Precision::Nanosecond,
            };
            self.store_body(ask, target, Encoding::Prometheus, body)
                .await
        };
        self.counted_write(writing).await
    }
}

/// Opens a block of Snappy that holds at most `bytes_max` bytes.
fn unsnap(block: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
    let corrupt = |_| DecodeError::Broken("snappy: corrupt input".into());
    let length = decompress_len(block).map_err(corrupt)?;
    if length > bytes_max {
        return Err(DecodeError::Body(BodyError::TooLarge { bytes_max }));
    }
    let mut out = vec![0; length];
    let length = Decoder::new()
        .decompress(block, &mut out)
        .map_err(corrupt)?;
    out.truncate(length);
    Ok(out)
}

impl From<wire::Broken> for DecodeError {
    fn from(error: wire::Broken) -> Self {
        Self::Broken(error.to_string())
    }
}
