//! Answers that every path gives: errors in the form that was asked for, and refusals as Go's server
//! words them.

use tandem_http::{
    Body, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, empty, full, header,
};

use crate::output::{Format, error_body};

const X_INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

/// Where the text in `X-Influxdb-Error` is cut, in bytes.
const ERROR_HEADER_BYTES_MAX: usize = 1024;

/// When a request that was refused because too much was going on should come again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An answer that is an error, in the form that was asked for.
pub(super) fn error_answer(
    status: StatusCode,
    text: &str,
    format: Format,
    pretty: bool,
) -> Response<Body> {
    let mut response = full(
        status,
        format.content_type(),
        error_body(format, pretty, text),
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    if status != StatusCode::UNAUTHORIZED
        && let Some(value) = tandem_http::header_text(text, ERROR_HEADER_BYTES_MAX)
    {
        response.headers_mut().insert(X_INFLUXDB_ERROR, value);
    }
    response
}

/// As Go's `http.Error`.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = full(status, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

pub(super) fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(super) fn method_not_allowed(allowed: &[Method]) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// The answer to a request that expects more than to be told to go on, which no server does.
pub(super) fn refused_expectation(headers: &HeaderMap) -> Option<Response<Body>> {
    let expected = headers.get(header::EXPECT)?.as_bytes();
    let expected = String::from_utf8_lossy(expected).to_ascii_lowercase();
    let mut tokens = expected.split([',', ' ', '\t']);
    if expected.trim().is_empty() || tokens.any(|token| token == "100-continue") {
        return None;
    }
    let mut response = empty(StatusCode::EXPECTATION_FAILED);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Some(response)
}
