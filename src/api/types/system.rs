//! The daemon and its host.

use std::collections::BTreeMap;

use crate::api::types::container::ContainerSummary;
use crate::api::types::image::ImageSummary;
use crate::api::types::swarm::SwarmInfo;
use crate::api::types::task_spec::GenericResource;
use crate::api::types::volume::Volume;
use crate::api::types::{Empty, Labels};

docker! {
    /// Docker's `Version`.
    pub struct Version {
        platform "Platform" omitempty: PlatformName;
        components "Components" omitempty: Vec<Component>;
        version "Version": String;
        api_version "ApiVersion": String;
        min_api_version "MinAPIVersion" omitempty: String;
        git_commit "GitCommit": String;
        go_version "GoVersion": String;
        os "Os": String;
        arch "Arch": String;
        kernel_version "KernelVersion" omitempty: String;
        experimental "Experimental" omitempty: bool;
        build_time "BuildTime" omitempty: String;
    }

    /// Docker's `PlatformName`.
    pub struct PlatformName {
        name "Name": String;
    }

    /// Docker's `Component`.
    pub struct Component {
        name "Name": String;
        version "Version": String;
        details "Details" omitempty: Labels;
    }

    /// Docker's `Info`.
    pub struct Info {
        id "ID": String;
        containers "Containers": u64;
        containers_running "ContainersRunning": u64;
        containers_paused "ContainersPaused": u64;
        containers_stopped "ContainersStopped": u64;
        images "Images": u64;
        driver "Driver": String;
        driver_status "DriverStatus": Vec<[String; 2]>;
        system_status "SystemStatus" omitempty: Vec<[String; 2]>;
        plugins "Plugins": Plugins;
        memory_limit "MemoryLimit": bool;
        swap_limit "SwapLimit": bool;
        kernel_memory_tcp "KernelMemoryTCP" omitempty: bool;
        cpu_cfs_period "CpuCfsPeriod": bool;
        cpu_cfs_quota "CpuCfsQuota": bool;
        cpu_shares "CPUShares": bool;
        cpu_set "CPUSet": bool;
        pids_limit "PidsLimit": bool;
        ipv4_forwarding "IPv4Forwarding": bool;
        bridge_nf_iptables "BridgeNfIptables": bool;
        bridge_nf_ip6tables "BridgeNfIp6tables": bool;
        debug "Debug": bool;
        n_fd "NFd": u64;
        oom_kill_disable "OomKillDisable": bool;
        n_goroutines "NGoroutines": u64;
        system_time "SystemTime": String;
        logging_driver "LoggingDriver": String;
        cgroup_driver "CgroupDriver": String;
        cgroup_version "CgroupVersion" omitempty: String;
        n_events_listener "NEventsListener": u64;
        kernel_version "KernelVersion": String;
        operating_system "OperatingSystem": String;
        os_version "OSVersion": String;
        os_type "OSType": String;
        architecture "Architecture": String;
        index_server_address "IndexServerAddress": String;
        registry_config "RegistryConfig": Option<RegistryConfig>;
        ncpu "NCPU": u64;
        mem_total "MemTotal": u64;
        generic_resources "GenericResources": Option<Vec<GenericResource>>;
        docker_root_dir "DockerRootDir": String;
        http_proxy "HttpProxy": String;
        https_proxy "HttpsProxy": String;
        no_proxy "NoProxy": String;
        name "Name": String;
        labels "Labels": Vec<String>;
        experimental_build "ExperimentalBuild": bool;
        server_version "ServerVersion": String;
        runtimes "Runtimes": BTreeMap<String, Runtime>;
        default_runtime "DefaultRuntime": String;
        swarm "Swarm": SwarmInfo;
        live_restore_enabled "LiveRestoreEnabled": bool;
        isolation "Isolation": String;
        init_binary "InitBinary": String;
        containerd_commit "ContainerdCommit": Commit;
        runc_commit "RuncCommit": Commit;
        init_commit "InitCommit": Commit;
        security_options "SecurityOptions": Vec<String>;
        product_license "ProductLicense" omitempty: String;
        warnings "Warnings": Option<Vec<String>>;
    }

    /// Docker's `Plugins`.
    pub struct Plugins {
        volume "Volume": Vec<String>;
        network "Network": Vec<String>;
        authorization "Authorization": Option<Vec<String>>;
        log "Log": Vec<String>;
    }

    /// Docker's `RegistryConfig`.
    pub struct RegistryConfig {
        insecure_registry_cidrs "InsecureRegistryCIDRs": Vec<String>;
        index_configs "IndexConfigs": BTreeMap<String, Empty>;
        mirrors "Mirrors": Vec<String>;
    }

    /// Docker's `Runtime`.
    pub struct Runtime {
        path "path" omitempty: String;
    }

    /// Docker's `Commit`.
    pub struct Commit {
        id "ID": String;
        expected "Expected": String;
    }

    /// Docker's `DiskUsage`.
    pub struct DiskUsage {
        layers_size "LayersSize": i64;
        images "Images": Vec<ImageSummary>;
        containers "Containers": Vec<ContainerSummary>;
        volumes "Volumes": Vec<Volume>;
        build_cache "BuildCache": Vec<Empty>;
        builder_size "BuilderSize" omitempty: i64;
    }
}
