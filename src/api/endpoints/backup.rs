//! `/skep/backup` and `/skep/restore`: the whole state of a swarm, out and in.

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::{ClusterError, MemberState, Restore};
use crate::api::convert::problems::Problems;
use crate::api::download;
use crate::api::endpoints::swarm::read_listen;
use crate::api::failure::Failure;
use crate::api::upload;
use crate::identity::unlock::UnlockKey;
use crate::manager::backup::{ReadError, read};

/// The header with the key of a swarm that locks its managers.
const UNLOCK: &str = "x-skep-unlock-key";

pub async fn backup(call: Call) -> Result<Answer, Failure> {
    let backup = call.context.cluster.backup().await?;
    let written = download::send(move |out| backup.write(out));
    Ok(answer::stream("application/octet-stream", written))
}

pub async fn restore(mut call: Call) -> Result<Answer, Failure> {
    let is_outside = call.context.cluster.membership().state == MemberState::Inactive;
    let mut problems = Problems::default();
    let text = |name| call.query.text(name).to_owned();
    let (listen, advertise) = (text("listen"), text("advertise"));
    let listen = read_listen(&listen, &mut problems);
    let unlock = unlock_key(&call);
    let key = unlock.as_ref().ok().cloned().flatten();
    let read = move |upload| read(upload, key.as_ref());
    // Whatever is refused: a client that still writes would not see why.
    let backup = upload::receive(call.request.body_mut(), read).await?;
    if !is_outside {
        return Err(ClusterError::AlreadyInSwarm.into());
    }
    problems.or(()).map_err(Failure::from)?;
    unlock?;
    let backup = backup.map_err(|error| Failure::bad(error.to_string()))?;
    let restore = Restore {
        listen,
        advertise,
        backup,
    };
    let node = call.context.cluster.restore(restore).await?;
    Ok(answer::json(&node.to_string()))
}

/// The key to a locked backup, if one was given.
fn unlock_key(call: &Call) -> Result<Option<UnlockKey>, Failure> {
    let Some(given) = call.request.headers().get(UNLOCK) else {
        return Ok(None);
    };
    let key = given.to_str().ok().and_then(|text| text.parse().ok());
    let key = key.ok_or_else(|| Failure::bad(ReadError::WrongUnlockKey))?;
    Ok(Some(key))
}
