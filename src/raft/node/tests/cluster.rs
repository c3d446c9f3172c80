//! Members in one thread: every message takes one tick, every write too unless the disk stalls.

use std::collections::BTreeSet;

use super::*;
use crate::raft::node::members::MembersChange;

#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub nodes: BTreeMap<u64, Node>,
    pub applied: BTreeMap<u64, Vec<String>>,
    pub trace: Vec<(u64, Message)>,
    pub writes: usize,
    /// Answered questions, by who had asked.
    pub reads: BTreeMap<u64, Vec<Read>>,
    pub stalled: BTreeSet<u64>,
    pub cut_off: BTreeSet<u64>,
    disks: BTreeMap<u64, Restored>,
    pending: BTreeMap<u64, Vec<Persist>>,
    mail: Vec<Message>,
    /// The state on its way to a member, with what a leader says of it.
    states: Vec<(Message, Vec<String>)>,
    /// What each member's log began after.
    bases: BTreeMap<u64, Vec<String>>,
    now: u64,
    seed: u64,
}

impl Cluster {
    pub(super) fn new(size: u64) -> Self {
        Self::seeded(size, 1)
    }

    pub(super) fn seeded(size: u64, seed: u64) -> Self {
        let mut cluster = Self {
            seed,
            ..Self::default()
        };
        let voters: Vec<_> = (1..=size).collect();
        for id in 1..=size {
            cluster.add(id, &voters);
        }
        cluster
    }

    pub(super) fn add(&mut self, id: u64, voters: &[u64]) {
        self.start(id, bootstrap(voters));
    }

    /// A member that knows nothing yet.
    pub(super) fn join(&mut self, id: u64) {
        self.start(id, Restored::default());
    }

    fn start(&mut self, id: u64, restored: Restored) {
        self.bases.insert(id, Vec::new());
        let node = Node::new(id, restored.clone(), self.seed).unwrap();
        self.nodes.insert(id, node);
        self.disks.insert(id, restored);
        self.applied.insert(id, Vec::new());
        self.pending.insert(id, Vec::new());
    }

    /// The one leader that a majority follows.
    pub(super) fn leader(&self) -> Option<u64> {
        let leading = self.nodes.iter().filter(|(_, node)| node.leads());
        let newest = leading.max_by_key(|(_, node)| node.term());
        newest.map(|(id, _)| *id)
    }

    pub(super) fn propose(&mut self, text: &str) {
        let leader = self.leader().expect("a leader");
        let node = self.nodes.get_mut(&leader).unwrap();
        node.propose(text.into()).unwrap();
        self.collect(leader);
    }

    /// The leader asks whether it is one still.
    pub(super) fn read(&mut self, id: u64) -> Option<u64> {
        let number = self.nodes.get_mut(&id).unwrap().read();
        self.collect(id);
        number
    }

    pub(super) fn change(&mut self, change: MembersChange) {
        let leader = self.leader().expect("a leader");
        let node = self.nodes.get_mut(&leader).unwrap();
        node.propose_members(change).unwrap();
        self.collect(leader);
    }

    pub(super) fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now += 1;
            for message in std::mem::take(&mut self.mail) {
                let (from, to) = (message.from(), message.to());
                self.trace.push((self.now, message.clone()));
                let cut = self.cut_off.contains(&from) || self.cut_off.contains(&to);
                if let Some(node) = self.nodes.get_mut(&to).filter(|_| !cut) {
                    node.step(message).unwrap();
                    self.collect(to);
                }
            }
            for (message, state) in std::mem::take(&mut self.states) {
                self.take_over(&message, state);
            }
            let ids: Vec<_> = self.nodes.keys().copied().collect();
            for id in ids {
                self.write(id);
                self.nodes.get_mut(&id).unwrap().tick();
                self.collect(id);
            }
        }
    }

    /// Forgets what the member had in memory, and what it was about to write.
    pub(super) fn restart(&mut self, id: u64) {
        let disk = self.disks[&id].clone();
        self.pending.insert(id, Vec::new());
        self.applied.insert(id, self.bases[&id].clone());
        self.nodes
            .insert(id, Node::new(id, disk, self.seed).unwrap());
    }

    /// Forgets all of the leader's log that may be forgotten.
    pub(super) fn compact(&mut self) {
        let leader = self.leader().expect("a leader");
        self.nodes.get_mut(&leader).unwrap().compact(u64::MAX, 500);
    }

    /// The state gets to a member, which goes on from there if it lacks something.
    fn take_over(&mut self, message: &Message, state: Vec<String>) {
        let (from, to) = (message.from(), message.to());
        let arrives = !self.cut_off.contains(&to);
        let anchor = self.nodes[&to].take_over(message).unwrap();
        if let Some(anchor) = anchor.filter(|_| arrives) {
            self.disks.insert(to, anchor.into());
            self.bases.insert(to, state);
            self.restart(to);
        }
        let sender = self.nodes.get_mut(&from).unwrap();
        sender.sent_snapshot(to, arrives);
        self.collect(from);
    }

    fn write(&mut self, id: u64) {
        if self.stalled.contains(&id) {
            return;
        }
        let disk = self.disks.get_mut(&id).unwrap();
        for persist in std::mem::take(self.pending.get_mut(&id).unwrap()) {
            if let Some(first) = persist.entries.first() {
                disk.entries.retain(|entry| entry.index < first.index);
                disk.entries.extend(persist.entries);
            }
            disk.anchor.hard_state = persist.hard_state;
            self.writes += 1;
            self.nodes.get_mut(&id).unwrap().persisted(persist.number);
        }
        self.collect(id);
    }

    fn collect(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        while let Some(ready) = node.ready() {
            self.mail.extend(ready.messages);
            let state = &self.applied[&id];
            let snapshots = ready.snapshots.into_iter();
            self.states
                .extend(snapshots.map(|message| (message, state.clone())));
            self.reads.entry(id).or_default().extend(ready.reads);
            self.pending.get_mut(&id).unwrap().extend(ready.persist);
            let texts = ready.committed.into_iter();
            let texts = texts.filter(|entry| entry.kind == EntryKind::Normal);
            let texts = texts.map(|entry| String::from_utf8(entry.data.to_vec()).unwrap());
            let applied = self.applied.get_mut(&id).unwrap();
            applied.extend(texts.filter(|text| !text.is_empty()));
        }
    }
}
