//! Commands run beside a container's own.

docker! {
    /// The body that creates an exec.
    pub struct ExecConfig {
        user "User": String;
        privileged "Privileged": bool;
        tty "Tty": bool;
        console_size "ConsoleSize" omitempty: Option<[u16; 2]>;
        attach_stdin "AttachStdin": bool;
        attach_stderr "AttachStderr": bool;
        attach_stdout "AttachStdout": bool;
        detach "Detach": bool;
        detach_keys "DetachKeys": String;
        env "Env": Vec<String>;
        working_dir "WorkingDir": String;
        cmd "Cmd": Vec<String>;
    }

    /// Docker's `ExecCreated`.
    pub struct ExecCreated {
        id "Id": String;
    }

    /// The body that starts an exec.
    pub struct ExecStart {
        detach "Detach": bool;
        tty "Tty": bool;
        /// Height and width.
        console_size "ConsoleSize" omitempty: Option<[u16; 2]>;
    }

    /// Docker's `ExecInspect`.
    pub struct ExecInspect {
        id "ID": String;
        running "Running": bool;
        exit_code "ExitCode": Option<i32>;
        process_config "ProcessConfig": ProcessConfig;
        open_stdin "OpenStdin": bool;
        open_stderr "OpenStderr": bool;
        open_stdout "OpenStdout": bool;
        can_remove "CanRemove": bool;
        container_id "ContainerID": String;
        detach_keys "DetachKeys": String;
        pid "Pid": i32;
    }

    /// Docker's `ProcessConfig`.
    pub struct ProcessConfig {
        tty "tty": bool;
        entrypoint "entrypoint": String;
        arguments "arguments": Vec<String>;
        privileged "privileged": bool;
        user "user" omitempty: String;
    }

    /// What `top` answers: `ps` as rows.
    pub struct Top {
        titles "Titles": Vec<String>;
        processes "Processes": Vec<Vec<String>>;
    }

    /// What `wait` answers.
    pub struct WaitResult {
        status_code "StatusCode": i64;
        error "Error" omitempty: Option<WaitError>;
    }

    /// Docker's `WaitError`.
    pub struct WaitError {
        message "Message" omitempty: String;
    }

    /// What a removal of unused objects answers.
    pub struct PruneReport {
        containers_deleted "ContainersDeleted" omitempty: Option<Vec<String>>;
        networks_deleted "NetworksDeleted" omitempty: Option<Vec<String>>;
        volumes_deleted "VolumesDeleted" omitempty: Option<Vec<String>>;
        caches_deleted "CachesDeleted" omitempty: Option<Vec<String>>;
        space_reclaimed "SpaceReclaimed": u64;
    }
}
