//! Which template a name gets: the one whose filter fits it, part by part, a `*` standing for any part.
//!
//! As in InfluxDB, a part that is named goes before `*`, and there is no way back: `a.*.c` does not fit `a.b.x`, and
//! neither does what lies below `*` at the first part once `a` has been followed.

use std::collections::HashMap;

use super::template::{Template, TemplateError, tag};

/// See the module's head.
#[derive(Debug)]
pub(super) struct Matcher {
    root: Node,
    default: Template,
}

#[derive(Debug, Default)]
struct Node {
    template: Option<Template>,
    children: HashMap<String, Node>,
    any: Option<Box<Node>>,
}

impl Matcher {
    /// Reads `[filter] template [key=value,…]` each.
    pub(super) fn new(templates: &[String], separator: &str) -> Result<Self, TemplateError> {
        let mut root = Node::default();
        let mut default = None;
        for text in templates {
            let words: Vec<&str> = text.split_whitespace().collect();
            let (filter, pattern, tags) = match words[..] {
                [] => continue,
                [pattern] => ("", pattern, ""),
                [pattern, tags] if tags.contains('=') => ("", pattern, tags),
                [filter, pattern] => (filter, pattern, ""),
                [filter, pattern, tags] if tags.contains('=') => (filter, pattern, tags),
                _ => return Err(TemplateError::Format(text.clone())),
            };
            let tags = tags.split(',').filter(|text| !text.is_empty()).map(tag);
            let template = Template::new(pattern, tags.collect::<Result<_, _>>()?, separator)?;
            let place = match filter {
                "" => &mut default,
                filter => root.place(filter)?,
            };
            if place.replace(template).is_some() {
                return Err(TemplateError::Duplicate(filter.to_owned()));
            }
        }
        let default = match default {
            Some(template) => template,
            None => Template::new("measurement*", Vec::new(), ".")?,
        };
        Ok(Self { root, default })
    }

    pub(super) fn find(&self, name: &str) -> &Template {
        let mut node = &self.root;
        for part in name.split('.') {
            if node.children.is_empty() && node.any.is_none() {
                break;
            }
            node = match (node.children.get(part), &node.any) {
                (Some(child), _) => child,
                (None, Some(any)) => any,
                (None, None) => break,
            };
        }
        node.template.as_ref().unwrap_or(&self.default)
    }
}

impl Node {
    /// Where the template of a filter goes.
    fn place(&mut self, filter: &str) -> Result<&mut Option<Template>, TemplateError> {
        let mut node = self;
        for part in filter.split('.') {
            node = match part {
                "*" => node.any.get_or_insert_default(),
                part if part.is_empty() || part.contains('*') => {
                    return Err(TemplateError::Filter(part.to_owned()));
                }
                part => node.children.entry(part.to_owned()).or_default(),
            };
        }
        Ok(&mut node.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(templates: &[&str]) -> Result<Matcher, TemplateError> {
        let templates: Vec<String> = templates.iter().map(|&text| text.to_owned()).collect();
        Matcher::new(&templates, ".")
    }

    #[test]
    fn the_most_specific_filter_wins() {
        let matcher = matcher(&[
            "servers.* .host.measurement*",
            "servers.localhost .host.measurement* zone=here",
            "*.cpu .measurement.field",
            "measurement.rest* dc=a,rack=b",
        ])
        .unwrap();
        let find = |name: &str| {
            let applied = matcher.find(name).apply(name);
            let tags: Vec<String> = applied
                .tags
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!(
                "{}|{}|{}",
                applied.measurement,
                tags.join(","),
                applied.field
            )
        };
        assert_eq!(find("servers.a.cpu"), "cpu|host=a|");
        assert_eq!(
            find("servers.localhost.cpu"),
            "cpu|zone=here,host=localhost|"
        );
        assert_eq!(find("x.cpu.load"), "cpu||load");
        assert_eq!(find("other.y"), "other|dc=a,rack=b,rest*=y|");
        // No way back from `servers` to `*`.
        assert_eq!(find("servers"), "servers|dc=a,rack=b|");
    }

    #[test]
    fn without_templates_the_whole_name_is_the_measurement() {
        let matcher = matcher(&[]).unwrap();
        assert_eq!(matcher.find("a.b.c").apply("a.b.c").measurement, "a.b.c");
    }

    #[test]
    fn bad_ones_are_refused() {
        for templates in [
            &["a..b measurement"][..],
            &["a* measurement"],
            &["a measurement", "a measurement*"],
            &["measurement", "measurement*"],
            &["a measurement x=1 y=2"],
            &["a measurement x=1,y"],
            &["a b c"],
        ] {
            assert!(matcher(templates).is_err(), "{templates:?}");
        }
    }
}
