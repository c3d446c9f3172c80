//! What runs: the container part of a task.

use serde::{Deserialize, Serialize};

use crate::model::spec::Labels;
use crate::model::spec::mount::Mount;

/// Docker's `ContainerSpec`, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub image: String,
    pub labels: Labels,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub hostname: String,
    pub env: Vec<String>,
    pub dir: String,
    pub user: String,
    pub groups: Vec<String>,
    pub privileges: Option<Privileges>,
    pub init: Option<bool>,
    pub stop_signal: String,
    pub tty: bool,
    pub open_stdin: bool,
    pub read_only: bool,
    pub mounts: Vec<Mount>,
    pub stop_grace_period_ns: Option<i64>,
    pub healthcheck: Option<Healthcheck>,
    pub hosts: Vec<String>,
    pub dns: Option<DnsConfig>,
    pub secrets: Vec<SecretReference>,
    pub configs: Vec<ConfigReference>,
    pub isolation: String,
    pub sysctls: Labels,
    pub capability_add: Vec<String>,
    pub capability_drop: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    pub oom_score_adj: i64,
}

/// How long a container has between its stop signal and SIGKILL when the spec says nothing.
pub const STOP_GRACE_PERIOD_NS: i64 = 10_000_000_000;

/// Security settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Privileges {
    pub credential_spec: Option<CredentialSpec>,
    pub selinux: Option<SelinuxContext>,
    pub seccomp: Option<SeccompOptions>,
    pub apparmor_mode: Option<String>,
    pub no_new_privileges: bool,
}

/// A Windows credential spec, kept to be refused by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CredentialSpec {
    pub config: String,
    pub file: String,
    pub registry: String,
}

/// SELinux labels, kept to be refused by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelinuxContext {
    pub disable: bool,
    pub user: String,
    pub role: String,
    pub kind: String,
    pub level: String,
}

/// Which seccomp profile applies: `default` or empty, `unconfined`, or `custom` with a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeccompOptions {
    pub mode: String,
    pub profile: Vec<u8>,
}

/// A health check as Docker describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Healthcheck {
    pub test: Vec<String>,
    pub interval_ns: i64,
    pub timeout_ns: i64,
    pub start_period_ns: i64,
    pub start_interval_ns: i64,
    pub retries: i64,
}

/// Name resolution inside the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DnsConfig {
    pub nameservers: Vec<String>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// Where a secret or a config appears as a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileTarget {
    pub name: String,
    pub uid: String,
    pub gid: String,
    pub mode: u32,
}

/// A secret that the container uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecretReference {
    pub file: Option<FileTarget>,
    pub secret_id: String,
    pub secret_name: String,
}

/// A config that the container uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigReference {
    pub file: Option<FileTarget>,
    /// The config is the container's runtime configuration rather than a file.
    pub runtime: bool,
    pub config_id: String,
    pub config_name: String,
}

/// A resource limit of the container's processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub hard: i64,
    pub soft: i64,
}
