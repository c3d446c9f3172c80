//! This node's key for its tunnels. It is kept: a daemon that starts again goes on with what the
//! other nodes know of it, also while no manager can be reached. It goes when the host leaves its
//! swarm, so a node that joins anew has another.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::daemon::failure::SwarmError;
use crate::daemon::record::{Kind, RecordError};
use crate::host::rng::random;
use crate::network::tunnel::key::PrivateKey;

const FILE: Kind = Kind {
    name: "tunnel",
    hint: "remove it, and this host gets a new key",
};

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Record {
    key: [u8; 32],
}

/// The key of `state_dir`, which is made if there is none.
pub fn key(state_dir: &Path) -> Result<PrivateKey, SwarmError> {
    if let Some(Record { key }) = FILE.load(state_dir)? {
        return Ok(key.into());
    }
    let key = PrivateKey::from(random()?);
    FILE.store(state_dir, &Record { key: *key.bytes() })?;
    Ok(key)
}

pub fn forget(state_dir: &Path) -> Result<(), RecordError> {
    FILE.forget(state_dir)
}
