//! What a request touches, and so which requests must keep their order.
//!
//! | behind it \ before it | write | makes something | destroys something |
//! |---|---|---|---|
//! | write | shares database and lane | same database | same database |
//! | makes something | never | always | always |
//! | destroys something | same database | always | always |
//!
//! A statement that makes something (a database, a user) may overtake writes: those that wait in a
//! queue for a missing database could else never be released through the relay.

/// A database, as a number: writes to different ones never wait for each other.
pub(crate) type Domain = u64;

/// What a request does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It writes points.
    #[default]
    Write,
    /// A statement that takes nothing away.
    Make,
    /// A statement whose outcome depends on what was written before.
    Destroy,
}

/// See the module's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) kind: Kind,
    /// `None` for all databases, or one that is not known.
    pub(crate) domain: Option<Domain>,
    /// The lanes of a write (`tandem_line::scan`).
    pub(crate) lanes: u64,
}

impl Scope {
    /// Of points for a database.
    pub(crate) fn write(database: &str, lanes: u64) -> Self {
        Self {
            kind: Kind::Write,
            domain: Some(domain(database)),
            lanes,
        }
    }

    /// Whether it must not reach a backend before `earlier` has.
    pub(crate) fn follows(&self, earlier: &Self) -> bool {
        let meet = self.meets(earlier.domain);
        match (earlier.kind, self.kind) {
            (Kind::Write, Kind::Write) => meet && self.lanes & earlier.lanes != 0,
            (Kind::Write, Kind::Make) => false,
            (Kind::Write, Kind::Destroy) | (_, Kind::Write) => meet,
            _ => true,
        }
    }

    /// Whether it may concern that database.
    pub(crate) fn meets(&self, domain: Option<Domain>) -> bool {
        match (self.domain, domain) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// The number of a database, never 0: FNV-1a. It stands in queues, so it does not change. Two
/// databases with one number only wait for each other.
pub(crate) fn domain(database: &str) -> Domain {
    let hash = database.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Ord::max(hash, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        let write = |database, lanes| Scope::write(database, lanes);
        let statement = |kind, database: Option<&str>| Scope {
            kind,
            domain: database.map(domain),
            lanes: 0,
        };
        assert!(write("a", 0b11).follows(&write("a", 0b10)));
        assert!(!write("a", 0b01).follows(&write("a", 0b10)));
        assert!(!write("a", 0b1).follows(&write("b", 0b1)));
        let (make, destroy) = (
            statement(Kind::Make, Some("a")),
            statement(Kind::Destroy, Some("a")),
        );
        assert!(!make.follows(&write("a", 1)) && destroy.follows(&write("a", 1)));
        assert!(!destroy.follows(&write("b", 1)));
        for earlier in [make, destroy] {
            assert!(write("a", 1).follows(&earlier) && !write("b", 1).follows(&earlier));
            assert!(statement(Kind::Make, Some("b")).follows(&earlier));
        }
        let everywhere = statement(Kind::Destroy, None);
        assert!(everywhere.follows(&write("b", 1)) && write("b", 1).follows(&everywhere));
    }
}
