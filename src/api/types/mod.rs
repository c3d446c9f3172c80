//! Docker's JSON objects, one struct each, with the names of fields and the omissions of Docker's
//! Go types.
//!
//! These types exist only at the rim: what is stored or sent between nodes lives in `model` and
//! `wire`. Each field gives its JSON name; `omitempty` leaves it out when it is zero, as Go does.
//! Absent fields read as zero.

macro_rules! docker {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {$(
            $(#[$field_meta:meta])*
            $field:ident $json:literal $($omitempty:ident)?: $kind:ty;
        )*}
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {$(
            $(#[$field_meta])*
            $(
                #[doc = concat!("`", stringify!($omitempty), "`")]
                #[serde(skip_serializing_if = "crate::api::types::is_zero")]
            )?
            #[serde(rename = $json)]
            pub $field: $kind,
        )*}
    )*};
}

pub mod task_spec;
pub mod container_spec;
pub mod service;
pub mod task;
pub mod node;
pub mod swarm;
pub mod network;
pub mod secret;
pub mod container;
pub mod exec;
pub mod stats;
pub mod image;
pub mod volume;
pub mod system;
pub mod event;
pub mod timestamp;
pub mod base64;
pub mod registry;

use std::collections::BTreeMap;

/// Names with values.
pub type Labels = BTreeMap<String, String>;

docker! {
    /// The body of every error.
    pub struct ErrorBody {
        message "message": String;
    }

    /// What a creation answers.
    pub struct Created {
        id "ID": String;
        warnings "Warnings" omitempty: Vec<String>;
    }

    /// What an update answers.
    pub struct Updated {
        warnings "Warnings": Option<Vec<String>>;
    }

    /// The log index of the last change of an object's spec.
    pub struct ObjectVersion {
        index "Index" omitempty: u64;
    }

    /// An object with no fields, where only its presence counts.
    pub struct Empty {
    }

    /// A driver and its options.
    pub struct Driver {
        name "Name" omitempty: String;
        options "Options" omitempty: Labels;
    }
}

/// Go's `omitempty`: whether a value is what an absent field reads as.
pub fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
