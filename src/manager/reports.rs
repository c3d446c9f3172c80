//! What this manager sees of the nodes that have their sessions here, on its way to the leader.
//!
//! A change goes at once, the nodes that were heard of once a second. Nothing of it touches the log
//! or a disk by itself.

use std::collections::BTreeMap;

use crate::manager::{Effect, Manager};
use crate::model::id::NodeId;
use crate::model::time::Time;
use crate::wire::peer::{PeerMessage, Report, Seen, Sight};
use crate::wire::session::StatusUpdate;

/// How often the leader is told who was heard of.
const HEARD_MS: u64 = 1_000;
/// How long the leader has to get something into the state before it is told again.
const AGAIN_MS: u64 = 2_000;
/// The most task statuses of a report.
const STATUSES_MAX: usize = 500;

/// What the leader does not know yet.
#[derive(Debug, Default)]
pub struct Reports {
    /// The last sight of each node.
    seen: BTreeMap<NodeId, Seen>,
    /// Whether something other than a sign of life is among them.
    has_news: bool,
    last: Time,
    last_again: Time,
}

impl Reports {
    pub fn note(&mut self, seen: Seen) {
        if seen.sight == Sight::Heard {
            // What was seen before says as much, and more.
            self.seen.entry(seen.node).or_insert(seen);
            return;
        }
        self.has_news = true;
        self.seen.insert(seen.node, seen);
    }

    /// When the leader shall be told.
    pub fn due(&self) -> Option<Time> {
        match (self.has_news, self.seen.is_empty()) {
            (true, _) => Some(self.last),
            (false, false) => Some(self.last.plus_ms(HEARD_MS)),
            (false, true) => None,
        }
    }

    pub fn take(&mut self) -> Vec<Seen> {
        self.has_news = false;
        std::mem::take(&mut self.seen).into_values().collect()
    }
}

impl Manager {
    /// Hands on what was seen: to the leader, or to itself.
    pub(super) fn pass_on_seen(&mut self, now: Time) {
        for seen in self.dispatcher.take_seen() {
            match self.leading {
                true => self.see(now, self.raft.id(), seen),
                false => self.reports.note(seen),
            }
        }
    }

    /// Takes in what another manager saw, if this one leads.
    pub(super) fn hear_report(&mut self, now: Time, from: u64, report: Report) {
        if !self.leading {
            return;
        }
        for seen in report.seen {
            self.see(now, from, seen);
        }
        for (node, update) in report.statuses {
            self.statuses.receive(&self.state, now, node, update);
        }
    }

    pub(super) fn see(&mut self, now: Time, manager: u64, seen: Seen) {
        self.liveness.see(&self.state, now, manager, seen);
    }

    /// The leader, if that is another manager.
    pub(super) fn reports_to(&self) -> Option<u64> {
        let leader = self.raft.leadership().leader;
        leader.filter(|leader| *leader != self.raft.id())
    }

    /// Tells the leader what it is time to tell, if there is another one.
    pub(super) fn report(&mut self, now: Time) {
        let Some(to) = self.reports_to() else {
            return;
        };
        if now.since_ms(self.reports.last_again) >= AGAIN_MS || now < self.reports.last_again {
            self.reports.last_again = now;
            self.tell_again(now);
        }
        let is_due = |due: Time| due <= now || due > now.plus_ms(HEARD_MS);
        let mut report = Report::default();
        if self.reports.due().is_some_and(is_due) {
            report.seen = self.reports.take();
            self.reports.last = now;
        }
        if self.statuses.is_due(now) {
            for (task, status) in self.statuses.take(now, STATUSES_MAX, true) {
                if let Some(node) = self.state.tasks().find(task).and_then(|task| task.node) {
                    report.statuses.push((node, StatusUpdate { task, status }));
                }
            }
        }
        if report != Report::default() {
            let message = PeerMessage::Report(report);
            self.effects.push(Effect::ToPeer { to, message });
        }
    }

    /// Takes up again what the state does not have though the leader was told.
    pub(super) fn tell_again(&mut self, now: Time) {
        self.statuses.take_back(&self.state, now);
        self.dispatcher.tell_again(&self.state);
        self.pass_on_seen(now);
    }
}
