//! What users ask for, stored as given: every field that a Docker client can send has its place
//! here, so that a client that echoes a spec back loses nothing. Optional fields keep the
//! difference between absent and zero.
//!
//! Durations are nanoseconds (`_ns`), as Docker's are.

pub mod cluster;
pub mod container;
pub mod mount;
pub mod network;
pub mod node;
pub mod service;
pub mod task;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels, options: names with values.
pub type Labels = BTreeMap<String, String>;

/// A driver and its options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Driver {
    pub name: String,
    pub options: Labels,
}

/// A secret as the user gives it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecretSpec {
    pub name: String,
    pub labels: Labels,
    pub data: Vec<u8>,
    pub driver: Option<Driver>,
    pub templating: Option<Driver>,
}

impl std::fmt::Debug for SecretSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretSpec({:?}, {} bytes)", self.name, self.data.len())
    }
}

/// A config as the user gives it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigSpec {
    pub name: String,
    pub labels: Labels,
    pub data: Vec<u8>,
    pub templating: Option<Driver>,
}

impl std::fmt::Debug for ConfigSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigSpec({:?}, {} bytes)", self.name, self.data.len())
    }
}
