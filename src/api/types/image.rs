//! Images.

use std::collections::BTreeMap;

use crate::api::types::container::GraphDriver;
use crate::api::types::container_spec::HealthConfig;
use crate::api::types::{Empty, Labels};

docker! {
    /// Docker's `ImageSummary`.
    pub struct ImageSummary {
        containers "Containers": i64;
        created "Created": i64;
        id "Id": String;
        labels "Labels": Option<Labels>;
        parent_id "ParentId": String;
        repo_digests "RepoDigests": Vec<String>;
        repo_tags "RepoTags": Vec<String>;
        shared_size "SharedSize": i64;
        size "Size": i64;
        virtual_size "VirtualSize" omitempty: i64;
    }

    /// Docker's `ImageInspect`.
    pub struct ImageInspect {
        id "Id": String;
        repo_tags "RepoTags": Vec<String>;
        repo_digests "RepoDigests": Vec<String>;
        parent "Parent": String;
        comment "Comment": String;
        created "Created" omitempty: String;
        docker_version "DockerVersion": String;
        author "Author": String;
        config "Config": Option<ImageConfig>;
        architecture "Architecture": String;
        variant "Variant" omitempty: String;
        os "Os": String;
        size "Size": i64;
        virtual_size "VirtualSize" omitempty: i64;
        graph_driver "GraphDriver": GraphDriver;
        root_fs "RootFS": RootFs;
        metadata "Metadata": ImageMetadata;
    }

    /// How containers of an image, or one container, are run.
    pub struct ImageConfig {
        hostname "Hostname" omitempty: String;
        domainname "Domainname" omitempty: String;
        user "User": String;
        attach_stdin "AttachStdin": bool;
        attach_stdout "AttachStdout": bool;
        attach_stderr "AttachStderr": bool;
        exposed_ports "ExposedPorts" omitempty: BTreeMap<String, Empty>;
        tty "Tty": bool;
        open_stdin "OpenStdin": bool;
        stdin_once "StdinOnce": bool;
        env "Env": Vec<String>;
        cmd "Cmd": Option<Vec<String>>;
        healthcheck "Healthcheck" omitempty: Option<HealthConfig>;
        image "Image": String;
        volumes "Volumes": Option<BTreeMap<String, Empty>>;
        working_dir "WorkingDir": String;
        entrypoint "Entrypoint": Option<Vec<String>>;
        on_build "OnBuild": Option<Vec<String>>;
        labels "Labels": Option<Labels>;
        stop_signal "StopSignal" omitempty: String;
    }

    /// Docker's `RootFs`.
    pub struct RootFs {
        kind "Type": String;
        layers "Layers" omitempty: Vec<String>;
    }

    /// Docker's `ImageMetadata`.
    pub struct ImageMetadata {
        last_tag_time "LastTagTime" omitempty: String;
    }

    /// Docker's `HistoryItem`.
    pub struct HistoryItem {
        comment "Comment": String;
        created "Created": i64;
        created_by "CreatedBy": String;
        id "Id": String;
        size "Size": i64;
        tags "Tags": Option<Vec<String>>;
    }

    /// One step of a removal: exactly one of the two.
    pub struct DeletedImage {
        untagged "Untagged" omitempty: String;
        deleted "Deleted" omitempty: String;
    }

    /// Docker's `ImagesPruned`.
    pub struct ImagesPruned {
        images_deleted "ImagesDeleted": Option<Vec<DeletedImage>>;
        space_reclaimed "SpaceReclaimed": u64;
    }

    /// One line of what load, import, pull and push answer.
    pub struct Progress {
        stream "stream" omitempty: String;
        status "status" omitempty: String;
        progress_detail "progressDetail" omitempty: Option<ProgressDetail>;
        id "id" omitempty: String;
        error_detail "errorDetail" omitempty: Option<ErrorDetail>;
        error "error" omitempty: String;
        aux "aux" omitempty: Option<PushResult>;
    }

    /// Docker's `PushResult`.
    pub struct PushResult {
        tag "Tag": String;
        digest "Digest": String;
        size "Size": u64;
    }

    /// Docker's `ProgressDetail`.
    pub struct ProgressDetail {
        current "current" omitempty: u64;
        total "total" omitempty: u64;
    }

    /// Docker's `ErrorDetail`.
    pub struct ErrorDetail {
        message "message" omitempty: String;
    }

    /// What a registry, or the local store, says of a reference.
    pub struct Distribution {
        descriptor "Descriptor": Descriptor;
        platforms "Platforms": Vec<OciPlatform>;
    }

    /// Docker's `Descriptor`.
    pub struct Descriptor {
        media_type "mediaType": String;
        digest "digest": String;
        size "size": u64;
    }

    /// Docker's `OciPlatform`.
    pub struct OciPlatform {
        architecture "architecture": String;
        os "os": String;
        variant "variant" omitempty: String;
    }
}
