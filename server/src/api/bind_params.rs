//! The `params` of a query: a JSON object of what `$name` stands for.

use serde::Deserialize;
use serde_json::{Deserializer, Number, Value};
use tandem_influxql::{ParamValue, Params, Scalar};

use super::go_json;

/// Reads the parameter's text.
///
/// # Errors
/// InfluxDB's text, which is Go's.
pub(super) fn parse(text: &str) -> Result<Params, String> {
    let mut params = Params::new();
    let value = first_value(text).map_err(|error| {
        large_number(text, &error).unwrap_or_else(|| {
            let refusal = go_json::refusal(text).unwrap_or_else(|| error.to_string());
            format!("error parsing query parameters: {refusal}")
        })
    })?;
    let entries = match value {
        Value::Null => return Ok(params),
        Value::Object(entries) => entries,
        other => {
            let kind = kind(&other);
            let into = "Go value of type map[string]interface {}";
            return Err(format!(
                "error parsing query parameters: json: cannot unmarshal {kind} into {into}"
            ));
        }
    };
    for (name, value) in entries {
        let bound = match value {
            Value::Object(object) => object_value(object),
            Value::Array(_) => {
                ParamValue::Invalid("unable to bind parameter with type []interface {}".to_owned())
            }
            Value::Null => {
                ParamValue::Invalid("unable to bind parameter with type <nil>".to_owned())
            }
            value => scalar(value)?.into(),
        };
        params.insert(name, bound);
    }
    Ok(params)
}

/// The first value of a text; what comes after it does not matter, as in InfluxDB.
fn first_value(text: &str) -> serde_json::Result<Value> {
    Value::deserialize(&mut Deserializer::from_str(text))
}

fn object_value(object: serde_json::Map<String, Value>) -> ParamValue {
    let mut entries = object.into_iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        return ParamValue::Invalid(
            "bound object parameter value must have exactly one entry".to_owned(),
        );
    };
    match scalar(value) {
        Ok(value) => ParamValue::typed(&kind, value),
        Err(text) => ParamValue::Invalid(text),
    }
}

fn scalar(value: Value) -> Result<Scalar, String> {
    match value {
        Value::String(text) => Ok(Scalar::String(text)),
        Value::Bool(value) => Ok(Scalar::Boolean(value)),
        Value::Number(number) => self::number(&number),
        other => Err(format!(
            "unable to bind parameter with a nested {}",
            kind(&other)
        )),
    }
}

fn number(number: &Number) -> Result<Scalar, String> {
    if let Some(value) = number.as_i64() {
        return Ok(Scalar::Integer(value));
    }
    match number.as_f64() {
        Some(value) if !number.is_u64() => Ok(Scalar::Float(value)),
        _ => {
            let why = "strconv.ParseInt: parsing";
            Err(format!(
                "error parsing json value: {why} \"{number}\": value out of range"
            ))
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What is said of a number that no float can hold, if that is what is wrong.
fn large_number(text: &str, error: &serde_json::Error) -> Option<String> {
    if !error.to_string().starts_with("number out of range") {
        return None;
    }
    let line = text.lines().nth(error.line().checked_sub(1)?)?;
    // The column is that of the number's last digit, or of what follows it.
    let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let before = line.get(..error.column().checked_sub(1)?)?;
    let length = before.chars().rev().take_while(is_part).count();
    let start = before.len().checked_sub(length)?;
    let number: String = line.get(start..)?.chars().take_while(is_part).collect();
    Some(match number.contains('.') {
        true => format!(
            "error parsing json value: strconv.ParseFloat: parsing \"{number}\": value out of range"
        ),
        false => format!(
            "error parsing json value: strconv.ParseInt: parsing \"{number}\": invalid syntax"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err(), expected);
    }

    #[test]
    fn what_is_no_object_is_refused_in_the_words_of_go() {
        let of = |kind| {
            format!(
                "error parsing query parameters: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )
        };
        refused("[1]", &of("array"));
        refused("\"x\"", &of("string"));
        refused("1", &of("number"));
        refused(
            "{\"h\":\"a\"",
            "error parsing query parameters: unexpected EOF",
        );
        refused(
            "x",
            "error parsing query parameters: invalid character 'x' looking for beginning of value",
        );
        refused(
            "{\"h\":00}",
            "error parsing query parameters: invalid character '0' after object key:value pair",
        );
        refused(
            "{\"h\":18446744073709551615}",
            "error parsing json value: strconv.ParseInt: parsing \"18446744073709551615\": value out of range",
        );
    }

    #[test]
    fn numbers_that_no_float_can_hold_are_refused_in_the_words_of_go() {
        for (text, number) in [
            ("{\"p\":1e400}", "1e400"),
            ("{\"p\": -1e400 }", "-1e400"),
            ("{\"a\":1,\n\"p\":1E+999, \"c\":2}", "1E+999"),
        ] {
            let told = format!("strconv.ParseInt: parsing \"{number}\": invalid syntax");
            refused(text, &format!("error parsing json value: {told}"));
        }
        refused(
            "{\"p\":1.5e400}",
            "error parsing json value: strconv.ParseFloat: parsing \"1.5e400\": value out of range",
        );
    }

    #[test]
    fn values_take_their_places() {
        let text = r#"{"s":"a'b","i":3,"f":1.5,"b":true,"d":{"duration":"5m"},"r":{"regex":"^x"}}"#;
        let params = parse(text).unwrap();
        let query = "SELECT f FROM m WHERE h = $s AND i = $i AND f = $f AND b = $b AND h =~ $r GROUP BY time($d)";
        let parsed = tandem_influxql::parse_query(query, &params).unwrap();
        assert_eq!(
            parsed.statements[0].to_string(),
            "SELECT f FROM m WHERE h = 'a\\'b' AND i = 3 AND f = 1.5 AND b = true AND h =~ /^x/ GROUP BY time(5m)"
        );
    }

    #[test]
    fn what_comes_after_the_object_does_not_matter() {
        let params = parse(r#"{"i":3} x"#).unwrap();
        assert!(tandem_influxql::parse_query("SELECT f FROM m LIMIT $i", &params).is_ok());
    }

    #[test]
    fn what_cannot_be_bound_is_an_error_only_where_it_is_used() {
        let params = parse(r#"{"l":[1],"n":null,"two":{"a":1,"b":2},"deep":{"int":[1]}}"#).unwrap();
        assert!(tandem_influxql::parse_query("SHOW DATABASES", &params).is_ok());
        for name in ["l", "n", "two", "deep"] {
            let query = format!("SELECT f FROM m WHERE h = ${name}");
            assert!(
                tandem_influxql::parse_query(&query, &params).is_err(),
                "{name}"
            );
        }
    }
}
