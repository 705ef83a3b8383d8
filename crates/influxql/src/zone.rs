//! Time zones by name.

use jiff::tz::TimeZone;

/// The time zone of this name; an empty name is UTC and `Local` the machine's own, as in Go.
///
/// Names are those of the IANA database, in any case. The machine's database is preferred to the
/// one that is linked in.
#[must_use]
pub fn find(name: &str) -> Option<TimeZone> {
    match name {
        "" | "UTC" => Some(TimeZone::UTC),
        "Local" => Some(TimeZone::system()),
        _ => TimeZone::get(name).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_or_not() {
        for name in [
            "",
            "UTC",
            "Local",
            "America/Los_Angeles",
            "Europe/Berlin",
            "Asia/Tokyo",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        for name in [
            "America/New_Yorke",
            "Mars",
            "../UTC",
            "/etc/localtime",
            "+01:00",
            "EST5 ",
        ] {
            assert!(find(name).is_none(), "{name}");
        }
    }
}
