//! The built-in image: its only file is skep itself.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::image::commit::{NewImage, Session};
use crate::image::config::{HistoryEntry, ImageConfig, RootFs, RunConfig};
use crate::image::digest::{Digest, Hashing};
use crate::image::disk::{self, DiskError};
use crate::image::frames::FrameWriter;
use crate::image::header::{BLOCK, padding};
use crate::image::index::HelloRecord;
use crate::image::reference::{Reference, ReferenceError};
use crate::image::removal::InUse;
use crate::image::store::ImageStore;
use crate::image::tarball::Framing;
use crate::image::unpack::Unpacked;

/// The image's name.
pub const HELLO: &str = "hello:latest";
const PROGRAM: &str = "skep";
/// The label that tells it from images that people made.
pub const LABEL: &str = "skep.builtin";
/// The same program makes the same image everywhere, so it is not dated.
const CREATED: &str = "1970-01-01T00:00:00Z";
const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Why there is no built-in image.
#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("cannot write the image's config: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error("cannot read the program {path}: {source}")]
    Program {
        path: std::path::PathBuf,
        source: io::Error,
    },
}

impl ImageStore {
    /// Makes the built-in image of the program at `exe`, unless it was made of this very file
    /// before. The program is linked where that can be, so it takes no space and shares its pages
    /// with the daemon. The image of an earlier program goes, if no container uses it.
    pub fn install_hello(&self, exe: &Path, in_use: &InUse) -> Result<Digest, HelloError> {
        let unreadable = |source| HelloError::Program {
            path: exe.to_owned(),
            source,
        };
        let mut file = File::open(exe).map_err(unreadable)?;
        let mut record = identity(&file).map_err(unreadable)?;
        let name = Reference::parse(HELLO)?;
        let before = self.state().index.hello.clone();
        if let Some(known) = before
            .as_ref()
            .filter(|known| self.is_hello(known, &record, &name))
        {
            return Ok(known.image);
        }
        let header = header(record.bytes).map_err(unreadable)?;
        let tar = header
            .as_bytes()
            .chain(&mut file)
            .chain(io::repeat(0).take(tail(record.bytes)));
        let (diff_id, tar_bytes) = Hashing::new(tar).finish().map_err(unreadable)?;
        let unpacked = Unpacked {
            diff_id,
            tar_bytes,
            file_bytes: record.bytes,
        };
        let mut session = Session::begin(self)?;
        let dir = session.staging.fresh();
        stage(&dir, exe, &header, record.bytes)?;
        session.staging.keep(dir, unpacked, diff_id)?;
        let config = serde_json::to_vec(&config(self, diff_id))?;
        record.image = Digest::of(&config);
        let image = NewImage {
            config,
            layers: vec![diff_id],
            names: vec![name],
        };
        let id = record.image;
        session.commit(vec![image], Some(record))?;
        if let Some(old) = before.map(|b| b.image).filter(|old| *old != id) {
            self.drop_nameless(old, in_use)?;
        }
        Ok(id)
    }

    fn is_hello(&self, known: &HelloRecord, now: &HelloRecord, name: &Reference) -> bool {
        let state = self.state();
        let same = HelloRecord {
            image: known.image,
            ..now.clone()
        };
        *known == same && state.index.references.get(&name.to_string()) == Some(&known.image)
    }

    fn drop_nameless(&self, old: Digest, in_use: &InUse) -> Result<(), DiskError> {
        let mut state = self.state();
        if state.index.names_of(old).next().is_some() || in_use.contains_key(&old) {
            return Ok(());
        }
        let mut index = state.index.clone();
        index.images.remove(&old);
        let rubbish = self.settle(&mut state, index)?;
        drop(state);
        rubbish.iter().for_each(|path| self.discard(path));
        Ok(())
    }
}

fn identity(file: &File) -> io::Result<HelloRecord> {
    let meta = file.metadata()?;
    Ok(HelloRecord {
        device: meta.dev(),
        inode: meta.ino(),
        bytes: meta.len(),
        mtime_s: meta.mtime(),
        mtime_ns: meta.mtime_nsec(),
        image: Digest::of(b""),
    })
}

fn header(bytes: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(PROGRAM)?;
    header.set_mode(0o755);
    header.set_size(bytes);
    header.set_cksum();
    Ok(header)
}

/// Zeros after the program: to the end of its block, and the two blocks that end a tar.
fn tail(bytes: u64) -> u64 {
    (padding(bytes) + END.len()) as u64
}

/// Lays out what unpacking the tar would have made.
fn stage(dir: &Path, exe: &Path, header: &tar::Header, bytes: u64) -> Result<(), DiskError> {
    let root = dir.join("fs");
    disk::create_dir(&root)?;
    disk::open_to_all(&root)?;
    disk::link_or_copy(exe, &root.join(PROGRAM))?;
    let frames = dir.join("frames");
    let write = || -> io::Result<()> {
        let mut writer = FrameWriter::create(&frames)?;
        writer.frame(header.as_bytes())?;
        writer.contents(PROGRAM.as_bytes(), bytes)?;
        writer.frame(&[0; BLOCK][..padding(bytes)])?;
        writer.frame(&END)?;
        writer.finish()
    };
    write().map_err(|source| DiskError {
        doing: "write",
        path: frames.clone(),
        source,
    })
}

fn config(store: &ImageStore, diff_id: Digest) -> ImageConfig {
    let platform = store.platform().clone();
    ImageConfig {
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        created: CREATED.to_owned(),
        comment: "built into skep".to_owned(),
        config: RunConfig {
            cmd: vec![format!("/{PROGRAM}"), "hello".to_owned()],
            labels: [(LABEL.to_owned(), "hello".to_owned())].into(),
            ..RunConfig::default()
        },
        history: vec![HistoryEntry {
            created: CREATED.to_owned(),
            created_by: "skep".to_owned(),
            ..HistoryEntry::default()
        }],
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: vec![diff_id.to_string()],
        },
        ..ImageConfig::default()
    }
}
