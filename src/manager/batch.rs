//! The way of a batch: put together on an overlay, proposed, persisted, applied.

use crate::host::rng::Rng;
use crate::manager::dirty::Dirty;
use crate::manager::draft::Draft;
use crate::manager::forward::Asker;
use crate::manager::snapshot::Outgoing;
use crate::manager::{Effect, Fatal, Manager, control, events, liveness, members, passes};
use crate::model::change::{Batch, Change};
use crate::model::id::NodeId;
use crate::model::object::{NodeState, TaskState};
use crate::model::record;
use crate::model::time::Time;
use crate::raft::node::Ready;
use crate::raft::record::{Entry, EntryKind, Position};
use crate::wire::control::{Refusal, Response};

/// A batch that was proposed and is not applied yet.
#[derive(Debug)]
pub struct Flight {
    position: Position,
    since: Time,
    pub(super) answers: Vec<(Asker, Response)>,
}

impl Manager {
    /// Does whatever consensus has ready and proposes the next batch, until there is nothing to do.
    pub(super) fn advance(&mut self, now: Time, rng: &mut Rng) -> Result<(), Fatal> {
        if self.installing.is_some() {
            return Ok(());
        }
        loop {
            self.follow_solitude();
            while let Some(ready) = self.raft.ready() {
                self.carry_out(now, ready)?;
                self.follow_solitude();
            }
            self.follow_leadership(now);
            self.follow_membership();
            self.answer_reads(now);
            self.pass_on_seen(now);
            let has_asked = self.ask_reads(now);
            let has_shaped = self.shape_members(now)?;
            let has_proposed = self.propose(now, rng)?;
            if !has_asked && !has_shaped && !has_proposed {
                break;
            }
        }
        if let Some((anchor, ids)) =
            self.checkpoint
                .take(now, self.stopping, &mut self.state, || self.raft.anchor())
        {
            let rows = ids.iter().map(|id| record::row(&self.state, *id));
            let rows = rows.collect::<Result<_, _>>().map_err(Fatal::Row)?;
            self.effects.push(Effect::Checkpoint(anchor, rows));
        }
        Ok(())
    }

    fn carry_out(&mut self, now: Time, ready: Ready) -> Result<(), Fatal> {
        let messages = ready.messages.into_iter();
        self.effects.extend(messages.map(|message| Effect::Raft {
            to: message.to(),
            message,
        }));
        for message in ready.snapshots {
            let to = message.to();
            let state = Box::new(Outgoing::new(message, &self.state));
            self.effects.push(Effect::SendSnapshot { to, state });
        }
        for entry in &ready.committed {
            self.apply(now, entry)?;
        }
        self.effects.extend(ready.persist.map(Effect::Persist));
        self.hear_reads(ready.reads);
        Ok(())
    }

    /// Whether a batch could be proposed now. While one is on its way to the disk, or the lead to
    /// another, the next event is its arrival.
    pub(super) fn can_propose(&self) -> bool {
        let has_lead = self.leading && !self.raft.is_handing_over();
        self.flight.is_none() && has_lead && !self.stopping
    }

    /// Proposes the next batch if there is something for one; whether it did.
    fn propose(&mut self, now: Time, rng: &mut Rng) -> Result<bool, Fatal> {
        if !self.can_propose() {
            return Ok(false);
        }
        let has_news = self.liveness.has_facts() || self.statuses.is_due(now);
        let released = self.released();
        let has_news = has_news || !released.is_empty();
        if self.queue.is_empty() && !has_news && self.dirty.is_empty() {
            return Ok(false);
        }
        let (batch, answers) = self.draft(now, rng, released);
        if batch.changes.is_empty() {
            for (asker, response) in answers {
                self.reply(asker, Ok(response));
            }
            return Ok(!self.queue.is_empty());
        }
        let bytes = record::encode_batch(&batch).map_err(Fatal::Encode)?;
        let position = self.raft.propose(bytes).map_err(Fatal::Propose)?;
        self.flight = Some(Flight {
            position,
            since: now,
            answers,
        });
        Ok(true)
    }

    /// Puts the next batch together: what nodes turned out to be, task status, requests, and what
    /// follows from all that. Refusals are answered at once.
    fn draft(
        &mut self,
        now: Time,
        rng: &mut Rng,
        released: Vec<NodeId>,
    ) -> (Batch, Vec<(Asker, Response)>) {
        let presence = self.presence(now);
        let dirty = std::mem::take(&mut self.dirty);
        let mut draft = Draft::begin(&mut self.state, now, dirty);
        while draft.room() > 0
            && let Some((id, facts)) = self.liveness.take_facts()
        {
            let Some(node) = draft.state().nodes().find(id).cloned() else {
                continue;
            };
            let status = liveness::news(&node.status, &facts, now);
            if let Some(status) = status {
                draft.push(Change::SetNodeStatus { id, status });
            }
            let description = facts.description;
            if let Some(description) = description.filter(|new| *new != node.description) {
                draft.push(Change::DescribeNode { id, description });
            }
        }
        let keep = !self.raft.is_alone();
        for (id, status) in self.statuses.take(now, draft.room(), keep) {
            draft.push(Change::SetTaskStatus { id, status });
        }
        let mut answers = Vec::new();
        let mut refused = Vec::new();
        while draft.room() > 0
            && let Some((asker, request)) = self.queue.pop_front()
        {
            match control::write(&mut draft, &presence, *request, rng) {
                Ok(response) => answers.push((asker, response)),
                Err(refusal) => refused.push((asker, refusal)),
            }
        }
        // After what was refused: a host that hears of it must know that it stays so.
        members::release(&mut draft, released);
        passes::run(&mut draft, rng);
        let (batch, dirty) = draft.finish();
        self.dirty = dirty;
        for (asker, refusal) in refused {
            self.reply(asker, Err(refusal));
        }
        (batch, answers)
    }

    fn apply(&mut self, now: Time, entry: &Entry) -> Result<(), Fatal> {
        let index = entry.index;
        let is_ours = entry.kind == EntryKind::Normal && !entry.data.is_empty();
        let batch = match is_ours {
            false => Batch::default(),
            true => record::decode_batch(&entry.data)
                .map_err(|source| Fatal::Apply { index, source })?,
        };
        let mut touched = Dirty::default();
        for change in &batch.changes {
            let event = events::event(&self.state, batch.at, change);
            self.effects.extend(event.map(Effect::Publish));
            touched.note(&self.state, change);
            self.note_for_agents(change);
            self.tally(batch.at, change);
        }
        self.state.apply(index, &batch);
        self.checkpoint.applied(now, batch.changes.is_empty());
        for change in &batch.changes {
            if let Change::DescribeNode { id, .. } = change {
                self.dispatcher.note_described(&self.state, *id);
            }
        }
        if self.leading {
            self.timers.note(&self.state, now, &touched);
        }
        self.dispatcher.note_touched(&self.state, &touched);
        self.dispatcher.tell(&self.state);
        self.answer(now, entry);
        Ok(())
    }

    /// Counts a task that runs for the first time.
    fn tally(&mut self, at: Time, change: &Change) {
        let Change::SetTaskStatus { id, status } = change else {
            return;
        };
        let task = self.state.tasks().find(*id);
        let task = task.filter(|task| task.status.state < TaskState::Running);
        if let Some(task) = task.filter(|_| status.state == TaskState::Running) {
            let ms = at.since_ms(task.meta.created_at);
            self.tallies.scheduling.observe(ms);
        }
    }

    /// Notes which node has to be told of a change, before the change is applied.
    fn note_for_agents(&mut self, change: &Change) {
        let task = match change {
            Change::AssignTask { id, node, .. } => return self.dispatcher.note_task(*node, *id),
            Change::SetDesiredState { id, .. } | Change::RemoveTask { id } => *id,
            // What it needed may be released.
            Change::SetTaskStatus { id, status } if status.state.is_terminal() => *id,
            Change::CreateNode(_)
            | Change::UpdateNode { .. }
            | Change::SetManager { .. }
            | Change::BeginRotation(_)
            | Change::FinishRotation => {
                return self.dispatcher.note_managers(&self.state, change);
            }
            Change::LabelSecret { .. } | Change::LabelConfig { .. } => {
                return self.dispatcher.note_at_rest();
            }
            Change::UpdateCluster { spec } => {
                let old = self.state.cluster().map(|old| old.spec.autolock_managers);
                if old != Some(spec.autolock_managers) {
                    self.dispatcher.note_at_rest();
                }
                return;
            }
            Change::RemoveNode { id } => {
                self.dispatcher.note_managers(&self.state, change);
                self.liveness.remove(*id);
                return self.dispatcher.note_removed(*id);
            }
            // The leader has ended its own session with the node already, and may have a new one.
            Change::SetNodeStatus { id, status } if !self.leading => {
                if status.state == NodeState::Down {
                    self.dispatcher.end(*id);
                }
                return;
            }
            _ => return,
        };
        if let Some(node) = self.state.tasks().find(task).and_then(|task| task.node) {
            self.dispatcher.note_task(node, task);
        }
    }

    /// Answers the requests of a batch that has come back, or says that it was lost.
    fn answer(&mut self, now: Time, entry: &Entry) {
        let arrived = |flight: &mut Flight| flight.position.index <= entry.index;
        let Some(flight) = self.flight.take_if(arrived) else {
            return;
        };
        let kept = flight.position.index == entry.index && flight.position.term == entry.term;
        if kept {
            let ms = now.since_ms(flight.since);
            self.tallies.transactions.observe(ms);
        }
        for (asker, response) in flight.answers {
            let answer = match kept {
                true => Ok(response),
                false => Err(Refusal::NoLeader),
            };
            self.reply(asker, answer);
        }
    }
}
