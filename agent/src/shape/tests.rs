//! Each rule, and their order, as Telegraf's documentation has them.

use super::*;
use crate::batch::{Batch, Sampling};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rules(rules: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let rule = |(key, values): &(&str, &[&str])| ((*key).to_owned(), texts(values));
    rules.iter().map(rule).collect()
}

fn common() -> Tags {
    let tags = [("dc", "fra"), ("host", "web1")];
    tags.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Lines of a collector that gives two measurements, as they are written.
fn written(shape: &Shape, all: &Shape) -> String {
    let mut batch = Batch::new(Tags::from([]));
    batch.dress(&common(), shape, all);
    batch.set_series_max(10);
    batch.start(7);
    for (cpu, user) in [("cpu0", 1.0), ("cpu1", 2.0), ("cpu-total", 3.0)] {
        batch
            .line("cpu")
            .tag("cpu", cpu)
            .tag("empty", "")
            .float("usage_user", user)
            .float("usage_idle", 9.0)
            .finish();
    }
    batch.line("load").unsigned("n", 4).finish();
    let text = String::from_utf8(batch.as_bytes().to_vec()).unwrap();
    assert_eq!(batch.lines(), text.lines().count() as u64);
    assert_eq!(batch.take_refused(), 0, "what is not wanted was never made");
    text
}

fn own(change: impl FnOnce(&mut Shape)) -> String {
    let mut shape = Shape::default();
    change(&mut shape);
    written(&shape, &Shape::default())
}

#[test]
fn without_a_word_lines_stay_and_nothing_is_made_ready() {
    let (tags, shapers) = ready(&common(), &Shape::default(), &Shape::default());
    assert!(shapers.is_empty() && *tags == *common());
    let expected = "cpu,cpu=cpu0,dc=fra,host=web1 usage_user=1,usage_idle=9 7\n\
        cpu,cpu=cpu1,dc=fra,host=web1 usage_user=2,usage_idle=9 7\n\
        cpu,cpu=cpu-total,dc=fra,host=web1 usage_user=3,usage_idle=9 7\n\
        load,dc=fra,host=web1 n=4i 7\n";
    assert_eq!(own(|_| ()), expected);
}

#[test]
fn measurements_pass_and_are_dropped_by_patterns() {
    let only = own(|shape| shape.names.include = texts(&["lo*", "no"]));
    assert_eq!(only, "load,dc=fra,host=web1 n=4i 7\n");
    let both = own(|shape| {
        shape.names.include = texts(&["*"]);
        shape.names.exclude = texts(&["c?u"]);
    });
    assert_eq!(both, only, "what is to be dropped goes over what passes");
    assert_eq!(own(|shape| shape.names.exclude = texts(&["*"])), "");
}

#[test]
fn tags_choose_lines_by_what_the_collector_gave_them() {
    let of = |text: &str| -> Vec<String> {
        let line = |line: &str| line.split(' ').next().unwrap().to_owned();
        text.lines().map(line).collect()
    };
    let one = own(|shape| shape.tag_pass = rules(&[("cpu", &["cpu0", "x"])]));
    assert_eq!(of(&one), ["cpu,cpu=cpu0,dc=fra,host=web1"]);
    let pattern = own(|shape| {
        shape.tag_pass = rules(&[("cpu", &["cpu[0-9]"]), ("other", &["*"])]);
        shape.tag_drop = rules(&[("cpu", &["*0"])]);
    });
    assert_eq!(of(&pattern), ["cpu,cpu=cpu1,dc=fra,host=web1"]);
    let dropped = own(|shape| shape.tag_drop = rules(&[("cpu", &["cpu*"])]));
    assert_eq!(of(&dropped), ["load,dc=fra,host=web1"]);
    // Neither global tags nor those of the settings are seen, nor what is empty.
    for key in ["host", "dc", "empty", "mine"] {
        let none = own(|shape| {
            shape.further_tags = BTreeMap::from([("mine".to_owned(), "x".to_owned())]);
            shape.tag_pass = rules(&[(key, &["*"])]);
        });
        assert_eq!(none, "", "{key}");
    }
    let none = own(|shape| shape.tag_pass = rules(&[("cpu", &[])]));
    assert_eq!(none, "", "a rule that describes nothing lets nothing pass");
}

#[test]
fn fields_are_taken_out_and_lines_without_any_are_none() {
    let user = own(|shape| shape.fields.include = texts(&["usage_*"]));
    assert_eq!(user.lines().count(), 3, "`load` has no such field: {user}");
    let idle = own(|shape| {
        shape.fields.include = texts(&["usage_*"]);
        shape.fields.exclude = texts(&["*_user"]);
        shape.names.include = texts(&["cpu"]);
        shape.tag_pass = rules(&[("cpu", &["cpu0"])]);
    });
    assert_eq!(idle, "cpu,cpu=cpu0,dc=fra,host=web1 usage_idle=9 7\n");
}

#[test]
fn names_and_tags_are_given_and_the_lines_own_tags_win() {
    let load = own(|shape| {
        shape.names.include = texts(&["load"]);
        shape.name_override = Some("average".into());
        shape.name_prefix = "a_".into();
        shape.name_suffix = "_b".into();
        let tags = [("dc", "own"), ("cpu", "settings"), ("host", "h")];
        shape.further_tags = tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    });
    assert_eq!(load, "a_average_b,cpu=settings,dc=own,host=h n=4i 7\n");
    let cpu = own(|shape| {
        shape.tag_pass = rules(&[("cpu", &["cpu0"])]);
        shape.further_tags = BTreeMap::from([("cpu".to_owned(), "settings".to_owned())]);
        shape.fields.include = texts(&["usage_user"]);
    });
    assert_eq!(cpu, "cpu,cpu=cpu0,dc=fra,host=web1 usage_user=1 7\n");
}

#[test]
fn tags_are_taken_out_last_whoever_gave_them() {
    let lean = own(|shape| {
        shape.tag_pass = rules(&[("cpu", &["cpu0"])]);
        shape.further_tags = BTreeMap::from([("rack".to_owned(), "r1".to_owned())]);
        shape.tags.exclude = texts(&["cpu", "dc"]);
        shape.fields.include = texts(&["usage_user"]);
    });
    assert_eq!(lean, "cpu,host=web1,rack=r1 usage_user=1 7\n");
    let only = own(|shape| {
        shape.names.include = texts(&["load"]);
        shape.tags.include = texts(&["h*"]);
        shape.tags.exclude = texts(&["dc"]);
    });
    assert_eq!(only, "load,host=web1 n=4i 7\n");
}

#[test]
fn what_all_have_in_common_sees_names_and_tags_as_they_became() {
    let shape = Shape {
        name_prefix: "my_".into(),
        further_tags: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        ..Shape::default()
    };
    let mut all = Shape::default();
    all.names.include = texts(&["my_load", "my_cpu"]);
    all.tag_pass = rules(&[("rack", &["r?"])]);
    all.tag_drop = rules(&[("cpu", &["cpu[01]"])]);
    all.tags.exclude = texts(&["rack", "dc"]);
    all.fields.exclude = texts(&["usage_idle"]);
    all.name_suffix = "_y".into();
    let expected = "my_cpu_y,cpu=cpu-total,host=web1 usage_user=3 7\nmy_load_y,host=web1 n=4i 7\n";
    assert_eq!(written(&shape, &all), expected);
    all.tag_pass = rules(&[("host", &["other"])]);
    assert_eq!(written(&shape, &all), "");
}

#[test]
fn lines_that_are_not_wanted_are_no_series_and_samples_are_made_of_fields_that_stay() {
    let mut shape = Shape::default();
    shape.fields.include = texts(&["usage_user"]);
    shape.fields.exclude = texts(&["*_p95"]);
    shape.tag_drop = rules(&[("cpu", &["cpu0"])]);
    let mut batch = Batch::new(Tags::from([]));
    batch.dress(&Tags::from([]), &shape, &Shape::default());
    batch.set_series_max(1);
    batch.start(7);
    for (sampling, user) in [(Sampling::Note, 1.0), (Sampling::Write, 3.0)] {
        batch.sample(sampling);
        for cpu in ["cpu0", "cpu1"] {
            let line = batch.line("cpu").tag("cpu", cpu);
            line.float("usage_user", user)
                .float("usage_idle", 9.0)
                .finish();
        }
    }
    let text = std::str::from_utf8(batch.as_bytes()).unwrap();
    let expected = "cpu,cpu=cpu1 usage_user=2,usage_user_min=1,usage_user_max=3 7\n";
    assert_eq!(text, expected);
    assert_eq!(batch.take_refused(), 0, "one series, of one allowed");
}

#[test]
fn names_that_no_line_can_have_are_refused() {
    let named = |prefix: &str, name: Option<&str>| Shape {
        name_prefix: prefix.into(),
        name_override: name.map(Into::into),
        ..Shape::default()
    };
    for (shape, is_well) in [
        (named("", None), true),
        (named("", Some("x#")), true),
        (named("p", Some("#x")), true),
        (named("", Some("")), false),
        (named("", Some("#x")), false),
        (named("#", None), false),
    ] {
        assert_eq!(shape.objection().is_none(), is_well, "{shape:?}");
    }
}
