//! An image's config file: what to run and of which layers the root is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::image::digest::Digest;
use crate::image::list::list;
use crate::image::platform::Platform;

/// What Docker answers for a time that nobody gave: 1 January of the year 1.
pub const NOT_SAID: i64 = -62_135_596_800;

/// The config file as Docker and OCI define it. Unknown fields are ignored here and kept in the
/// file, which is stored as it came; `null` stands for nothing anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    #[serde(deserialize_with = "nullable")]
    pub architecture: String,
    #[serde(deserialize_with = "nullable")]
    pub variant: String,
    #[serde(deserialize_with = "nullable")]
    pub os: String,
    /// RFC 3339; empty if the builder did not say.
    #[serde(deserialize_with = "nullable")]
    pub created: String,
    #[serde(deserialize_with = "nullable")]
    pub author: String,
    #[serde(deserialize_with = "nullable")]
    pub comment: String,
    #[serde(deserialize_with = "nullable")]
    pub docker_version: String,
    /// How to run it.
    #[serde(deserialize_with = "nullable")]
    pub config: RunConfig,
    #[serde(deserialize_with = "list")]
    pub history: Vec<HistoryEntry>,
    pub rootfs: RootFs,
}

/// The defaults that an image gives its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    #[serde(deserialize_with = "nullable")]
    pub user: String,
    /// `80/tcp` and so on.
    #[serde(deserialize_with = "nullable")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`.
    #[serde(deserialize_with = "nullable")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "words")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "words")]
    pub cmd: Vec<String>,
    pub healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "nullable")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "nullable")]
    pub working_dir: String,
    #[serde(deserialize_with = "nullable")]
    pub on_build: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub stop_signal: String,
    pub stop_timeout: Option<i64>,
    #[serde(deserialize_with = "words")]
    pub shell: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub args_escaped: bool,
}

/// `{}`: the value of Go's sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// How to see whether a container is well; times are nanoseconds, 0 is "inherit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    #[serde(deserialize_with = "words")]
    pub test: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub interval: i64,
    #[serde(deserialize_with = "nullable")]
    pub timeout: i64,
    #[serde(deserialize_with = "nullable")]
    pub start_period: i64,
    #[serde(deserialize_with = "nullable")]
    pub start_interval: i64,
    #[serde(deserialize_with = "nullable")]
    pub retries: i64,
}

/// One step of the build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    #[serde(deserialize_with = "nullable")]
    pub created: String,
    #[serde(deserialize_with = "nullable")]
    pub created_by: String,
    #[serde(deserialize_with = "nullable")]
    pub author: String,
    #[serde(deserialize_with = "nullable")]
    pub comment: String,
    /// The step changed the config only.
    #[serde(deserialize_with = "nullable")]
    pub empty_layer: bool,
}

/// The layers, lowest first, by the digest of each layer's plain tar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub kind: String,
    #[serde(deserialize_with = "list")]
    pub diff_ids: Vec<String>,
}

/// Why bytes are no image config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a field of another type.
    #[error("the image config is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// More layers than an image may have.
    #[error("the image has {count} layers; at most {max} are possible")]
    Layers { count: usize, max: usize },
    /// A layer named by something else than a sha256.
    #[error("the image config does not name its layers: {0}")]
    DiffId(#[from] crate::image::digest::DigestError),
}

impl ImageConfig {
    /// Decodes a config and its layers' names.
    pub fn decode(bytes: &[u8], layers_max: usize) -> Result<(Self, Vec<Digest>), ConfigError> {
        let config: Self = serde_json::from_slice(bytes)?;
        let names = &config.rootfs.diff_ids;
        if names.len() > layers_max {
            return Err(ConfigError::Layers {
                count: names.len(),
                max: layers_max,
            });
        }
        let layers = names.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
        Ok((config, layers))
    }

    /// What the image was built for; an old image that does not say so was built for Linux.
    pub fn platform(&self) -> Platform {
        let os = if self.os.is_empty() {
            "linux"
        } else {
            &self.os
        };
        Platform {
            os: os.to_owned(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }

    /// Seconds since 1970; [`NOT_SAID`] if the builder did not say.
    pub fn created_s(&self) -> i64 {
        seconds(&self.created)
    }
}

impl HistoryEntry {
    /// Seconds since 1970; [`NOT_SAID`] if the builder did not say.
    pub fn created_s(&self) -> i64 {
        seconds(&self.created)
    }
}

fn seconds(rfc3339: &str) -> i64 {
    let time: Result<jiff::Timestamp, _> = rfc3339.parse();
    time.map_or(NOT_SAID, jiff::Timestamp::as_second)
}

fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// A list of words; old images have one word without the list.
fn words<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        None(()),
        One(String),
        Many(Vec<String>),
    }
    Ok(match Words::deserialize(d)? {
        Words::None(()) => Vec::new(),
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_as_docker_writes_it_is_understood() {
        let text = br#"{"architecture":"arm","variant":"v7","os":"linux","os.features":["x"],
            "created":"2024-05-06T07:08:09.123456789Z","container_config":{"Cmd":["x"]},
            "config":{"Env":["A=b"],"Cmd":null,"Entrypoint":["/e"],"User":"1:2","Labels":null,
              "ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"WorkingDir":"/w",
              "StopSignal":"SIGINT","Tty":false,
              "Healthcheck":{"Test":["CMD","x"],"Interval":5000000000,"Retries":3}},
            "history":[{"created_by":"a","empty_layer":true},{"created_by":"b"}],
            "rootfs":{"type":"layers","diff_ids":[]}}"#;
        let (config, layers) = ImageConfig::decode(text, 1).unwrap();
        assert_eq!(layers, []);
        assert_eq!(config.platform().to_string(), "linux/arm/v7");
        assert_eq!(config.created_s(), 1_714_979_289);
        let run = &config.config;
        assert_eq!(
            (run.entrypoint.len(), run.cmd.len(), run.env.len()),
            (1, 0, 1)
        );
        assert_eq!(run.healthcheck.as_ref().map(|h| h.retries), Some(3));
        assert!(run.exposed_ports.contains_key("80/tcp") && run.volumes.contains_key("/data"));
        assert_eq!(config.history.len(), 2);
    }

    #[test]
    fn an_old_config_with_a_single_word_for_a_command_is_understood() {
        let text = br#"{"config":{"Cmd":"sh","Entrypoint":null}}"#;
        let (config, _) = ImageConfig::decode(text, 1).unwrap();
        assert_eq!(config.config.cmd, ["sh"]);
        assert_eq!(config.platform().os, "linux");
        assert_eq!(config.created_s(), NOT_SAID);
    }

    #[test]
    fn a_config_that_was_written_reads_back() {
        let config = ImageConfig {
            os: "linux".to_owned(),
            created: "2024-05-06T07:08:09Z".to_owned(),
            ..ImageConfig::default()
        };
        let bytes = serde_json::to_vec(&config).unwrap();
        assert_eq!(ImageConfig::decode(&bytes, 1).unwrap().0, config);
    }

    #[test]
    fn a_wrong_config_is_refused_in_one_line() {
        let many = format!(
            r#"{{"rootfs":{{"diff_ids":["{}","{}"]}}}}"#,
            Digest::of(b""),
            Digest::of(b"")
        );
        for (text, expect) in [
            ("", "the image config is not valid: EOF"),
            ("[[[", "the image config is not valid: "),
            (
                r#"{"rootfs":{"diff_ids":[3]}}"#,
                "the image config is not valid: invalid type",
            ),
            (
                r#"{"config":{"Env":{}}}"#,
                "the image config is not valid: invalid type",
            ),
            (
                r#"{"rootfs":{"diff_ids":["x"]}}"#,
                "the image config does not name its layers: \"x\"",
            ),
            (&many, "the image has 2 layers; at most 1 are possible"),
        ] {
            let error = ImageConfig::decode(text.as_bytes(), 1)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(expect) && !error.contains('\n'),
                "{text}: {error}"
            );
        }
    }
}
