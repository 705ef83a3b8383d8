//! The API and the page over real sockets. One claim a file.

mod auth;
mod bodies;
mod browsers;
mod chunks;
mod common;
mod concurrency;
mod conversations;
mod grants;
mod headers;
mod influxd;
mod page;
mod query_forms;
mod query_results;
mod routes;
mod stopping;
mod write_errors;
