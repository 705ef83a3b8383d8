//! What an engine's layers, containers, images and volumes take on disk: `GET /system/df`, which an engine may
//! need a minute for, so that it is asked on a thread of its own, and only where somebody wants to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Endpoint;
use super::answers::or_default;
use super::socket::get_within;
use crate::containers::registry::{
    ContainerDisk, DiskUsage, ImageDisk, Registry, VolumeDisk, split_image,
};

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Enough for parsing an answer, whose nesting is bounded.
const STACK_BYTES: usize = 512 << 10;
/// Digits of an image's id, behind the name of its hash.
const IMAGE_ID_DIGITS: usize = 12;

/// Asks again and again.
#[derive(Debug)]
pub(super) struct DiskUsageAsker {
    asked_at: Option<Instant>,
    is_asking: Arc<AtomicBool>,
}

impl DiskUsageAsker {
    pub(super) fn new() -> Self {
        Self {
            asked_at: None,
            is_asking: Arc::default(),
        }
    }

    /// Asks where it is time to; the answer goes into `registry`.
    pub(super) fn ask(&mut self, endpoint: &Endpoint, registry: &Arc<Registry>) {
        let is_recent = |at: Instant| at.elapsed() < ASK_EVERY;
        if self.asked_at.is_some_and(is_recent) || self.is_asking.swap(true, Ordering::Relaxed) {
            return;
        }
        self.asked_at = Some(Instant::now());
        let (endpoint, registry) = (endpoint.clone(), Arc::clone(registry));
        let is_asking = Arc::clone(&self.is_asking);
        let asking = std::thread::Builder::new()
            .name("agent-df".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let answer = get_within::<Answer>(&endpoint, "/system/df", PATIENCE);
                let mut state = registry.lock();
                match answer {
                    Ok(answer) => state.disk_usage = Some(answer.into_usage()),
                    Err(error) => state.problem = Some(error.to_string()),
                }
                is_asking.store(false, Ordering::Relaxed);
            });
        if asking.is_err() {
            self.is_asking.store(false, Ordering::Relaxed);
        }
    }
}

/// `GET /system/df`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    layers_size: i64,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    images: Vec<Image>,
    #[serde(deserialize_with = "or_default")]
    volumes: Vec<Volume>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    id: String,
    #[serde(deserialize_with = "or_default")]
    names: Vec<String>,
    image: String,
    size_rw: i64,
    size_root_fs: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    id: String,
    #[serde(deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    size: i64,
    shared_size: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Volume {
    name: String,
    #[serde(deserialize_with = "or_default")]
    usage_data: VolumeUsage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VolumeUsage {
    size: i64,
}

impl Answer {
    fn into_usage(self) -> DiskUsage {
        let containers = self.containers.into_iter().map(|container| {
            let (image, version) = split_image(&container.image);
            // A name with a second slash is a link's.
            let own = container
                .names
                .iter()
                .find(|name| name.rfind('/') == Some(0));
            ContainerDisk {
                name: own
                    .map_or("", |name| name.trim_start_matches('/'))
                    .to_owned(),
                id: container.id,
                image,
                version,
                writable_bytes: container.size_rw,
                all_bytes: container.size_root_fs,
            }
        });
        let images = self.images.into_iter().map(|image| {
            let digits = image.id.rsplit(':').next().unwrap_or_default();
            let tag = image.repo_tags.first().map(|tag| split_image(tag));
            let (name, version) = tag.unwrap_or_default();
            ImageDisk {
                id: digits.chars().take(IMAGE_ID_DIGITS).collect(),
                name,
                version,
                bytes: image.size,
                shared_bytes: image.shared_size,
            }
        });
        let volumes = self.volumes.into_iter().map(|volume| VolumeDisk {
            name: volume.name,
            bytes: volume.usage_data.size,
        });
        DiskUsage {
            layers_bytes: self.layers_size,
            containers: containers.collect(),
            images: images.collect(),
            volumes: volumes.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whatever_is_missing() {
        let text = r#"{"LayersSize":1000,
            "Containers":[{"Id":"abc","Names":["/x/alias","/web"],"Image":"nginx:1.25","SizeRw":7,"SizeRootFs":70}],
            "Images":[{"Id":"sha256:0123456789abcdef","RepoTags":["reg.example:5000/a:2"],"Size":50,"SharedSize":20},
                      {"Id":"sha256:ff","RepoTags":null,"Size":1,"SharedSize":-1}],
            "Volumes":[{"Name":"data","UsageData":{"Size":9,"RefCount":1}},{"Name":"odd","UsageData":null}]}"#;
        let usage = serde_json::from_str::<Answer>(text).unwrap().into_usage();
        assert_eq!(usage.layers_bytes, 1000);
        let container = &usage.containers[0];
        assert_eq!(
            (container.name.as_str(), container.image.as_str()),
            ("web", "nginx")
        );
        assert_eq!((container.writable_bytes, container.all_bytes), (7, 70));
        let image = &usage.images[0];
        assert_eq!(
            (
                image.id.as_str(),
                image.name.as_str(),
                image.version.as_str()
            ),
            ("0123456789ab", "reg.example:5000/a", "2")
        );
        assert_eq!(usage.images[1].name, "");
        assert_eq!(usage.volumes[0].bytes, 9);
        assert_eq!(usage.volumes[1].bytes, 0);
        let nothing = serde_json::from_str::<Answer>(r#"{"Volumes":null}"#);
        assert_eq!(nothing.unwrap().into_usage(), DiskUsage::default());
    }
}
