//! The browser page: the files of `ui/`, built and embedded when this crate was, served below any
//! prefix.
//!
//! Files were compressed when they were embedded, so that a page costs a phone little and a server nothing.
//! The page may load nothing from elsewhere and run no inline script; its policy says so to the
//! browser.

use bytes::Bytes;
use tandem_http::{Body, HeaderName, HeaderValue, Response, StatusCode, full, header};

/// Path, content, and content after gzip, of each file; empty when the page could not be built.
static FILES: &[(&str, &[u8], &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Stands in for the page where it could not be built.
static PLAIN_PAGE: &[u8] = include_bytes!("page/plain.html");

const INDEX: &str = "index.html";

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// Sent with every file.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Whether the full page is embedded, not only the plain one.
#[must_use]
pub fn is_built() -> bool {
    !FILES.is_empty()
}

/// Answers a request for `path`, which is relative to where the page is mounted; `None` when there
/// is no such file. `gzip` says whether the client takes that.
pub(crate) fn serve(path: &str, gzip: bool) -> Option<Response<Body>> {
    let path = if path.is_empty() { INDEX } else { path };
    let (plain, compressed) = match FILES.iter().find(|(name, _, _)| *name == path) {
        Some((_, plain, compressed)) => (*plain, *compressed),
        None if path == INDEX && !is_built() => (PLAIN_PAGE, PLAIN_PAGE),
        None => return None,
    };
    let is_compressed = gzip && compressed.len() < plain.len();
    let content = if is_compressed { compressed } else { plain };
    let mut response = full(
        StatusCode::OK,
        content_type(path),
        Bytes::from_static(content),
    );
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // The names below assets/ change with the content.
    let caching = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    Some(response)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_is_there_with_its_policy() {
        let response = serve("", false).unwrap();
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"));
    }

    #[test]
    fn all_files_together_are_light() {
        let bytes: usize = FILES
            .iter()
            .map(|(_, _, compressed)| compressed.len())
            .sum();
        assert!(bytes <= 300_000, "{bytes} bytes after gzip");
        for (name, plain, compressed) in FILES {
            if plain == compressed {
                continue;
            }
            let stream = [Bytes::from_static(compressed)];
            let inflated = tandem_http::gunzip(&stream, plain.len()).unwrap();
            assert_eq!(inflated, *plain, "{name}");
            let sent = serve(name, true).unwrap();
            assert_eq!(sent.headers()[header::CONTENT_ENCODING], "gzip");
        }
    }

    #[test]
    fn what_is_not_a_file_of_the_page_is_not_served() {
        for path in [
            "../Cargo.toml",
            "/",
            "assets",
            "assets/",
            "index.html/",
            "INDEX.HTML",
        ] {
            assert!(serve(path, true).is_none(), "{path}");
        }
    }

    #[test]
    fn pages_hold_no_inline_script() {
        let html = FILES
            .iter()
            .filter(|(name, _, _)| name.ends_with(".html"))
            .map(|(_, content, _)| *content);
        for page in html.chain([PLAIN_PAGE]) {
            let page = String::from_utf8_lossy(page).to_lowercase();
            for (at, _) in page.match_indices("<script") {
                let tag = &page[at..page[at..].find('>').map_or(page.len(), |end| at + end)];
                assert!(tag.contains(" src="), "{tag}");
            }
            assert!(
                !page.contains(" onclick=")
                    && !page.contains(" onload=")
                    && !page.contains(" style=")
            );
        }
    }
}
