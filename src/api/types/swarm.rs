//! The swarm itself, and how it begins and ends.

use crate::api::types::base64::Base64;
use crate::api::types::node::TlsInfo;
use crate::api::types::{Driver, Labels, ObjectVersion};

docker! {
    /// Docker's `Swarm`.
    pub struct Swarm {
        id "ID": String;
        version "Version": ObjectVersion;
        created_at "CreatedAt": String;
        updated_at "UpdatedAt": String;
        spec "Spec": SwarmSpec;
        tls_info "TLSInfo": TlsInfo;
        root_rotation_in_progress "RootRotationInProgress": bool;
        default_addr_pool "DefaultAddrPool": Vec<String>;
        subnet_size "SubnetSize": u32;
        data_path_port "DataPathPort": u32;
        join_tokens "JoinTokens" omitempty: JoinTokens;
    }

    /// Docker's `JoinTokens`.
    pub struct JoinTokens {
        worker "Worker": String;
        manager "Manager": String;
    }

    /// Docker's `SwarmSpec`.
    pub struct SwarmSpec {
        name "Name" omitempty: String;
        labels "Labels": Labels;
        orchestration "Orchestration": OrchestrationConfig;
        raft "Raft": RaftConfig;
        dispatcher "Dispatcher": DispatcherConfig;
        ca_config "CAConfig": CaConfig;
        task_defaults "TaskDefaults": TaskDefaults;
        encryption_config "EncryptionConfig": EncryptionConfig;
    }

    /// Docker's `OrchestrationConfig`.
    pub struct OrchestrationConfig {
        task_history_retention_limit "TaskHistoryRetentionLimit" omitempty: Option<i64>;
    }

    /// Docker's `RaftConfig`.
    pub struct RaftConfig {
        snapshot_interval "SnapshotInterval" omitempty: u64;
        keep_old_snapshots "KeepOldSnapshots" omitempty: Option<u64>;
        log_entries_for_slow_followers "LogEntriesForSlowFollowers" omitempty: u64;
        election_tick "ElectionTick": u32;
        heartbeat_tick "HeartbeatTick": u32;
    }

    /// Docker's `DispatcherConfig`.
    pub struct DispatcherConfig {
        /// Nanoseconds.
        heartbeat_period "HeartbeatPeriod" omitempty: i64;
    }

    /// Docker's `CaConfig`.
    pub struct CaConfig {
        /// Nanoseconds.
        node_cert_expiry "NodeCertExpiry" omitempty: i64;
        signing_ca_cert "SigningCACert" omitempty: String;
        force_rotate "ForceRotate" omitempty: u64;
    }

    /// Docker's `TaskDefaults`.
    pub struct TaskDefaults {
        log_driver "LogDriver" omitempty: Option<Driver>;
    }

    /// Docker's `EncryptionConfig`.
    pub struct EncryptionConfig {
        auto_lock_managers "AutoLockManagers": bool;
    }

    /// The body of `swarm init`.
    pub struct InitRequest {
        listen_addr "ListenAddr": String;
        advertise_addr "AdvertiseAddr": String;
        data_path_addr "DataPathAddr": String;
        data_path_port "DataPathPort": u32;
        force_new_cluster "ForceNewCluster": bool;
        spec "Spec": SwarmSpec;
        auto_lock_managers "AutoLockManagers": bool;
        availability "Availability": String;
        default_addr_pool "DefaultAddrPool": Vec<String>;
        subnet_size "SubnetSize": u32;
    }

    /// The body of `swarm join`.
    pub struct JoinRequest {
        listen_addr "ListenAddr": String;
        advertise_addr "AdvertiseAddr": String;
        data_path_addr "DataPathAddr": String;
        remote_addrs "RemoteAddrs": Vec<String>;
        join_token "JoinToken": String;
        availability "Availability": String;
    }

    /// Docker's `UnlockKey`.
    pub struct UnlockKey {
        unlock_key "UnlockKey": String;
    }

    /// Asks for a certificate for a client of the API over TLS.
    pub struct ClientCertRequest {
        request "Request": Base64;
        name "Name": String;
        expiry "Expiry": i64;
    }

    /// A client's certificate and the roots of the swarm, in PEM.
    pub struct ClientCert {
        certificate "Certificate": String;
        ca "CA": String;
        not_after "NotAfter": String;
    }

    /// The swarm as `info` shows it.
    pub struct SwarmInfo {
        node_id "NodeID": String;
        node_addr "NodeAddr": String;
        local_node_state "LocalNodeState": String;
        control_available "ControlAvailable": bool;
        error "Error": String;
        remote_managers "RemoteManagers": Option<Vec<Peer>>;
        nodes "Nodes" omitempty: u64;
        managers "Managers" omitempty: u64;
        cluster "Cluster" omitempty: Option<Swarm>;
        warnings "Warnings" omitempty: Vec<String>;
    }

    /// Docker's `Peer`.
    pub struct Peer {
        node_id "NodeID": String;
        addr "Addr": String;
    }
}
