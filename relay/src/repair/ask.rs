//! A server that answers InfluxQL.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value as Json;
use tandem_http::{Call, Client, ClientConfig, Url, percent_encode};

use super::{RepairError, first_strings};

/// A window is read whole; rows are bounded before that.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// For counting what is on disk only.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(300);

/// See the module's head.
pub(crate) struct Server {
    url: Url,
    client: Client,
}

impl Server {
    pub(super) fn new(url: &Url) -> Self {
        let client = Client::new(ClientConfig {
            request_timeout: ANSWER_TIME_MAX,
            answer_bytes_max: ANSWER_BYTES_MAX,
            ..ClientConfig::default()
        });
        Self::with(url, client)
    }

    /// One that is asked through a client that is there already.
    pub(crate) fn with(url: &Url, client: Client) -> Self {
        Self {
            url: url.clone(),
            client,
        }
    }

    /// The series of one statement, times in nanoseconds. A database or a measurement that is not
    /// there has none.
    pub(super) async fn series(
        &self,
        database: &str,
        text: &str,
    ) -> Result<Vec<Json>, RepairError> {
        let target = format!(
            "/query?epoch=ns&db={}&q={}",
            percent_encode(database),
            percent_encode(text)
        );
        let answer = self.call(Call::get(target)).await?;
        let body: Json = serde_json::from_slice(&answer).map_err(|error| self.said(error))?;
        let result = &body["results"][0];
        for error in [&body["error"], &result["error"]] {
            match error.as_str() {
                Some(text) if text.contains("not found") => return Ok(Vec::new()),
                Some(text) => return Err(self.said(text)),
                None => {}
            }
        }
        Ok(result["series"].as_array().cloned().unwrap_or_default())
    }

    /// The names that a SHOW statement gives.
    pub(super) async fn names(&self, text: &str) -> Result<Vec<String>, RepairError> {
        Ok(first_strings(&self.series("", text).await?))
    }

    /// Writes lines with times in nanoseconds.
    pub(super) async fn write(
        &self,
        database: &str,
        policy: &str,
        lines: String,
    ) -> Result<(), RepairError> {
        let target = format!(
            "/write?precision=n&db={}&rp={}",
            percent_encode(database),
            percent_encode(policy)
        );
        let call = Call::post(target, vec![Bytes::from(lines)], true);
        self.call(call).await.map(drop)
    }

    async fn call(&self, call: Call) -> Result<Bytes, RepairError> {
        let called = self.client.send(&self.url, call).await;
        let answer = called.map_err(|source| RepairError::Call {
            server: self.url.authority(),
            source,
        })?;
        let status = answer.status;
        let body = answer.body.into_bytes();
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            return Err(self.said(format!("{status} {}", text.trim())));
        }
        Ok(body)
    }

    fn said(&self, text: impl std::fmt::Display) -> RepairError {
        RepairError::Answer {
            server: self.url.authority(),
            text: text.to_string(),
        }
    }
}
