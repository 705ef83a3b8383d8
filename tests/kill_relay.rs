//! The relay dies by `kill -9` while points are written; what it had acknowledged is on both stores.

mod common;

use common::cluster::{Cluster, Role};

#[test]
fn both_stores_hold_every_acknowledged_point() {
    Cluster::start().survives_the_kill_of(Role::Relay);
}
