//! One file a role: from its section of the configuration to a thing that runs.

pub(crate) mod agent;
pub(crate) mod backends;
pub(crate) mod catalog;
pub(crate) mod relay;
pub(crate) mod serving;
pub(crate) mod store;
