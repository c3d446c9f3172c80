//! The flags that only `service update` has, or has in words of its own.

use crate::cli::flags::{Flag, Kind};
use crate::cli::service::{check, mount, port, value};

pub const OWN: &[Flag] = &[
    Flag::new(
        "args",
        Kind::One("command", value::check_words),
        "Service command args",
    ),
    Flag::new(
        "config-add",
        Kind::Many("config", port::check_file),
        "Add or update a config file on a service",
    ),
    Flag::new("config-rm", Kind::List, "Remove a configuration file"),
    Flag::new(
        "constraint-add",
        Kind::List,
        "Add or update a placement constraint",
    ),
    Flag::new("constraint-rm", Kind::List, "Remove a constraint"),
    Flag::new(
        "container-label-add",
        Kind::Many("list", check::check_label),
        "Add or update a container label",
    ),
    Flag::new(
        "container-label-rm",
        Kind::List,
        "Remove a container label by its key",
    ),
    Flag::new(
        "device-add",
        Kind::Many("list", value::check_device),
        "Add or update a host device",
    ),
    Flag::new("device-rm", Kind::List, "Remove a host device"),
    Flag::new(
        "dns-add",
        Kind::Many("list", check::check_ip),
        "Add or update a custom DNS server",
    ),
    Flag::new("dns-option-add", Kind::List, "Add or update a DNS option"),
    Flag::new("dns-option-rm", Kind::List, "Remove a DNS option"),
    Flag::new("dns-rm", Kind::List, "Remove a custom DNS server"),
    Flag::new(
        "dns-search-add",
        Kind::List,
        "Add or update a custom DNS search domain",
    ),
    Flag::new("dns-search-rm", Kind::List, "Remove a DNS search domain"),
    Flag::new("endpoint-mode", Kind::Text, "Endpoint mode (vip or dnsrr)"),
    Flag::new(
        "env-add",
        Kind::Many("list", check::check_env),
        "Add or update an environment variable",
    ),
    Flag::new("env-rm", Kind::List, "Remove an environment variable"),
    Flag::new(
        "force",
        Kind::Switch,
        "Force update even if no changes require it",
    ),
    Flag::new(
        "generic-resource-add",
        Kind::Many("list", value::check_generic),
        "Add a Generic resource",
    ),
    Flag::new(
        "generic-resource-rm",
        Kind::List,
        "Remove a Generic resource",
    ),
    Flag::new(
        "group-add",
        Kind::List,
        "Add an additional supplementary user group to the container",
    ),
    Flag::new(
        "group-rm",
        Kind::List,
        "Remove a previously added supplementary user group from the container",
    ),
    Flag::new(
        "host-add",
        Kind::Many("list", check::check_host),
        "Add a custom host-to-IP mapping (\"host:ip\")",
    ),
    Flag::new(
        "host-rm",
        Kind::List,
        "Remove a custom host-to-IP mapping (\"host:ip\")",
    ),
    Flag::new("image", Kind::Text, "Service image tag"),
    Flag::new(
        "label-add",
        Kind::Many("list", check::check_label),
        "Add or update a service label",
    ),
    Flag::new("label-rm", Kind::List, "Remove a label by its key"),
    Flag::new(
        "mount-add",
        Kind::Many("mount", mount::check),
        "Add or update a mount on a service",
    ),
    Flag::new("mount-rm", Kind::List, "Remove a mount by its target path"),
    Flag::new(
        "network-add",
        Kind::Many("network", port::check_network),
        "Add a network",
    ),
    Flag::new("network-rm", Kind::List, "Remove a network"),
    Flag::new(
        "placement-pref-add",
        Kind::Many("pref", value::check_preference),
        "Add a placement preference",
    ),
    Flag::new(
        "placement-pref-rm",
        Kind::Many("pref", value::check_preference),
        "Remove a placement preference",
    ),
    Flag::new(
        "publish-add",
        Kind::Many("port", port::check),
        "Add or update a published port",
    ),
    Flag::new(
        "publish-rm",
        Kind::Many("port", port::check),
        "Remove a published port by its target port",
    ),
    Flag::new(
        "restart-condition",
        Kind::Text,
        "Restart when condition is met (\"none\", \"on-failure\", \"any\")",
    ),
    Flag::new(
        "restart-delay",
        Kind::Duration,
        "Delay between restart attempts (ns|us|ms|s|m|h)",
    ),
    Flag::new(
        "rollback",
        Kind::Switch,
        "Rollback to previous specification",
    ),
    Flag::new(
        "rollback-delay",
        Kind::Duration,
        "Delay between task rollbacks (ns|us|ms|s|m|h)",
    ),
    Flag::new(
        "rollback-failure-action",
        Kind::Text,
        "Action on rollback failure (\"pause\", \"continue\")",
    ),
    Flag::new(
        "rollback-max-failure-ratio",
        Kind::Float,
        "Failure rate to tolerate during a rollback",
    ),
    Flag::new(
        "rollback-monitor",
        Kind::Duration,
        "Duration after each task rollback to monitor for failure \
            (ns|us|ms|s|m|h)",
    ),
    Flag::new(
        "rollback-order",
        Kind::Text,
        "Rollback order (\"start-first\", \"stop-first\")",
    ),
    Flag::new(
        "rollback-parallelism",
        Kind::Uint,
        "Maximum number of tasks rolled back simultaneously (0 to roll back all \
            at once)",
    ),
    Flag::new(
        "secret-add",
        Kind::Many("secret", port::check_file),
        "Add or update a secret on a service",
    ),
    Flag::new("secret-rm", Kind::List, "Remove a secret"),
    Flag::new(
        "stop-grace-period",
        Kind::Duration,
        "Time to wait before force killing a container (ns|us|ms|s|m|h)",
    ),
    Flag::new("sysctl-add", Kind::List, "Add or update a Sysctl option"),
    Flag::new("sysctl-rm", Kind::List, "Remove a Sysctl option"),
    Flag::new(
        "ulimit-add",
        Kind::Many("ulimit", value::check_ulimit),
        "Add or update a ulimit option (default [])",
    ),
    Flag::new("ulimit-rm", Kind::List, "Remove a ulimit option"),
    Flag::new(
        "update-delay",
        Kind::Duration,
        "Delay between updates (ns|us|ms|s|m|h)",
    ),
    Flag::new(
        "update-failure-action",
        Kind::Text,
        "Action on update failure (\"pause\", \"continue\", \"rollback\")",
    ),
    Flag::new(
        "update-max-failure-ratio",
        Kind::Float,
        "Failure rate to tolerate during an update",
    ),
    Flag::new(
        "update-monitor",
        Kind::Duration,
        "Duration after each task update to monitor for failure (ns|us|ms|s|m|h)",
    ),
    Flag::new(
        "update-order",
        Kind::Text,
        "Update order (\"start-first\", \"stop-first\")",
    ),
    Flag::new(
        "update-parallelism",
        Kind::Uint,
        "Maximum number of tasks updated simultaneously (0 to update all at once)",
    ),
];
