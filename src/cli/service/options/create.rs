//! The flags that only `service create` has, or has in words of its own.

use crate::cli::env_file;
use crate::cli::flags::{Flag, Kind};
use crate::cli::service::{check, mount, port, value};

pub const OWN: &[Flag] = &[
    Flag::new(
        "config",
        Kind::Many("config", port::check_file),
        "Specify configurations to expose to the service",
    ),
    Flag::new("constraint", Kind::List, "Placement constraints"),
    Flag::new(
        "container-label",
        Kind::Many("list", check::check_label),
        "Container labels",
    ),
    Flag::new(
        "device",
        Kind::Many("list", value::check_device),
        "Add host devices",
    ),
    Flag::new(
        "dns",
        Kind::Many("list", check::check_ip),
        "Set custom DNS servers",
    ),
    Flag::new("dns-option", Kind::List, "Set DNS options"),
    Flag::new("dns-search", Kind::List, "Set custom DNS search domains"),
    Flag::new(
        "endpoint-mode",
        Kind::Text,
        "Endpoint mode (vip or dnsrr) (default \"vip\")",
    ),
    env_file::ENV,
    env_file::ENV_FILE,
    Flag::new(
        "generic-resource",
        Kind::Many("list", value::check_generic),
        "User defined resources",
    ),
    Flag::new(
        "group",
        Kind::List,
        "Set one or more supplementary user groups for the container",
    ),
    Flag::new(
        "host",
        Kind::Many("list", check::check_host),
        "Set one or more custom host-to-IP mappings (host:ip)",
    ),
    Flag::new(
        "label",
        Kind::Many("list", check::check_label),
        "Service labels",
    )
    .short('l'),
    Flag::new(
        "mode",
        Kind::Text,
        "Service mode (\"replicated\", \"global\", \"replicated-job\", \
            \"global-job\") (default \"replicated\")",
    ),
    Flag::new(
        "mount",
        Kind::Many("mount", mount::check),
        "Attach a filesystem mount to the service",
    ),
    Flag::new("name", Kind::Text, "Service name"),
    Flag::new(
        "network",
        Kind::Many("network", port::check_network),
        "Network attachments",
    ),
    Flag::new(
        "placement-pref",
        Kind::Many("pref", value::check_preference),
        "Add a placement preference",
    ),
    Flag::new(
        "publish",
        Kind::Many("port", port::check),
        "Publish a port as a node port",
    )
    .short('p'),
    Flag::new(
        "restart-condition",
        Kind::Text,
        "Restart when condition is met (\"none\", \"on-failure\", \"any\") \
            (default \"any\")",
    ),
    Flag::new(
        "restart-delay",
        Kind::Duration,
        "Delay between restart attempts (ns|us|ms|s|m|h) (default 5s)",
    ),
    Flag::new(
        "rollback-delay",
        Kind::Duration,
        "Delay between task rollbacks (ns|us|ms|s|m|h) (default 0s)",
    ),
    Flag::new(
        "rollback-failure-action",
        Kind::Text,
        "Action on rollback failure (\"pause\", \"continue\") (default \"pause\")",
    ),
    Flag::new(
        "rollback-max-failure-ratio",
        Kind::Float,
        "Failure rate to tolerate during a rollback (default 0)",
    ),
    Flag::new(
        "rollback-monitor",
        Kind::Duration,
        "Duration after each task rollback to monitor for failure \
            (ns|us|ms|s|m|h) (default 5s)",
    ),
    Flag::new(
        "rollback-order",
        Kind::Text,
        "Rollback order (\"start-first\", \"stop-first\") (default \
            \"stop-first\")",
    ),
    Flag::new(
        "rollback-parallelism",
        Kind::Uint,
        "Maximum number of tasks rolled back simultaneously (0 to roll back all \
            at once) (default 1)",
    ),
    Flag::new(
        "secret",
        Kind::Many("secret", port::check_file),
        "Specify secrets to expose to the service",
    ),
    Flag::new(
        "stop-grace-period",
        Kind::Duration,
        "Time to wait before force killing a container (ns|us|ms|s|m|h) (default \
            10s)",
    ),
    Flag::new("sysctl", Kind::List, "Sysctl options"),
    Flag::new(
        "ulimit",
        Kind::Many("ulimit", value::check_ulimit),
        "Ulimit options (default [])",
    ),
    Flag::new(
        "update-delay",
        Kind::Duration,
        "Delay between updates (ns|us|ms|s|m|h) (default 0s)",
    ),
    Flag::new(
        "update-failure-action",
        Kind::Text,
        "Action on update failure (\"pause\", \"continue\", \"rollback\") \
            (default \"pause\")",
    ),
    Flag::new(
        "update-max-failure-ratio",
        Kind::Float,
        "Failure rate to tolerate during an update (default 0)",
    ),
    Flag::new(
        "update-monitor",
        Kind::Duration,
        "Duration after each task update to monitor for failure (ns|us|ms|s|m|h) \
            (default 5s)",
    ),
    Flag::new(
        "update-order",
        Kind::Text,
        "Update order (\"start-first\", \"stop-first\") (default \"stop-first\")",
    ),
    Flag::new(
        "update-parallelism",
        Kind::Uint,
        "Maximum number of tasks updated simultaneously (0 to update all at once) \
            (default 1)",
    ),
];
