//! What a host keeps under seal: its node's key, and a manager's log and state. The key to all that
//! lies in one small file beside it; on managers of a swarm that locks them, sealed itself under
//! the swarm's unlock key, which no disk has in the clear.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::daemon::record::{Kind, RecordError};
use crate::host::rng::{EntropyError, random};
use crate::identity::seal::{DoesNotOpen, KEY_BYTES, SealKey, TooLong};
use crate::identity::unlock::UnlockKey;
use crate::model::trust::Hidden;
use crate::store::sealer::Sealer;

const FILE: Kind = Kind {
    name: "vault",
    hint: "nothing that this host keeps of its swarm can be read without it: restore it, or remove \
           it and the file \"member\" beside it to start outside any swarm",
};

/// What the file holds.
#[derive(Serialize, Deserialize)]
enum Record {
    Open(Hidden),
    Locked(Vec<u8>),
}

/// The key under which this host seals, as long as it is not locked away.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    key: RefCell<Option<SealKey>>,
}

/// Why nothing can be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("it is locked")]
    Locked,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    DoesNotOpen(#[from] DoesNotOpen),
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl Vault {
    /// The vault of a directory; a new one if there is none.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        let vault = Self {
            dir: dir.to_owned(),
            key: RefCell::new(None),
        };
        match vault.record()? {
            None => vault.renew()?,
            Some(Record::Open(key)) => vault.take(SealKey::from_bytes(whole(&key.0)?)),
            Some(Record::Locked(_)) => {}
        }
        Ok(vault)
    }

    /// Where it and what it is for lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn is_locked(&self) -> bool {
        self.key.borrow().is_none()
    }

    /// Opens it with the unlock key of the swarm.
    pub fn unlock(&self, unlock: &UnlockKey) -> Result<(), VaultError> {
        if let Some(Record::Locked(wrapped)) = self.record()? {
            self.take(unlock.unwrap(&wrapped)?);
        }
        Ok(())
    }

    /// From the next start on it has to be opened with this key, or with none.
    pub fn lock(&self, unlock: Option<&UnlockKey>) -> Result<(), VaultError> {
        let key = self.key()?;
        let record = match (self.record()?, unlock) {
            (Some(Record::Open(_)), None) => return Ok(()),
            (Some(Record::Locked(now)), Some(unlock)) if unlock.unwrap(&now).is_ok() => {
                return Ok(());
            }
            (_, None) => Record::Open(Hidden(key.bytes().to_vec())),
            (_, Some(unlock)) => Record::Locked(unlock.wrap(random()?, &key)?),
        };
        Ok(self.store(&record)?)
    }

    /// Makes a new key: what was sealed before is lost.
    pub fn renew(&self) -> Result<(), VaultError> {
        let bytes: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(random()?);
        self.store(&Record::Open(Hidden(bytes.to_vec())))?;
        self.take(SealKey::from_bytes(*bytes));
        Ok(())
    }

    pub fn seal(&self, about: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(self.key()?.seal(random()?, about, plain)?)
    }

    pub fn open_sealed(
        &self,
        about: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        Ok(self.key()?.open(about, sealed)?)
    }

    /// What seals the store of this host's manager.
    pub fn sealer(&self) -> Result<Sealer, VaultError> {
        Ok(Sealer::new(self.key()?))
    }

    fn key(&self) -> Result<SealKey, VaultError> {
        self.key.borrow().clone().ok_or(VaultError::Locked)
    }

    fn take(&self, key: SealKey) {
        self.key.replace(Some(key));
    }

    fn record(&self) -> Result<Option<Record>, RecordError> {
        FILE.load(&self.dir)
    }

    /// Writes the file, and then over what it was before: a key that was there in the clear does
    /// not stay on the disk, as far as the disk writes where it is told to.
    fn store(&self, record: &Record) -> Result<(), RecordError> {
        let path = self.dir.join(FILE.name);
        let before = OpenOptions::new().write(true).open(&path);
        FILE.store(&self.dir, record)?;
        let wiped = before.and_then(|file| wipe(&file));
        match wiped {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("the key that was in {} may stay: {error}", path.display());
            }
            _ => {}
        }
        Ok(())
    }
}

fn wipe(mut file: &File) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    file.write_all(&vec![0; length])?;
    file.sync_all()
}

fn whole(key: &[u8]) -> Result<[u8; KEY_BYTES], DoesNotOpen> {
    key.try_into().map_err(|_| DoesNotOpen)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_vault_is_opened_by_the_key_that_it_was_locked_with_last() {
        let dir = std::env::temp_dir().join(format!("skep-vault-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let [one, two] = [1, 2].map(|byte| UnlockKey::from_bytes([byte; KEY_BYTES]));
        let vault = Vault::open(&dir).unwrap();
        let sealed = vault.seal(b"it", b"a secret").unwrap();
        let opens = |vault: &Vault| {
            vault
                .open_sealed(b"it", &sealed)
                .is_ok_and(|it| *it == b"a secret")
        };
        assert!(opens(&Vault::open(&dir).unwrap()));

        let clear = vault.key().unwrap().bytes().to_vec();
        vault.lock(Some(&one)).unwrap();
        let held = fs::read(dir.join("vault")).unwrap();
        assert!(!held.windows(KEY_BYTES).any(|part| part == clear));
        let locked = Vault::open(&dir).unwrap();
        assert!(locked.is_locked());
        assert!(matches!(locked.seal(b"it", b""), Err(VaultError::Locked)));
        assert!(matches!(
            locked.unlock(&two),
            Err(VaultError::DoesNotOpen(_))
        ));
        locked.unlock(&one).unwrap();
        assert!(opens(&locked));

        vault.lock(Some(&one)).unwrap();
        assert_eq!(
            fs::read(dir.join("vault")).unwrap(),
            held,
            "nothing was written"
        );
        vault.lock(Some(&two)).unwrap();
        let locked = Vault::open(&dir).unwrap();
        assert!(matches!(
            locked.unlock(&one),
            Err(VaultError::DoesNotOpen(_))
        ));
        locked.unlock(&two).unwrap();
        locked.lock(None).unwrap();
        assert!(opens(&Vault::open(&dir).unwrap()));

        vault.renew().unwrap();
        assert!(!opens(&Vault::open(&dir).unwrap()));
        fs::remove_dir_all(dir).unwrap();
    }
}
