//! Whatever the text, parsing ends soon, on little stack, with a tree or an error.

use proptest::prelude::*;
use tandem_influxql::{
    ParamValue, Params, ParseError,
    ast::{Expr, Source, Statement},
    limits::{
        EXPR_DEPTH_MAX, LIST_ITEMS_MAX, PARAMS_BYTES_MAX, QUERY_BYTES_MAX, REGEX_BYTES_MAX,
        STATEMENTS_MAX, SUBQUERY_DEPTH_MAX,
    },
    parse_query, redact_passwords,
};

/// Runs on a stack much smaller than a server thread's, so that depth shows.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    thread.spawn(test).unwrap().join().unwrap();
}

fn error(text: &str) -> ParseError {
    parse_query(text, &Params::new()).unwrap_err()
}

fn too_large(text: &str, what: &'static str, max: usize) {
    assert_eq!(error(text), ParseError::TooLarge { what, max });
}

#[test]
fn deep_nesting_is_refused() {
    on_small_stack(|| {
        let many = 100_000;
        for (open, close) in [("(", ")"), ("f(", ")"), ("-(", ")"), ("f(1, 2, (", "))")] {
            let text = format!("SELECT {}x{} FROM m", open.repeat(many), close.repeat(many));
            too_large(&text, "levels of an expression", EXPR_DEPTH_MAX);
            let unclosed = format!("SELECT a FROM m WHERE {}", open.repeat(many));
            too_large(&unclosed, "levels of an expression", EXPR_DEPTH_MAX);
        }
        for op in ["+", "-", "*", "^", "="] {
            let sum = format!("x{}", format!(" {op} x").repeat(many));
            let text = format!("SELECT a FROM m WHERE {sum}");
            too_large(&text, "levels of an expression", EXPR_DEPTH_MAX);
        }
        let mut subqueries = "SELECT a FROM (".repeat(many);
        too_large(&subqueries, "levels of subqueries", SUBQUERY_DEPTH_MAX);
        subqueries += "b";
        too_large(&subqueries, "levels of subqueries", SUBQUERY_DEPTH_MAX);
    });
}

#[test]
fn nesting_below_the_maximum_is_taken_printed_compared_and_dropped() {
    on_small_stack(|| {
        let depth = EXPR_DEPTH_MAX - 2;
        for (open, close) in [("(", ")"), ("f(", ")")] {
            let expr = format!("{}x{}", open.repeat(depth), close.repeat(depth));
            let text = format!("SELECT {expr} FROM m WHERE {expr} = 1");
            let query = parse_query(&text, &Params::new()).unwrap();
            assert_eq!(query.to_string(), text);
            assert_eq!(parse_query(&text, &Params::new()).unwrap(), query.clone());
        }
        let sum = format!("SELECT x{} FROM m", " + x".repeat(depth));
        assert_eq!(parse_query(&sum, &Params::new()).unwrap().to_string(), sum);
        let text = format!(
            "{}SELECT a FROM b{}",
            "SELECT a FROM (".repeat(SUBQUERY_DEPTH_MAX),
            ")".repeat(SUBQUERY_DEPTH_MAX)
        );
        assert_eq!(
            parse_query(&text, &Params::new()).unwrap().to_string(),
            text
        );
    });
}

fn depth(expr: &Expr) -> usize {
    match expr {
        Expr::Binary { lhs, rhs, .. } => 1 + depth(lhs).max(depth(rhs)),
        Expr::Paren(inner) => 1 + depth(inner),
        _ => 1,
    }
}

/// A dashboard variable with all hosts selected makes such a condition; InfluxDB takes it.
#[test]
fn a_long_chain_of_and_or_is_shallow_and_prints_as_it_was() {
    on_small_stack(|| {
        for count in [1, 2, 31, 32, 33, 34, 1_000, 40_000] {
            let chain = |op: &str| {
                let terms: Vec<String> = (0..count).map(|n| format!("h = '{n}'")).collect();
                terms.join(op)
            };
            let text = format!(
                "SELECT a FROM m WHERE ({}) AND {}",
                chain(" OR "),
                chain(" AND ")
            );
            let query = parse_query(&text, &Params::new()).unwrap();
            assert_eq!(query.to_string(), text);
            let Statement::Select(select) = &query.statements[0] else {
                panic!("{query:?}");
            };
            assert!(depth(select.condition.as_ref().unwrap()) < 70);
            assert!(matches!(select.sources[0], Source::Measurement(_)));
        }
    });
}

#[test]
fn long_texts_and_lists_are_refused() {
    let long = " ".repeat(QUERY_BYTES_MAX + 1);
    too_large(&long, "bytes", QUERY_BYTES_MAX);
    assert!(parse_query(&long[1..], &Params::new()).is_ok());

    let many = "x,".repeat(LIST_ITEMS_MAX);
    for (text, what) in [
        (format!("SELECT {many}x FROM m"), "fields"),
        (format!("SELECT f({many}x) FROM m"), "arguments of a call"),
        (format!("SELECT a FROM {many}x"), "sources"),
        (format!("SELECT a FROM m GROUP BY {many}x"), "dimensions"),
        (format!("SHOW TAG VALUES WITH KEY IN ({many}x)"), "tag keys"),
        (
            format!("SELECT {} FROM m", "x.".repeat(LIST_ITEMS_MAX + 1)),
            "segments of a name",
        ),
        (
            format!(
                "CREATE SUBSCRIPTION s ON d.p DESTINATIONS ALL {}'x'",
                "'x',".repeat(LIST_ITEMS_MAX)
            ),
            "destinations",
        ),
    ] {
        too_large(&text, what, LIST_ITEMS_MAX);
    }

    let statements = "SHOW USERS;".repeat(STATEMENTS_MAX);
    assert!(parse_query(&statements, &Params::new()).is_ok());
    too_large(
        &format!("{statements}SHOW USERS"),
        "statements",
        STATEMENTS_MAX,
    );

    let regex = "x".repeat(REGEX_BYTES_MAX + 1);
    let text = format!("SELECT /{regex}/ FROM m");
    too_large(&text, "bytes of a regular expression", REGEX_BYTES_MAX);

    let mut params = Params::new();
    params.insert("r", ParamValue::Regex(regex));
    let error = parse_query("SELECT a FROM m WHERE b =~ $r", &params).unwrap_err();
    assert!(matches!(
        error,
        ParseError::TooLarge {
            max: REGEX_BYTES_MAX,
            ..
        }
    ));

    params.insert("s", ParamValue::String("x".repeat(PARAMS_BYTES_MAX)));
    let error = parse_query("SHOW USERS", &params).unwrap_err();
    assert!(matches!(
        error,
        ParseError::TooLarge {
            max: PARAMS_BYTES_MAX,
            ..
        }
    ));
}

/// Pieces that make a lexer or parser stumble.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "SELECT ",
        "FROM ",
        "WHERE ",
        "GROUP BY ",
        "ORDER BY ",
        "LIMIT ",
        "INTO ",
        "SHOW ",
        "TAG VALUES ",
        "WITH KEY ",
        "CREATE ",
        "CONTINUOUS QUERY ",
        "BEGIN ",
        "END ",
        "DISTINCT ",
        "a",
        "\"b c\"",
        "'s'",
        "/r/",
        "$p",
        "$",
        "1",
        "1.5",
        "5m",
        "1.",
        ".",
        "..",
        ":",
        "::",
        "::tag",
        "(",
        ")",
        ",",
        ";",
        "*",
        "+",
        "-",
        "--",
        "/",
        "/*",
        "*/",
        "=",
        "=~",
        "!~",
        "!",
        "<>",
        "\\",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "µ",
        "é",
        "\"",
        "'",
        " ",
        "\t",
        "fill(",
        "tz('",
        "time(",
        "AND ",
        "OR ",
        "MEASUREMENT ",
        "PASSWORD ",
        "FOR ",
        "ALTER RETENTION POLICY ",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in any::<String>()) {
        let _ = parse_query(&text, &Params::new());
        let _ = redact_passwords(&text);
    }

    #[test]
    fn any_soup_is_taken_or_refused_and_what_is_taken_prints(text in soup()) {
        let mut params = Params::new();
        params.insert("p", ParamValue::Identifier("q".into()));
        if let Ok(query) = parse_query(&text, &params) {
            let printed = query.to_string();
            prop_assert_eq!(parse_query(&printed, &params).unwrap(), query, "{}", printed);
        }
        let _ = redact_passwords(&text);
    }
}
