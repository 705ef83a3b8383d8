//! The same story told otherwise, to find out what a difference comes from.

use super::data::Step;
use super::deletion::key_of;
use super::rewrite::with;
use super::story::Story;

/// So long that no data set has two shards: they would part in 1899 and 1999.
pub(super) const ONE_SHARD: &str = "876000h";
/// A tag that sorts behind the other one, and a name for it that sorts before it.
pub(super) const RENAMED: [&str; 2] = ["region", "aregion"];

/// With the other name of the tag that has one.
pub(super) fn with_renamed_tag(statement: &str) -> Option<String> {
    let [from, to] = RENAMED;
    let renamed = with(statement, |tokens, at| {
        let name = tokens[at].trim();
        (name.trim_matches('"') == from).then(|| tokens[at].replace(from, to))
    });
    Some(renamed.unwrap_or_else(|| statement.to_owned()))
}

impl Story {
    /// The same story in one shard, without the field that has other types in other shards.
    pub(super) fn in_one_shard(&self) -> Self {
        let keeps = |step: &Step| match step {
            Step::Line(line) => !line.contains(",x=") && !line.contains(" x="),
            Step::Deletion(_) => true,
        };
        Self {
            shard_duration: ONE_SHARD.to_owned(),
            steps: self
                .steps
                .iter()
                .filter(|step| keeps(step))
                .cloned()
                .collect(),
            ..self.clone()
        }
    }

    /// The same story without deletions, and without the lines that they take.
    pub(super) fn without_deleted(&self) -> Option<Self> {
        let mut steps: Vec<Step> = Vec::new();
        let mut has_deletions = false;
        for step in &self.steps {
            match step {
                Step::Line(_) => steps.push(step.clone()),
                Step::Deletion(deletion) => {
                    has_deletions = true;
                    steps.retain(|step| match step {
                        Step::Line(line) => !deletion.takes(line),
                        Step::Deletion(_) => true,
                    });
                }
            }
        }
        has_deletions.then(|| Self {
            steps,
            ..self.clone()
        })
    }

    /// The same story without deletions, and with all lines; `None` where nothing is deleted.
    pub(super) fn without_deletions(&self) -> Option<Self> {
        let is_line = |step: &&Step| matches!(step, Step::Line(_));
        let steps: Vec<Step> = self.steps.iter().filter(is_line).cloned().collect();
        (steps.len() < self.steps.len()).then(|| Self {
            steps,
            ..self.clone()
        })
    }

    /// The same story with another name for a tag, so that groups come in another order; `None` where no line has it.
    pub(super) fn renamed(&self) -> Option<Self> {
        let [from, to] = RENAMED.map(|name| format!(",{name}="));
        let mut renamed = self.clone();
        let mut is_other = false;
        for step in &mut renamed.steps {
            if let Step::Line(line) = step
                && line.contains(&from)
            {
                is_other = true;
                *line = line.replace(&from, &to);
            }
        }
        is_other.then_some(renamed)
    }

    /// The same story with some nanoseconds between the points of different series; `None` if there
    /// are no equal times.
    pub(super) fn apart(&self) -> Option<Self> {
        let mut keys: Vec<String> = Vec::new();
        let mut times: Vec<(i64, usize)> = Vec::new();
        let mut has_equal = false;
        let mut apart = self.clone();
        for step in &mut apart.steps {
            let Step::Line(line) = step else { continue };
            let (rest, time) = line.rsplit_once(' ')?;
            let time_ns: i64 = time.parse().ok()?;
            let key = key_of(rest);
            let at = keys
                .iter()
                .position(|known| known == key)
                .unwrap_or_else(|| {
                    keys.push(key.to_owned());
                    keys.len() - 1
                });
            has_equal |= times
                .iter()
                .any(|&(other, of)| other == time_ns && of != at);
            times.push((time_ns, at));
            let shifted = time_ns + 2 * at as i64;
            *line = format!("{rest} {shifted}");
        }
        has_equal.then_some(apart)
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::{self, DataSet};
    use super::super::deletion::{Deletion, Verb};
    use super::*;

    fn story(lines: &[&str]) -> Story {
        Story {
            shard_duration: "1h".to_owned(),
            steps: lines
                .iter()
                .map(|line| Step::Line((*line).to_owned()))
                .collect(),
            flush_after: None,
        }
    }

    #[test]
    fn deleted_lines_are_never_told() {
        let mut story = story(&["m,host=a f=1 5", "m,host=b f=2 5", "m,host=a f=3 9"]);
        assert!(story.without_deleted().is_none());
        let deletion = Deletion {
            verb: Verb::Delete,
            measurement: Some("m"),
            host: Some("a"),
            low_ns: None,
            high_ns: None,
        };
        story.steps.insert(2, Step::Deletion(deletion));
        let kept = story.without_deleted().map(|kept| kept.steps);
        let expected = self::story(&["m,host=b f=2 5", "m,host=a f=3 9"]).steps;
        assert_eq!(kept, Some(expected));
    }

    #[test]
    fn a_tag_has_another_name() {
        let story = story(&["m,host=a,region=eu f=1 5", "m f=2 6"]);
        let expected = self::story(&["m,host=a,aregion=eu f=1 5", "m f=2 6"]).steps;
        assert_eq!(story.renamed().map(|story| story.steps), Some(expected));
        assert!(self::story(&["m f=2 6"]).renamed().is_none());
        let grouped =
            |tags: &str| format!("SELECT f FROM m WHERE {tags} = 'region' GROUP BY {tags}, *");
        let statement = with_renamed_tag(&grouped("\"region\""));
        assert_eq!(statement, Some(grouped("\"aregion\"")));
        let other = grouped("host");
        assert_eq!(with_renamed_tag(&other), Some(other));
    }

    #[test]
    fn one_shard_holds_all_but_the_mixed_field() {
        let together = story(&["m f=1 5", "m f=1,x=2i 6", "m x=true 7"]).in_one_shard();
        assert_eq!(together.steps, story(&["m f=1 5"]).steps);
        let hours: i64 = ONE_SHARD.trim_end_matches('h').parse().expect("hours");
        let shard = |time_ns| data::shard_of(time_ns, hours * data::HOUR_NS);
        for seed in 0..200 {
            let set = DataSet::random(&mut crate::random::Random::new(seed));
            assert_eq!(shard(set.start_ns), shard(set.end_ns), "{seed}");
        }
    }

    #[test]
    fn equal_times_of_two_series_are_put_apart() {
        let apart = story(&["m,h=a\\ b f=1 5", "m f=2 5", "m f=3 6"]).apart();
        let expected = story(&["m,h=a\\ b f=1 5", "m f=2 7", "m f=3 8"]).steps;
        assert_eq!(apart.map(|apart| apart.steps), Some(expected));
        assert!(
            story(&["m f=1 5", "m f=2 5", "m,h=a f=1 6"])
                .apart()
                .is_none()
        );
    }
}
