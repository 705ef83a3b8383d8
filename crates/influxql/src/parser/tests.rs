//! Trees that the tables of statements cannot tell apart, and bound parameters.

use super::{parse_expr, parse_query, parse_statement};
use crate::{
    ParamValue, Params, Scalar,
    ast::{BinaryOp, DataType, Expr, Measurement, Statement, VarRef},
};

fn expr(text: &str) -> Expr {
    parse_expr(text, &Params::new()).unwrap()
}

fn select(text: &str) -> crate::ast::SelectStatement {
    match parse_statement(text, &Params::new()) {
        Ok(Statement::Select(select)) => *select,
        other => panic!("{text}: {other:?}"),
    }
}

/// The expression with all its parentheses.
fn grouped(expr: &Expr) -> String {
    match expr {
        Expr::Binary { op, lhs, rhs } => format!("[{} {op} {}]", grouped(lhs), grouped(rhs)),
        other => other.to_string(),
    }
}

#[test]
fn operators_group_by_precedence_and_to_the_left() {
    for (text, want) in [
        ("a + b * c", "[a + [b * c]]"),
        ("a * b + c", "[[a * b] + c]"),
        ("a - b - c", "[[a - b] - c]"),
        ("a / b * c % d & e", "[[[[a / b] * c] % d] & e]"),
        ("a | b ^ c + d", "[[[a | b] ^ c] + d]"),
        ("a = b + c * d", "[a = [b + [c * d]]]"),
        ("a = b = c", "[[a = b] = c]"),
        ("a OR b AND c OR d", "[[a OR [b AND c]] OR d]"),
        ("a AND b AND c", "[[a AND b] AND c]"),
        (
            "a AND b OR c AND d = e + f",
            "[[a AND b] OR [c AND [d = [e + f]]]]",
        ),
        (
            "a = 1 AND b =~ /x/ OR c > 2",
            "[[[a = 1] AND [b =~ /x/]] OR [c > 2]]",
        ),
        ("a * -b * c", "[[a * [-1 * b]] * c]"),
        ("-a + b", "[[-1 * a] + b]"),
        ("-a = b AND c", "[[[-1 * a] = b] AND c]"),
        ("a - -1 - b", "[[a - -1] - b]"),
    ] {
        assert_eq!(grouped(&expr(text)), want);
    }
}

#[test]
fn a_hand_made_tree_prints_with_the_parentheses_that_it_needs() {
    let (a, b, c) = (Expr::var("a"), Expr::var("b"), Expr::var("c"));
    let sum = Expr::binary(BinaryOp::Add, a.clone(), b.clone());
    for (tree, want) in [
        (
            Expr::binary(BinaryOp::Mul, sum.clone(), c.clone()),
            "(a + b) * c",
        ),
        (
            Expr::binary(BinaryOp::Sub, c.clone(), sum.clone()),
            "c - (a + b)",
        ),
        (Expr::binary(BinaryOp::Eq, c.clone(), sum), "c = a + b"),
        (
            Expr::binary(BinaryOp::And, a, Expr::binary(BinaryOp::Or, b, c)),
            "a AND (b OR c)",
        ),
    ] {
        assert_eq!(tree.to_string(), want);
    }
}

#[test]
fn names_and_casts() {
    assert_eq!(
        expr("a.\"b c\"::float"),
        Expr::VarRef(VarRef {
            name: "a.b c".into(),
            data_type: Some(DataType::Float)
        })
    );
}

#[test]
fn places_of_targets() {
    for (text, database, retention_policy, name) in [
        ("m", None, None, "m"),
        ("r.m", None, Some("r"), "m"),
        ("d.r.m", Some("d"), Some("r"), "m"),
        ("d..m", Some("d"), None, "m"),
        ("r.:MEASUREMENT", None, Some("r"), ""),
        ("d.r.:MEASUREMENT", Some("d"), Some("r"), ""),
        ("d..:MEASUREMENT", Some("d"), None, ""),
    ] {
        let want = Measurement {
            database: database.map(str::to_owned),
            retention_policy: retention_policy.map(str::to_owned),
            name: name.to_owned(),
            regex: None,
        };
        let select = select(&format!("SELECT a INTO {text} FROM x"));
        assert_eq!(select.into, Some(want), "{text}");
    }
}

#[test]
fn parse_statement_ignores_what_follows_and_parse_query_does_not() {
    let text = "SHOW DATABASES SHOW";
    assert!(parse_statement(text, &Params::new()).is_ok());
    assert!(parse_query(text, &Params::new()).is_err());
    assert_eq!(parse_query(" ;; ", &Params::new()).unwrap().statements, []);
}

#[test]
fn passwords_do_not_show() {
    for text in [
        "CREATE USER u WITH PASSWORD 'hunter2'",
        "SET PASSWORD FOR u = 'hunter2'",
    ] {
        let query = parse_query(text, &Params::new()).unwrap();
        let shown = format!("{query} {query:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

fn with_params(text: &str) -> String {
    let params: Params = [
        ("s", ParamValue::from(Scalar::String("a' OR '1'='1".into()))),
        ("i", ParamValue::from(Scalar::Integer(-5))),
        ("f", ParamValue::from(Scalar::Float(2.0))),
        ("b", ParamValue::from(Scalar::Boolean(true))),
        (
            "id",
            ParamValue::typed("identifier", Scalar::String("c pu".into())),
        ),
        (
            "id2",
            ParamValue::typed("ident", Scalar::String("select".into())),
        ),
        (
            "re",
            ParamValue::typed("regex", Scalar::String("^a/b$".into())),
        ),
        (
            "str",
            ParamValue::typed("string", Scalar::String("x".into())),
        ),
        ("num", ParamValue::typed("number", Scalar::Integer(3))),
        ("int", ParamValue::typed("integer", Scalar::Integer(3))),
        (
            "d",
            ParamValue::typed("duration", Scalar::String("1h30m".into())),
        ),
        (
            "dn",
            ParamValue::typed("duration", Scalar::Integer(60_000_000_000)),
        ),
        ("e1", ParamValue::typed("regex", Scalar::Integer(3))),
        ("e2", ParamValue::typed("foo", Scalar::Integer(3))),
        ("a b", ParamValue::from(Scalar::Integer(7))),
        ("dbad", ParamValue::Duration("5 weeks".into())),
    ]
    .into_iter()
    .collect();
    match parse_query(text, &params) {
        Ok(query) => query.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bound_parameters_stand_for_one_token() {
    for (text, want) in [
        (
            "SELECT $id, $id2 FROM $id WHERE a = $s",
            r#"SELECT "c pu", "select" FROM "c pu" WHERE a = 'a\' OR \'1\'=\'1'"#,
        ),
        (
            "SELECT a FROM b WHERE c = $i AND d = $f AND e = $b AND f =~ $re",
            "SELECT a FROM b WHERE c = -5 AND d = 2.0 AND e = true AND f =~ /^a\\/b$/",
        ),
        (
            "SELECT f($re), $num, $int, $str FROM $re GROUP BY time($d, $dn), $re LIMIT $int",
            "SELECT f(/^a\\/b$/), 3.0, 3, 'x' FROM /^a\\/b$/ GROUP BY time(90m, 1m), /^a\\/b$/ LIMIT 3",
        ),
        (
            "SELECT a FROM b WHERE c > $\"a b\"",
            "SELECT a FROM b WHERE c > 7",
        ),
        ("DROP SHARD $int", "DROP SHARD 3"),
        ("SELECT a FROM b WHERE c = $nope", "missing parameter: nope"),
        ("SELECT a FROM b WHERE c = $", "empty bound parameter"),
        (
            "SELECT a FROM b WHERE c = $e1",
            "missing parameter: regex literal must be a string value",
        ),
        (
            "SELECT a FROM b WHERE c = $e2",
            "missing parameter: unknown bind object type: foo",
        ),
        (
            "SELECT a FROM b LIMIT $e2",
            "found unknown bind object type: foo, expected integer at line 1, char 23",
        ),
        (
            "SELECT a FROM $nope",
            "found $nope, expected identifier at line 1, char 15",
        ),
        (
            "SELECT a FROM b LIMIT $i",
            "LIMIT must be >= 0 at line 1, char 23",
        ),
        (
            "SELECT a FROM $s",
            "found a' OR '1'='1, expected identifier at line 1, char 15",
        ),
        (
            "SELECT a FROM b WHERE c =~ $s",
            "found a' OR '1'='1, expected regex at line 1, char 28",
        ),
        ("SELECT a FROM b GROUP BY time($dbad)", "invalid duration"),
        (
            "$s",
            "found a' OR '1'='1, expected SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL at line 1, char 1",
        ),
        (
            "CREATE USER u WITH PASSWORD $str",
            "CREATE USER u WITH PASSWORD [REDACTED]",
        ),
    ] {
        assert_eq!(with_params(text), want, "{text}");
    }
}

#[test]
fn columns_are_named_as_in_influxdb() {
    for (field, want) in [
        ("a", "a"),
        ("a AS b", "b"),
        ("mean(a)", "mean"),
        ("a + b", "a_b"),
        ("(a + b) * c", "a_b_c"),
        ("(a)", "a"),
        ("((mean(a)))", "mean"),
        ("sum(a) * 2", "sum"),
        ("sum(a) / count(b)", "sum_count"),
        ("-a", "a"),
        ("1", ""),
        ("*", ""),
        ("/x/", ""),
        ("DISTINCT a", "distinct"),
    ] {
        let select = select(&format!("SELECT {field} FROM m"));
        assert_eq!(select.fields[0].name(), want, "{field}");
    }
}

#[test]
fn intervals_and_raw_statements() {
    for (text, interval, raw) in [
        ("SELECT a FROM m", Ok(0), true),
        ("SELECT DISTINCT a FROM m", Ok(0), true),
        (
            "SELECT 1 + mean(a) FROM m GROUP BY host, time(1m)",
            Ok(60_000_000_000),
            false,
        ),
        (
            "SELECT mean(a) FROM m GROUP BY time(1m, 5s)",
            Ok(60_000_000_000),
            false,
        ),
        (
            "SELECT mean(a) FROM m GROUP BY time(x)",
            Err("time dimension must have duration argument"),
            false,
        ),
        (
            "SELECT mean(a) FROM m GROUP BY time()",
            Err("time dimension expected 1 or 2 arguments"),
            false,
        ),
    ] {
        let select = select(text);
        let got = select
            .group_by_interval()
            .map_err(|error| error.to_string());
        assert_eq!(got, interval.map_err(str::to_owned), "{text}");
        assert_eq!(select.is_raw(), raw, "{text}");
    }
    assert!(select("SELECT a FROM m").is_ascending());
    assert!(!select("SELECT a FROM m ORDER BY DESC").is_ascending());
}
