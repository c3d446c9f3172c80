//! Volumes of the host.

use crate::api::types::Labels;

docker! {
    /// Docker's `Volume`.
    pub struct Volume {
        created_at "CreatedAt" omitempty: String;
        driver "Driver": String;
        labels "Labels": Option<Labels>;
        mountpoint "Mountpoint": String;
        name "Name": String;
        options "Options": Option<Labels>;
        scope "Scope": String;
        usage_data "UsageData" omitempty: Option<VolumeUsage>;
    }

    /// Docker's `VolumeUsage`.
    pub struct VolumeUsage {
        ref_count "RefCount": i64;
        size "Size": i64;
    }

    /// Docker's `VolumeList`.
    pub struct VolumeList {
        volumes "Volumes": Vec<Volume>;
        warnings "Warnings": Option<Vec<String>>;
    }

    /// The body that creates a volume.
    pub struct VolumeCreate {
        name "Name" omitempty: String;
        driver "Driver" omitempty: String;
        driver_opts "DriverOpts" omitempty: Labels;
        labels "Labels" omitempty: Labels;
    }
}
