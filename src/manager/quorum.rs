//! This manager among the others: the ticks of consensus, who is heard of, and what it means to
//! gain the lead or to lose it.

use std::collections::{BTreeMap, BTreeSet};

use crate::manager::Manager;
use crate::manager::dirty::Dirty;
use crate::manager::forward::Asker;
use crate::manager::liveness::Liveness;
use crate::manager::timers::Timers;
use crate::model::state::State;
use crate::model::time::Time;
use crate::raft::message::Message;
use crate::raft::node::{Node, Role, TICK_MS};
use crate::raft::setup::Timing;
use crate::wire::control::Refusal;
use crate::wire::peer::PeerMessage;
use crate::wire::session::REDIAL_MS_MAX;

/// A manager that was not heard of for so many leases cannot be reached.
const UNHEARD_LEASES: u64 = 3;
/// A manager that knows no leader for so many leases ends its sessions, so that its agents find one
/// that does, before they are missed, and answers as well as it can alone. Elections take less.
const LEADERLESS_LEASES: u64 = 2;

/// By then an agent has looked at all managers again that has long found none: it waits for as long
/// as [`REDIAL_MS_MAX`], and knocks at some that are off.
const AWAY_MS: u64 = REDIAL_MS_MAX + 6_000;

/// What a manager knows of the others.
#[derive(Debug, Default)]
pub struct Quorum {
    next_tick: Option<Time>,
    /// When each member was last heard of, by raft id.
    heard: BTreeMap<u64, Time>,
    /// The leader that was last known, and its term.
    leader: (Option<u64>, u64),
    leaderless_since: Option<Time>,
    /// There has been no leader for too long to wait for one.
    is_given_up: bool,
    has_known_leader: bool,
    /// When a leader was known at last, agents had been without a manager for long.
    agents_are_away: bool,
    /// The term in which this manager leads.
    led_term: u64,
    /// When it last began to hand its lead over.
    pub handed_over: Option<Time>,
}

impl Quorum {
    /// When the next tick is.
    pub fn due(&self) -> Option<Time> {
        self.next_tick
    }

    /// The members that can be reached, and this one.
    pub fn reachable(&self, now: Time, raft: &Node) -> BTreeSet<u64> {
        let unheard_ms = UNHEARD_LEASES * raft.timing().lease_ms();
        let ids = self.heard.keys().copied();
        let lately = ids.filter(|id| self.silent_ms(*id, now) < unheard_ms);
        lately.chain([raft.id()]).collect()
    }

    /// How long a member was not heard.
    pub fn silent_ms(&self, id: u64, now: Time) -> u64 {
        self.heard.get(&id).map_or(u64::MAX, |at| now.since_ms(*at))
    }

    /// Whether the time of a tick has come. One that comes late counts once: a manager that slept
    /// has to listen first, before it misses anybody.
    fn take_tick(&mut self, now: Time) -> bool {
        let next = *self.next_tick.get_or_insert_with(|| now.plus_ms(TICK_MS));
        let was_set_back = next > now.plus_ms(TICK_MS);
        if next > now && !was_set_back {
            return false;
        }
        let late = was_set_back || now.since_ms(next) >= TICK_MS;
        let from = if late { now } else { next };
        self.next_tick = Some(from.plus_ms(TICK_MS));
        true
    }
}

/// The pace of consensus that the swarm's spec asks for. A manager keeps to what it has begun with.
pub fn timing(state: &State) -> Timing {
    let raft = state.cluster().map(|cluster| &cluster.spec.raft);
    let timing = raft.and_then(|raft| Timing::new(raft.heartbeat_tick, raft.election_tick));
    timing.unwrap_or_default()
}

impl Manager {
    /// Lets time pass for consensus. A manager that is alone needs no time.
    pub(super) fn tick_quorum(&mut self, now: Time) {
        if self.raft.is_alone() || self.installing.is_some() {
            self.quorum.next_tick = None;
            return;
        }
        if !self.quorum.take_tick(now) {
            return;
        }
        self.raft.tick();
        self.tick_forwards(now);
        self.statuses.settle(&self.state);
        self.tick_leaderless(now);
    }

    fn tick_leaderless(&mut self, now: Time) {
        if self.raft.leadership().leader.is_some() {
            return;
        }
        let since = *self.quorum.leaderless_since.get_or_insert(now);
        let leaderless_ms = LEADERLESS_LEASES * self.raft.timing().lease_ms();
        let is_long = now.since_ms(since) >= leaderless_ms || since > now;
        if is_long && !self.quorum.is_given_up {
            self.quorum.is_given_up = true;
            self.dispatcher.end_all();
        }
    }

    /// Whether there may soon be a leader though none is known: nothing is refused yet, or read
    /// from what may be old.
    pub(super) fn is_between_leaders(&self) -> bool {
        let leaderless = self.raft.leadership().leader.is_none() && !self.raft.is_alone();
        leaderless && !self.quorum.is_given_up
    }

    /// Takes in a message of consensus, whose sender the transport has made sure of.
    pub(super) fn hear_raft(&mut self, now: Time, from: u64, message: Message) {
        if message.from() != from {
            let claimed = message.from();
            tracing::warn!("manager {from} sends raft messages of manager {claimed}");
            return;
        }
        if self.installing.is_some() {
            return;
        }
        match self.raft.step(message) {
            Ok(()) => {
                self.quorum.heard.insert(from, now);
            }
            Err(error) => tracing::warn!("manager {from}: {error}"),
        }
    }

    /// Takes in what another manager says.
    pub(super) fn hear_peer(&mut self, now: Time, from: u64, message: PeerMessage) {
        match message {
            PeerMessage::Request { id, request } => {
                self.request(now, Asker::Peer { from, id }, request);
            }
            PeerMessage::Reply { id, answer } => self.hear_reply(now, from, id, *answer),
            PeerMessage::AskIndex { id } => self.ask_index(now, from, id),
            PeerMessage::Index { id, index } => self.hear_index(from, id, index),
            PeerMessage::Report(report) => self.hear_report(now, from, report),
            PeerMessage::Summon { node, summons } => self.hear_summons(from, node, &summons),
        }
    }

    /// Whether this manager leads as soon as it has applied what there is.
    pub(super) fn is_about_to_lead(&self) -> bool {
        let elected = self.raft.leadership().role == Role::Leader;
        !self.leading && (elected || self.raft.is_alone())
    }

    /// Notices who leads by now.
    pub(super) fn follow_leadership(&mut self, now: Time) {
        let leads = self.raft.leads();
        let term = self.raft.term();
        if self.leading && !(leads && self.quorum.led_term == term) {
            self.lose(now);
        }
        let leader = (self.raft.leadership().leader, term);
        if leader != self.quorum.leader {
            self.quorum.leader = leader;
            match leader.0 {
                Some(id) if id == self.raft.id() => tracing::info!("this manager leads"),
                Some(id) => tracing::info!("manager {id} leads"),
                None => tracing::info!("no manager leads"),
            }
            if leader.0.is_some() {
                let knew_none = self.quorum.is_given_up || !self.quorum.has_known_leader;
                self.quorum.agents_are_away = knew_none;
                self.quorum.has_known_leader = true;
                self.quorum.leaderless_since = None;
                self.quorum.is_given_up = false;
            }
            self.drop_forwards(now);
            self.ask_reads_again(now);
            self.tell_again(now);
        }
        if !self.leading && leads {
            self.lead(now);
        }
        if !self.is_about_to_lead() && !self.is_between_leaders() {
            for (asker, request) in std::mem::take(&mut self.early) {
                self.request(now, asker, request);
            }
        }
    }

    /// Takes up the lead: everything is looked at once, and every node gets fresh time.
    fn lead(&mut self, now: Time) {
        self.leading = true;
        self.quorum.led_term = self.raft.term();
        self.dirty = Dirty::everything(&self.state);
        self.timers = Timers::of(&self.state, now);
        let away_ms = match self.quorum.agents_are_away {
            true => AWAY_MS,
            false => 0,
        };
        self.liveness = Liveness::of(&self.state, now, away_ms);
        for seen in self.reports.take() {
            self.see(now, self.raft.id(), seen);
        }
    }

    /// Loses the lead. What was under way may have got into the log or not, and nobody here will
    /// know.
    fn lose(&mut self, now: Time) {
        self.leading = false;
        // The next leader cannot know; what else it needs it is told anew.
        for seen in self.liveness.coming_back(now) {
            self.reports.note(seen);
        }
        self.dirty = Dirty::default();
        self.timers = Timers::default();
        self.liveness = Liveness::default();
        let answers = self.flight.take().map_or_else(Vec::new, |f| f.answers);
        let askers: Vec<_> = answers.into_iter().map(|(asker, _)| asker).collect();
        let waiting = std::mem::take(&mut self.queue);
        for asker in askers.into_iter().chain(waiting.into_iter().map(|w| w.0)) {
            self.reply(asker, Err(Refusal::NoLeader));
        }
    }
}
