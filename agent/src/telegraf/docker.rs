//! `[[inputs.docker]]`.

use super::TelegrafError;
use super::section::{Section, is_none};
use crate::collect::DockerOptions;
use crate::glob::Filter;

/// Telegraf's default of `total_include`.
const TOTALS: [&str; 3] = ["cpu", "blkio", "network"];

/// Reads it.
pub(super) fn read(section: &mut Section<'_>) -> Result<DockerOptions, TelegrafError> {
    let mut options = DockerOptions::default();
    let mut endpoint = DockerOptions::ENDPOINT.to_owned();
    section.text("endpoint", &mut endpoint)?;
    if endpoint == "ENV" {
        section.report("endpoint", "`ENV` is not read; the usual socket is asked");
        endpoint = DockerOptions::ENDPOINT.to_owned();
    }
    options.endpoint = Some(endpoint);
    // Before 1.4 it had the other name.
    section.further_texts("container_names", &mut options.containers.include)?;
    section.further_texts("container_name_include", &mut options.containers.include)?;
    section.texts("container_name_exclude", &mut options.containers.exclude)?;
    // Where a state is left out, all others are meant.
    options.states = Filter::default();
    section.texts("container_state_include", &mut options.states.include)?;
    section.texts("container_state_exclude", &mut options.states.exclude)?;
    if options.states == Filter::default() {
        options.states = DockerOptions::running();
    }
    section.texts("docker_label_include", &mut options.labels.include)?;
    section.texts("docker_label_exclude", &mut options.labels.exclude)?;
    section.texts("tag_env", &mut options.tag_env)?;
    section.texts("storage_objects", &mut options.storage_objects)?;
    section.boolean("source_tag", &mut options.source_tag)?;
    options.services = false;
    section.boolean("gather_services", &mut options.services)?;
    parts(section, &mut options)?;
    section.leave_out(
        "timeout",
        "the engine is not asked for numbers, and nobody waits for what else it tells",
    );
    section.leave_out(
        "podman_cache_ttl",
        "shares are formed here, from the kernel's numbers",
    );
    for key in ["tls_enable", "insecure_skip_verify"] {
        section.leave_out_unless(key, is_none, "an engine is asked without TLS");
    }
    for key in [
        "tls_ca",
        "tls_cert",
        "tls_key",
        "tls_key_pwd",
        "tls_server_name",
    ] {
        section.leave_out_unless(key, is_none, "an engine is asked without TLS");
    }
    Ok(options)
}

/// Which lines there are beside sums, and which sums. `perdevice` and `total` are older than the lists, and go over
/// them (`influxdata/telegraf plugins/inputs/docker/docker.go`).
fn parts(section: &mut Section<'_>, options: &mut DockerOptions) -> Result<(), TelegrafError> {
    let mut parts = vec!["cpu".to_owned()];
    section.texts("perdevice_include", &mut parts)?;
    let mut totals: Vec<String> = TOTALS.map(str::to_owned).into();
    section.texts("total_include", &mut totals)?;
    let has = |list: &[String], what: &str| list.iter().any(|name| name == what);
    let (mut is_all, mut has_totals) = (false, true);
    section.boolean("perdevice", &mut is_all)?;
    section.boolean("total", &mut has_totals)?;
    options.perdevice_cpu = has(&parts, "cpu");
    options.perdevice_network = is_all || has(&parts, "network");
    options.perdevice_blkio = is_all || has(&parts, "blkio");
    options.total_cpu = has(&totals, "cpu");
    options.total_network = has_totals && has(&totals, "network");
    options.total_blkio = has_totals && has(&totals, "blkio");
    Ok(())
}
