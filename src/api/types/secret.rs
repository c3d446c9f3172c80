//! Secrets and configs.

use crate::api::types::base64::Base64;
use crate::api::types::{Driver, Labels, ObjectVersion};

docker! {
    /// Docker's `Secret`.
    pub struct Secret {
        id "ID": String;
        version "Version": ObjectVersion;
        created_at "CreatedAt": String;
        updated_at "UpdatedAt": String;
        spec "Spec": SecretSpec;
    }

    /// The data goes in and never comes out.
    pub struct SecretSpec {
        name "Name" omitempty: String;
        labels "Labels": Labels;
        data "Data" omitempty: Base64;
        driver "Driver" omitempty: Option<Driver>;
        templating "Templating" omitempty: Option<Driver>;
    }

    /// Docker's `Config`.
    pub struct Config {
        id "ID": String;
        version "Version": ObjectVersion;
        created_at "CreatedAt": String;
        updated_at "UpdatedAt": String;
        spec "Spec": ConfigSpec;
    }

    /// Docker's `ConfigSpec`.
    pub struct ConfigSpec {
        name "Name" omitempty: String;
        labels "Labels": Labels;
        data "Data" omitempty: Base64;
        templating "Templating" omitempty: Option<Driver>;
    }
}
