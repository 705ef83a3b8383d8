//! The names of the columns of a result (`influxdata/influxql` `SelectStatement.ColumnNames`).

use std::collections::HashMap;

use tandem_influxql::ast::Field;

/// The columns' names: aliases as they are, other names made unique by `_1`, `_2` and so on.
pub(super) fn names(fields: &[Field]) -> Vec<String> {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for alias in fields.iter().filter_map(|field| field.alias.as_ref()) {
        taken.insert(alias.clone(), 1);
    }
    let mut names = Vec::with_capacity(fields.len());
    for field in fields {
        if let Some(alias) = &field.alias {
            names.push(alias.clone());
            continue;
        }
        let mut name = field.name();
        if let Some(&count) = taken.get(&name) {
            let unique = |count: &usize| !taken.contains_key(&format!("{name}_{count}"));
            let count = (count..).find(unique).unwrap_or(count);
            let resolved = format!("{name}_{count}");
            taken.insert(name, count + 1);
            name = resolved;
        }
        *taken.entry(name.clone()).or_insert(0) += 1;
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use tandem_influxql::ast::Expr;

    use super::*;

    #[track_caller]
    fn check(fields: &[(&str, Option<&str>)], expected: &[&str]) {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(name, alias)| Field {
                expr: Expr::var(*name),
                alias: alias.map(str::to_owned),
            })
            .collect();
        assert_eq!(names(&fields), expected);
    }

    #[test]
    fn names_are_made_unique_and_aliases_are_kept() {
        check(
            &[("a", None), ("a", None), ("a", None)],
            &["a", "a_1", "a_2"],
        );
        check(&[("a", None), ("b", Some("a"))], &["a_1", "a"]);
        check(&[("a", Some("x")), ("b", Some("x"))], &["x", "x"]);
        check(
            &[("a", None), ("a_1", None), ("a", None)],
            &["a", "a_1", "a_2"],
        );
    }
}
