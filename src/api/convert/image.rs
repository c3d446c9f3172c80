//! Images of the host.

use std::collections::BTreeMap;

use crate::api::types::Empty;
use crate::api::types::container::GraphDriver;
use crate::api::types::container_spec::HealthConfig;
use crate::api::types::image as json;
use crate::image::config::{HistoryEntry, RunConfig};
use crate::image::reference::Reference;
use crate::image::removal::Removed;
use crate::image::store::Image;

const NO_TAG: &str = "<none>:<none>";
const MISSING: &str = "<missing>";

/// An image in a list.
pub fn show_summary(image: &Image, shared_bytes: i64, containers: i64) -> json::ImageSummary {
    let size = bytes(image.bytes());
    json::ImageSummary {
        containers,
        created: image.config.created_s(),
        id: image.id.to_string(),
        labels: Some(image.config.config.labels.clone()),
        parent_id: String::new(),
        repo_digests: names(&image.digests),
        repo_tags: names(&image.tags),
        shared_size: shared_bytes,
        size,
        virtual_size: size,
    }
}

/// An image in full.
pub fn show(image: &Image) -> json::ImageInspect {
    let config = &image.config;
    json::ImageInspect {
        id: image.id.to_string(),
        repo_tags: names(&image.tags),
        repo_digests: names(&image.digests),
        parent: String::new(),
        comment: config.comment.clone(),
        created: config.created.clone(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        config: Some(show_config(&config.config)),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.platform().os,
        size: bytes(image.bytes()),
        virtual_size: bytes(image.bytes()),
        graph_driver: GraphDriver {
            data: None,
            name: "overlayfs".into(),
        },
        root_fs: json::RootFs {
            kind: "layers".into(),
            layers: image
                .layers
                .iter()
                .map(|layer| layer.diff_id.to_string())
                .collect(),
        },
        metadata: json::ImageMetadata::default(),
    }
}

/// The steps that made an image, the newest first.
pub fn show_history(image: &Image) -> Vec<json::HistoryItem> {
    let mut layers = image.layers.iter();
    let item = |entry: &HistoryEntry| json::HistoryItem {
        comment: entry.comment.clone(),
        created: entry.created_s(),
        created_by: entry.created_by.clone(),
        id: MISSING.into(),
        size: match entry.empty_layer {
            true => 0,
            false => layers.next().map_or(0, |layer| bytes(layer.bytes)),
        },
        tags: None,
    };
    let mut items: Vec<_> = image.config.history.iter().map(item).collect();
    items.extend(layers.map(|layer| json::HistoryItem {
        id: MISSING.into(),
        size: bytes(layer.bytes),
        ..json::HistoryItem::default()
    }));
    items.reverse();
    if let Some(newest) = items.first_mut() {
        newest.id = image.id.to_string();
        newest.tags = Some(names(&image.tags)).filter(|tags| !tags.is_empty());
    }
    items
}

/// What a removal did.
pub fn show_removed(removed: &Removed) -> json::DeletedImage {
    match removed {
        Removed::Deleted(digest) => json::DeletedImage {
            untagged: String::new(),
            deleted: digest.to_string(),
        },
        Removed::Untagged(name) => json::DeletedImage {
            untagged: name.familiar(),
            deleted: String::new(),
        },
    }
}

/// A length as Docker's signed numbers have it.
pub fn bytes(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// What a client shows for an image without a name.
pub fn first_name(image: &Image) -> String {
    image
        .tags
        .first()
        .map_or_else(|| NO_TAG.into(), Reference::familiar)
}

fn names(references: &[Reference]) -> Vec<String> {
    references.iter().map(Reference::familiar).collect()
}

fn show_config(config: &RunConfig) -> json::ImageConfig {
    let list = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let set = |keys: &mut dyn Iterator<Item = &String>| -> BTreeMap<String, Empty> {
        keys.map(|key| (key.clone(), Empty {})).collect()
    };
    json::ImageConfig {
        user: config.user.clone(),
        exposed_ports: set(&mut config.exposed_ports.keys()),
        env: config.env.clone(),
        cmd: list(&config.cmd),
        healthcheck: config.healthcheck.as_ref().map(|check| HealthConfig {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        volumes: Some(set(&mut config.volumes.keys())).filter(|volumes| !volumes.is_empty()),
        working_dir: config.working_dir.clone(),
        entrypoint: list(&config.entrypoint),
        on_build: list(&config.on_build),
        labels: Some(config.labels.clone()),
        stop_signal: config.stop_signal.clone(),
        ..json::ImageConfig::default()
    }
}
