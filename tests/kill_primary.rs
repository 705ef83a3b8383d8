//! The primary dies by `kill -9` while points are written; back again, it holds what the backup holds.

mod common;

use common::cluster::{Cluster, Role};

#[test]
fn both_stores_hold_every_acknowledged_point() {
    Cluster::start().survives_the_kill_of(Role::Primary);
}
