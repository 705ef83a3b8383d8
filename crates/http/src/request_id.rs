//! Request ids: version 1 UUIDs, as InfluxDB gives to requests that bring none.

use uuid::Uuid;

/// Makes ids that sort by time within one process and differ between processes.
#[derive(Clone, Debug)]
pub struct RequestIds {
    node: [u8; 6],
}

impl RequestIds {
    /// Chooses a random node, marked as such (RFC 9562 section 6.10: the multicast bit is set).
    #[must_use]
    pub fn new() -> Self {
        let [a, b, c, d, e, f, ..] = *Uuid::new_v4().as_bytes();
        Self {
            node: [a | 1, b, c, d, e, f],
        }
    }

    /// The next id, in its usual form of 36 characters.
    #[must_use]
    pub fn next_id(&self) -> String {
        Uuid::now_v1(&self.node).hyphenated().to_string()
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_of_version_1_and_unique() {
        let ids = RequestIds::new();
        let made: HashSet<_> = (0..1000).map(|_| ids.next_id()).collect();
        assert_eq!(made.len(), 1000);
        for id in made {
            assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 1);
        }
    }
}
