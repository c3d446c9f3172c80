//! Tasks.

use crate::api::types::network::IpamConfig;
use crate::api::types::service::PortConfig;
use crate::api::types::task_spec::{GenericResource, TaskSpec};
use crate::api::types::{Labels, ObjectVersion};

docker! {
    /// Docker's `Task`.
    pub struct Task {
        id "ID": String;
        version "Version": ObjectVersion;
        created_at "CreatedAt": String;
        updated_at "UpdatedAt": String;
        name "Name" omitempty: String;
        labels "Labels": Labels;
        spec "Spec": TaskSpec;
        service_id "ServiceID" omitempty: String;
        slot "Slot" omitempty: u64;
        node_id "NodeID" omitempty: String;
        status "Status": TaskStatus;
        desired_state "DesiredState" omitempty: String;
        networks_attachments "NetworksAttachments" omitempty: Vec<NetworkAttachment>;
        generic_resources "GenericResources" omitempty: Vec<GenericResource>;
        job_iteration "JobIteration" omitempty: Option<ObjectVersion>;
    }

    /// Docker's `TaskStatus`.
    pub struct TaskStatus {
        timestamp "Timestamp" omitempty: String;
        state "State" omitempty: String;
        message "Message" omitempty: String;
        err "Err" omitempty: String;
        container_status "ContainerStatus" omitempty: Option<ContainerStatus>;
        port_status "PortStatus": PortStatus;
    }

    /// Docker's `ContainerStatus`.
    pub struct ContainerStatus {
        container_id "ContainerID": String;
        pid "PID": u32;
        exit_code "ExitCode": i32;
    }

    /// Docker's `PortStatus`.
    pub struct PortStatus {
        ports "Ports" omitempty: Vec<PortConfig>;
    }

    /// Docker's `NetworkAttachment`.
    pub struct NetworkAttachment {
        network "Network" omitempty: SwarmNetwork;
        addresses "Addresses" omitempty: Vec<String>;
    }

    /// Docker's `swarm.Network`.
    pub struct SwarmNetwork {
        id "ID": String;
        version "Version": ObjectVersion;
        created_at "CreatedAt": String;
        updated_at "UpdatedAt": String;
        spec "Spec" omitempty: NetworkSpec;
        driver_state "DriverState" omitempty: Driver;
        ipam_options "IPAMOptions" omitempty: Option<IpamOptions>;
    }

    /// Docker's `swarm.NetworkSpec`.
    pub struct NetworkSpec {
        name "Name" omitempty: String;
        labels "Labels": Labels;
        driver_configuration "DriverConfiguration" omitempty: Option<Driver>;
        ipv6_enabled "IPv6Enabled" omitempty: bool;
        internal "Internal" omitempty: bool;
        attachable "Attachable" omitempty: bool;
        ingress "Ingress" omitempty: bool;
        ipam_options "IPAMOptions" omitempty: Option<IpamOptions>;
        scope "Scope" omitempty: String;
    }

    /// Docker's `swarm.IPAMOptions`.
    pub struct IpamOptions {
        driver "Driver" omitempty: Driver;
        configs "Configs" omitempty: Vec<IpamConfig>;
    }

    /// Docker's `swarm.Driver`.
    pub struct Driver {
        name "Name" omitempty: String;
        options "Options" omitempty: Labels;
    }
}
