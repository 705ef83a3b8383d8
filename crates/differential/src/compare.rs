//! When two answers are the same.

use serde_json::Value as Json;

use crate::http::Answer;

/// Two floats are the same that differ by no more than this part of the larger one: sums in
/// another order, and logarithms of another library.
const FLOAT_PART: f64 = 1e-9;

/// True when status and body say the same.
pub(crate) fn same_answer(a: &Answer, b: &Answer) -> bool {
    if a.status != b.status {
        return false;
    }
    match (
        serde_json::from_slice(&a.body),
        serde_json::from_slice(&b.body),
    ) {
        (Ok(x), Ok(y)) => same(&x, &y),
        _ => a.body == b.body,
    }
}

/// True when two values say the same.
pub(crate) fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        // What is printed without a fraction is most likely an integer, and nothing less than equal will do.
        (Json::Number(x), Json::Number(y)) if !x.is_f64() && !y.is_f64() => x == y,
        (Json::Number(x), Json::Number(y)) => {
            let (x, y) = (
                x.as_f64().unwrap_or(f64::NAN),
                y.as_f64().unwrap_or(f64::NAN),
            );
            (x - y).abs() <= FLOAT_PART * x.abs().max(y.abs())
        }
        (Json::Array(x), Json::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, expected: bool) {
        let parse = |text| serde_json::from_str::<Json>(text).expect("JSON");
        assert_eq!(same(&parse(a), &parse(b)), expected, "{a} {b}");
    }

    #[test]
    fn floats_are_close_and_integers_are_equal() {
        check("[1.5]", "[1.5000000001]", true);
        check("[1.5]", "[1.500001]", false);
        check("1000000000000", "1000000000001", false);
        check("9223372036854775807", "9223372036854775806", false);
        check("4", "4.0", true);
        check("0", "1e-300", false);
    }

    #[test]
    fn all_else_is_equal() {
        check(r#"{"a":1,"b":null}"#, r#"{"b":null,"a":1}"#, true);
        check(r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false);
        check("[1,2]", "[2,1]", false);
        check("null", "0", false);
        check("\"a\"", "\"b\"", false);
    }

    #[test]
    fn a_status_counts() {
        let answer = |status, body: &str| Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        };
        assert!(same_answer(&answer(200, "{}\n"), &answer(200, "{}")));
        assert!(!same_answer(&answer(200, "{}"), &answer(400, "{}")));
        assert!(!same_answer(&answer(200, "x"), &answer(200, "y")));
    }
}
