//! Builds layers and archives, and gives each test a store of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::image::arrivals::Progress;
use crate::image::commit::Loaded;
use crate::image::digest::Digest;
use crate::image::limits::Limits;
use crate::image::load::LoadError;
use crate::image::platform::Platform;
use crate::image::store::ImageStore;

/// A directory that is removed with what is in it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("skep-image-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Unpacking sets owners and makes devices.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: unpacking layers needs root");
    }
    root
}

pub fn limits() -> Limits {
    Limits {
        reserve_bytes: 0,
        ..Limits::default()
    }
}

pub fn amd64() -> Platform {
    Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        variant: String::new(),
    }
}

pub fn open(scratch: &Scratch) -> ImageStore {
    ImageStore::open_with(scratch.path(), limits(), amd64()).unwrap()
}

pub fn load(store: &ImageStore, archive: &[u8]) -> Result<Vec<Loaded>, LoadError> {
    store.load(archive, &mut |_: Progress| {})
}

/// A layer's tar, entry by entry.
pub struct LayerTar(tar::Builder<Vec<u8>>);

impl LayerTar {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// One entry; the path is put into the header as it stands, however wrong.
    pub fn entry(
        mut self,
        kind: tar::EntryType,
        path: &str,
        contents: &[u8],
        change: impl FnOnce(&mut tar::Header),
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_mtime(1_000_000_000);
        header.set_size(contents.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.append(&header, contents).unwrap();
        self
    }

    pub fn file(self, path: &str, contents: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, path, contents, |_| {})
    }

    pub fn dir(self, path: &str) -> Self {
        self.entry(tar::EntryType::Directory, path, b"", |_| {})
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, path, b"", |header| {
            link_to(header, target)
        })
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, path, b"", |header| {
            link_to(header, target)
        })
    }

    pub fn device(self, kind: tar::EntryType, path: &str, major: u32, minor: u32) -> Self {
        self.entry(kind, path, b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    /// PAX records for the next entry; values may hold any byte.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while rest + length.to_string().len() != length {
                length = rest + length.to_string().len();
            }
            text.extend_from_slice(format!("{length} {key}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.entry(tar::EntryType::XHeader, "PaxHeaders/x", &text, |_| {})
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A layer in words: `dir a; file a/b; symlink c a; link d a/b`. Files hold their own name.
pub fn in_words(words: &str) -> Vec<u8> {
    let entries = words
        .split(';')
        .map(|entry| entry.split_whitespace().collect::<Vec<_>>());
    let layer = entries.fold(LayerTar::new(), |tar, entry| match entry[..] {
        [] => tar,
        ["dir", path] => tar.dir(path),
        ["file", path] => tar.file(path, path.as_bytes()),
        ["link", path, target] => tar.link(path, target),
        ["symlink", path, target] => tar.symlink(path, target),
        _ => panic!("{entry:?}"),
    });
    layer.bytes()
}

fn link_to(header: &mut tar::Header, target: &str) {
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
}

/// A tar of named files.
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let files = files.iter();
    files
        .fold(LayerTar::new(), |tar, (name, bytes)| tar.file(name, bytes))
        .bytes()
}

/// A config of some layers, for a platform such as `linux/arm/v7`.
pub fn config(layers: &[&[u8]], platform: &str) -> Vec<u8> {
    let mut parts = platform.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let diff_ids: Vec<String> = layers.iter().map(|l| Digest::of(l).to_string()).collect();
    let config = json!({
        "os": part(), "architecture": part(), "variant": part(),
        "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/true"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}

/// A docker-archive of one image, its layers plain, the manifest last as Docker writes it.
pub fn docker_archive(tags: &[&str], layers: &[&[u8]]) -> Vec<u8> {
    let config = config(layers, "linux/amd64");
    let id = format!("{}.json", Digest::of(&config).hex());
    let names: Vec<String> = (0..layers.len())
        .map(|n| format!("{n}/layer.tar"))
        .collect();
    let manifest = json!([{"Config": id, "RepoTags": tags, "Layers": names}]).to_string();
    let mut files: Vec<(&str, &[u8])> = vec![(&id, &config)];
    files.extend(names.iter().map(String::as_str).zip(layers.iter().copied()));
    files.push(("manifest.json", manifest.as_bytes()));
    archive(&files)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// An OCI layout as it grows.
#[derive(Default)]
pub struct Oci {
    blobs: Vec<(String, Vec<u8>)>,
    manifests: Vec<serde_json::Value>,
}

impl Oci {
    pub fn blob(&mut self, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes);
        let name = format!("blobs/sha256/{}", digest.hex());
        self.blobs.push((name, bytes.to_vec()));
        digest.to_string()
    }

    /// Adds a build; `packed` is each layer as it lies in the archive.
    pub fn build(&mut self, platform: &str, layers: &[&[u8]], packed: &[Vec<u8>]) -> String {
        let config = self.blob(&config(layers, platform));
        let layers: Vec<_> = packed
            .iter()
            .map(|l| json!({"digest": self.blob(l)}))
            .collect();
        self.blob(
            json!({"config": {"digest": config}, "layers": layers})
                .to_string()
                .as_bytes(),
        )
    }

    pub fn index(&mut self, manifests: serde_json::Value) -> String {
        self.blob(json!({"manifests": manifests}).to_string().as_bytes())
    }

    pub fn descriptor(&mut self, descriptor: serde_json::Value) {
        self.manifests.push(descriptor);
    }

    /// Changes a bit of a blob, and answers the digest it still has by name.
    pub fn corrupt(&mut self, blob: usize) -> String {
        let (name, bytes) = &mut self.blobs[blob];
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        name.replace("blobs/sha256/", "sha256:")
    }

    pub fn bytes(&self) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests}).to_string();
        let blobs = self
            .blobs
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let files: Vec<_> = blobs.chain([("index.json", index.as_bytes())]).collect();
        archive(&files)
    }
}

/// A file system of its own, so that it can be full.
pub struct SmallDisk(Scratch);

impl SmallDisk {
    /// `None`, with a word why, where nothing can be mounted.
    pub fn new(bytes: u64) -> Option<Self> {
        let disk = Scratch::new();
        let options = std::ffi::CString::new(format!("size={bytes}")).unwrap();
        let none = rustix::mount::MountFlags::empty();
        match rustix::mount::mount("none", disk.path(), "tmpfs", none, options.as_c_str()) {
            Ok(()) => Some(Self(disk)),
            Err(error) => {
                eprintln!("skipped: cannot mount a small disk: {error}");
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::DETACH;
        rustix::mount::unmount(self.0.path(), flags).unwrap();
    }
}

/// Everything below a directory but `lock`, as sorted lines.
pub fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            let path = entry.path();
            lines.push(path.strip_prefix(dir).unwrap().display().to_string());
        }
    }
    lines.retain(|l| l != "lock");
    lines.sort();
    lines
}

/// A store with nothing in it, as lines.
pub const EMPTY: [&str; 3] = ["configs", "layers", "tmp"];
