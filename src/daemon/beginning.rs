//! What a new swarm begins with: what `swarm init` decided, and what was drawn for it here.

use std::net::SocketAddr;

use crate::api::context::Init;
use crate::daemon::identity::{Identity, IdentityError};
use crate::host::clock;
use crate::host::rng::{EntropyError, Rng, random};
use crate::identity::authority::AuthorityError;
use crate::identity::founding::found;
use crate::manager::genesis::Genesis;
use crate::model::id::{ClusterId, NodeId};
use crate::model::spec::node::NodeDescription;
use crate::model::trust::{TokenSecret, UnlockSecret};

/// The raft id of the first manager of a swarm.
const FIRST_RAFT_ID: u64 = 1;

const DATA_PATH_PORT: u16 = 4789;
const ADDRESS_POOL: &str = "10.0.0.0/8";
const SUBNET_SIZE: u32 = 24;

/// Why nothing could be drawn.
#[derive(Debug, thiserror::Error)]
pub enum BeginningError {
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("cannot make the root of the swarm: {0}")]
    Root(#[from] AuthorityError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The first state of a swarm that begins on this host, and the key of the host.
pub fn begin(
    init: Init,
    description: NodeDescription,
    address: SocketAddr,
) -> Result<(Genesis, Identity), BeginningError> {
    let given = |value, default| if value == 0 { default } else { value };
    let pools = match init.address_pools {
        pools if pools.is_empty() => vec![ADDRESS_POOL.to_owned()],
        pools => pools,
    };
    let mut rng = Rng::from_entropy()?;
    let (worker, manager) = (TokenSecret(random()?), TokenSecret(random()?));
    let mut trust = found(clock::now(), random()?, worker, manager)?;
    if init.spec.autolock_managers {
        trust.unlock = Some(UnlockSecret(random()?));
    }
    let identity = Identity::generate()?;
    let genesis = Genesis {
        cluster: ClusterId(rng.next_u128()),
        spec: init.spec,
        address_pools: pools,
        subnet_size: match init.subnet_size {
            0 => SUBNET_SIZE,
            size => size,
        },
        data_path_port: given(init.data_path_port, DATA_PATH_PORT),
        node: NodeId(rng.next_u128()),
        description,
        availability: init.availability,
        address: address.ip().to_string(),
        manager_address: address.to_string(),
        raft_id: FIRST_RAFT_ID,
        key: Some(identity.digest()),
        trust,
    };
    Ok((genesis, identity))
}
