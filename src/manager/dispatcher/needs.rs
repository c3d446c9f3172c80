//! Which secrets and configs one agent holds, and for which of its tasks: it is sent each once,
//! before the first task that names it, and releases it after the last.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::id::TaskId;
use crate::model::object::{Cluster, Task, TaskState};
use crate::model::spec::Driver;
use crate::model::state::State;
use crate::wire::dependency::{Dependency, DependencyId, named_by};
use crate::wire::session::ToAgent;

/// The most bytes of one message, but for its last dependency's.
const MESSAGE_BYTES: usize = 4 << 20;

/// The label of a secret or a config that no worker's disk may have.
const AT_REST_LABEL: &str = "skep.at-rest";

#[derive(Debug, Default)]
pub struct Needs {
    tasks: BTreeMap<TaskId, Vec<DependencyId>>,
    /// How many tasks need each that the agent was sent.
    held: BTreeMap<DependencyId, u32>,
}

impl Needs {
    /// Takes in the tasks that the agent is about to be told of: what it must be sent first.
    pub fn add<'a>(
        &mut self,
        state: &State,
        tasks: impl Iterator<Item = &'a Task>,
    ) -> Vec<ToAgent> {
        let mut lacking = Vec::new();
        for task in tasks.filter(|task| is_needy(task)) {
            let ids = named_by(&task.spec.container);
            if ids.is_empty() || self.tasks.contains_key(&task.id) {
                continue;
            }
            for id in &ids {
                let holders = self.held.entry(*id).or_default();
                *holders += 1;
                if *holders == 1 {
                    lacking.extend(dependency(state, *id));
                }
            }
            self.tasks.insert(task.id, ids);
        }
        messages(lacking)
    }

    /// Takes in tasks that changed or went: what the agent needs no more.
    pub fn release(&mut self, state: &State, tasks: &[TaskId]) -> Option<ToAgent> {
        let mut released = Vec::new();
        for id in tasks {
            let task = state.tasks().find(*id);
            if task.is_some_and(|task| is_needy(task)) {
                continue;
            }
            for id in self.tasks.remove(id).into_iter().flatten() {
                if let Some(holders) = self.held.get_mut(&id) {
                    *holders -= 1;
                    if *holders == 0 {
                        self.held.remove(&id);
                        released.push(id);
                    }
                }
            }
        }
        (!released.is_empty()).then_some(ToAgent::Dependencies {
            set: Vec::new(),
            released,
        })
    }
}

impl Needs {
    /// What the agent holds, once more: on which disks it may lie has changed.
    pub fn again(&self, state: &State) -> Vec<ToAgent> {
        let held = self.held.keys();
        messages(held.filter_map(|id| dependency(state, *id)).collect())
    }
}

/// Whether a container of the task may still be started.
fn is_needy(task: &Task) -> bool {
    task.desired_state < TaskState::Shutdown && !task.status.state.is_terminal()
}

fn is_template(driver: Option<&Driver>) -> bool {
    driver.is_some_and(|driver| !driver.name.is_empty())
}

/// `None` if it was removed meanwhile; the agent then says so of the task.
fn dependency(state: &State, id: DependencyId) -> Option<Dependency> {
    let lock = |cluster: &Arc<Cluster>| cluster.spec.autolock_managers;
    let (data, templating, labels, is_locked) = match id {
        DependencyId::Secret(id) => {
            let spec = &state.secrets().find(id)?.spec;
            // Where managers keep their keys on no disk, no other node's shall have a secret.
            let is_locked = state.cluster().is_some_and(lock);
            (&spec.data, &spec.templating, &spec.labels, is_locked)
        }
        DependencyId::Config(id) => {
            let spec = &state.configs().find(id)?.spec;
            (&spec.data, &spec.templating, &spec.labels, false)
        }
    };
    Some(Dependency {
        id,
        data: data.clone(),
        template: is_template(templating.as_ref()),
        at_rest: !is_locked
            && labels
                .get(AT_REST_LABEL)
                .is_none_or(|value| value != "never"),
    })
}

fn messages(dependencies: Vec<Dependency>) -> Vec<ToAgent> {
    let mut parts = Vec::<Vec<_>>::new();
    let mut bytes = MESSAGE_BYTES;
    for dependency in dependencies {
        if bytes >= MESSAGE_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += dependency.data.len();
        if let Some(part) = parts.last_mut() {
            part.push(dependency);
        }
    }
    let message = |set| ToAgent::Dependencies {
        set,
        released: Vec::new(),
    };
    parts.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::words::{NOW, World};
    use crate::model::change::{Change, NewTask};
    use crate::model::id::{ConfigId, NodeId, SecretId, ServiceId};
    use crate::model::object::{RestartRecord, Slot, TaskStatus};
    use crate::model::spec::container::{ConfigReference, SecretReference};
    use crate::model::spec::service::ServiceSpec;
    use crate::model::spec::{ConfigSpec, SecretSpec};

    const SECRET: DependencyId = DependencyId::Secret(SecretId(1));
    const CONFIG: DependencyId = DependencyId::Config(ConfigId(1));

    /// Tasks 1 and 2 of a service that names a secret, task 3 of one that names a config too.
    fn world() -> World {
        let mut world = World::of("history 5");
        let (name, data) = (|name: &str| name.to_owned(), b"data".to_vec());
        let secret = |number: u128| SecretSpec {
            name: number.to_string(),
            data: data.clone(),
            ..SecretSpec::default()
        };
        let config = ConfigSpec {
            name: name("site"),
            data: data.clone(),
            ..ConfigSpec::default()
        };
        let mut changes = vec![Change::CreateConfig {
            id: ConfigId(1),
            spec: config,
        }];
        changes.extend([1, 2].map(|number| Change::CreateSecret {
            id: SecretId(number),
            spec: secret(number),
        }));
        for number in [1, 2] {
            let mut spec = ServiceSpec {
                name: name(if number == 1 { "web" } else { "db" }),
                ..ServiceSpec::default()
            };
            spec.task.container.secrets = vec![SecretReference {
                secret_id: SecretId(1).to_string(),
                ..SecretReference::default()
            }];
            if number == 2 {
                spec.task.container.configs = vec![ConfigReference {
                    config_id: ConfigId(1).to_string(),
                    ..ConfigReference::default()
                }];
            }
            let id = ServiceId(number);
            changes.push(Change::CreateService { id, spec });
        }
        for (task, service) in [(1, 1), (2, 1), (3, 2)] {
            changes.push(Change::CreateTask(NewTask {
                id: TaskId(task),
                service: ServiceId(service),
                slot: Slot::Number(1),
                desired_state: TaskState::Running,
                restart: RestartRecord::default(),
                update: 0,
            }));
            changes.push(Change::AssignTask {
                id: TaskId(task),
                node: NodeId(1),
                generic: Vec::new(),
            });
        }
        world.apply(changes);
        world
    }

    fn add(needs: &mut Needs, world: &World, ids: &[u128]) -> Vec<DependencyId> {
        let tasks = ids
            .iter()
            .map(|id| &**world.state.tasks().find(TaskId(*id)).unwrap());
        let messages = needs.add(&world.state, tasks);
        let set = messages.into_iter().flat_map(|message| match message {
            ToAgent::Dependencies { set, .. } => set,
            other => panic!("{other:?}"),
        });
        set.map(|dependency| dependency.id).collect()
    }

    fn release(needs: &mut Needs, world: &World, ids: &[u128]) -> Vec<DependencyId> {
        let ids: Vec<_> = ids.iter().map(|id| TaskId(*id)).collect();
        match needs.release(&world.state, &ids) {
            Some(ToAgent::Dependencies { released, .. }) => released,
            None => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_is_sent_once_and_released_after_the_last_task_that_names_it() {
        let (mut world, mut needs) = (world(), Needs::default());
        assert_eq!(add(&mut needs, &world, &[1]), [SECRET]);
        assert_eq!(add(&mut needs, &world, &[1, 2, 3]), [CONFIG]);
        let end = |id: u128, state| Change::SetTaskStatus {
            id: TaskId(id),
            status: TaskStatus {
                state,
                at: NOW,
                ..TaskStatus::default()
            },
        };
        world.apply(vec![end(1, TaskState::Running)]);
        assert_eq!(release(&mut needs, &world, &[1]), []);
        world.apply(vec![end(1, TaskState::Failed), end(3, TaskState::Complete)]);
        assert_eq!(release(&mut needs, &world, &[1, 3, 1]), [CONFIG]);
        world.apply(vec![Change::RemoveTask { id: TaskId(2) }]);
        assert_eq!(release(&mut needs, &world, &[2]), [SECRET]);
        assert_eq!(release(&mut needs, &world, &[1, 2, 3]), []);
    }

    #[test]
    fn labels_and_the_lock_of_the_swarm_say_what_may_rest_on_a_nodes_disk() {
        let (mut world, mut needs) = (world(), Needs::default());
        add(&mut needs, &world, &[3]);
        let may_rest = |world: &World| -> Vec<bool> {
            let again = needs.again(&world.state).into_iter();
            let sets = again.map(|message| match message {
                ToAgent::Dependencies { set, .. } => set,
                other => panic!("{other:?}"),
            });
            sets.flatten()
                .map(|dependency| dependency.at_rest)
                .collect()
        };
        assert_eq!(may_rest(&world), [true, true]);
        let mut spec = world.state.cluster().unwrap().spec.clone();
        spec.autolock_managers = true;
        world.apply(vec![Change::UpdateCluster { spec: spec.clone() }]);
        assert_eq!(may_rest(&world), [false, true], "the secret, the config");
        spec.autolock_managers = false;
        let labels = [("skep.at-rest".to_owned(), "never".to_owned())];
        world.apply(vec![
            Change::UpdateCluster { spec },
            Change::LabelConfig {
                id: ConfigId(1),
                labels: labels.into(),
            },
        ]);
        assert_eq!(may_rest(&world), [true, false]);
    }

    #[test]
    fn tasks_that_end_need_nothing_and_what_is_gone_is_not_sent() {
        let (mut world, mut needs) = (world(), Needs::default());
        world.apply(vec![
            Change::SetDesiredState {
                id: TaskId(1),
                state: TaskState::Shutdown,
            },
            Change::RemoveSecret { id: SecretId(1) },
        ]);
        assert_eq!(add(&mut needs, &world, &[1]), []);
        assert_eq!(add(&mut needs, &world, &[2, 3]), [CONFIG]);
    }
}
