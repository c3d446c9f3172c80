//! Nodes.

use crate::api::types::task_spec::Resources;
use crate::api::types::{Labels, ObjectVersion};

docker! {
    /// Docker's `Node`.
    pub struct Node {
        id "ID": String;
        version "Version": ObjectVersion;
        created_at "CreatedAt": String;
        updated_at "UpdatedAt": String;
        spec "Spec": NodeSpec;
        description "Description": NodeDescription;
        status "Status": NodeStatus;
        manager_status "ManagerStatus" omitempty: Option<ManagerStatus>;
    }

    /// Docker's `NodeSpec`.
    pub struct NodeSpec {
        name "Name" omitempty: String;
        labels "Labels": Labels;
        role "Role" omitempty: String;
        availability "Availability" omitempty: String;
    }

    /// Docker's `NodeDescription`.
    pub struct NodeDescription {
        hostname "Hostname" omitempty: String;
        platform "Platform": Platform;
        resources "Resources": Resources;
        engine "Engine": EngineDescription;
        tls_info "TLSInfo": TlsInfo;
    }

    /// Docker's `Platform`.
    pub struct Platform {
        architecture "Architecture" omitempty: String;
        os "OS" omitempty: String;
    }

    /// Docker's `EngineDescription`.
    pub struct EngineDescription {
        engine_version "EngineVersion" omitempty: String;
        labels "Labels" omitempty: Labels;
        plugins "Plugins" omitempty: Vec<PluginDescription>;
    }

    /// Docker's `PluginDescription`.
    pub struct PluginDescription {
        kind "Type" omitempty: String;
        name "Name" omitempty: String;
    }

    /// Docker's `TlsInfo`.
    pub struct TlsInfo {
        trust_root "TrustRoot" omitempty: String;
        cert_issuer_subject "CertIssuerSubject" omitempty: String;
        cert_issuer_public_key "CertIssuerPublicKey" omitempty: String;
    }

    /// Docker's `NodeStatus`.
    pub struct NodeStatus {
        state "State" omitempty: String;
        message "Message" omitempty: String;
        addr "Addr" omitempty: String;
    }

    /// Docker's `ManagerStatus`.
    pub struct ManagerStatus {
        leader "Leader" omitempty: bool;
        reachability "Reachability" omitempty: String;
        addr "Addr" omitempty: String;
    }

    /// What `/skep/doctor` found of a node.
    pub struct Finding {
        check "Check": String;
        outcome "Outcome": String;
        found "Found": String;
        mend "Mend" omitempty: String;
    }
}
