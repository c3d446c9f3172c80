//! The manifests of archives: Docker's `manifest.json`, OCI's index and manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::list::list;
use crate::image::platform::Platform;

/// The media type of a plain layer.
pub const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The same, packed.
pub const GZIP_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The media type of a config.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// What Docker calls an index.
pub const DOCKER_LIST_TYPE: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// What Docker calls a manifest.
pub const DOCKER_MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The manifests of Docker's first registry, signed or not.
pub const SCHEMA1_SIGNED_TYPE: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
pub const SCHEMA1_TYPE: &str = "application/vnd.docker.distribution.manifest.v1+json";

/// The annotation with a whole image name, as containerd and Docker write it.
pub const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// The annotation with a tag, or with some builders a whole name.
pub const REF_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// One image of a `manifest.json`; the paths are members of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DockerManifest {
    pub config: String,
    #[serde(deserialize_with = "list")]
    pub repo_tags: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub layers: Vec<String>,
}

/// The whole of a `manifest.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DockerManifests(#[serde(deserialize_with = "list")] pub Vec<DockerManifest>);

/// An `index.json`, or a list of builds for several platforms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    pub media_type: Option<String>,
    #[serde(deserialize_with = "list")]
    pub manifests: Vec<Descriptor>,
}

/// The manifest of one build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    pub media_type: Option<String>,
    pub config: Descriptor,
    #[serde(deserialize_with = "list")]
    pub layers: Vec<Descriptor>,
}

/// A blob by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A platform in a descriptor, where every part may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DescriptorPlatform {
    pub architecture: String,
    pub os: String,
    pub variant: Option<String>,
}

impl Descriptor {
    /// Whether it names a further index.
    pub fn is_index(&self) -> bool {
        self.media_type == INDEX_TYPE || self.media_type == DOCKER_LIST_TYPE
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// The platform, if it is given.
    pub fn platform(&self) -> Option<Platform> {
        self.platform.as_ref().map(|p| Platform {
            os: p.os.clone(),
            architecture: p.architecture.clone(),
            variant: p.variant.clone().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_of_builders_are_understood_whatever_else_they_hold() {
        let docker: DockerManifests = serde_json::from_str(
            r#"[{"Config":"a.json","RepoTags":null,"Layers":["l/layer.tar"],"LayerSources":{}}]"#,
        )
        .unwrap();
        assert_eq!(docker.0[0].config, "a.json");
        let index: Index = serde_json::from_str(
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"d","size":3,
               "platform":{"architecture":"arm","os":"linux","variant":"v7","os.version":"1"},
               "annotations":{"a":"b"}}]}"#,
        )
        .unwrap();
        let first = &index.manifests[0];
        assert_eq!(first.platform().unwrap().to_string(), "linux/arm/v7");
        assert_eq!(
            (first.annotation("a"), first.annotation("c")),
            (Some("b"), None)
        );
        assert!(!first.is_index());
    }
}
