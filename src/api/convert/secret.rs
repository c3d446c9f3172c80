//! Secrets, which never show their data, and configs, which do.

use crate::api::convert::task_spec::{read_driver, show_driver};
use crate::api::types::ObjectVersion;
use crate::api::types::base64::Base64;
use crate::api::types::secret as json;
use crate::api::types::timestamp::rfc3339;
use crate::model::object::{Config, Secret};
use crate::model::spec as model;

/// The secret that a client gave.
pub fn read_secret(given: json::SecretSpec) -> model::SecretSpec {
    model::SecretSpec {
        name: given.name,
        labels: given.labels,
        data: given.data.0,
        driver: given.driver.map(read_driver),
        templating: given.templating.map(read_driver),
    }
}

/// The config that a client gave.
pub fn read_config(given: json::ConfigSpec) -> model::ConfigSpec {
    model::ConfigSpec {
        name: given.name,
        labels: given.labels,
        data: given.data.0,
        templating: given.templating.map(read_driver),
    }
}

/// A secret without its data.
pub fn show_secret(secret: &Secret) -> json::Secret {
    json::Secret {
        id: secret.id.to_string(),
        version: ObjectVersion {
            index: secret.meta.version,
        },
        created_at: rfc3339(secret.meta.created_at),
        updated_at: rfc3339(secret.meta.updated_at),
        spec: json::SecretSpec {
            name: secret.spec.name.clone(),
            labels: secret.spec.labels.clone(),
            data: Base64::default(),
            driver: secret.spec.driver.as_ref().map(show_driver),
            templating: secret.spec.templating.as_ref().map(show_driver),
        },
    }
}

/// A config.
pub fn show_config(config: &Config) -> json::Config {
    json::Config {
        id: config.id.to_string(),
        version: ObjectVersion {
            index: config.meta.version,
        },
        created_at: rfc3339(config.meta.created_at),
        updated_at: rfc3339(config.meta.updated_at),
        spec: json::ConfigSpec {
            name: config.spec.name.clone(),
            labels: config.spec.labels.clone(),
            data: Base64(config.spec.data.clone()),
            templating: config.spec.templating.as_ref().map(show_driver),
        },
    }
}
