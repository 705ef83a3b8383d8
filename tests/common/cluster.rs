//! Two stores and a relay, each a process of its own, with data in one temporary directory.

use std::{net::SocketAddr, time::Duration};

use tempfile::TempDir;

use super::{
    PATIENCE, await_true, http,
    loader::{self, Loader},
    process::{Process, free_addresses},
};

/// How long a killed role stays away; `TANDEM_TEST_OUTAGE_S` says otherwise.
const OUTAGE: Duration = Duration::from_secs(5);
/// So many points are acknowledged before, during and after an outage.
const SOME_POINTS: usize = 500;

/// Who is who.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Backup,
    Relay,
}

/// The three, running.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Processes go before their data.
    roles: [Process; 3],
    addresses: [SocketAddr; 3],
    home: TempDir,
}

impl Cluster {
    /// Starts all three on free ports, and waits until they answer.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let addresses = free_addresses();
        let roles =
            [Role::Primary, Role::Backup, Role::Relay].map(|role| launch(role, addresses, &home));
        Self {
            roles,
            addresses,
            home,
        }
    }

    pub(crate) fn address(&self, role: Role) -> SocketAddr {
        self.addresses[role as usize]
    }

    pub(crate) fn kill(&mut self, role: Role) {
        self.roles[role as usize].kill();
    }

    /// Starts a role that was killed, on its old port and data.
    pub(crate) fn restart(&mut self, role: Role) {
        self.roles[role as usize] = launch(role, self.addresses, &self.home);
    }

    /// The whole story: points are written through the relay, `role` is killed while they are,
    /// stays away for a while and comes back; then both stores hold every acknowledged point.
    pub(crate) fn survives_the_kill_of(mut self, role: Role) {
        let loader = Loader::start(self.address(Role::Relay));
        loader.await_more(SOME_POINTS);
        self.kill(role);
        let outage = outage();
        if role == Role::Relay {
            std::thread::sleep(outage);
        } else {
            // The relay acknowledges what the other store and its log hold.
            let killed_at = std::time::Instant::now();
            loader.await_more(SOME_POINTS);
            std::thread::sleep(outage.saturating_sub(killed_at.elapsed()));
        }
        self.restart(role);
        loader.await_more(SOME_POINTS);
        let acknowledged = loader.finish();
        self.await_both_hold(&acknowledged);
    }

    /// Waits until both stores hold just the `acknowledged` points.
    pub(crate) fn await_both_hold(&self, acknowledged: &[loader::Acknowledged]) {
        for role in [Role::Primary, Role::Backup] {
            let address = self.address(role);
            for writer in acknowledged {
                await_true(
                    &format!("all points of {writer:?} in the {role:?}"),
                    PATIENCE,
                    || writer.count_in(address) == Some(writer.points),
                );
                writer.assert_held_by(address);
            }
        }
        for query in [
            "SELECT * FROM numbered",
            "SELECT * FROM latest",
            "SHOW SERIES",
        ] {
            let [primary, backup] = [Role::Primary, Role::Backup]
                .map(|role| http::series(self.address(role), loader::DATABASE, query));
            assert!(
                primary.as_ref().is_some_and(|series| !series.is_empty()),
                "{query}: no answer"
            );
            // The answers are too long to be printed whole.
            assert!(primary == backup, "the stores differ: {query}");
        }
    }
}

fn launch(role: Role, addresses: [SocketAddr; 3], home: &TempDir) -> Process {
    let [primary, backup, relay] = addresses.map(|address| address.to_string());
    let data = home.path().join(format!("{role:?}"));
    let data = data.to_str().expect("a path of UTF-8");
    let backends = [
        format!("primary=http://{primary}"),
        format!("backup=http://{backup}"),
    ];
    let arguments = match role {
        Role::Primary => vec![
            "store",
            "--http",
            &primary,
            "--admin",
            "off",
            "--data-dir",
            data,
        ],
        Role::Backup => vec![
            "store",
            "--http",
            &backup,
            "--admin",
            "off",
            "--data-dir",
            data,
        ],
        Role::Relay => vec![
            "relay",
            "--http",
            &relay,
            "--data-dir",
            data,
            "--backend",
            &backends[0],
            "--backend",
            &backends[1],
        ],
    };
    let mut process = Process::start(&arguments, home.path(), &format!("{role:?}.log"));
    process.await_ping(addresses[role as usize]);
    process
}

fn outage() -> Duration {
    let text = std::env::var("TANDEM_TEST_OUTAGE_S").ok();
    text.map_or(OUTAGE, |text| {
        Duration::from_secs(text.parse().expect("TANDEM_TEST_OUTAGE_S: seconds"))
    })
}
