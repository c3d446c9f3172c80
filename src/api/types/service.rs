//! Services.

use crate::api::types::task_spec::{NetworkAttachmentConfig, TaskSpec};
use crate::api::types::{Empty, Labels, ObjectVersion};

docker! {
    /// Docker's `Service`.
    pub struct Service {
        id "ID": String;
        version "Version": ObjectVersion;
        created_at "CreatedAt": String;
        updated_at "UpdatedAt": String;
        spec "Spec": ServiceSpec;
        previous_spec "PreviousSpec" omitempty: Option<ServiceSpec>;
        endpoint "Endpoint": Endpoint;
        update_status "UpdateStatus" omitempty: Option<UpdateStatus>;
        service_status "ServiceStatus" omitempty: Option<ServiceStatus>;
        job_status "JobStatus" omitempty: Option<JobStatus>;
    }

    /// Docker's `ServiceSpec`.
    pub struct ServiceSpec {
        name "Name" omitempty: String;
        labels "Labels": Labels;
        task_template "TaskTemplate": TaskSpec;
        mode "Mode": ServiceMode;
        update_config "UpdateConfig" omitempty: Option<UpdateConfig>;
        rollback_config "RollbackConfig" omitempty: Option<UpdateConfig>;
        networks "Networks" omitempty: Vec<NetworkAttachmentConfig>;
        endpoint_spec "EndpointSpec" omitempty: Option<EndpointSpec>;
    }

    /// At most one of the four; none is replicated.
    pub struct ServiceMode {
        replicated "Replicated" omitempty: Option<ReplicatedService>;
        global "Global" omitempty: Option<Empty>;
        replicated_job "ReplicatedJob" omitempty: Option<ReplicatedJob>;
        global_job "GlobalJob" omitempty: Option<Empty>;
    }

    /// Docker's `ReplicatedService`.
    pub struct ReplicatedService {
        replicas "Replicas" omitempty: Option<u64>;
    }

    /// Docker's `ReplicatedJob`.
    pub struct ReplicatedJob {
        max_concurrent "MaxConcurrent" omitempty: Option<u64>;
        total_completions "TotalCompletions" omitempty: Option<u64>;
    }

    /// Durations are nanoseconds.
    pub struct UpdateConfig {
        parallelism "Parallelism": u64;
        delay "Delay" omitempty: i64;
        failure_action "FailureAction" omitempty: String;
        monitor "Monitor" omitempty: i64;
        max_failure_ratio "MaxFailureRatio": f32;
        order "Order": String;
    }

    /// Docker's `EndpointSpec`.
    pub struct EndpointSpec {
        mode "Mode" omitempty: String;
        ports "Ports" omitempty: Vec<PortConfig>;
    }

    /// Docker's `Endpoint`.
    pub struct Endpoint {
        spec "Spec": EndpointSpec;
        ports "Ports" omitempty: Vec<PortConfig>;
        virtual_ips "VirtualIPs" omitempty: Vec<EndpointVirtualIp>;
    }

    /// Docker's `EndpointVirtualIp`.
    pub struct EndpointVirtualIp {
        network_id "NetworkID" omitempty: String;
        addr "Addr" omitempty: String;
    }

    /// Docker's `PortConfig`.
    pub struct PortConfig {
        name "Name" omitempty: String;
        protocol "Protocol" omitempty: String;
        target_port "TargetPort" omitempty: u32;
        published_port "PublishedPort" omitempty: u32;
        publish_mode "PublishMode" omitempty: String;
    }

    /// Docker's `UpdateStatus`.
    pub struct UpdateStatus {
        state "State" omitempty: String;
        started_at "StartedAt" omitempty: Option<String>;
        completed_at "CompletedAt" omitempty: Option<String>;
        message "Message" omitempty: String;
    }

    /// Only in lists that were asked for with `status`.
    pub struct ServiceStatus {
        running_tasks "RunningTasks": u64;
        desired_tasks "DesiredTasks": u64;
        completed_tasks "CompletedTasks": u64;
    }

    /// Docker's `JobStatus`.
    pub struct JobStatus {
        job_iteration "JobIteration": ObjectVersion;
        last_execution "LastExecution" omitempty: String;
    }
}
