//! The flags of `service create` and `service update`.

mod create;
mod update;

use crate::cli::flags::{Flag, Kind};
use crate::cli::service::{DETACH, value};

/// Every flag of `service create`, sorted by name.
pub const CREATE: &[Flag] = &merged::<{ BOTH.len() + create::OWN.len() }>(create::OWN);
/// Every flag of `service update`, sorted by name.
pub const UPDATE: &[Flag] = &merged::<{ BOTH.len() + update::OWN.len() }>(update::OWN);

/// The flags of both, in their order, with those of one of the two.
const fn merged<const N: usize>(own: &[Flag]) -> [Flag; N] {
    let mut all = [DETACH; N];
    let (mut at, mut both) = (0, 0);
    while at < N {
        let of_own = at - both;
        let takes_own = both == BOTH.len()
            || of_own < own.len() && is_before(own[of_own].long, BOTH[both].long);
        if takes_own {
            all[at] = own[of_own];
        } else {
            all[at] = BOTH[both];
            both += 1;
        }
        at += 1;
    }
    all
}

const fn is_before(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() {
        if one[at] != other[at] {
            return one[at] < other[at];
        }
        at += 1;
    }
    one.len() < other.len()
}

/// The flags that both have in the same words.
const BOTH: &[Flag] = &[
    Flag::new("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::new("cap-drop", Kind::List, "Drop Linux capabilities"),
    Flag::new(
        "credential-spec",
        Kind::One("credential-spec", value::check_credential_spec),
        "Credential spec for managed service account (Windows only)",
    ),
    DETACH,
    Flag::new(
        "entrypoint",
        Kind::One("command", value::check_words),
        "Overwrite the default ENTRYPOINT of the image",
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
    Flag::new("hostname", Kind::Text, "Container hostname"),
    Flag::new(
        "init",
        Kind::Switch,
        "Use an init inside each service container to forward signals and reap \
            processes",
    ),
    Flag::new("isolation", Kind::Text, "Service container isolation mode"),
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
        "restart-max-attempts",
        Kind::Uint,
        "Maximum number of restarts before giving up",
    ),
    Flag::new(
        "restart-window",
        Kind::Duration,
        "Window used to evaluate the restart policy (ns|us|ms|s|m|h)",
    ),
    Flag::new("stop-signal", Kind::Text, "Signal to stop the container"),
    Flag::new("tty", Kind::Switch, "Allocate a pseudo-TTY").short('t'),
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

#[cfg(test)]
mod tests;
