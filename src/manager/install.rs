//! A whole state from the leader, in the place of this manager's own.
//!
//! The manager takes no part in consensus while the state goes to the disk, and then goes on from
//! there as after a restart: with a new [`Node`], and sessions that begin anew.

use crate::host::rng::Rng;
use crate::manager::checkpoint::Checkpoint;
use crate::manager::quorum::{Quorum, timing};
use crate::manager::snapshot::Arrived;
use crate::manager::{Effect, Fatal, Manager};
use crate::model::record::{self, Row};
use crate::model::state::State;
use crate::model::time::Time;
use crate::raft::node::{Node, Role};
use crate::raft::record::{Anchor, Restored};

/// How long a disk that has no room is left alone.
const RETRY_MS: u64 = 5_000;

/// What this manager becomes once it is on the disk.
#[derive(Debug)]
pub struct Install {
    state: State,
    raft: Node,
    anchor: Anchor,
    retry_at: Option<Time>,
}

impl Install {
    /// When the disk is tried again, if it had no room.
    pub fn due(&self) -> Option<Time> {
        self.retry_at
    }

    fn effect(&self) -> Result<Effect, Fatal> {
        let objects = self.state.objects();
        let rows = objects.map(|id| record::row(&self.state, id));
        let rows: Vec<Row> = rows.collect::<Result<_, _>>().map_err(Fatal::Row)?;
        Ok(Effect::Install(self.anchor.clone(), rows))
    }
}

impl Manager {
    /// Takes in a state from the manager of a raft id, if this one lacks something of it.
    pub(super) fn hear_snapshot(&mut self, rng: &mut Rng, from: u64, arrived: Arrived) {
        let Arrived { message, rows } = arrived;
        if message.from() != from {
            let claimed = message.from();
            tracing::warn!("manager {from} sends a state of manager {claimed}");
            return;
        }
        let leads = self.raft.leadership().role == Role::Leader;
        if self.installing.is_some() || leads || self.stopping {
            return;
        }
        let anchor = match self.raft.take_over(&message) {
            Ok(Some(anchor)) => anchor,
            Ok(None) => return,
            Err(error) => return tracing::warn!("manager {from}: {error}"),
        };
        let state = match record::restore(anchor.applied.index, rows) {
            Ok(state) => state,
            Err(error) => return tracing::warn!("the state from manager {from}: {error}"),
        };
        let log = Restored::from(anchor.clone());
        match Node::timed(self.raft.id(), log, rng.next_u64(), timing(&state)) {
            Ok(raft) => self.install(Install {
                state,
                raft,
                anchor,
                retry_at: None,
            }),
            Err(error) => tracing::warn!("the state from manager {from}: {error}"),
        }
    }

    fn install(&mut self, install: Install) {
        self.effects.push(match install.effect() {
            Ok(effect) => effect,
            Err(fatal) => Effect::Fatal(fatal),
        });
        self.installing = Some(Box::new(install));
    }

    /// The disk had no room for the state.
    pub(super) fn install_failed(&mut self, now: Time) {
        if let Some(install) = &mut self.installing {
            install.retry_at = Some(now.plus_ms(RETRY_MS));
        }
    }

    pub(super) fn tick_install(&mut self, now: Time) {
        let is_due = |install: &mut Box<Install>| install.retry_at.is_some_and(|at| at <= now);
        if let Some(mut install) = self.installing.take_if(is_due) {
            install.retry_at = None;
            self.install(*install);
        }
    }

    /// The state is on the disk.
    pub(super) fn installed(&mut self) {
        let Some(install) = self.installing.take() else {
            return;
        };
        let Install { state, raft, .. } = *install;
        self.state = state;
        self.raft = raft;
        self.quorum = Quorum::default();
        self.checkpoint = Checkpoint::default();
        // The agents are told anew what they shall do.
        self.dispatcher.end_all();
    }
}
