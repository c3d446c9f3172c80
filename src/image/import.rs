//! Makes an image of a root file system's tar.

use std::io::{self, Read};
use std::rc::Rc;

use crate::image::changes::{self, ChangeError};
use crate::image::commit::{NewImage, Session};
use crate::image::compression::{Compression, peek};
use crate::image::config::{HistoryEntry, ImageConfig, RootFs};
use crate::image::digest::Digest;
use crate::image::disk::DiskError;
use crate::image::meter::{Guarded, Meter, Received, Stream};
use crate::image::reference::{Reference, ReferenceError};
use crate::image::refusal::UnpackError;
use crate::image::store::ImageStore;
use crate::image::unpack::{Unpacked, unpack};
use crate::model::time::Time;

const MAGIC_BYTES: usize = 4;

/// What to make of the tar.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// The image's name; an image without one is found by its id.
    pub name: Option<String>,
    /// Kept as the image's comment.
    pub message: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
}

/// Why no image was made. Nothing is left on the disk.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("cannot import to a digest reference")]
    DigestName,
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("cannot write the image's config: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error("cannot read the file system archive: {0}")]
    Read(io::Error),
    #[error("cannot import: {0}")]
    Unpack(#[from] UnpackError),
}

impl ImageStore {
    /// Makes an image of one layer of the tar `input`, which may be gzip or zstd; answers its id.
    pub fn import(
        &self,
        input: impl Read,
        import: &Import,
        now: Time,
    ) -> Result<Digest, ImportError> {
        let name = import.name.as_deref().map(Reference::parse).transpose()?;
        if name.as_ref().is_some_and(|n| n.digest.is_some()) {
            return Err(ImportError::DigestName);
        }
        let mut config = self.imported(import, now);
        changes::apply(&mut config.config, &import.changes)?;
        let mut session = Session::begin(self)?;
        let layer = unpack_into(&mut session, input)?;
        config.rootfs.diff_ids = vec![layer.diff_id.to_string()];
        let image = NewImage {
            config: serde_json::to_vec(&config)?,
            layers: vec![layer.diff_id],
            names: name.map(Reference::or_latest).into_iter().collect(),
        };
        let id = Digest::of(&image.config);
        session.commit(vec![image], None)?;
        Ok(id)
    }

    fn imported(&self, import: &Import, now: Time) -> ImageConfig {
        let created = rfc3339(now);
        let platform = self.platform().clone();
        ImageConfig {
            architecture: platform.architecture,
            variant: platform.variant,
            os: platform.os,
            created: created.clone(),
            comment: import.message.clone(),
            history: vec![HistoryEntry {
                created,
                comment: import.message.clone(),
                ..HistoryEntry::default()
            }],
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: Vec::new(),
            },
            ..ImageConfig::default()
        }
    }
}

fn unpack_into(session: &mut Session<'_>, input: impl Read) -> Result<Unpacked, ImportError> {
    let limits = session.store.limits().clone();
    let meter = Rc::new(Meter::default());
    let received = Received::new(input, meter.clone());
    let (start, input) = peek(received, MAGIC_BYTES).map_err(ImportError::Read)?;
    let plain = Compression::sniff(&start).decoder(input);
    let plain = Guarded::new(plain, Stream::Layer, meter, &limits);
    let dir = session.staging.fresh();
    let unpacked = unpack(plain, &dir, &limits)?;
    session.staging.keep(dir, unpacked, unpacked.diff_id)?;
    Ok(unpacked)
}

fn rfc3339(now: Time) -> String {
    let millis = i64::try_from(now.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    time.to_string()
}
