//! Understands what a registry has under a name, and chooses the build for this host.

use serde::Deserialize;

use crate::image::manifest::{
    self, DOCKER_LIST_TYPE, DOCKER_MANIFEST_TYPE, Descriptor, INDEX_TYPE, Index, MANIFEST_TYPE,
    Manifest,
};
use crate::image::platform::Platform;
use crate::image::registry::failure::printable;
use crate::image::registry::repository::Fetched;

/// Platforms that are named when none of them fits.
const SHOWN_MAX: usize = 12;
/// What the configs of images are; artifacts of other kinds have others.
const CONFIG_TYPES: [&str; 2] = [
    manifest::CONFIG_TYPE,
    "application/vnd.docker.container.image.v1+json",
];

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Index(Index),
    Manifest(Manifest),
}

/// Why there is no image for this host under a name.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error("the manifest could be an index as well")]
    Ambiguous,
    #[error("an index in an index has another index in it")]
    Deep,
    #[error("the manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is no image but {0:?}")]
    NoImage(String),
    #[error("no matching manifest for {host} in the manifest list entries: it has {found}")]
    NoPlatform { host: Platform, found: String },
    #[error(
        "it is an image of the old manifest schema 1, which nobody can check by digest: push it \
         anew with a current tool"
    )]
    Schema1,
}

/// The fields that tell kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl Named {
    /// Understands an answer by its media type, or if that says nothing by what is in it.
    pub fn read(fetched: &Fetched) -> Result<Self, ChoiceError> {
        let outline: Outline = serde_json::from_slice(&fetched.bytes)?;
        let said = outline.media_type.unwrap_or_default();
        let is_schema1 =
            |kind: &str| [manifest::SCHEMA1_SIGNED_TYPE, manifest::SCHEMA1_TYPE].contains(&kind);
        if outline.schema_version == Some(1) || is_schema1(&fetched.media_type) {
            return Err(ChoiceError::Schema1);
        }
        let has_build = outline.layers.is_some() || outline.config.is_some();
        if has_build && outline.manifests.is_some() {
            return Err(ChoiceError::Ambiguous);
        }
        let known = |kind: &str| match kind {
            INDEX_TYPE | DOCKER_LIST_TYPE => Some(true),
            MANIFEST_TYPE | DOCKER_MANIFEST_TYPE => Some(false),
            _ => None,
        };
        let is_index = match (known(&fetched.media_type), known(&said)) {
            (Some(one), Some(other)) if one != other => return Err(ChoiceError::Ambiguous),
            (Some(is_index), _) | (None, Some(is_index)) => is_index,
            (None, None) => outline.manifests.is_some(),
        };
        if is_index {
            return Ok(Self::Index(serde_json::from_slice(&fetched.bytes)?));
        }
        let manifest: Manifest = serde_json::from_slice(&fetched.bytes)?;
        let kind = manifest.config.media_type.as_str();
        // Some builders leave it out.
        if !kind.is_empty() && !CONFIG_TYPES.contains(&kind) {
            return Err(ChoiceError::NoImage(printable(kind)));
        }
        Ok(Self::Manifest(manifest))
    }
}

/// The build of an index that suits `host` best; the first of several that suit alike.
pub fn choose<'a>(index: &'a Index, host: &Platform) -> Result<&'a Descriptor, ChoiceError> {
    let mut best: Option<(u32, &Descriptor)> = None;
    for descriptor in &index.manifests {
        // What does not say may be for this host, if nothing says that it is.
        let platform = descriptor.platform().unwrap_or_else(|| Platform {
            os: host.os.clone(),
            ..Platform::default()
        });
        if let Some(rank) = host.rank(&platform)
            && best.is_none_or(|(other, _)| rank < other)
        {
            best = Some((rank, descriptor));
        }
    }
    best.map(|(_, descriptor)| descriptor)
        .ok_or_else(|| ChoiceError::NoPlatform {
            host: host.clone(),
            found: found(index),
        })
}

/// The platforms of an index.
pub fn platforms(index: &Index) -> Vec<Platform> {
    let named = index.manifests.iter().filter_map(Descriptor::platform);
    // Signed statements about builds are for no platform.
    named.filter(|platform| platform.os != "unknown").collect()
}

fn found(index: &Index) -> String {
    let shown = platforms(index).into_iter().take(SHOWN_MAX);
    let shown: Vec<_> = shown
        .map(|platform| printable(&platform.to_string()))
        .collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;
    use crate::image::digest::Digest;

    fn named(media_type: &str, text: &str) -> Result<Named, String> {
        let fetched = Fetched {
            media_type: media_type.to_owned(),
            digest: Digest::of(text.as_bytes()),
            bytes: text.as_bytes().to_vec(),
        };
        Named::read(&fetched).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check(media_type: &str, text: &str, expect: &str) {
        let kind = match named(media_type, text) {
            Ok(Named::Index(_)) => "index".to_owned(),
            Ok(Named::Manifest(_)) => "manifest".to_owned(),
            Err(error) => error,
        };
        assert!(kind.starts_with(expect), "{media_type} {text}: {kind}");
    }

    #[test]
    fn indexes_and_manifests_are_told_apart() {
        check(INDEX_TYPE, r#"{"schemaVersion":2,"manifests":[]}"#, "index");
        check(
            DOCKER_LIST_TYPE,
            r#"{"schemaVersion":2,"manifests":null}"#,
            "index",
        );
        check("text/plain", r#"{"manifests":[]}"#, "index");
        check("", r#"{"config":{},"layers":[]}"#, "manifest");
        let said = format!(r#"{{"mediaType":"{MANIFEST_TYPE}"}}"#);
        check("application/json", &said, "manifest");
        check(INDEX_TYPE, &said, "the manifest could be an index as well");
        check(
            INDEX_TYPE,
            r#"{"manifests":[],"layers":[]}"#,
            "the manifest could be an index",
        );
    }

    #[test]
    fn what_is_no_image_is_refused_by_name() {
        let old = "it is an image of the old manifest schema 1";
        check("", r#"{"schemaVersion":1,"fsLayers":[]}"#, old);
        check(manifest::SCHEMA1_SIGNED_TYPE, "{}", old);
        let chart = r#"{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"}}"#;
        check(
            MANIFEST_TYPE,
            chart,
            "it is no image but \"application/vnd.cncf.helm",
        );
        check(MANIFEST_TYPE, "<html>", "the manifest is not valid: ");
        let many = format!(r#"{{"layers":[{}{{}}]}}"#, "{},".repeat(10_000));
        check(
            MANIFEST_TYPE,
            &many,
            "the manifest is not valid: more than 4096 items",
        );
    }

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Platform {
            os: part(),
            architecture: part(),
            variant: part(),
        }
    }

    fn index(builds: &[&str]) -> Index {
        let builds = builds.iter().map(|build| match *build {
            "" => format!(r#"{{"digest":"{build}"}}"#),
            _ => {
                let it = platform(build);
                format!(
                    r#"{{"digest":"{build}","platform":
                        {{"os":"{}","architecture":"{}","variant":"{}"}}}}"#,
                    it.os, it.architecture, it.variant
                )
            }
        });
        let builds: Vec<_> = builds.collect();
        serde_json::from_str(&format!(r#"{{"manifests":[{}]}}"#, builds.join(","))).unwrap()
    }

    #[track_caller]
    fn chosen(host: &str, builds: &[&str], expect: &str) {
        let index = index(builds);
        let chosen = choose(&index, &platform(host));
        let chosen = chosen.map_or_else(|error| error.to_string(), |d| d.digest.clone());
        assert_eq!(chosen, expect);
    }

    #[test]
    fn the_build_for_this_host_is_chosen() {
        let arms = [
            "linux/arm/v6",
            "linux/arm/v7",
            "unknown/unknown",
            "linux/arm64/v8",
        ];
        chosen("linux/arm64/v8", &arms, "linux/arm64/v8");
        chosen("linux/arm64/v8", &arms[..3], "linux/arm/v7");
        chosen("linux/arm/v7", &arms, "linux/arm/v7");
        chosen("linux/arm/v6", &["", "linux/arm/v6"], "linux/arm/v6");
        chosen("linux/amd64", &["linux/arm64", ""], "");
        chosen(
            "linux/amd64",
            &arms,
            "no matching manifest for linux/amd64 in the manifest list entries: it has \
             linux/arm/v6, linux/arm/v7, linux/arm64/v8",
        );
        chosen(
            "linux/amd64",
            &[],
            "no matching manifest for linux/amd64 in the manifest list entries: it has none",
        );
    }

    #[test]
    fn no_bytes_break_the_reader() {
        let mut rng = Rng::from_seed(9);
        let good = br#"{"schemaVersion":2,"mediaType":"x","config":{"mediaType":"","digest":"d",
            "size":1},"layers":[{"digest":"d","size":1,"annotations":{"a":"b"}}]}"#;
        for _ in 0..20_000 {
            let mut bytes = good.to_vec();
            for _ in 0..=rng.below(4) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = u8::try_from(rng.below(256)).unwrap();
            }
            bytes.truncate(usize::try_from(rng.below(2 * bytes.len() as u64)).unwrap());
            let fetched = Fetched {
                media_type: String::new(),
                digest: Digest::of(&bytes),
                bytes,
            };
            if let Ok(Named::Index(index)) = Named::read(&fetched) {
                let _ = choose(&index, &platform("linux/amd64"));
            }
        }
    }
}
