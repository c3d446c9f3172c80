//! Tasks.

use crate::api::types::network::Network;
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
        network "Network" omitempty: Network;
        addresses "Addresses" omitempty: Vec<String>;
    }
}
