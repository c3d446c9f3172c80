//! What must hold for any bytes that are said to be an image, or a part of one.
//!
//! Each function is a fuzz target; tests/fuzz_corpus.rs calls it for each file of its corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use skep::image::config::ImageConfig;
use skep::image::digest::{Digest, HashingWriter};
use skep::image::frames::replay;
use skep::image::limits::Limits;
use skep::image::manifest::{DockerManifest, Index, Manifest};
use skep::image::platform::Platform;
use skep::image::reference::Reference;
use skep::image::store::ImageStore;
use skep::image::unpack::unpack;

const BLOCK: usize = 512;

/// A name that parses is shown so that it parses to the same again.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(
            Reference::parse(&reference.familiar()).as_ref(),
            Ok(&reference)
        );
        assert_eq!(
            Reference::parse(&reference.to_string()).as_ref(),
            Ok(&reference)
        );
    }
}

/// A config that decodes and is written decodes to the same again; nothing panics.
pub fn json(bytes: &[u8]) {
    if let Ok((config, _)) = ImageConfig::decode(bytes, 127) {
        let written = serde_json::to_vec(&config).expect("a config can be written");
        let (again, _) = ImageConfig::decode(&written, 127).expect("and read");
        assert_eq!(again, config);
        config.created_s();
        Platform::host().rank(&config.platform());
    }
    let _ = serde_json::from_slice::<Vec<DockerManifest>>(bytes);
    let _ = serde_json::from_slice::<Index>(bytes);
    let _ = serde_json::from_slice::<Manifest>(bytes);
}

/// A layer that unpacks stays within its directory and gives the same tar again.
pub fn layer(bytes: &[u8]) {
    let scratch = Scratch::new();
    let tar = summed(bytes);
    let dir = scratch.0.join("layer");
    if let Ok(unpacked) = unpack(&tar[..], &dir, &limits()) {
        assert_eq!(unpacked.diff_id, Digest::of(&tar));
        let mut again = HashingWriter::new(std::io::sink());
        replay(&dir, &mut again).expect("the tar can be made again");
        assert_eq!(again.finish(), (unpacked.diff_id, tar.len() as u64));
    }
    assert_eq!(
        names(&scratch.0),
        if dir.exists() { vec!["layer"] } else { vec![] }
    );
}

/// An archive that does not load leaves nothing; one that does is saved and loads again.
pub fn archive(bytes: &[u8]) {
    let scratch = Scratch::new();
    let open = |name: &str| {
        let dir = scratch.0.join(name);
        ImageStore::open_with(&dir, limits(), Platform::host()).expect("a store opens")
    };
    let store = open("first");
    match store.load(&summed(bytes)[..], &mut |_| {}) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error:?}");
            let first = scratch.0.join("first");
            assert_eq!(names(&first), ["configs", "layers", "lock", "tmp"]);
            for folder in ["configs", "layers", "tmp"] {
                assert_eq!(names(&first.join(folder)), [""; 0], "left by {error}");
            }
        }
        Ok(loaded) => {
            let ids: Vec<String> = loaded.iter().map(|l| l.id.to_string()).collect();
            let mut saved = Vec::new();
            store
                .save(&ids, &mut saved)
                .expect("what was loaded can be saved");
            if !ids.is_empty() {
                let again = open("second").load(&saved[..], &mut |_| {});
                let again = again.expect("what was saved can be loaded");
                assert_eq!(again.len(), loaded.len());
            }
        }
    }
    assert!(
        names(&scratch.0)
            .iter()
            .all(|n| n == "first" || n == "second")
    );
}

/// Puts the right checksum into whatever looks like a tar header, so that changes get that far.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    for block in tar
        .chunks_exact_mut(BLOCK)
        .filter(|b| &b[257..262] == b"ustar")
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

fn limits() -> Limits {
    Limits {
        entries_max: 1000,
        members_max: 1000,
        layer_bytes_max: 16 << 20,
        ratio_free_bytes: 1 << 20,
        reserve_bytes: 0,
        ..Limits::default()
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.filter_map(|e| Some(name(e.ok()?))).collect();
    names.sort();
    names
}

/// A directory for one run, in memory where that can be.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.into()
        } else {
            std::env::temp_dir()
        };
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("skep-fuzz-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory can be made");
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("a directory can be removed");
    }
}
