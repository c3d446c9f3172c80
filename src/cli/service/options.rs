//! The flags of `service create`.

use crate::cli::flags::{Flag, Kind};
use crate::cli::service::{DETACH, check, mount, port, spec};

/// Every flag, sorted by name.
pub const FLAGS: &[Flag] = &[
    Flag::new("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::new("cap-drop", Kind::List, "Drop Linux capabilities"),
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
    DETACH,
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
    Flag::new(
        "entrypoint",
        Kind::One("command", spec::check_words),
        "Overwrite the default ENTRYPOINT of the image",
    ),
    Flag::new(
        "env",
        Kind::Many("list", check::check_env),
        "Set environment variables",
    )
    .short('e'),
    Flag::new(
        "env-file",
        Kind::List,
        "Read in a file of environment variables",
    ),
    Flag::new("generic-resource", Kind::List, "User defined resources"),
    Flag::new(
        "group",
        Kind::List,
        "Set one or more supplementary user groups for the container",
    ),
    Flag::new("health-cmd", Kind::Text, "Command to run to check health"),
    Flag::new(
        "health-interval",
        Kind::Duration,
        "Time between running the check (ms|s|m|h)",
    ),
    Flag::new(
        "health-retries",
        Kind::Int,
        "Consecutive failures needed to report unhealthy",
    ),
    Flag::new(
        "health-start-interval",
        Kind::Duration,
        "Time between running the check during the start period (ms|s|m|h)",
    ),
    Flag::new(
        "health-start-period",
        Kind::Duration,
        "Start period for the container to initialize before counting retries \
            towards unstable (ms|s|m|h)",
    ),
    Flag::new(
        "health-timeout",
        Kind::Duration,
        "Maximum time to allow one check to run (ms|s|m|h)",
    ),
    Flag::new(
        "host",
        Kind::Many("list", check::check_host),
        "Set one or more custom host-to-IP mappings (host:ip)",
    ),
    Flag::new("hostname", Kind::Text, "Container hostname"),
    Flag::new(
        "init",
        Kind::Switch,
        "Use an init inside each service container to forward signals and reap \
            processes",
    ),
    Flag::new("isolation", Kind::Text, "Service container isolation mode"),
    Flag::new(
        "label",
        Kind::Many("list", check::check_label),
        "Service labels",
    )
    .short('l'),
    Flag::new("limit-cpu", Kind::Decimal, "Limit CPUs"),
    Flag::new("limit-memory", Kind::Bytes, "Limit Memory"),
    Flag::new(
        "limit-pids",
        Kind::Int,
        "Limit maximum number of processes (default 0 = unlimited)",
    ),
    Flag::new("log-driver", Kind::Text, "Logging driver for service"),
    Flag::new("log-opt", Kind::List, "Logging driver options"),
    Flag::new(
        "max-concurrent",
        Kind::Uint,
        "Number of job tasks to run concurrently (default equal to --replicas)",
    ),
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
        "no-healthcheck",
        Kind::Switch,
        "Disable any container-specified HEALTHCHECK",
    ),
    Flag::new(
        "no-resolve-image",
        Kind::Switch,
        "Do not query the registry to resolve image digest and supported \
            platforms",
    ),
    Flag::new(
        "oom-score-adj",
        Kind::Int,
        "Tune host's OOM preferences (-1000 to 1000)",
    ),
    Flag::new(
        "placement-pref",
        Kind::Many("pref", spec::check_preference),
        "Add a placement preference",
    ),
    Flag::new(
        "publish",
        Kind::Many("port", port::check),
        "Publish a port as a node port",
    )
    .short('p'),
    Flag::new("quiet", Kind::Switch, "Suppress progress output").short('q'),
    Flag::new(
        "read-only",
        Kind::Switch,
        "Mount the container's root filesystem as read only",
    ),
    Flag::new("replicas", Kind::Uint, "Number of tasks"),
    Flag::new(
        "replicas-max-per-node",
        Kind::Uint,
        "Maximum number of tasks per node (default 0 = unlimited)",
    ),
    Flag::new("reserve-cpu", Kind::Decimal, "Reserve CPUs"),
    Flag::new("reserve-memory", Kind::Bytes, "Reserve Memory"),
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
        "restart-max-attempts",
        Kind::Uint,
        "Maximum number of restarts before giving up",
    ),
    Flag::new(
        "restart-window",
        Kind::Duration,
        "Window used to evaluate the restart policy (ns|us|ms|s|m|h)",
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
    Flag::new("stop-signal", Kind::Text, "Signal to stop the container"),
    Flag::new("sysctl", Kind::List, "Sysctl options"),
    Flag::new("tty", Kind::Switch, "Allocate a pseudo-TTY").short('t'),
    Flag::new(
        "ulimit",
        Kind::Many("ulimit", spec::check_ulimit),
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
    Flag::new(
        "user",
        Kind::Text,
        "Username or UID (format: <name|uid>[:<group|gid>])",
    )
    .short('u'),
    Flag::new(
        "with-registry-auth",
        Kind::Switch,
        "Send registry authentication details to swarm agents",
    ),
    Flag::new(
        "workdir",
        Kind::Text,
        "Working directory inside the container",
    )
    .short('w'),
];
