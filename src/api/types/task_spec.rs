//! What the tasks of a service are made from.

use crate::api::types::container_spec::ContainerSpec;
use crate::api::types::node::Platform;
use crate::api::types::{Driver, Labels};

docker! {
    /// Docker's `TaskSpec`.
    pub struct TaskSpec {
        container_spec "ContainerSpec" omitempty: Option<ContainerSpec>;
        resources "Resources" omitempty: Option<ResourceRequirements>;
        restart_policy "RestartPolicy" omitempty: Option<RestartPolicy>;
        placement "Placement" omitempty: Option<Placement>;
        networks "Networks" omitempty: Vec<NetworkAttachmentConfig>;
        log_driver "LogDriver" omitempty: Option<Driver>;
        force_update "ForceUpdate": u64;
        runtime "Runtime" omitempty: String;
    }

    /// Docker's `ResourceRequirements`.
    pub struct ResourceRequirements {
        limits "Limits" omitempty: Option<Limit>;
        reservations "Reservations" omitempty: Option<Resources>;
        swap_bytes "SwapBytes" omitempty: Option<i64>;
        memory_swappiness "MemorySwappiness" omitempty: Option<i64>;
    }

    /// Docker's `Limit`.
    pub struct Limit {
        nano_cpus "NanoCPUs" omitempty: i64;
        memory_bytes "MemoryBytes" omitempty: i64;
        pids "Pids" omitempty: i64;
    }

    /// Docker's `Resources`.
    pub struct Resources {
        nano_cpus "NanoCPUs" omitempty: i64;
        memory_bytes "MemoryBytes" omitempty: i64;
        generic_resources "GenericResources" omitempty: Vec<GenericResource>;
    }

    /// Exactly one of the two.
    pub struct GenericResource {
        named "NamedResourceSpec" omitempty: Option<NamedGenericResource>;
        discrete "DiscreteResourceSpec" omitempty: Option<DiscreteGenericResource>;
    }

    /// Docker's `NamedGenericResource`.
    pub struct NamedGenericResource {
        kind "Kind" omitempty: String;
        value "Value" omitempty: String;
    }

    /// Docker's `DiscreteGenericResource`.
    pub struct DiscreteGenericResource {
        kind "Kind" omitempty: String;
        value "Value" omitempty: i64;
    }

    /// Durations are nanoseconds.
    pub struct RestartPolicy {
        condition "Condition" omitempty: String;
        delay "Delay" omitempty: Option<i64>;
        max_attempts "MaxAttempts" omitempty: Option<u64>;
        window "Window" omitempty: Option<i64>;
    }

    /// Docker's `Placement`.
    pub struct Placement {
        constraints "Constraints" omitempty: Vec<String>;
        preferences "Preferences" omitempty: Vec<PlacementPreference>;
        max_replicas "MaxReplicas" omitempty: u64;
        platforms "Platforms" omitempty: Vec<Platform>;
    }

    /// Docker's `PlacementPreference`.
    pub struct PlacementPreference {
        spread "Spread": Option<SpreadOver>;
    }

    /// Docker's `SpreadOver`.
    pub struct SpreadOver {
        spread_descriptor "SpreadDescriptor": String;
    }

    /// Docker's `NetworkAttachmentConfig`.
    pub struct NetworkAttachmentConfig {
        target "Target" omitempty: String;
        aliases "Aliases" omitempty: Vec<String>;
        driver_opts "DriverOpts" omitempty: Labels;
    }
}
