//! The API and the page over real sockets. One claim a file.

mod appliance;
mod auth;
mod bodies;
mod browsers;
mod chunks;
mod common;
mod concurrency;
mod conversations;
mod debug;
mod grants;
mod headers;
mod influxd;
mod inputs;
mod page;
mod policies;
mod prometheus;
mod query_differences;
mod query_forms;
mod query_results;
mod request_differences;
mod routes;
mod stopping;
mod telling;
mod version2;
mod write_differences;
mod write_errors;
