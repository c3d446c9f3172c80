//! What may stand where in a Compose file of version 3, and what of it has no meaning in a swarm.

/// What a value has to be.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Anything,
    /// A string.
    Text,
    /// A string or a number, as text.
    Plain,
    Flag,
    Whole,
    Number,
    /// A duration.
    Span,
    /// Bytes, as text.
    Size,
    OneOf(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A text or a list of them.
    Lines,
    /// A list of names, or a mapping with them.
    Names,
    /// Words, or a text that is split into them.
    Command,
    /// `name=value` in a list, or a mapping.
    Pairs,
    /// The same, with names that have no value.
    Environment,
    /// `host:address` in a list, or a mapping.
    Hosts,
    /// A health check's test.
    Test,
    /// A limit, or a soft and a hard one.
    Limit,
    /// Whether the thing is made elsewhere, and how it is called there.
    External,
    Ports,
    Mounts,
    Attachments,
    /// Secrets or configs of a service.
    Files,
    List(&'static Self),
    Map(&'static Self),
    /// It may be left empty.
    Optional(&'static Self),
    Fields(Fields),
}

/// Names that are known, and what each is.
pub type Fields = &'static [(&'static str, Shape)];

use Shape::{
    Anything, Attachments, Command, Environment, External, Files, Flag, Hosts, Limit, Lines, List,
    Map, Mounts, Names, Number, OneOf, Optional, Pairs, Plain, Ports, Size, Span, Test, Text,
    Texts, Whole,
};

/// A whole file.
pub const FILE: Fields = &[
    ("version", Plain),
    ("name", Text),
    ("services", Map(&Shape::Fields(SERVICE))),
    ("networks", Map(&Optional(&Shape::Fields(NETWORK)))),
    ("volumes", Map(&Optional(&Shape::Fields(VOLUME)))),
    ("secrets", Map(&Shape::Fields(CONTENT))),
    ("configs", Map(&Shape::Fields(CONTENT))),
];

const SERVICE: Fields = &[
    ("build", Anything),
    ("cap_add", Texts),
    ("cap_drop", Texts),
    ("cgroup_parent", Text),
    ("cgroupns_mode", Text),
    ("command", Command),
    ("configs", Files),
    ("container_name", Text),
    (
        "credential_spec",
        Shape::Fields(&[("config", Text), ("file", Text), ("registry", Text)]),
    ),
    ("depends_on", Names),
    ("deploy", Optional(&Shape::Fields(DEPLOY))),
    ("devices", Texts),
    ("dns", Lines),
    ("dns_search", Lines),
    ("domainname", Text),
    ("entrypoint", Command),
    ("env_file", Lines),
    ("environment", Environment),
    ("expose", List(&Plain)),
    ("external_links", Texts),
    ("extra_hosts", Hosts),
    ("healthcheck", Shape::Fields(HEALTH)),
    ("hostname", Text),
    ("image", Text),
    ("init", Flag),
    ("ipc", Text),
    ("isolation", Text),
    ("labels", Pairs),
    ("links", Texts),
    (
        "logging",
        Shape::Fields(&[("driver", Text), ("options", Map(&Optional(&Plain)))]),
    ),
    ("mac_address", Text),
    ("network_mode", Text),
    ("networks", Attachments),
    ("oom_score_adj", Whole),
    ("pid", Text),
    ("ports", Ports),
    ("privileged", Flag),
    ("read_only", Flag),
    ("restart", Text),
    ("secrets", Files),
    ("security_opt", Texts),
    ("shm_size", Plain),
    ("stdin_open", Flag),
    ("stop_grace_period", Span),
    ("stop_signal", Text),
    ("sysctls", Pairs),
    ("tmpfs", Lines),
    ("tty", Flag),
    ("ulimits", Map(&Limit)),
    ("user", Text),
    ("userns_mode", Text),
    ("volumes", Mounts),
    ("working_dir", Text),
];

/// What a service of a swarm cannot have, and Docker passes over as well.
pub const IGNORED: &[&str] = &[
    "build",
    "cgroup_parent",
    "cgroupns_mode",
    "domainname",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "network_mode",
    "pid",
    "privileged",
    "restart",
    "security_opt",
    "shm_size",
    "userns_mode",
];

/// What has lost its meaning, and why.
pub const DEPRECATED: &[(&str, &str)] = &[
    (
        "container_name",
        "Setting the container name is not supported.",
    ),
    (
        "expose",
        "Exposing ports is unnecessary - services on the same network can access each other's \
         containers on any port.",
    ),
];

/// What older files had, and what to write in its place.
pub const FORBIDDEN: &[(&str, &str)] = &[
    ("extends", "Support for `extends` is not implemented yet."),
    (
        "volume_driver",
        "Instead of setting the volume driver on the service, define a volume using the top-level \
         `volumes` option and specify the driver there.",
    ),
    (
        "volumes_from",
        "To share a volume between services, define it using the top-level `volumes` option and \
         reference it from each service that shares it using the service-level `volumes` option.",
    ),
    ("cpu_quota", "Set resource limits using deploy.resources"),
    ("cpu_shares", "Set resource limits using deploy.resources"),
    ("cpus", "Set resource limits using deploy.resources"),
    ("cpuset", "Set resource limits using deploy.resources"),
    ("mem_limit", "Set resource limits using deploy.resources"),
    (
        "memswap_limit",
        "Set resource limits using deploy.resources",
    ),
];

const DEPLOY: Fields = &[
    ("endpoint_mode", OneOf(&["vip", "dnsrr"])),
    ("labels", Pairs),
    (
        "mode",
        OneOf(&["replicated", "global", "replicated-job", "global-job"]),
    ),
    ("placement", Shape::Fields(PLACEMENT)),
    ("replicas", Whole),
    ("resources", Shape::Fields(RESOURCES)),
    ("restart_policy", Shape::Fields(RESTART)),
    ("rollback_config", Shape::Fields(UPDATE)),
    ("update_config", Shape::Fields(UPDATE)),
];

const PLACEMENT: Fields = &[
    ("constraints", Texts),
    ("max_replicas_per_node", Whole),
    ("preferences", List(&Shape::Fields(&[("spread", Text)]))),
];

const RESOURCES: Fields = &[
    (
        "limits",
        Shape::Fields(&[("cpus", Plain), ("memory", Size), ("pids", Whole)]),
    ),
    ("reservations", Shape::Fields(RESERVATIONS)),
];

const RESERVATIONS: Fields = &[
    ("cpus", Plain),
    ("generic_resources", List(&Shape::Fields(GENERIC))),
    ("memory", Size),
];

const GENERIC: Fields = &[(
    "discrete_resource_spec",
    Shape::Fields(&[("kind", Text), ("value", Whole)]),
)];

const RESTART: Fields = &[
    ("condition", OneOf(&["none", "on-failure", "any"])),
    ("delay", Span),
    ("max_attempts", Whole),
    ("window", Span),
];

const UPDATE: Fields = &[
    ("delay", Span),
    ("failure_action", OneOf(&["pause", "continue", "rollback"])),
    ("max_failure_ratio", Number),
    ("monitor", Span),
    ("order", OneOf(&["start-first", "stop-first"])),
    ("parallelism", Whole),
];

const HEALTH: Fields = &[
    ("disable", Flag),
    ("interval", Span),
    ("retries", Whole),
    ("start_interval", Span),
    ("start_period", Span),
    ("test", Test),
    ("timeout", Span),
];

/// The long form of a port.
pub const PORT: Fields = &[
    ("mode", OneOf(&["ingress", "host"])),
    ("protocol", OneOf(&["tcp", "udp", "sctp"])),
    ("published", Whole),
    ("target", Whole),
];

/// The long form of a mount.
pub const MOUNT: Fields = &[
    ("bind", Shape::Fields(&[("propagation", Text)])),
    ("consistency", Text),
    ("read_only", Flag),
    ("source", Text),
    ("target", Text),
    ("tmpfs", Shape::Fields(&[("size", Whole)])),
    (
        "type",
        OneOf(&["bind", "volume", "tmpfs", "npipe", "cluster"]),
    ),
    (
        "volume",
        Shape::Fields(&[("nocopy", Flag), ("subpath", Text)]),
    ),
];

/// How a service is in a network.
pub const ATTACHMENT: Fields = &[
    ("aliases", Texts),
    ("driver_opts", Map(&Plain)),
    ("ipv4_address", Text),
    ("ipv6_address", Text),
];

/// The long form of a secret or config of a service.
pub const REFERENCE: Fields = &[
    ("gid", Text),
    ("mode", Whole),
    ("source", Text),
    ("target", Text),
    ("uid", Text),
];

const NETWORK: Fields = &[
    ("attachable", Flag),
    ("driver", Text),
    ("driver_opts", Map(&Plain)),
    ("external", External),
    ("internal", Flag),
    (
        "ipam",
        Shape::Fields(&[
            ("config", List(&Shape::Fields(&[("subnet", Text)]))),
            ("driver", Text),
        ]),
    ),
    ("labels", Pairs),
    ("name", Text),
];

const VOLUME: Fields = &[
    ("driver", Text),
    ("driver_opts", Map(&Plain)),
    ("external", External),
    ("labels", Pairs),
    ("name", Text),
];

/// A secret or a config.
const CONTENT: Fields = &[
    ("driver", Text),
    ("driver_opts", Map(&Plain)),
    ("external", External),
    ("file", Text),
    ("labels", Pairs),
    ("name", Text),
    ("template_driver", Text),
];
