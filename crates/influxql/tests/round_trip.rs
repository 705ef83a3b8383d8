//! Any tree that the parser can make prints to a text that parses to the same tree.

use proptest::{collection::vec, option, prelude::*};
use tandem_influxql::{
    Params,
    ast::{
        BinaryOp, Call, CreateContinuousQuery, DataType, Delete, Expr, Field, Fill, FillValue,
        KeyFilter, Measurement, OrderBy, SelectStatement, ShowCardinality, ShowMeasurements,
        ShowTagKeys, ShowTagValues, Source, Statement, VarRef, Wildcard,
    },
    parse_statement,
};

/// Names as people choose them, and as they should not.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,6}",
        "[ -~äµ日\n]{1,6}",
        prop::sample::select(vec![
            "select", "time", "fill", "tz", "true", "distinct", "inf"
        ])
        .prop_map(str::to_owned),
    ]
}

fn regex() -> impl Strategy<Value = String> {
    // Not empty, and no backslash at the end: neither could have been written.
    // Parentheses come in pairs, or the pattern would be refused.
    let pattern = "([a-z0-9.^$|/ ]|[a-z]\\*|\\(a[|]b\\)|\\\\[dwsb./]){0,8}[a-z$]";
    pattern.prop_filter("a pattern that can be read", |pattern| {
        let text = format!(
            "SELECT a FROM m WHERE b =~ {}",
            Expr::Regex(pattern.clone())
        );
        parse_statement(&text, &Params::default()).is_ok()
    })
}

fn var_ref() -> impl Strategy<Value = Expr> {
    let data_type = prop::sample::select(vec![
        DataType::Float,
        DataType::Integer,
        DataType::Unsigned,
        DataType::String,
        DataType::Boolean,
        DataType::Tag,
        DataType::AnyField,
    ]);
    (name(), option::of(data_type))
        .prop_map(|(name, data_type)| Expr::VarRef(VarRef { name, data_type }))
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("only finite numbers are parsed", |number| number
            .is_finite()),
        (-1_000i32..1_000).prop_map(|number| f64::from(number) / 4.0),
    ]
    // A minus sign before zero is lost on no one but `==`.
    .prop_map(|number| if number == 0.0 { 0.0 } else { number })
}

fn leaf() -> impl Strategy<Value = Expr> {
    prop_oneof![
        4 => var_ref(),
        1 => prop::sample::select(vec![Wildcard::All, Wildcard::Fields, Wildcard::Tags])
            .prop_map(Expr::Wildcard),
        1 => number().prop_map(Expr::Number),
        2 => any::<i64>().prop_map(Expr::Integer),
        1 => (i64::MAX as u64 + 1..).prop_map(Expr::Unsigned),
        2 => "[ -~ä\n]{0,8}".prop_map(Expr::String),
        1 => any::<bool>().prop_map(Expr::Boolean),
        2 => (-i64::MAX..).prop_map(Expr::Duration),
        1 => name().prop_map(Expr::Distinct),
    ]
}

/// The level of the operators that bind tightest.
const LEVEL_MAX: u8 = 5;

/// Operators that bind alike, loosest first.
fn ops(level: u8) -> Vec<BinaryOp> {
    match level {
        1 => vec![BinaryOp::Or],
        2 => vec![BinaryOp::And],
        3 => vec![
            BinaryOp::Eq,
            BinaryOp::Neq,
            BinaryOp::Lt,
            BinaryOp::Lte,
            BinaryOp::Gt,
            BinaryOp::Gte,
        ],
        4 => vec![
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::BitwiseOr,
            BinaryOp::BitwiseXor,
        ],
        _ => vec![
            BinaryOp::Mul,
            BinaryOp::Div,
            BinaryOp::Mod,
            BinaryOp::BitwiseAnd,
        ],
    }
}

/// What binds tighter than any operator.
fn operand(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    let args = vec(
        prop_oneof![4 => inner.clone(), 1 => regex().prop_map(Expr::Regex)],
        0..4,
    );
    let call = (name(), args)
        .prop_map(|(name, args)| {
            Expr::Call(Call {
                name: name.to_lowercase(),
                args,
            })
        })
        .boxed();
    let paren = inner.prop_map(|inner| Expr::Paren(Box::new(inner))).boxed();
    let signed = prop_oneof![
        var_ref(),
        call.clone()
            .prop_filter("a sign cannot stand before DISTINCT", |call| {
                !matches!(call, Expr::Call(call) if call.name == "distinct")
            }),
        paren.clone()
    ];
    prop_oneof![
        8 => leaf(),
        2 => call,
        2 => paren,
        1 => (prop::sample::select(vec![1, -1]), signed)
            .prop_map(|(sign, operand)| Expr::binary(BinaryOp::Mul, Expr::Integer(sign), operand)),
    ]
    .boxed()
}

/// Chains of operands with operators of this level, the operands being of tighter levels.
fn chain(level: u8, inner: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    if level > LEVEL_MAX {
        return operand(inner);
    }
    let tighter = chain(level + 1, inner);
    let op = prop::sample::select(ops(level));
    let matches = (
        prop::sample::select(vec![BinaryOp::EqRegex, BinaryOp::NeqRegex]),
        regex(),
    )
        .prop_map(|(op, regex)| (op, Expr::Regex(regex)));
    let step = if level == 3 {
        prop_oneof![3 => (op, tighter.clone()), 1 => matches].boxed()
    } else {
        (op, tighter.clone()).boxed()
    };
    (tighter, vec(step, 0..3))
        .prop_map(|(first, steps)| {
            steps
                .into_iter()
                .fold(first, |lhs, (op, rhs)| Expr::binary(op, lhs, rhs))
        })
        .boxed()
}

fn condition() -> BoxedStrategy<Expr> {
    let base = chain(1, leaf().boxed());
    base.prop_recursive(1, 8, 2, |inner| chain(1, inner.boxed()))
        .boxed()
}

/// Fields hold no comparison anywhere.
fn arithmetic() -> BoxedStrategy<Expr> {
    let sums = |inner: BoxedStrategy<Expr>| {
        let product = operand(inner.clone());
        let op = prop::sample::select([ops(4), ops(5)].concat());
        (product, op, operand(inner), any::<bool>()).prop_map(|(lhs, op, rhs, alone)| {
            if alone {
                lhs
            } else {
                Expr::binary(op, lhs, rhs)
            }
        })
    };
    sums(leaf().boxed()).boxed()
}

fn measurement() -> impl Strategy<Value = Measurement> {
    let named = (name(), option::of(regex()));
    (option::of(name()), option::of(name()), named).prop_map(
        |(database, retention_policy, (name, regex))| Measurement {
            database,
            retention_policy,
            name: if regex.is_some() { String::new() } else { name },
            regex,
        },
    )
}

fn target() -> impl Strategy<Value = Measurement> {
    (option::of(name()), option::of(name()), option::of(name())).prop_map(
        |(database, retention_policy, name)| Measurement {
            database,
            retention_policy,
            name: name.unwrap_or_default(),
            regex: None,
        },
    )
}

fn measurements() -> impl Strategy<Value = Vec<Source>> {
    vec(measurement().prop_map(Source::Measurement), 0..3)
}

fn order_by() -> impl Strategy<Value = OrderBy> {
    (any::<bool>(), any::<bool>()).prop_map(|(time_named, descending)| OrderBy {
        time_named,
        descending,
    })
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..=i64::MAX as u64]
}

fn fill() -> impl Strategy<Value = Fill> {
    prop_oneof![
        Just(Fill::Null),
        Just(Fill::None),
        Just(Fill::Previous),
        Just(Fill::Linear),
        any::<i64>().prop_map(|value| Fill::Number(FillValue::Integer(value))),
        number().prop_map(|value| Fill::Number(FillValue::Float(value))),
    ]
}

fn dimensions() -> impl Strategy<Value = Vec<Expr>> {
    let regex = regex().prop_map(Expr::Regex);
    vec(prop_oneof![4 => arithmetic(), 1 => regex], 0..3)
}

fn select_from(sources: BoxedStrategy<Vec<Source>>) -> BoxedStrategy<SelectStatement> {
    let expr = prop_oneof![6 => arithmetic(), 1 => regex().prop_map(Expr::Regex)];
    let field = (expr, option::of(name())).prop_map(|(expr, alias)| Field { expr, alias });
    let zones = vec!["UTC", "America/Los_Angeles", "Europe/Berlin"];
    let zone = prop::sample::select(zones).prop_map(str::to_owned);
    let head = (vec(field, 1..4), option::of(target()), sources);
    let middle = (option::of(condition()), dimensions(), fill());
    let tail = (
        option::of(order_by()),
        count(),
        count(),
        count(),
        count(),
        option::of(zone),
    );
    (head, middle, tail)
        .prop_map(
            |((fields, into, sources), (condition, dimensions, fill), tail)| {
                let (order_by, limit, offset, slimit, soffset, time_zone) = tail;
                SelectStatement {
                    fields,
                    into,
                    sources,
                    condition,
                    dimensions,
                    fill,
                    order_by,
                    limit,
                    offset,
                    slimit,
                    soffset,
                    time_zone,
                }
            },
        )
        .boxed()
}

fn select() -> BoxedStrategy<SelectStatement> {
    let plain = vec(measurement().prop_map(Source::Measurement), 1..3).boxed();
    let subquery = select_from(plain.clone()).prop_map(|select| Source::Subquery(Box::new(select)));
    let nested = vec(subquery, 1..2).boxed();
    prop_oneof![3 => select_from(plain), 1 => select_from(nested)].boxed()
}

fn key_filter() -> impl Strategy<Value = KeyFilter> {
    prop_oneof![
        name().prop_map(KeyFilter::Equal),
        name().prop_map(KeyFilter::NotEqual),
        regex().prop_map(KeyFilter::Match),
        regex().prop_map(KeyFilter::NotMatch),
        vec(name(), 1..4).prop_map(KeyFilter::In),
    ]
}

fn show() -> impl Strategy<Value = Statement> {
    let shared = (
        option::of(name()),
        measurements(),
        option::of(condition()),
        count(),
        count(),
    );
    let more = (
        any::<bool>(),
        dimensions(),
        key_filter(),
        option::of(order_by()),
        measurement(),
    );
    (shared, more, 0..5u8).prop_map(|(shared, more, kind)| {
        let (database, sources, condition, limit, offset) = shared;
        let (exact, dimensions, with_key, order_by, measurement) = more;
        match kind {
            0 => Statement::ShowSeriesCardinality(ShowCardinality {
                exact,
                database,
                sources,
                condition,
                dimensions,
                limit,
                offset,
            }),
            1 => Statement::ShowTagValues(ShowTagValues {
                database,
                sources,
                with_key,
                condition,
                order_by,
                limit,
                offset,
            }),
            2 => Statement::ShowTagKeys(ShowTagKeys {
                database,
                sources,
                with_key: exact.then_some(with_key),
                condition,
                order_by,
                limit,
                offset,
                slimit: limit,
                soffset: offset,
            }),
            3 => Statement::ShowMeasurements(ShowMeasurements {
                database: database.map(tandem_influxql::ast::NameOrAll::Name),
                with_measurement: exact.then_some(measurement),
                condition,
                order_by,
                limit,
                offset,
                ..ShowMeasurements::default()
            }),
            _ => Statement::Delete(Delete {
                sources: vec![Source::Measurement(Measurement::new("m"))],
                condition,
            }),
        }
    })
}

fn continuous() -> impl Strategy<Value = Statement> {
    let interval = 1..1_000_000_000_000i64;
    (
        name(),
        name(),
        select(),
        target(),
        interval,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(name, database, mut source, target, interval_ns, every, resample)| {
                let time = Expr::call("time", vec![Expr::Duration(interval_ns)]);
                source.dimensions.insert(0, time);
                source.into = Some(target);
                Statement::CreateContinuousQuery(CreateContinuousQuery {
                    name,
                    database,
                    resample_every_ns: every.then_some(interval_ns * 2),
                    resample_for_ns: resample.then_some(interval_ns * 3),
                    source: Box::new(source),
                })
            },
        )
}

fn check(statement: &Statement) -> Result<(), TestCaseError> {
    let text = statement.to_string();
    match parse_statement(&text, &Params::new()) {
        Ok(parsed) => prop_assert_eq!(&parsed, statement, "{}", text),
        Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn selects(select in select()) {
        check(&Statement::Select(Box::new(select)))?;
    }

    #[test]
    fn shows_and_deletes(statement in show()) {
        check(&statement)?;
    }

    #[test]
    fn continuous_queries(statement in continuous()) {
        check(&statement)?;
    }
}
