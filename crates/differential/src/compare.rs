//! When two answers are the same.

use serde_json::Value as Json;

use crate::http::Answer;

/// Two floats are the same that differ by no more than this part of the larger one: sums in
/// another order, and logarithms of another library.
pub(crate) const FLOAT_PART: f64 = 1e-9;

/// Beyond it, floats are printed without a fraction, most of them.
const LARGE: u64 = 1_000_000_000_000_000;

/// True when status and body say the same.
pub(crate) fn same_answer(a: &Answer, b: &Answer) -> bool {
    if a.status != b.status {
        return false;
    }
    match (documents(&a.body), documents(&b.body)) {
        (Some(x), Some(y)) => same(&x, &y),
        _ => a.body == b.body,
    }
}

/// All that a body holds: one JSON document, or one for each piece of an answer.
fn documents(body: &[u8]) -> Option<Json> {
    let pieces = serde_json::Deserializer::from_slice(body).into_iter::<Json>();
    pieces.collect::<Result<_, _>>().ok()
}

/// True when two values say the same.
pub(crate) fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        // What is printed without a fraction is most likely an integer, and nothing less than equal will do.
        (Json::Number(x), Json::Number(y)) if are_integers(x, y) => x == y,
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

/// Whether both numbers are integers, as far as that can be told.
fn are_integers(x: &serde_json::Number, y: &serde_json::Number) -> bool {
    let may_be_floats = is_large_float(x) && is_large_float(y);
    !x.is_f64() && !y.is_f64() && !may_be_floats
}

/// Whether a number without a fraction may well be a float: it is large, and printed as floats are.
fn is_large_float(number: &serde_json::Number) -> bool {
    let integer = number.as_i64().map(i128::from);
    let integer = integer.or_else(|| number.as_u64().map(i128::from));
    integer.is_some_and(|integer| {
        let as_float = || (integer as f64).to_string() == integer.to_string();
        integer.unsigned_abs() > u128::from(LARGE) && as_float()
    })
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
        check("9007199254740993", "9007199254740992", false);
        check("-15372286728091288", "-15372286728091286", true);
        check("-92233720368547790", "-92233720368547780", true);
        check("-6516973460783181", "-6516973460783182", true);
        check("16333996728810056000", "16333996728810113000", true);
        check("16333996728810056001", "16333996728810113002", false);
        check("46116860184273879", "46116860184273880", false);
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

    #[test]
    fn pieces_are_compared_one_by_one() {
        let answer = |body: &str| Answer {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        };
        assert!(same_answer(&answer("[1.5]\n[2]\n"), &answer("[1.50] [2]")));
        assert!(!same_answer(&answer("[1]\n[2]\n"), &answer("[1,2]")));
    }
}
