//! Variables of the environment in texts of a file: `${NAME}` and `${NAME:-default}`; `$${` stands for `${`.

use anyhow::{Context, bail};
use toml::{Table, Value};

/// Whether a file has any.
pub(super) fn are_in(text: &str) -> bool {
    text.contains("${")
}

/// Puts values in the place of variables, in every text of `table`.
///
/// # Errors
/// For a variable that is not set and has no default: half a configuration is none.
pub(super) fn expand(
    table: &mut Table,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<()> {
    for (key, value) in table.iter_mut() {
        expand_value(value, lookup).with_context(|| format!("in {key}"))?;
    }
    Ok(())
}

fn expand_value(value: &mut Value, lookup: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    match value {
        Value::String(text) if are_in(text) => *text = expand_text(text, lookup)?,
        Value::Array(values) => {
            for value in values {
                expand_value(value, lookup)?;
            }
        }
        Value::Table(table) => expand(table, lookup)?,
        _ => {}
    }
    Ok(())
}

fn expand_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            bail!("`${{` without `}}`; write `$${{` for the text itself");
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match lookup(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => out.push_str(&value),
            None => bail!("the variable {name} is not set"),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> anyhow::Result<String> {
        let mut table: Table = toml::from_str(text)?;
        let lookup = |name: &str| (name == "HOST").then(|| "web\"1".to_owned());
        expand(&mut table, &lookup)?;
        Ok(toml::to_string(&table)?.trim().to_owned())
    }

    #[test]
    fn texts_are_filled_in_wherever_they_are() {
        let text = "[a]\nb = [\"x-${HOST}\", \"${NO:-7s}\"]\nc = \"$${HOST} $5\"\nd = 1";
        let expected = "[a]\nb = ['x-web\"1', \"7s\"]\nc = \"${HOST} $5\"\nd = 1";
        let (shown, expected): (Table, Table) = (
            toml::from_str(&expanded(text).unwrap()).unwrap(),
            toml::from_str(expected).unwrap(),
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, word) in [("a = \"${NO}\"", "NO"), ("[a]\nb = \"${HOST\"", "without")] {
            let error = format!("{:#}", expanded(text).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
