//! Series that only the judge may hold: those of points that were dropped.
//!
//! InfluxDB makes the series of a point before it looks at the point's fields, and keeps it when the
//! point is dropped; tandem has a series once it has a point. What is read from both is the same
//! once these series are taken away, and nothing else is taken away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use tandem_model::SeriesKey;

/// What the judge may hold beyond what there is.
#[derive(Clone, Debug, Default)]
pub(super) struct Ghosts {
    /// Keys of series, as they are shown.
    series: BTreeSet<String>,
    /// Their measurements, each with the keys of its tags.
    tags: BTreeMap<String, BTreeSet<String>>,
}

impl Ghosts {
    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Notes a series, by its canonical key.
    pub(super) fn add(&mut self, key: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.series.insert(text(key));
        let (measurement, tags) = SeriesKey::split(key);
        let of = self.tags.entry(text(&measurement)).or_default();
        of.extend(tags.map(|(key, _)| text(&key)));
    }

    /// Takes out of the judge's answer to `read` what is of these series alone.
    pub(super) fn take_away(&self, read: &str, judged: &mut Json, ours: &mut Json) {
        if self.is_empty() {
            return;
        }
        match read {
            "SHOW SERIES" => take_rows(judged, ours, |_, key| self.series.contains(key)),
            "SHOW MEASUREMENTS" => {
                take_rows(judged, ours, |_, name| self.tags.contains_key(name));
            }
            "SHOW TAG KEYS" => take_rows(judged, ours, |measurement, key| {
                let tags = self.tags.get(measurement);
                tags.is_some_and(|tags| tags.contains(key))
            }),
            _ => {
                self.take_empty_tags(judged);
                self.take_empty_tags(ours);
            }
        }
    }

    /// With `GROUP BY *`, every series shows the tags of all series of all measurements that are asked.
    fn take_empty_tags(&self, answer: &mut Json) {
        let ghostly: BTreeSet<&String> = self.tags.values().flatten().collect();
        for series in all_series(answer) {
            if let Some(tags) = series["tags"].as_object_mut() {
                tags.retain(|key, value| value != "" || !ghostly.contains(key));
                if tags.is_empty() {
                    series["tags"] = Json::Null;
                }
            }
        }
    }
}

/// Takes rows out of the judge's answer that `is_ghost` names, by their series' name and first
/// value, unless ours has them too.
fn take_rows(judged: &mut Json, ours: &mut Json, is_ghost: impl Fn(&str, &str) -> bool) {
    let mut held = BTreeSet::new();
    for series in all_series(ours) {
        let name = series["name"].as_str().unwrap_or_default().to_owned();
        for row in series["values"].as_array().into_iter().flatten() {
            held.insert((name.clone(), row[0].as_str().unwrap_or_default().to_owned()));
        }
    }
    for result in judged["results"].as_array_mut().into_iter().flatten() {
        let Some(all) = result["series"].as_array_mut() else {
            continue;
        };
        for series in &mut *all {
            let name = series["name"].as_str().unwrap_or_default().to_owned();
            if let Some(rows) = series["values"].as_array_mut() {
                rows.retain(|row| {
                    let first = row[0].as_str().unwrap_or_default();
                    held.contains(&(name.clone(), first.to_owned())) || !is_ghost(&name, first)
                });
            }
        }
        all.retain(|series| {
            series["values"]
                .as_array()
                .is_none_or(|rows| !rows.is_empty())
        });
        if all.is_empty()
            && let Some(result) = result.as_object_mut()
        {
            result.remove("series");
        }
    }
}

fn all_series(answer: &mut Json) -> impl Iterator<Item = &mut Json> {
    let results = answer["results"].as_array_mut().into_iter().flatten();
    results.flat_map(|result| match result.get_mut("series") {
        Some(Json::Array(series)) => series.iter_mut(),
        _ => [].iter_mut(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: &str, judged: &str, ours: &str, same: bool) {
        let mut ghosts = Ghosts::default();
        ghosts.add(b"m,h=new");
        let answer = |series: &str| -> Json {
            let text = format!("{{\"results\":[{{\"series\":[{series}]}}]}}");
            serde_json::from_str(&text).expect("JSON")
        };
        let (mut judged, mut ours) = (answer(judged), answer(ours));
        ghosts.take_away(read, &mut judged, &mut ours);
        assert_eq!(judged == ours, same, "{judged} {ours}");
    }

    #[test]
    fn ghosts_are_taken_away_and_nothing_else() {
        let series = |keys: &str| format!("{{\"values\":[{keys}]}}");
        let (m, ghost, other) = ("[\"m\"]", "[\"m\"],[\"m,h=new\"]", "[\"m\"],[\"m,h=x\"]");
        check("SHOW SERIES", &series(ghost), &series(m), true);
        check("SHOW SERIES", &series(ghost), &series(ghost), true);
        check("SHOW SERIES", &series(other), &series(m), false);
        check("SHOW SERIES", &series(m), &series(ghost), false);
        let tags = |name: &str| format!("{{\"name\":\"{name}\",\"values\":[[\"h\"]]}}");
        check("SHOW TAG KEYS", &tags("m"), &series(m), false);
        check("SHOW TAG KEYS", &tags("n"), "", false);
        let row = |tags: &str| format!("{{\"name\":\"m\",\"tags\":{tags},\"values\":[[1]]}}");
        check("SELECT", &row("{\"h\":\"\"}"), &row("{}"), true);
        check("SELECT", &row("{\"h\":\"a\"}"), &row("{}"), false);
    }
}
