//! Containers of the host.

use std::collections::BTreeMap;

use crate::api::types::Labels;
use crate::api::types::container_spec::{Mount, Ulimit};
use crate::api::types::image::ImageConfig;

docker! {
    /// Docker's `ContainerSummary`.
    pub struct ContainerSummary {
        id "Id": String;
        names "Names": Vec<String>;
        image "Image": String;
        image_id "ImageID": String;
        command "Command": String;
        created "Created": i64;
        ports "Ports": Vec<Port>;
        size_rw "SizeRw" omitempty: i64;
        size_root_fs "SizeRootFs" omitempty: i64;
        labels "Labels": Labels;
        state "State": String;
        status "Status": String;
        host_config "HostConfig": SummaryHostConfig;
        network_settings "NetworkSettings": SummaryNetworks;
        mounts "Mounts": Vec<MountPoint>;
    }

    /// Docker's `Port`.
    pub struct Port {
        ip "IP" omitempty: String;
        private_port "PrivatePort": u16;
        public_port "PublicPort" omitempty: u16;
        kind "Type": String;
    }

    /// Docker's `SummaryHostConfig`.
    pub struct SummaryHostConfig {
        network_mode "NetworkMode" omitempty: String;
    }

    /// Docker's `SummaryNetworks`.
    pub struct SummaryNetworks {
        networks "Networks": BTreeMap<String, EndpointSettings>;
    }

    /// Docker's `MountPoint`.
    pub struct MountPoint {
        kind "Type" omitempty: String;
        name "Name" omitempty: String;
        source "Source": String;
        destination "Destination": String;
        driver "Driver" omitempty: String;
        mode "Mode": String;
        rw "RW": bool;
        propagation "Propagation": String;
    }

    /// Docker's `ContainerInspect`.
    pub struct ContainerInspect {
        id "Id": String;
        created "Created": String;
        path "Path": String;
        args "Args": Vec<String>;
        state "State": ContainerState;
        image "Image": String;
        resolv_conf_path "ResolvConfPath": String;
        hostname_path "HostnamePath": String;
        hosts_path "HostsPath": String;
        log_path "LogPath": String;
        name "Name": String;
        restart_count "RestartCount": u32;
        driver "Driver": String;
        platform "Platform": String;
        mount_label "MountLabel": String;
        process_label "ProcessLabel": String;
        app_armor_profile "AppArmorProfile": String;
        exec_ids "ExecIDs": Option<Vec<String>>;
        host_config "HostConfig": HostConfig;
        graph_driver "GraphDriver": GraphDriver;
        size_rw "SizeRw" omitempty: Option<i64>;
        size_root_fs "SizeRootFs" omitempty: Option<i64>;
        mounts "Mounts": Vec<MountPoint>;
        config "Config": ImageConfig;
        network_settings "NetworkSettings": NetworkSettings;
    }

    /// Docker's `ContainerState`.
    pub struct ContainerState {
        status "Status": String;
        running "Running": bool;
        paused "Paused": bool;
        restarting "Restarting": bool;
        oom_killed "OOMKilled": bool;
        dead "Dead": bool;
        pid "Pid": i32;
        exit_code "ExitCode": i32;
        error "Error": String;
        started_at "StartedAt": String;
        finished_at "FinishedAt": String;
        health "Health" omitempty: Option<Health>;
    }

    /// Docker's `Health`.
    pub struct Health {
        status "Status": String;
        failing_streak "FailingStreak": u32;
        log "Log": Vec<HealthcheckResult>;
    }

    /// Docker's `HealthcheckResult`.
    pub struct HealthcheckResult {
        start "Start": String;
        end "End": String;
        exit_code "ExitCode": i32;
        output "Output": String;
    }

    /// What of the host the container is given.
    pub struct HostConfig {
        binds "Binds": Option<Vec<String>>;
        container_id_file "ContainerIDFile": String;
        log_config "LogConfig": LogConfig;
        network_mode "NetworkMode": String;
        port_bindings "PortBindings": BTreeMap<String, Vec<PortBinding>>;
        restart_policy "RestartPolicy": HostRestartPolicy;
        auto_remove "AutoRemove": bool;
        volume_driver "VolumeDriver": String;
        cap_add "CapAdd": Option<Vec<String>>;
        cap_drop "CapDrop": Option<Vec<String>>;
        cgroupns_mode "CgroupnsMode": String;
        dns "Dns": Vec<String>;
        dns_options "DnsOptions": Vec<String>;
        dns_search "DnsSearch": Vec<String>;
        extra_hosts "ExtraHosts": Option<Vec<String>>;
        group_add "GroupAdd": Option<Vec<String>>;
        ipc_mode "IpcMode": String;
        oom_score_adj "OomScoreAdj": i64;
        pid_mode "PidMode": String;
        privileged "Privileged": bool;
        publish_all_ports "PublishAllPorts": bool;
        readonly_rootfs "ReadonlyRootfs": bool;
        security_opt "SecurityOpt": Option<Vec<String>>;
        uts_mode "UTSMode": String;
        userns_mode "UsernsMode": String;
        shm_size "ShmSize": i64;
        sysctls "Sysctls" omitempty: Labels;
        runtime "Runtime": String;
        isolation "Isolation": String;
        cpu_shares "CpuShares": i64;
        memory "Memory": i64;
        nano_cpus "NanoCpus": i64;
        cgroup_parent "CgroupParent": String;
        memory_reservation "MemoryReservation": i64;
        memory_swap "MemorySwap": i64;
        memory_swappiness "MemorySwappiness": Option<i64>;
        oom_kill_disable "OomKillDisable": Option<bool>;
        pids_limit "PidsLimit": Option<i64>;
        ulimits "Ulimits": Option<Vec<Ulimit>>;
        mounts "Mounts" omitempty: Vec<Mount>;
        masked_paths "MaskedPaths": Option<Vec<String>>;
        readonly_paths "ReadonlyPaths": Option<Vec<String>>;
        init "Init" omitempty: Option<bool>;
    }

    /// Docker's `LogConfig`.
    pub struct LogConfig {
        kind "Type": String;
        config "Config": Labels;
    }

    /// Docker's `HostRestartPolicy`.
    pub struct HostRestartPolicy {
        name "Name": String;
        maximum_retry_count "MaximumRetryCount": i64;
    }

    /// Docker's `PortBinding`.
    pub struct PortBinding {
        host_ip "HostIp": String;
        host_port "HostPort": String;
    }

    /// Docker's `GraphDriver`.
    pub struct GraphDriver {
        data "Data": Option<Labels>;
        name "Name": String;
    }

    /// Docker's `NetworkSettings`.
    pub struct NetworkSettings {
        bridge "Bridge": String;
        sandbox_id "SandboxID": String;
        sandbox_key "SandboxKey": String;
        ports "Ports": BTreeMap<String, Option<Vec<PortBinding>>>;
        gateway "Gateway": String;
        ip_address "IPAddress": String;
        ip_prefix_len "IPPrefixLen": u8;
        mac_address "MacAddress": String;
        networks "Networks": BTreeMap<String, EndpointSettings>;
    }

    /// Docker's `EndpointSettings`.
    pub struct EndpointSettings {
        aliases "Aliases": Option<Vec<String>>;
        network_id "NetworkID": String;
        endpoint_id "EndpointID": String;
        gateway "Gateway": String;
        ip_address "IPAddress": String;
        ip_prefix_len "IPPrefixLen": u8;
        ipv6_gateway "IPv6Gateway": String;
        global_ipv6_address "GlobalIPv6Address": String;
        global_ipv6_prefix_len "GlobalIPv6PrefixLen": u8;
        mac_address "MacAddress": String;
        driver_opts "DriverOpts": Option<Labels>;
        dns_names "DNSNames": Option<Vec<String>>;
    }

    /// One path that differs from the image.
    pub struct PathChange {
        path "Path": String;
        /// 0 modified, 1 added, 2 deleted.
        kind "Kind": u8;
    }
}
