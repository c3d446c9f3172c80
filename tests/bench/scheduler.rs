//! The scheduler and a full round of passes, on fleets that no test could start: placements per
//! second, the time of an idle round and of one after a single change, and memory per task.

use std::fs;

use skep::host::clock::Stopwatch;
use skep::host::rng::Rng;
use skep::manager::dirty::Dirty;
use skep::manager::draft::Draft;
use skep::manager::passes;
use skep::model::change::{Batch, Change, NewNode};
use skep::model::id::{NodeId, ServiceId, TaskId};
use skep::model::object::{NodeState, NodeStatus, TaskState, TaskStatus};
use skep::model::spec::node::{NodeDescription, NodeResources, NodeSpec, Platform};
use skep::model::spec::service::{ServiceMode, ServiceSpec};
use skep::model::spec::task::{Reservations, Resources, TaskSpec};
use skep::model::state::State;
use skep::model::time::Time;

/// Nodes, tasks, and tasks of one service.
const FLEETS: [(u64, u64, u64); 6] = [
    (1_000, 10_000, 100),
    (1_000, 10_000, 10_000),
    (10_000, 100_000, 100),
    (10_000, 100_000, 100_000),
    (10_000, 1_000_000, 100),
    (10_000, 1_000_000, 1_000_000),
];
/// Rounds that one figure is the mean of.
const ROUNDS: u16 = 200;
const NOW: Time = Time(1_795_428_000_000);

/// Prints a row for each fleet.
pub fn measure() {
    println!(
        "{:>8} {:>10} {:>12} {:>14} {:>12} {:>14} {:>12}",
        "nodes", "tasks", "per service", "placements/s", "idle, µs", "one change, µs", "bytes/task"
    );
    for (nodes, tasks, per_service) in FLEETS {
        let mut fleet = Fleet::new(nodes);
        let before = resident_bytes();
        let placing = fleet.place(tasks, per_service);
        let bytes = resident_bytes().saturating_sub(before) / tasks;
        let idle = fleet.idle_us();
        let change = fleet.change_us();
        let rate = tasks as f64 / placing;
        println!(
            "{nodes:>8} {tasks:>10} {per_service:>12} {rate:>14.0} {idle:>12.2} {change:>14.1} \
             {bytes:>12}"
        );
    }
}

struct Fleet {
    state: State,
    rng: Rng,
}

impl Fleet {
    fn new(nodes: u64) -> Self {
        let new = |id: u64| {
            Change::CreateNode(NewNode {
                id: NodeId(id.into()),
                spec: NodeSpec::default(),
                description: NodeDescription {
                    hostname: format!("node-{id}"),
                    platform: Platform {
                        architecture: "aarch64".into(),
                        os: "linux".into(),
                    },
                    resources: NodeResources {
                        nano_cpus: 4_000_000_000_000,
                        memory_bytes: 1 << 40,
                        generic: Vec::new(),
                    },
                    ..NodeDescription::default()
                },
                status: NodeStatus {
                    state: NodeState::Ready,
                    ..NodeStatus::default()
                },
                manager: None,
                key: None,
            })
        };
        let mut state = State::default();
        let changes = (1..=nodes).map(new).collect();
        state.apply(1, &Batch { at: NOW, changes });
        state.take_touched();
        Self {
            state,
            rng: Rng::from_seed(1),
        }
    }

    /// Creates services and places all their tasks, batch by batch as a manager does; in seconds.
    fn place(&mut self, tasks: u64, per_service: u64) -> f64 {
        let create = |id: u64| Change::CreateService {
            id: ServiceId(id.into()),
            spec: service(id, per_service),
        };
        let watch = Stopwatch::start();
        let mut dirty = Dirty::default();
        for id in 1..=tasks / per_service {
            let change = create(id);
            dirty.note(&self.state, &change);
            let batch = Batch {
                at: NOW,
                changes: vec![change],
            };
            self.state.apply(self.state.index() + 1, &batch);
        }
        while !dirty.is_empty() {
            dirty = self.round(dirty);
        }
        assert_eq!(self.state.tasks_in(TaskState::Assigned), tasks);
        self.state.take_touched();
        watch.elapsed().as_secs_f64()
    }

    /// One batch of what is dirty; what is left for the next.
    fn round(&mut self, dirty: Dirty) -> Dirty {
        let mut draft = Draft::begin(&mut self.state, NOW, dirty);
        passes::run(&mut draft, &mut self.rng);
        let (batch, left) = draft.finish();
        if !batch.changes.is_empty() {
            self.state.apply(self.state.index() + 1, &batch);
        }
        left
    }

    /// A round in which nothing is dirty.
    fn idle_us(&mut self) -> f64 {
        let watch = Stopwatch::start();
        for _ in 0..ROUNDS {
            self.round(Dirty::default());
        }
        watch.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    }

    /// From a task that failed to its replacement on a node.
    fn change_us(&mut self) -> f64 {
        let some = self.state.tasks().iter().take(usize::from(ROUNDS));
        let ids: Vec<TaskId> = some.map(|task| task.id).collect();
        let watch = Stopwatch::start();
        for id in &ids {
            let status = TaskStatus {
                state: TaskState::Failed,
                at: NOW,
                ..TaskStatus::default()
            };
            let change = Change::SetTaskStatus { id: *id, status };
            let mut dirty = Dirty::default();
            let mut draft = Draft::begin(&mut self.state, NOW, Dirty::default());
            draft.push(change);
            passes::run(&mut draft, &mut self.rng);
            let (batch, left) = draft.finish();
            dirty.merge(&left);
            self.state.apply(self.state.index() + 1, &batch);
            while !dirty.is_empty() {
                dirty = self.round(dirty);
            }
        }
        watch.elapsed().as_secs_f64() * 1e6 / ids.len() as f64
    }
}

fn service(id: u64, replicas: u64) -> ServiceSpec {
    let mut task = TaskSpec::default();
    task.container.image = "registry.example/app:1".into();
    task.resources = Some(Resources {
        reservations: Some(Reservations {
            nano_cpus: 1_000_000,
            memory_bytes: 4 << 20,
            generic: Vec::new(),
        }),
        ..Resources::default()
    });
    ServiceSpec {
        name: format!("service-{id}"),
        task,
        mode: ServiceMode::Replicated {
            replicas: Some(replicas),
        },
        ..ServiceSpec::default()
    }
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
