//! Retention policies and how they cut time into shards.
//!
//! Rules and texts are InfluxDB's (`influxdata/influxdb services/meta/data.go`): a duration of 0
//! keeps data for ever, none is shorter than an hour, and the shard duration follows from the
//! duration unless it is given.

use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, TimeRange};

use crate::error::StoreError;

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;

/// The shortest duration of a policy that does not keep data for ever.
pub const POLICY_DURATION_NS_MIN: i64 = HOUR_NS;

/// The name of the policy that a new database gets when none is named.
pub const DEFAULT_POLICY_NAME: &str = "autogen";

/// A retention policy as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Unique within the database.
    pub name: String,
    /// How long points are kept, in nanoseconds; 0 is for ever.
    pub duration_ns: i64,
    /// How much time one shard holds, in nanoseconds.
    pub shard_duration_ns: i64,
    /// Kept and shown for clients of InfluxDB; nothing is replicated by it.
    pub replicas: u32,
    /// True for the policy that is used when a request names none.
    pub is_default: bool,
}

impl RetentionPolicy {
    /// When a shard whose last nanosecond is `max_ns` is past its time; `None` for never.
    #[must_use]
    pub fn expires_ns(&self, max_ns: i64) -> Option<i64> {
        (self.duration_ns != 0).then(|| max_ns.saturating_add(1).saturating_add(self.duration_ns))
    }

    /// True for one of the same name that keeps and cuts time in the same way.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.name == other.name
            && self.duration_ns == other.duration_ns
            && self.shard_duration_ns == other.shard_duration_ns
            && self.replicas == other.replicas
    }
}

/// What is asked for when a policy is made; `None` takes the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySpec {
    /// `autogen` when not given.
    pub name: Option<String>,
    /// In nanoseconds; for ever when not given.
    pub duration_ns: Option<i64>,
    /// In nanoseconds; follows from the duration when not given or 0.
    pub shard_duration_ns: Option<i64>,
    /// 1 when not given.
    pub replicas: Option<u32>,
}

/// What is to change of a policy; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// In nanoseconds; 0 is for ever.
    pub duration_ns: Option<i64>,
    /// In nanoseconds; 0 takes what follows from the duration. Shards that exist keep theirs.
    pub shard_duration_ns: Option<i64>,
    /// See [`RetentionPolicy::replicas`].
    pub replicas: Option<u32>,
    /// Makes it the default.
    pub make_default: bool,
}

impl PolicyChange {
    /// `policy` with this change.
    ///
    /// # Errors
    /// A text of InfluxDB's when a duration is out of bounds.
    pub fn apply(&self, policy: &RetentionPolicy) -> Result<RetentionPolicy, StoreError> {
        let duration_ns = self.duration_ns.unwrap_or(policy.duration_ns);
        check_duration(duration_ns)?;
        // As InfluxDB does, what was asked for is held against the duration, not what it becomes.
        let asked_ns = self.shard_duration_ns.unwrap_or(policy.shard_duration_ns);
        check_shard_duration(duration_ns, asked_ns)?;
        let shard_duration_ns = match self.shard_duration_ns {
            None => policy.shard_duration_ns,
            Some(0) => default_shard_duration_ns(duration_ns),
            Some(asked) => asked.max(HOUR_NS),
        };
        Ok(RetentionPolicy {
            name: policy.name.clone(),
            duration_ns,
            shard_duration_ns,
            replicas: self.replicas.unwrap_or(policy.replicas),
            is_default: policy.is_default || self.make_default,
        })
    }
}

fn check_duration(duration_ns: i64) -> Result<(), StoreError> {
    if duration_ns != 0 && duration_ns < POLICY_DURATION_NS_MIN {
        return Err(StoreError::Refused(
            "retention policy duration must be at least 1h0m0s".into(),
        ));
    }
    Ok(())
}

fn check_shard_duration(duration_ns: i64, shard_duration_ns: i64) -> Result<(), StoreError> {
    if duration_ns != 0 && duration_ns < shard_duration_ns {
        return Err(StoreError::Refused(
            "retention policy duration must be greater than the shard duration".into(),
        ));
    }
    Ok(())
}

impl PolicySpec {
    /// The policy that this describes.
    ///
    /// # Errors
    /// A text of InfluxDB's when a duration or the name is out of bounds.
    pub fn resolve(&self) -> Result<RetentionPolicy, StoreError> {
        let name = self.name.as_deref().unwrap_or(DEFAULT_POLICY_NAME);
        check_name(name)?;
        let duration_ns = self.duration_ns.unwrap_or(0);
        check_duration(duration_ns)?;
        let shard_duration_ns = match self.shard_duration_ns {
            None | Some(0) => default_shard_duration_ns(duration_ns),
            Some(asked) => asked.max(HOUR_NS),
        };
        check_shard_duration(duration_ns, shard_duration_ns)?;
        let replicas = self.replicas.unwrap_or(1);
        if replicas == 0 {
            return Err(StoreError::Refused(
                "replication factor must be greater than 0".into(),
            ));
        }
        Ok(RetentionPolicy {
            name: name.into(),
            duration_ns,
            shard_duration_ns,
            replicas,
            is_default: false,
        })
    }
}

impl PolicySpec {
    /// True if all that is given here is so in `policy`, as where a database is made once more.
    pub(crate) fn fits(&self, policy: &RetentionPolicy) -> bool {
        let shard_duration_ns = match self.shard_duration_ns {
            None | Some(0) => default_shard_duration_ns(policy.duration_ns),
            Some(asked) => asked.max(HOUR_NS),
        };
        self.name.as_deref().unwrap_or(DEFAULT_POLICY_NAME) == policy.name
            && self
                .duration_ns
                .is_none_or(|asked| asked == policy.duration_ns)
            && self.replicas.is_none_or(|asked| asked == policy.replicas)
            && shard_duration_ns == policy.shard_duration_ns
    }
}

/// The shard duration that InfluxDB gives to a policy of this duration.
#[must_use]
pub fn default_shard_duration_ns(duration_ns: i64) -> i64 {
    match duration_ns {
        0 => 7 * DAY_NS,
        d if d >= 180 * DAY_NS => 7 * DAY_NS,
        d if d >= 2 * DAY_NS => DAY_NS,
        _ => HOUR_NS,
    }
}

/// Refuses a database or policy name that InfluxDB refuses.
pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let printable = name.chars().all(|c| !c.is_control());
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) || !printable {
        return Err(StoreError::Refused("invalid name".into()));
    }
    if name.len() > 255 {
        return Err(StoreError::Refused("name too long".into()));
    }
    Ok(())
}

/// Go's zero time, from which `time.Truncate` counts, in nanoseconds before the Unix epoch,
/// reduced modulo nothing: 1 January of year 1 is 62,135,596,800 seconds before 1970.
const GO_ZERO_SECONDS: i128 = 62_135_596_800;

/// The first and last nanosecond of the shard that holds `time_ns`, both inside.
///
/// InfluxDB cuts by `time.Truncate`, which counts from year 1, not from 1970: 7-day shards begin
/// on Mondays.
pub(crate) fn shard_bounds(time_ns: i64, shard_duration_ns: i64) -> (i64, i64) {
    debug_assert!(shard_duration_ns > 0);
    let width = i128::from(shard_duration_ns);
    let start = unbounded_start(time_ns, shard_duration_ns);
    let clamp = |t: i128| {
        i64::try_from(t.clamp(i128::from(MIN_TIME_NS), i128::from(MAX_TIME_NS))).unwrap_or(time_ns)
    };
    (clamp(start), clamp(start + width - 1))
}

/// The second in which the partition of a shard begins, as InfluxDB shows it.
pub(crate) fn start_s(range: TimeRange, shard_duration_ns: i64) -> i64 {
    let start_ns = match range.min_ns {
        MIN_TIME_NS => unbounded_start(MIN_TIME_NS, shard_duration_ns),
        min_ns => i128::from(min_ns),
    };
    i64::try_from(start_ns.div_euclid(1_000_000_000)).unwrap_or(i64::MIN)
}

/// Where the shard that holds `time_ns` begins, also where that is no time that a row can have.
fn unbounded_start(time_ns: i64, shard_duration_ns: i64) -> i128 {
    let since_zero = i128::from(time_ns) + GO_ZERO_SECONDS * 1_000_000_000;
    i128::from(time_ns) - since_zero.rem_euclid(i128::from(shard_duration_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_day_shards_begin_on_mondays() {
        // Thursday 2026-01-01T00:00:00Z lies in the shard that begins on Monday 2025-12-29.
        let (start, end) = shard_bounds(1_767_225_600_000_000_000, 7 * DAY_NS);
        assert_eq!(start, 1_766_966_400_000_000_000);
        assert_eq!(end, start + 7 * DAY_NS - 1);
    }

    #[test]
    fn shards_at_the_ends_of_time_stay_in_bounds() {
        assert_eq!(shard_bounds(MIN_TIME_NS, 7 * DAY_NS).0, MIN_TIME_NS);
        assert_eq!(shard_bounds(MAX_TIME_NS, 7 * DAY_NS).1, MAX_TIME_NS);
        for time_ns in [MIN_TIME_NS, -1, 0, 1, MAX_TIME_NS] {
            let (start, end) = shard_bounds(time_ns, HOUR_NS);
            assert!(start <= time_ns && time_ns <= end);
            assert_eq!(shard_bounds(start, HOUR_NS), (start, end));
            assert_eq!(shard_bounds(end, HOUR_NS), (start, end));
        }
    }

    #[test]
    fn the_first_shard_of_time_begins_before_it() {
        let (min_ns, max_ns) = shard_bounds(MIN_TIME_NS, 7 * DAY_NS);
        // 1677-09-20T00:00:00Z, a Monday; no row is before 1677-09-21T00:12:43Z.
        let range = TimeRange::new(min_ns, max_ns);
        assert_eq!(start_s(range, 7 * DAY_NS), -9_223_459_200);
        let range = TimeRange::new(-1, max_ns);
        assert_eq!(start_s(range, 7 * DAY_NS), -1);
    }

    #[test]
    fn a_policy_is_refused_with_influxdbs_text() {
        let refused = |duration_ns, shard_duration_ns| {
            PolicySpec {
                duration_ns,
                shard_duration_ns,
                ..PolicySpec::default()
            }
            .resolve()
            .unwrap_err()
            .to_string()
        };
        assert_eq!(
            refused(Some(1), None),
            "retention policy duration must be at least 1h0m0s"
        );
        assert_eq!(
            refused(Some(2 * HOUR_NS), Some(3 * HOUR_NS)),
            "retention policy duration must be greater than the shard duration"
        );
    }

    #[test]
    fn shard_durations_follow_influxdb() {
        assert_eq!(default_shard_duration_ns(0), 7 * DAY_NS);
        assert_eq!(default_shard_duration_ns(180 * DAY_NS), 7 * DAY_NS);
        assert_eq!(default_shard_duration_ns(179 * DAY_NS), DAY_NS);
        assert_eq!(default_shard_duration_ns(DAY_NS), HOUR_NS);
    }
}
