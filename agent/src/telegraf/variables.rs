//! Variables of the environment in a configuration: `${NAME}`, `${NAME:-default}`, `$NAME`. Comments are left
//! alone, and a variable that is not set stays as it is written, and is reported: but for those of templates of names,
//! which are udev's.

/// The list whose variables need not be the environment's.
const TEMPLATES: &str = "name_templates";

/// Puts values in the place of variables.
pub(super) fn expand(
    text: &str,
    lookup: &impl Fn(&str) -> Option<String>,
    left_out: &mut Vec<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_template = false;
    for line in text.split_inclusive('\n') {
        is_template |= line.trim_start().starts_with(TEMPLATES);
        if line.trim_start().starts_with('#') {
            out.push_str(line);
        } else if is_template {
            expand_line(line, lookup, &mut Vec::new(), &mut out);
        } else {
            expand_line(line, lookup, left_out, &mut out);
        }
        is_template &= !line.contains(']');
    }
    out
}

fn expand_line(
    line: &str,
    lookup: &impl Fn(&str) -> Option<String>,
    left_out: &mut Vec<String>,
    out: &mut String,
) {
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some((name, default, length)) = name_at(from) else {
            out.push('$');
            rest = from.get(1..).unwrap_or_default();
            continue;
        };
        let (written, after) = from.split_at(length);
        match lookup(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => out.push_str(&escape(&value)),
            None => {
                left_out.push(format!(
                    "${{{name}}} is not replaced because the variable is not set"
                ));
                out.push_str(written);
            }
        }
        rest = after;
    }
    out.push_str(rest);
}

/// A value stands within quotes, and must not end them.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The name of the variable that `text` begins with, its default, and how many bytes that takes.
fn name_at(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let is_name = |text: &str| {
        !text.is_empty()
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if let Some(inner) = text.strip_prefix("${") {
        let end = inner.find('}')?;
        let inside = inner.get(..end)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        return is_name(name).then_some((name, default, end + 3));
    }
    let rest = text.get(1..)?;
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let name = rest.get(..end)?;
    is_name(name).then_some((name, None, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_the_rest_is_not() {
        let lookup = |name: &str| match name {
            "HOST" => Some("web1".to_owned()),
            "QUOTED" => Some("a\"b\\c".to_owned()),
            _ => None,
        };
        let mut missing = Vec::new();
        let text = "a = \"${HOST}-$HOST\" # \n# ${HOST}\nb = \"${NO:-x}\" c = \"${NO}$5$\" d = \"$QUOTED\"";
        let expected =
            "a = \"web1-web1\" # \n# ${HOST}\nb = \"x\" c = \"${NO}$5$\" d = \"a\\\"b\\\\c\"";
        assert_eq!(expand(text, &lookup, &mut missing), expected);
        assert_eq!(
            missing,
            ["${NO} is not replaced because the variable is not set"]
        );
        let templates = "name_templates = [\"$A\",\n  \"$HOST\"]\nx = \"$C\"\n";
        missing.clear();
        let expected = "name_templates = [\"$A\",\n  \"web1\"]\nx = \"$C\"\n";
        assert_eq!(expand(templates, &lookup, &mut missing), expected);
        assert_eq!(missing.len(), 1, "{missing:?}");
    }
}
