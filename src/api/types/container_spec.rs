//! The container of a task.

use crate::api::types::base64::Base64;
use crate::api::types::{Driver, Empty, Labels};

docker! {
    /// Docker's `ContainerSpec`.
    pub struct ContainerSpec {
        image "Image" omitempty: String;
        labels "Labels" omitempty: Labels;
        command "Command" omitempty: Vec<String>;
        args "Args" omitempty: Vec<String>;
        hostname "Hostname" omitempty: String;
        env "Env" omitempty: Vec<String>;
        dir "Dir" omitempty: String;
        user "User" omitempty: String;
        groups "Groups" omitempty: Vec<String>;
        privileges "Privileges" omitempty: Option<Privileges>;
        init "Init" omitempty: Option<bool>;
        stop_signal "StopSignal" omitempty: String;
        tty "TTY" omitempty: bool;
        open_stdin "OpenStdin" omitempty: bool;
        read_only "ReadOnly" omitempty: bool;
        mounts "Mounts" omitempty: Vec<Mount>;
        /// Nanoseconds.
        stop_grace_period "StopGracePeriod" omitempty: Option<i64>;
        healthcheck "Healthcheck" omitempty: Option<HealthConfig>;
        hosts "Hosts" omitempty: Vec<String>;
        dns_config "DNSConfig" omitempty: Option<DnsConfig>;
        secrets "Secrets" omitempty: Vec<SecretReference>;
        configs "Configs" omitempty: Vec<ConfigReference>;
        isolation "Isolation" omitempty: String;
        sysctls "Sysctls" omitempty: Labels;
        capability_add "CapabilityAdd" omitempty: Vec<String>;
        capability_drop "CapabilityDrop" omitempty: Vec<String>;
        ulimits "Ulimits" omitempty: Vec<Ulimit>;
        oom_score_adj "OomScoreAdj" omitempty: i64;
    }

    /// Docker's `Privileges`.
    pub struct Privileges {
        credential_spec "CredentialSpec": Option<CredentialSpec>;
        selinux_context "SELinuxContext": Option<SelinuxContext>;
        seccomp "Seccomp" omitempty: Option<SeccompOpts>;
        apparmor "AppArmor" omitempty: Option<AppArmorOpts>;
        no_new_privileges "NoNewPrivileges": bool;
    }

    /// Docker's `CredentialSpec`.
    pub struct CredentialSpec {
        config "Config": String;
        file "File": String;
        registry "Registry": String;
    }

    /// Docker's `SelinuxContext`.
    pub struct SelinuxContext {
        disable "Disable": bool;
        user "User": String;
        role "Role": String;
        kind "Type": String;
        level "Level": String;
    }

    /// Docker's `SeccompOpts`.
    pub struct SeccompOpts {
        mode "Mode" omitempty: String;
        profile "Profile" omitempty: Base64;
    }

    /// Docker's `AppArmorOpts`.
    pub struct AppArmorOpts {
        mode "Mode" omitempty: String;
    }

    /// Durations are nanoseconds.
    pub struct HealthConfig {
        test "Test" omitempty: Vec<String>;
        interval "Interval" omitempty: i64;
        timeout "Timeout" omitempty: i64;
        start_period "StartPeriod" omitempty: i64;
        start_interval "StartInterval" omitempty: i64;
        retries "Retries" omitempty: i64;
    }

    /// Docker's `DnsConfig`.
    pub struct DnsConfig {
        nameservers "Nameservers" omitempty: Vec<String>;
        search "Search" omitempty: Vec<String>;
        options "Options" omitempty: Vec<String>;
    }

    /// Docker's `SecretReference`.
    pub struct SecretReference {
        file "File": Option<FileTarget>;
        secret_id "SecretID": String;
        secret_name "SecretName": String;
    }

    /// Docker's `ConfigReference`.
    pub struct ConfigReference {
        file "File" omitempty: Option<FileTarget>;
        runtime "Runtime" omitempty: Option<Empty>;
        config_id "ConfigID": String;
        config_name "ConfigName": String;
    }

    /// Docker's `FileTarget`.
    pub struct FileTarget {
        name "Name": String;
        uid "UID": String;
        gid "GID": String;
        mode "Mode": u32;
    }

    /// Docker's `Ulimit`.
    pub struct Ulimit {
        name "Name": String;
        hard "Hard": i64;
        soft "Soft": i64;
    }

    /// Docker's `Mount`.
    pub struct Mount {
        kind "Type" omitempty: String;
        source "Source" omitempty: String;
        target "Target" omitempty: String;
        read_only "ReadOnly" omitempty: bool;
        consistency "Consistency" omitempty: String;
        bind_options "BindOptions" omitempty: Option<BindOptions>;
        volume_options "VolumeOptions" omitempty: Option<VolumeOptions>;
        tmpfs_options "TmpfsOptions" omitempty: Option<TmpfsOptions>;
    }

    /// Docker's `BindOptions`.
    pub struct BindOptions {
        propagation "Propagation" omitempty: String;
        non_recursive "NonRecursive" omitempty: bool;
        create_mountpoint "CreateMountpoint" omitempty: bool;
        read_only_non_recursive "ReadOnlyNonRecursive" omitempty: bool;
        read_only_force_recursive "ReadOnlyForceRecursive" omitempty: bool;
    }

    /// Docker's `VolumeOptions`.
    pub struct VolumeOptions {
        no_copy "NoCopy" omitempty: bool;
        labels "Labels" omitempty: Labels;
        subpath "Subpath" omitempty: String;
        driver_config "DriverConfig" omitempty: Option<Driver>;
    }

    /// Docker's `TmpfsOptions`.
    pub struct TmpfsOptions {
        size_bytes "SizeBytes" omitempty: i64;
        mode "Mode" omitempty: u32;
        options "Options" omitempty: Vec<Vec<String>>;
    }
}
