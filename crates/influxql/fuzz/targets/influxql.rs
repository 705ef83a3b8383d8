//! Any text: lexer and parser end with a tree or an error, and what a tree prints parses to the same tree.
#![no_main]

mod text;

use libfuzzer_sys::fuzz_target;
use tandem_influxql::{Params, parse_query, redact_passwords};

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = text::text(bytes) else {
        return;
    };
    let _ = redact_passwords(&text);
    let query = match parse_query(&text, &Params::new()) {
        Ok(query) => query,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let printed = query.to_string();
    // What holds a password does not say it.
    if printed.contains("[REDACTED]") {
        return;
    }
    let again = parse_query(&printed, &Params::new());
    let again = again.unwrap_or_else(|error| panic!("{text:?} printed {printed:?}: {error}"));
    assert_eq!(again, query, "{text:?} printed {printed:?}");
    assert_eq!(again.to_string(), printed);
});
