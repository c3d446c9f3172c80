//! What an agent needs of the machine it is on. The daemon builds it from the runtime and the
//! image store; tests build it from memory.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::host::rng::Rng;
use crate::model::id::{ServiceId, TaskId};
use crate::model::time::Time;
use crate::wire::dependency::{Dependency, DependencyId};
use crate::wire::reach::{Reach, ServiceView};
use crate::wire::session::Assignment;

/// The format of a stored [`Record`]; a new shape gets a new number and its own decoder.
const FORMAT: u8 = 1;

/// Carries out an agent's effects. For one attempt the calls come one after another, in the order
/// adopt or prepare, start, wait beside stop and kill, remove; a dropped future may leave its work
/// half done or at its end, and `remove` waits for that end and copes with whatever is there.
pub trait Containers {
    /// What could not be done and why, for users: one whole line.
    type Error: fmt::Display;

    /// Finds what an earlier daemon left, and clears away whatever was never started.
    fn adopt(&self) -> impl Future<Output = Result<Left, Self::Error>>;

    /// Remembers tasks, or forgets them, for `adopt` after the host was switched off. It is done
    /// beside all else, in order, and soon.
    fn keep(&self, changes: Vec<Change>);

    /// Makes everything that the container needs and keeps the record for `adopt`. The secrets and
    /// configs that its spec names become files that lie on no disk.
    fn prepare(
        &self,
        record: Record,
        dependencies: Vec<Arc<Dependency>>,
    ) -> impl Future<Output = Result<(), Self::Error>>;

    /// Whether what could not be prepared may be later, with nothing changed in what was asked for.
    fn is_passing(error: &Self::Error) -> bool;

    /// Starts a prepared container.
    fn start(&self, attempt: Attempt) -> impl Future<Output = Result<Started, Self::Error>>;

    /// Waits until a started or adopted container has ended, and is on no network any more.
    fn wait(&self, attempt: Attempt) -> impl Future<Output = Exit>;

    /// Checks a running container until its health is another than it was; for ever if it has no
    /// check. Dropped when the container has ended.
    fn health(&self, attempt: Attempt) -> impl Future<Output = Health>;

    /// Notes how services are reached from now on; what follows from it happens beside all else.
    fn reach(&self, news: Reach);

    /// Sends the stop signal that the spec names, or else the image, or else SIGTERM, and remembers
    /// when, for `adopt`. Before it, the container is withdrawn from the networks of this node.
    fn stop(&self, attempt: Attempt) -> impl Future<Output = Result<(), Self::Error>>;

    /// Kills every process of the container.
    fn kill(&self, attempt: Attempt) -> impl Future<Output = Result<(), Self::Error>>;

    /// Leaves nothing of the attempt, whatever state it is in.
    fn remove(&self, attempt: Attempt) -> impl Future<Output = Result<(), Self::Error>>;
}

/// One go at running the container of a task on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub task: TaskId,
    /// Counts from 1.
    pub number: u32,
    pub container: ContainerId,
}

/// The name of a container: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerId([u8; 32]);

/// All that an agent must know to go on with an attempt after its daemon was restarted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub attempt: Attempt,
    pub assignment: Arc<Assignment>,
}

/// A container that runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its first process.
    pub pid: u32,
    pub health: Health,
}

/// What a container's health check says; the task runs only when that is nothing bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It has none.
    #[default]
    Unchecked,
    Starting,
    Healthy,
    Unhealthy,
}

/// What an earlier daemon left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Left {
    pub found: Vec<Found>,
    /// What was kept of tasks that may be run again without a manager, and what they need.
    pub kept: Vec<Kept>,
}

/// What a host remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kept {
    Task(Record),
    Dependency(Arc<Dependency>),
    /// How a service is reached, without its tasks.
    Service(Arc<ServiceView>),
}

/// Names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeptId {
    Task(TaskId),
    Dependency(DependencyId),
    Service(ServiceId),
}

/// What is to be remembered under a name from now on; nothing, if it is to be forgotten.
pub type Change = (KeptId, Option<Kept>);

/// An attempt that an earlier daemon started.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub record: Record,
    pub condition: Condition,
    pub health: Health,
}

/// What has become of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Running {
        pid: u32,
        since: Time,
        /// When the stop signal was sent, if it was.
        stopped: Option<Time>,
    },
    Ended(Exit),
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exit {
    /// What a shell would say: the exit code, or 128 and the signal. `None` if nobody saw it end.
    pub code: Option<u8>,
    pub oom_killed: bool,
    /// The end of the log of a container that failed.
    pub log_tail: Vec<u8>,
    pub at: Time,
}

impl Kept {
    /// As it is stored.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        encode(self)
    }

    /// What was stored.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        decode(bytes)
    }
}

/// A record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the record of an attempt is empty")]
    Empty,
    #[error("the record of an attempt has format {0}, which this version does not know")]
    Format(u8),
    #[error("the record of an attempt does not decode: {0}")]
    Decode(#[source] postcard::Error),
    #[error("the record of an attempt does not encode: {0}")]
    Encode(#[source] postcard::Error),
}

impl ContainerId {
    /// A name that no other container has.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&rng.next_u64().to_be_bytes());
        }
        Self(bytes)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Record {
    /// The record as it is stored beside the attempt.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        encode(self)
    }

    /// A stored record.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        decode(bytes)
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    postcard::to_extend(value, vec![FORMAT]).map_err(RecordError::Encode)
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(RecordError::Decode),
        Some((&other, _)) => Err(RecordError::Format(other)),
        None => Err(RecordError::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::assignment;

    fn record() -> Record {
        let container = ContainerId::draw(&mut Rng::from_seed(1));
        let assignment = Arc::new(assignment("web.1", "running"));
        let attempt = Attempt {
            task: assignment.task,
            number: 1,
            container,
        };
        Record {
            attempt,
            assignment,
        }
    }

    #[test]
    fn container_names_are_64_hexadecimal_digits() {
        let name = record().attempt.container.to_string();
        assert_eq!(name.len(), 64);
        assert!(name.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn a_record_comes_back_and_a_damaged_one_is_refused() {
        let bytes = record().encode().unwrap();
        assert_eq!(Record::decode(&bytes).unwrap(), record());
        for length in 0..bytes.len() {
            assert!(Record::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(matches!(Record::decode(&[9]), Err(RecordError::Format(9))));
    }
}
