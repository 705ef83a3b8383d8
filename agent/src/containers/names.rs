//! Who a container is where no engine answers: from the files that runtimes keep of it.
//!
//! | runtime | file |
//! |---|---|
//! | Docker | `/var/lib/docker/containers/<id>/config.v2.json` |
//! | containerd | `/run/containerd/io.containerd.runtime.v2.task/<namespace>/<id>/config.json` |
//! | CRI-O, Podman | `/var/lib/containers/storage/overlay-containers/<id>/userdata/config.json`, and `containers.json` beside it for the name |
//!
//! They can usually be read by root alone. A container about which nothing can be read is called
//! by the first twelve digits of its id, as engines do.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::discover::{Found, Runtime};
use super::registry::{Meta, split_image};
use crate::collect::Source;
use crate::roots::Roots;

/// Digits of an id that stand for it.
const SHORT_ID_DIGITS: usize = 12;
/// Containers that are remembered.
const KNOWN_MAX: usize = 5_000;
/// The namespaces that containerd is asked for: Kubernetes, Docker, and its own default.
const CONTAINERD_NAMESPACES: [&str; 3] = ["k8s.io", "moby", "default"];

/// What was found out about containers, by id; each is looked up once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<String, Arc<Meta>>,
}

/// Docker's own file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerFile {
    name: String,
    config: DockerConfig,
    host_config: Option<DockerHostConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerConfig {
    image: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerHostConfig {
    network_mode: String,
}

/// The runtime's description of a container, with what its maker noted on it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BundleFile {
    hostname: String,
    annotations: Option<BTreeMap<String, String>>,
}

/// One of Podman's list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stored {
    id: String,
    names: Option<Vec<String>>,
}

impl Names {
    /// The container's names, read anew only when it was not known.
    pub(crate) fn of(&mut self, found: &Found, roots: &Roots, source: &mut Source) -> Arc<Meta> {
        if let Some(known) = self.known.get(&found.id) {
            return Arc::clone(known);
        }
        let mut meta = look_up(found, roots, source).unwrap_or_default();
        meta.id.clone_from(&found.id);
        meta.cgroup = Some(found.path.clone());
        if meta.name.is_empty() {
            let short = found.id.get(..SHORT_ID_DIGITS);
            let is_name = found.runtime == Runtime::Lxc;
            let name = if is_name {
                &found.id
            } else {
                short.unwrap_or(&found.id)
            };
            name.clone_into(&mut meta.name);
        }
        let meta = Arc::new(meta);
        if self.known.len() < KNOWN_MAX {
            self.known.insert(found.id.clone(), Arc::clone(&meta));
        }
        meta
    }

    /// Forgets all but the containers that `is_there` knows.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.known.retain(|id, _| is_there(id));
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path, source: &mut Source) -> Option<T> {
    serde_json::from_slice(source.read_optional(path)?).ok()
}

fn look_up(found: &Found, roots: &Roots, source: &mut Source) -> Option<Meta> {
    let id = &found.id;
    match found.runtime {
        Runtime::Docker => {
            let path = roots.var(format!("lib/docker/containers/{id}/config.v2.json"));
            let file: DockerFile = read(&path, source)?;
            let (image, version) = split_image(&file.config.image);
            Some(Meta {
                name: file.name.trim_start_matches('/').to_owned(),
                image,
                version,
                labels: file.config.labels.unwrap_or_default().into_iter().collect(),
                has_host_network: file
                    .host_config
                    .is_some_and(|config| config.network_mode == "host"),
                ..Meta::default()
            })
        }
        Runtime::Containerd => CONTAINERD_NAMESPACES.into_iter().find_map(|namespace| {
            let tasks = "containerd/io.containerd.runtime.v2.task";
            let path = roots.run(format!("{tasks}/{namespace}/{id}/config.json"));
            Some(from_bundle(read(&path, source)?))
        }),
        Runtime::CriO | Runtime::Podman => {
            let containers = roots.var("lib/containers/storage/overlay-containers");
            let path = containers.join(id).join("userdata/config.json");
            let mut meta = read(&path, source).map(from_bundle).unwrap_or_default();
            if meta.name.is_empty() || found.runtime == Runtime::Podman {
                let stored: Vec<Stored> = read(&containers.join("containers.json"), source)?;
                let own = stored.into_iter().find(|stored| stored.id == *id);
                let mut names = own.and_then(|own| own.names).unwrap_or_default();
                if !names.is_empty() {
                    meta.name = names.swap_remove(0);
                }
            }
            Some(meta)
        }
        Runtime::Lxc => None,
    }
}

/// Kubernetes' runtimes note pod and container; the tags are those that its users know as labels.
fn from_bundle(file: BundleFile) -> Meta {
    const LABELS: [(&str, &[&str]); 3] = [
        (
            "io.kubernetes.container.name",
            &[
                "io.kubernetes.cri.container-name",
                "io.kubernetes.container.name",
            ],
        ),
        (
            "io.kubernetes.pod.name",
            &["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"],
        ),
        (
            "io.kubernetes.pod.namespace",
            &[
                "io.kubernetes.cri.sandbox-namespace",
                "io.kubernetes.pod.namespace",
            ],
        ),
    ];
    const IMAGES: [&str; 3] = [
        "io.kubernetes.cri.image-name",
        "io.kubernetes.cri-o.ImageName",
        "org.opencontainers.image.ref.name",
    ];
    let notes = file.annotations.unwrap_or_default();
    let first = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| notes.get(*key));
        found.filter(|text| !text.is_empty()).cloned()
    };
    let labels: Vec<(String, String)> = LABELS
        .into_iter()
        .filter_map(|(label, keys)| Some((label.to_owned(), first(keys)?)))
        .collect();
    let of = |label: &str| {
        labels
            .iter()
            .find(|(key, _)| key == label)
            .map(|(_, text)| text)
    };
    let name = match (
        of("io.kubernetes.pod.name"),
        of("io.kubernetes.container.name"),
    ) {
        (Some(pod), Some(container)) => format!("{pod}_{container}"),
        // The container that holds a pod's network has no name of its own.
        (Some(pod), None) => format!("{pod}_POD"),
        _ => file.hostname,
    };
    let (image, version) = first(&IMAGES)
        .map(|image| split_image(&image))
        .unwrap_or_default();
    Meta {
        name,
        image,
        version,
        labels,
        ..Meta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn of(root: &Path, runtime: Runtime, id: &str) -> Arc<Meta> {
        let found = Found {
            runtime,
            id: id.to_owned(),
            path: "x".into(),
        };
        Names::default().of(&found, &Roots::under(root), &mut Source::default())
    }

    #[test]
    fn each_runtimes_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            "var/lib/docker/containers/aa/config.v2.json",
            r#"{"Name":"/web","Config":{"Image":"nginx:1.25","Labels":{"app":"shop"}},
                "HostConfig":{"NetworkMode":"host"}}"#,
        );
        let docker = of(root, Runtime::Docker, "aa");
        assert_eq!(
            (docker.name.as_str(), docker.version.as_str()),
            ("web", "1.25")
        );
        assert_eq!(docker.labels, [("app".to_owned(), "shop".to_owned())]);
        assert!(docker.has_host_network);

        write(
            root,
            "run/containerd/io.containerd.runtime.v2.task/k8s.io/bb/config.json",
            r#"{"annotations":{"io.kubernetes.cri.container-name":"db",
                "io.kubernetes.cri.sandbox-name":"shop-0",
                "io.kubernetes.cri.sandbox-namespace":"prod",
                "io.kubernetes.cri.image-name":"docker.io/library/postgres:16"}}"#,
        );
        let containerd = of(root, Runtime::Containerd, "bb");
        assert_eq!(containerd.name, "shop-0_db");
        assert_eq!(containerd.image, "docker.io/library/postgres");
        assert_eq!(containerd.labels.len(), 3);

        let storage = "var/lib/containers/storage/overlay-containers";
        write(
            root,
            &format!("{storage}/cc/userdata/config.json"),
            r#"{"hostname":"h"}"#,
        );
        write(
            root,
            &format!("{storage}/containers.json"),
            r#"[{"id":"dd","names":["other"]},{"id":"cc","names":["mine"]}]"#,
        );
        assert_eq!(of(root, Runtime::Podman, "cc").name, "mine");
    }

    #[test]
    fn what_cannot_be_read_has_its_id_for_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let id = "0123456789abcdef";
        assert_eq!(of(root, Runtime::Docker, id).name, "0123456789ab");
        assert_eq!(
            of(root, Runtime::Lxc, "my-long-container").name,
            "my-long-container"
        );
        write(
            root,
            &format!("var/lib/docker/containers/{id}/config.v2.json"),
            "{\"Name\": 7",
        );
        assert_eq!(of(root, Runtime::Docker, id).name, "0123456789ab");
    }
}
