//! How log entries and objects are written: a format number, then postcard.
//!
//! A row of the checkpoint is one object; its key is one byte for the kind and the id, big-endian.
//! Tasks are written without their spec, which is a row of its own, shared by all tasks of a
//! version of a service.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::apply::FORMAT;
use crate::model::change::Batch;
use crate::model::id::{ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId};
use crate::model::object::{Meta, RestartRecord, Slot, Task, TaskState, TaskStatus};
use crate::model::spec::service::PortConfig;
use crate::model::spec::task::GenericResource;
use crate::model::state::{Object, ObjectId, State};
use crate::model::time::Time;

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{what}: the record is too short to have a format number")]
    TooShort { what: &'static str },
    #[error("{what}: format {format} is newer than {FORMAT}, the newest that this skep reads")]
    Format { what: &'static str, format: u16 },
    #[error("{what}: the record does not decode")]
    Decode {
        what: &'static str,
        source: postcard::Error,
    },
    #[error("{what}: the record does not encode")]
    Encode {
        what: &'static str,
        source: postcard::Error,
    },
    #[error("row key {0:02x?} names no kind of object")]
    Key(Vec<u8>),
    #[error("task {0} refers to a version of its service that is not there")]
    TaskWithoutSpec(TaskId),
    #[error("row key {0:02x?} is not that of the object in its row")]
    Misplaced(Vec<u8>),
}

/// A row of the checkpoint: a key, and the object's bytes or its removal.
pub type Row = (Vec<u8>, Option<Vec<u8>>);

/// The bytes of a log entry.
pub fn encode_batch(batch: &Batch) -> Result<Vec<u8>, RecordError> {
    encode("log entry", batch)
}

/// The log entry of bytes.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, RecordError> {
    decode("log entry", bytes)
}

/// The row that `id` has now.
pub fn row(state: &State, id: ObjectId) -> Result<Row, RecordError> {
    let bytes = state
        .object(id)
        .map(|object| encode_object(&object))
        .transpose()?;
    Ok((key(id), bytes))
}

/// The row of an object.
pub fn encode_row(object: &Object) -> Result<(Vec<u8>, Vec<u8>), RecordError> {
    Ok((key(id_of(object)), encode_object(object)?))
}

/// The state at `index` whose rows are `rows`, in any order.
pub fn restore(
    index: u64,
    rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<State, RecordError> {
    let mut state = State::default();
    let mut tasks = Vec::new();
    for (key, bytes) in rows {
        match parse_key(&key)? {
            ObjectId::Task(_) => {
                let record = decode::<TaskRecord>("task", &bytes)?;
                check_place(&key, ObjectId::Task(record.id))?;
                tasks.push(record);
            }
            id => {
                let object = decode_object(id, &bytes)?;
                check_place(&key, id_of(&object))?;
                state.put(id, Some(object));
            }
        }
    }
    for record in tasks {
        let task = record.with_spec(&state)?;
        state.put(ObjectId::Task(task.id), Some(Object::Task(Arc::new(task))));
    }
    state.set_index(index);
    state.take_touched();
    Ok(state)
}

fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = FORMAT.to_le_bytes().to_vec();
    bytes =
        postcard::to_extend(value, bytes).map_err(|source| RecordError::Encode { what, source })?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, RecordError> {
    let (format, body) = bytes
        .split_first_chunk()
        .ok_or(RecordError::TooShort { what })?;
    match u16::from_le_bytes(*format) {
        FORMAT => postcard::from_bytes(body).map_err(|source| RecordError::Decode { what, source }),
        format => Err(RecordError::Format { what, format }),
    }
}

/// A task without its spec.
#[derive(Serialize, Deserialize)]
struct TaskRecord {
    id: TaskId,
    meta: Meta,
    service: ServiceId,
    service_name: String,
    task_version: u64,
    slot: Slot,
    node: Option<NodeId>,
    desired_state: TaskState,
    status: TaskStatus,
    restart: RestartRecord,
    running_since: Option<Time>,
    update: u64,
    update_failed: bool,
    addresses: Vec<(NetworkId, Ipv4Addr)>,
    job_iteration: Option<u64>,
    ports: Vec<PortConfig>,
    generic: Vec<GenericResource>,
}

impl TaskRecord {
    fn of(task: &Task) -> Self {
        Self {
            id: task.id,
            meta: task.meta,
            service: task.service,
            service_name: task.service_name.to_string(),
            task_version: task.task_version,
            slot: task.slot,
            node: task.node,
            desired_state: task.desired_state,
            status: task.status.clone(),
            restart: task.restart,
            running_since: task.running_since,
            update: task.update,
            update_failed: task.update_failed,
            addresses: task.addresses.clone(),
            job_iteration: task.job_iteration,
            ports: task.ports.clone(),
            generic: task.generic.clone(),
        }
    }

    fn with_spec(self, state: &State) -> Result<Task, RecordError> {
        let spec = state.task_spec(self.service, self.task_version).cloned();
        Ok(Task {
            id: self.id,
            meta: self.meta,
            service: self.service,
            service_name: self.service_name.into(),
            task_version: self.task_version,
            spec: spec.ok_or(RecordError::TaskWithoutSpec(self.id))?,
            slot: self.slot,
            node: self.node,
            desired_state: self.desired_state,
            status: self.status,
            restart: self.restart,
            running_since: self.running_since,
            update: self.update,
            update_failed: self.update_failed,
            addresses: self.addresses,
            job_iteration: self.job_iteration,
            ports: self.ports,
            generic: self.generic,
        })
    }
}

fn encode_object(object: &Object) -> Result<Vec<u8>, RecordError> {
    match object {
        Object::Cluster(row) => encode("cluster", &**row),
        Object::Node(row) => encode("node", &**row),
        Object::Service(row) => encode("service", &**row),
        Object::TaskSpec(_, _, row) => encode("task spec", &**row),
        Object::Task(row) => encode("task", &TaskRecord::of(row)),
        Object::Network(row) => encode("network", &**row),
        Object::Secret(row) => encode("secret", &**row),
        Object::Config(row) => encode("config", &**row),
    }
}

fn decode_object(id: ObjectId, bytes: &[u8]) -> Result<Object, RecordError> {
    Ok(match id {
        ObjectId::Cluster => Object::Cluster(Arc::new(decode("cluster", bytes)?)),
        ObjectId::Node(_) => Object::Node(Arc::new(decode("node", bytes)?)),
        ObjectId::Service(_) => Object::Service(Arc::new(decode("service", bytes)?)),
        ObjectId::TaskSpec(service, version) => {
            Object::TaskSpec(service, version, Arc::new(decode("task spec", bytes)?))
        }
        ObjectId::Task(id) => return Err(RecordError::TaskWithoutSpec(id)),
        ObjectId::Network(_) => Object::Network(Arc::new(decode("network", bytes)?)),
        ObjectId::Secret(_) => Object::Secret(Arc::new(decode("secret", bytes)?)),
        ObjectId::Config(_) => Object::Config(Arc::new(decode("config", bytes)?)),
    })
}

fn id_of(object: &Object) -> ObjectId {
    match object {
        Object::Cluster(_) => ObjectId::Cluster,
        Object::Node(row) => ObjectId::Node(row.id),
        Object::Service(row) => ObjectId::Service(row.id),
        Object::TaskSpec(service, version, _) => ObjectId::TaskSpec(*service, *version),
        Object::Task(row) => ObjectId::Task(row.id),
        Object::Network(row) => ObjectId::Network(row.id),
        Object::Secret(row) => ObjectId::Secret(row.id),
        Object::Config(row) => ObjectId::Config(row.id),
    }
}

/// An object under a key that is not its own would be found by one id and listed by another, and
/// its next checkpoint would remove a row instead of writing one.
fn check_place(key_there: &[u8], id: ObjectId) -> Result<(), RecordError> {
    match key_there == key(id) {
        true => Ok(()),
        false => Err(RecordError::Misplaced(key_there.to_vec())),
    }
}

fn key(id: ObjectId) -> Vec<u8> {
    let (kind, bits) = match id {
        ObjectId::Cluster => (b'c', 0),
        ObjectId::Node(id) => (b'n', id.0),
        ObjectId::Service(id) => (b's', id.0),
        ObjectId::TaskSpec(id, _) => (b'v', id.0),
        ObjectId::Task(id) => (b't', id.0),
        ObjectId::Network(id) => (b'w', id.0),
        ObjectId::Secret(id) => (b'x', id.0),
        ObjectId::Config(id) => (b'f', id.0),
    };
    let mut key = vec![kind];
    key.extend(bits.to_be_bytes());
    if let ObjectId::TaskSpec(_, version) = id {
        key.extend(version.to_be_bytes());
    }
    key
}

fn parse_key(key: &[u8]) -> Result<ObjectId, RecordError> {
    let bad = || RecordError::Key(key.to_vec());
    let (kind, rest) = key.split_first().ok_or_else(bad)?;
    let (bits, rest) = rest.split_first_chunk().ok_or_else(bad)?;
    let bits = u128::from_be_bytes(*bits);
    Ok(match kind {
        b'c' => ObjectId::Cluster,
        b'n' => ObjectId::Node(NodeId(bits)),
        b's' => ObjectId::Service(ServiceId(bits)),
        b'v' => {
            let version = rest.first_chunk().ok_or_else(bad)?;
            ObjectId::TaskSpec(ServiceId(bits), u64::from_be_bytes(*version))
        }
        b't' => ObjectId::Task(TaskId(bits)),
        b'w' => ObjectId::Network(NetworkId(bits)),
        b'x' => ObjectId::Secret(SecretId(bits)),
        b'f' => ObjectId::Config(ConfigId(bits)),
        _ => return Err(bad()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::{Change, NewTask};
    use crate::model::spec::service::ServiceSpec;
    use crate::model::time::Time;

    fn batch(changes: Vec<Change>) -> Batch {
        Batch {
            at: Time(1_000),
            changes,
        }
    }

    fn spec(image: &str) -> ServiceSpec {
        let mut spec = ServiceSpec {
            name: "web".into(),
            ..ServiceSpec::default()
        };
        spec.task.container.image = image.into();
        spec
    }

    fn task(id: u128) -> Change {
        Change::CreateTask(NewTask {
            id: TaskId(id),
            service: ServiceId(1),
            slot: Slot::Number(1),
            desired_state: TaskState::Running,
            restart: RestartRecord::default(),
            update: 0,
        })
    }

    fn rows(state: &State) -> Vec<Row> {
        state.objects().map(|id| row(state, id).unwrap()).collect()
    }

    fn two_versions_of_a_service() -> State {
        let mut state = State::default();
        let create = Change::CreateService {
            id: ServiceId(1),
            spec: spec("a"),
        };
        state.apply(1, &batch(vec![create, task(1)]));
        let update = Change::UpdateService {
            id: ServiceId(1),
            spec: spec("b"),
        };
        state.apply(2, &batch(vec![update, task(2)]));
        state
    }

    #[test]
    fn a_state_comes_back_from_its_rows() {
        let state = two_versions_of_a_service();
        let stored = rows(&state)
            .into_iter()
            .map(|(key, bytes)| (key, bytes.unwrap()));
        let restored = restore(2, stored).unwrap();
        assert_eq!(rows(&restored), rows(&state));
        assert_eq!(
            restored
                .tasks()
                .find(TaskId(1))
                .unwrap()
                .spec
                .container
                .image,
            "a"
        );
        assert_eq!(restored.tasks_of_service(ServiceId(1)).count(), 2);
        assert_eq!(restored.index(), 2);
    }

    #[test]
    fn undoing_an_overlay_leaves_nothing_of_it() {
        let mut state = two_versions_of_a_service();
        let before = rows(&state);
        state.begin();
        for change in [
            Change::RemoveTask { id: TaskId(1) },
            Change::UpdateService {
                id: ServiceId(1),
                spec: spec("c"),
            },
            task(3),
            Change::AssignTask {
                id: TaskId(3),
                node: NodeId(9),
                generic: Vec::new(),
            },
            Change::RemoveService { id: ServiceId(1) },
            Change::RemoveTask { id: TaskId(2) },
        ] {
            state.apply_draft(Time(5), &change);
        }
        assert_ne!(rows(&state), before);
        state.undo();
        assert_eq!(rows(&state), before);
        assert_eq!(state.tasks_of_node(NodeId(9)).count(), 0);
        assert_eq!(state.index(), 2);
    }

    #[test]
    fn a_spec_goes_with_its_last_task() {
        let mut state = two_versions_of_a_service();
        assert!(state.task_spec(ServiceId(1), 1).is_some());
        state.apply(3, &batch(vec![Change::RemoveTask { id: TaskId(1) }]));
        assert!(state.task_spec(ServiceId(1), 1).is_none());
        assert!(state.task_spec(ServiceId(1), 2).is_some());
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        assert!(matches!(
            decode_batch(&[1]),
            Err(RecordError::TooShort { .. })
        ));
        assert!(matches!(
            decode_batch(&[9, 0, 0]),
            Err(RecordError::Format { format: 9, .. })
        ));
        assert!(matches!(
            decode_batch(&[1, 0, 255]),
            Err(RecordError::Decode { .. })
        ));
        assert!(matches!(
            restore(1, [(vec![b'?'], vec![])]),
            Err(RecordError::Key(_))
        ));
    }

    /// Found by fuzzing: a row of one node under the key of another was taken in, and then had two
    /// ids, of which the state knew the object by one and named it by the other.
    #[test]
    fn a_row_under_the_key_of_another_object_is_refused() {
        let state = two_versions_of_a_service();
        for (mut key, bytes) in rows(&state) {
            let last = key.len() - 1;
            key[last] ^= 1;
            let rows = rows(&state).into_iter().filter(|(_, b)| *b != bytes);
            let rows = rows.map(|(key, bytes)| (key, bytes.unwrap()));
            let misplaced = [(key.clone(), bytes.clone().unwrap())];
            let refused = restore(2, rows.chain(misplaced)).unwrap_err();
            // A spec has no id of its own: it is its tasks that miss it.
            match key[0] {
                b'v' => assert!(matches!(refused, RecordError::TaskWithoutSpec(_))),
                _ => assert!(matches!(refused, RecordError::Misplaced(k) if k == key)),
            }
        }
    }
}
