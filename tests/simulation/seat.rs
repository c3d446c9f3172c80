//! A manager's place: the manager while its daemon runs, and its disk, which outlives the daemon
//! and may lose its power in the middle of a write.

use std::collections::VecDeque;
use std::sync::Arc;

use skep::host::rng::Rng;
use skep::manager::run;
use skep::manager::{Event, Manager};
use skep::model::change::Batch;
use skep::model::record::{self, Row};
use skep::model::state::State;
use skep::model::time::Time;
use skep::raft::node::{Node, Persist};
use skep::raft::record::Anchor;
use skep::store::manager_store::ManagerStore;
use skep::store::memory_disk::{MemoryDisk, Tear};

/// One call of the store.
#[derive(Debug)]
pub enum Job {
    Persist(Persist),
    Checkpoint(Anchor, Vec<Row>),
}

#[derive(Debug)]
pub struct Seat {
    pub raft_id: u64,
    pub manager: Option<Manager>,
    pub rng: Rng,
    /// Counts the daemons; what was meant for an earlier one reaches nobody.
    pub life: u64,
    /// What waits for the disk, in order.
    jobs: VecDeque<Job>,
    busy_until: Time,
    disk: MemoryDisk,
    store: Option<ManagerStore>,
}

impl Seat {
    /// One of the managers with which a swarm is founded.
    pub fn founded(raft_id: u64, voters: &[u64], batch: &Batch, rng: Rng) -> Self {
        let disk = MemoryDisk::default();
        let (mut store, _) = ManagerStore::open(Arc::new(disk.clone())).unwrap();
        let anchor = Anchor::bootstrap(voters.to_vec());
        let mut state = State::default();
        state.apply(anchor.applied.index, batch);
        let rows = state.objects().map(|id| record::row(&state, id));
        let rows: Vec<_> = rows.collect::<Result<_, _>>().unwrap();
        store.begin(&anchor, &rows).unwrap();
        Self {
            raft_id,
            manager: None,
            rng,
            life: 0,
            jobs: VecDeque::new(),
            busy_until: Time::default(),
            disk,
            store: None,
        }
    }

    pub fn raft(&self) -> Option<&Node> {
        self.manager.as_ref().map(Manager::raft)
    }

    /// A daemon starts from what the disk has.
    pub fn start(&mut self) {
        let (store, opened) = ManagerStore::open(Arc::new(self.disk.clone())).unwrap();
        let seed = self.rng.next_u64();
        self.life += 1;
        self.busy_until = Time::default();
        self.store = Some(store);
        self.manager = Some(run::resume(opened, self.raft_id, seed).unwrap());
    }

    /// The daemon is killed; what it has written stays.
    pub fn kill(&mut self) {
        self.manager = None;
        self.store = None;
        self.jobs.clear();
        self.disk.restart_process();
    }

    /// The power fails, perhaps in the middle of what is being written.
    pub fn cut_power(&mut self) {
        let step = self.disk.steps() + 1 + self.rng.below(6);
        self.disk.cut_power_at(step);
        if let Some((store, job)) = self.store.as_mut().zip(self.jobs.pop_front()) {
            // Nobody will hear whether it got to the disk.
            let _ = write(store, &job);
        }
        self.manager = None;
        self.store = None;
        self.jobs.clear();
        self.disk.restart(Tear::OldOrNew, &mut self.rng);
    }

    /// Hands the disk a job that takes so long; which daemon it is for, and when it is done.
    pub fn push(&mut self, now: Time, takes_ms: u64, job: Job) -> (u64, Time) {
        self.jobs.push_back(job);
        self.busy_until = self.busy_until.max(now).plus_ms(takes_ms);
        (self.life, self.busy_until)
    }

    /// Does the next job; what there is to tell about it.
    pub fn write_next(&mut self) -> Vec<Event> {
        let store = self.store.as_mut();
        let Some((store, job)) = store.zip(self.jobs.pop_front()) else {
            return Vec::new();
        };
        write(store, &job).unwrap();
        let done = match job {
            Job::Persist(persist) => Event::Persisted(persist.number),
            Job::Checkpoint(..) => Event::CheckpointDone,
        };
        let wanted = store.is_checkpoint_due().then_some(Event::CheckpointWanted);
        [done].into_iter().chain(wanted).collect()
    }
}

fn write(store: &mut ManagerStore, job: &Job) -> Result<(), skep::store::error::StoreError> {
    match job {
        Job::Persist(write) => store.append(&write.entries, write.hard_state),
        Job::Checkpoint(anchor, rows) => store.checkpoint(anchor, rows),
    }
}
