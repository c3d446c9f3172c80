//! A host's place among the managers: the manager while its daemon runs, and its disk, which
//! outlives the daemon, may lose its power in the middle of a write, fill up or fail.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use skep::host::rng::Rng;
use skep::manager::refound::{Refounded, Survivor, refound};
use skep::manager::run;
use skep::manager::{Event, Manager};
use skep::model::change::Batch;
use skep::model::id::NodeId;
use skep::model::record::{self, Row};
use skep::model::state::State;
use skep::model::time::Time;
use skep::raft::node::{Node, Persist};
use skep::raft::record::Anchor;
use skep::store::error::StoreError;
use skep::store::manager_store::ManagerStore;
use skep::store::memory_disk::{MemoryDisk, Tear};

use crate::clock::Clock;

/// One call of the store.
#[derive(Debug)]
pub enum Job {
    Persist(Persist),
    Checkpoint(Anchor, Vec<Row>),
    Install(Anchor, Vec<Row>),
}

#[derive(Debug)]
pub struct Seat {
    /// What the host is a manager under, if it is one.
    pub raft_id: Option<u64>,
    pub manager: Option<Manager>,
    pub rng: Rng,
    pub clock: Clock,
    /// Counts the daemons; what was meant for an earlier one reaches nobody.
    pub life: u64,
    /// The managers whose addresses it knows.
    pub known: BTreeSet<u64>,
    /// What waits for the disk, in order, and what is being written.
    jobs: VecDeque<Job>,
    writing: Option<Job>,
    /// The log had no room: only a checkpoint can make some.
    is_full: bool,
    disk: MemoryDisk,
    store: Option<ManagerStore>,
}

/// What became of a write.
#[derive(Debug)]
pub enum Outcome {
    Tell(Vec<Event>),
    /// The daemon ends, as nothing is known of the disk.
    Failed,
}

impl Seat {
    /// The place of a host that is no manager.
    pub fn empty(rng: Rng) -> Self {
        Self {
            raft_id: None,
            manager: None,
            rng,
            clock: Clock::default(),
            life: 0,
            known: BTreeSet::new(),
            jobs: VecDeque::new(),
            writing: None,
            is_full: false,
            disk: MemoryDisk::default(),
            store: None,
        }
    }

    /// One of the managers with which a swarm is founded.
    pub fn founded(raft_id: u64, voters: &[u64], batch: &Batch, rng: Rng) -> Self {
        let mut seat = Self::empty(rng);
        let (mut store, _) = ManagerStore::open(Arc::new(seat.disk.clone())).unwrap();
        let anchor = Anchor::bootstrap(voters.to_vec());
        let mut state = State::default();
        state.apply(anchor.applied.index, batch);
        let rows = state.objects().map(|id| record::row(&state, id));
        let rows: Vec<_> = rows.collect::<Result<_, _>>().unwrap();
        store.begin(&anchor, &rows).unwrap();
        seat.raft_id = Some(raft_id);
        seat
    }

    pub fn raft(&self) -> Option<&Node> {
        self.manager.as_ref().map(Manager::raft)
    }

    /// When its manager wants to be woken.
    pub fn due(&self, now: Time) -> Option<Time> {
        let due = self.manager.as_ref()?.due(self.clock.at(now))?;
        Some(self.clock.when(due))
    }

    /// Whether the host is a manager whose daemon is off.
    pub fn is_off(&self) -> bool {
        self.raft_id.is_some() && self.manager.is_none()
    }

    /// A daemon starts from what the disk has.
    pub fn start(&mut self) {
        let Some(raft_id) = self.raft_id else {
            return;
        };
        let (store, opened) = match ManagerStore::open(Arc::new(self.disk.clone())) {
            Ok(opened) => opened,
            // It is started again, sooner or later.
            Err(StoreError::Full { .. } | StoreError::Sync { .. }) => {
                return self.disk.restart_process();
            }
            Err(error) => panic!("{error}"),
        };
        let seed = self.rng.next_u64();
        self.life += 1;
        self.store = Some(store);
        self.manager = Some(run::resume(opened, raft_id, seed).unwrap());
    }

    /// Whether nothing waits for the disk.
    pub fn is_quiet(&self) -> bool {
        self.jobs.is_empty() && self.writing.is_none()
    }

    /// The host, whose daemon is off, becomes the only manager, under a new raft id.
    pub fn go_alone(&mut self, node: NodeId, address: String, now: Time) {
        self.disk.fill(None);
        self.disk.fail_next_sync(false);
        let raft_id = self.rng.next_u64().max(1);
        let survivor = Survivor {
            node,
            raft_id,
            address: "127.0.0.1".into(),
            manager_address: address,
            newcomer: None,
        };
        let (mut store, opened) = ManagerStore::open(Arc::new(self.disk.clone())).unwrap();
        let Refounded { anchor, rows } = refound(opened, survivor, now).unwrap();
        store.begin(&anchor, &rows).unwrap();
        self.raft_id = Some(raft_id);
        self.known.clear();
    }

    /// The daemon is killed; what it has written stays.
    pub fn kill(&mut self) {
        self.end();
        self.disk.restart_process();
    }

    /// The power fails, perhaps in the middle of what is being written.
    pub fn cut_power(&mut self) {
        let step = self.disk.steps() + 1 + self.rng.below(6);
        self.disk.cut_power_at(step);
        if let Some((store, job)) = self.store.as_mut().zip(self.writing.take()) {
            // Nobody will hear whether it got to the disk.
            let _ = write(store, &job);
        }
        self.end();
        self.disk.restart(Tear::OldOrNew, &mut self.rng);
    }

    /// The host gets a place under a new raft id, or has none any more; what was stored is gone.
    pub fn vacate(&mut self, raft_id: Option<u64>) {
        self.end();
        self.disk = MemoryDisk::default();
        self.known.clear();
        self.raft_id = raft_id;
    }

    fn end(&mut self) {
        self.manager = None;
        self.store = None;
        self.jobs.clear();
        self.writing = None;
        self.is_full = false;
    }

    /// Leaves no room on the disk, or all that is wanted.
    pub fn fill_disk(&self, is_full: bool) {
        self.disk.fill(is_full.then_some(0));
    }

    pub fn fail_next_sync(&self, fails: bool) {
        self.disk.fail_next_sync(fails);
    }

    /// Hands the disk a job. A whole state makes what waits void.
    pub fn push(&mut self, job: Job) {
        if matches!(job, Job::Install(..)) {
            self.jobs.clear();
        }
        self.jobs.push_back(job);
    }

    /// Begins the next write, if there is one and none is under way; which daemon it is for.
    pub fn begin_write(&mut self) -> Option<u64> {
        if self.writing.is_some() {
            return None;
        }
        let makes_room = |job: &Job| !matches!(job, Job::Persist(_));
        let place = match self.is_full {
            true => self.jobs.iter().position(makes_room)?,
            false => 0,
        };
        self.writing = self.jobs.remove(place);
        self.writing.is_some().then_some(self.life)
    }

    /// Ends the write that is under way.
    pub fn end_write(&mut self) -> Outcome {
        let store = self.store.as_mut();
        let Some((store, job)) = store.zip(self.writing.take()) else {
            return Outcome::Tell(Vec::new());
        };
        let event = match (write(store, &job), job) {
            (Ok(()), Job::Persist(persist)) => Event::Persisted(persist.number),
            (Ok(()), Job::Checkpoint(..)) => {
                self.is_full = false;
                Event::CheckpointDone
            }
            (Ok(()), Job::Install(..)) => {
                self.is_full = false;
                Event::Installed
            }
            (Err(StoreError::Full { .. }), Job::Install(..)) => Event::InstallFailed,
            (Err(error @ StoreError::Full { .. }), job) => {
                if let write @ Job::Persist(_) = job {
                    self.is_full = true;
                    self.jobs.push_front(write);
                }
                Event::DiskFull(error.to_string())
            }
            (Err(StoreError::Sync { .. } | StoreError::Failed { .. }), _) => {
                return Outcome::Failed;
            }
            (Err(error), _) => panic!("{error}"),
        };
        let wanted = store.is_checkpoint_due().then_some(Event::CheckpointWanted);
        Outcome::Tell([event].into_iter().chain(wanted).collect())
    }
}

fn write(store: &mut ManagerStore, job: &Job) -> Result<(), StoreError> {
    match job {
        Job::Persist(write) => store.append(&write.entries, write.hard_state),
        Job::Checkpoint(anchor, rows) => store.checkpoint(anchor, rows),
        Job::Install(anchor, rows) => store.begin(anchor, rows),
    }
}
