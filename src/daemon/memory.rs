//! What this host remembers of its tasks for the day when it starts without a manager. The key to
//! it lies beside it: that protects copies of the files, not a stolen card.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_channel::{Receiver, Sender};

use crate::agent::containers::{Change, Kept, KeptId, RecordError};
use crate::daemon::vault::{Vault, VaultError};
use crate::host::wait::blocking;
use crate::model::id::SecretId;
use crate::model::spec::service::RegistryAuth;
use crate::store::error::StoreError;
use crate::store::file_disk::{FileDisk, LockError};
use crate::store::rows::{Changes, Rows};
use crate::wire::dependency::DependencyId;

/// The tasks that a host remembers, and what is to be written of them.
#[derive(Debug)]
pub struct Memory {
    dir: PathBuf,
    rows: RefCell<Option<Rows>>,
    secrets: RefCell<BTreeSet<SecretId>>,
    changes: Sender<Changes>,
    queue: Receiver<Changes>,
}

/// Why a host remembers nothing.
#[derive(Debug, thiserror::Error)]
enum MemoryError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("{dir}: {0}", dir = .1.display())]
    Vault(#[source] VaultError, PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Memory {
    pub fn new(dir: PathBuf) -> Self {
        // Not bounded: the agent has at most one change under way for each of its tasks.
        let (changes, queue) = async_channel::unbounded();
        Self {
            dir,
            rows: RefCell::new(None),
            secrets: RefCell::default(),
            changes,
            queue,
        }
    }

    /// Opens it; what it holds. If it is damaged it begins anew: managers will say what shall run.
    pub async fn recall(&self) -> Vec<Kept> {
        let dir = self.dir.clone();
        let opened = blocking(move || open(&dir).or_else(|error| begin_anew(&dir, &error))).await;
        let rows = match opened {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!("this host will not know its tasks without a manager: {error}");
                return Vec::new();
            }
        };
        let kept = rows.iter().filter_map(|(_, value)| {
            let kept = Kept::decode(value);
            kept.map_err(|error| tracing::warn!("{error}")).ok()
        });
        let kept: Vec<_> = kept.collect();
        let held = kept.iter().filter_map(|kept| match kept {
            Kept::Dependency(held) => Some(held.id),
            Kept::Task(_) | Kept::Service(_) => None,
        });
        held.for_each(|id| self.note(id, true));
        self.rows.replace(Some(rows));
        kept
    }

    /// Has changes written, in order.
    pub fn keep(&self, changes: Vec<Change>) {
        for (id, kept) in &changes {
            if let KeptId::Dependency(id) = id {
                self.note(*id, kept.is_some());
            }
        }
        let rows = changes.into_iter().filter_map(|change| {
            let row = row(change);
            row.map_err(|error| tracing::warn!("{error}")).ok()
        });
        // The queue is not bounded, and closed only when nobody keeps anything any more.
        let _ = self.changes.try_send(rows.collect());
    }

    /// The images of the tasks that are kept.
    pub fn images(&self) -> Vec<String> {
        let rows = self.rows.borrow();
        let kept = rows.iter().flat_map(Rows::iter);
        let images = kept.filter_map(|(_, value)| match Kept::decode(value).ok()? {
            Kept::Task(record) => Some(record.assignment.spec.container.image.clone()),
            Kept::Dependency(_) | Kept::Service(_) => None,
        });
        images.collect()
    }

    /// Whether there are secrets in it.
    pub fn keeps_secrets(&self) -> bool {
        !self.secrets.borrow().is_empty()
    }

    fn note(&self, id: DependencyId, is_kept: bool) {
        if let DependencyId::Secret(id) = id {
            let mut secrets = self.secrets.borrow_mut();
            match is_kept {
                true => secrets.insert(id),
                false => secrets.remove(&id),
            };
        }
    }

    /// Nothing more will be kept.
    pub fn close(&self) {
        self.changes.close();
    }

    /// Writes what is to be kept, until everything is and it is closed. What comes while a write is
    /// under way goes with the next.
    pub async fn serve(&self) {
        while let Ok(mut changes) = self.queue.recv().await {
            while let Ok(more) = self.queue.try_recv() {
                changes.extend(more);
            }
            let Some(mut rows) = self.rows.take() else {
                continue;
            };
            let (rows, written) = blocking(move || {
                let written = rows.change(changes);
                (rows, written)
            })
            .await;
            let is_usable = written.as_ref().is_ok_and(|()| true)
                || written.as_ref().is_err_and(StoreError::is_passing);
            if let Err(error) = written {
                tracing::warn!("this host may not know its tasks without a manager: {error}");
            }
            self.rows.replace(is_usable.then_some(rows));
        }
    }
}

fn row((id, kept): Change) -> Result<(Vec<u8>, Option<Vec<u8>>), RecordError> {
    let value = kept.map(|mut kept| {
        if let Kept::Task(record) = &mut kept {
            // The image is here: nobody needs them any more.
            Arc::make_mut(&mut record.assignment).registry_auth = RegistryAuth::default();
        }
        kept.encode()
    });
    let key = postcard::to_allocvec(&id).map_err(RecordError::Encode)?;
    Ok((key, value.transpose()?))
}

fn open(dir: &Path) -> Result<Rows, MemoryError> {
    let disk = FileDisk::open(dir)?;
    let vault = |error| MemoryError::Vault(error, dir.to_owned());
    let sealer = Vault::open(dir).and_then(|key| key.sealer());
    Ok(Rows::open(&(Arc::new(disk) as _), sealer.map_err(vault)?)?)
}

fn begin_anew(dir: &Path, error: &MemoryError) -> Result<Rows, MemoryError> {
    if matches!(error, MemoryError::Lock(_)) {
        return open(dir);
    }
    tracing::warn!("this host does not know its tasks without a manager, and begins anew: {error}");
    forget(dir)?;
    open(dir)
}

fn forget(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Io {
            action: "remove",
            file: dir.display().to_string(),
            source,
        }),
        _ => Ok(()),
    }
}
