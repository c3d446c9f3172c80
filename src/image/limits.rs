//! What an archive may ask of this host. Every number can be lowered by a test.

/// Limits of one load. The defaults take every image that Docker builds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Images in one archive, and descriptors in one index.
    pub images_max: usize,
    /// Layers of one image; overlayfs and Docker stop near here too.
    pub layers_max: usize,
    /// Members of the archive itself.
    pub members_max: u64,
    /// One manifest or config.
    pub json_bytes_max: u64,
    /// All the archive's small files together, which are kept in memory until its end.
    pub json_bytes_total_max: u64,
    /// Entries of one layer.
    pub entries_max: u64,
    /// One path in a layer, and one link's target.
    pub path_bytes_max: usize,
    /// One extended header of a tar (long names, PAX records).
    pub header_bytes_max: u64,
    /// Names of directories kept in memory until their times are set, per layer.
    pub directory_bytes_max: usize,
    /// Contents that later entries of the same layer replace.
    pub replaced_max: u64,
    /// One layer's tar, holes of sparse files included.
    pub layer_bytes_max: u64,
    /// Any number of bytes up to here may unpack from nothing …
    pub ratio_free_bytes: u64,
    /// … beyond, at most so many bytes per byte received.
    pub ratio_max: u64,
    /// What a load leaves free on the disk.
    pub reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            images_max: 128,
            layers_max: 127,
            members_max: 20_000,
            json_bytes_max: 4 << 20,
            json_bytes_total_max: 32 << 20,
            entries_max: 1_000_000,
            path_bytes_max: 4095,
            header_bytes_max: 1 << 20,
            directory_bytes_max: 32 << 20,
            replaced_max: 10_000,
            layer_bytes_max: 64 << 30,
            ratio_free_bytes: 64 << 20,
            ratio_max: 200,
            reserve_bytes: 64 << 20,
        }
    }
}
