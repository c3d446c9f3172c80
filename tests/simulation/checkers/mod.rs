//! What must never happen, whatever fails: one file each.

mod alone;
mod backs_off;
mod delays;
mod jobs;
mod logs_match;
pub mod nothing_lost;
mod one_leader;
mod one_per_slot;
mod one_vote;
mod own_secrets;
mod own_tasks;
mod same_state;
mod states_grow;
mod stops_as_told;
mod updates;
mod waits_for_old;

use std::sync::Arc;

use skep::agent::containers::Record;
use skep::manager::Manager;
use skep::model::id::{NodeId, TaskId};
use skep::model::state::State;
use skep::model::time::Time;
use skep::raft::record::Entry;
use skep::wire::control::{Refusal, Request, Response};
use skep::wire::dependency::Dependency;
use skep::wire::session::ToAgent;

use crate::host::{Host, Order};

/// Everything that is looked at while a story is told.
#[derive(Debug, Default)]
pub struct Checkers {
    pub alone: alone::Checker,
    pub one_vote: one_vote::Checker,
    backs_off: backs_off::Checker,
    waits_for_old: waits_for_old::Checker,
    delays: delays::Checker,
    logs_match: logs_match::Checker,
    one_leader: one_leader::Checker,
    one_per_slot: one_per_slot::Checker,
    same_state: same_state::Checker,
    states_grow: states_grow::Checker,
    nothing_lost: nothing_lost::Checker,
    jobs: jobs::Checker,
}

impl Checkers {
    /// A manager has taken a step. `life` names its daemon.
    pub fn stepped(&mut self, life: (u64, u64), manager: &Manager) {
        self.one_leader.look(manager);
        if self.same_state.look(life, manager) {
            self.states_grow.look(life, manager.state());
            self.jobs.look(manager.state());
            updates::look(manager.state());
            self.delays.look(manager.state());
            self.backs_off.look(manager.state());
            self.waits_for_old.look(manager.state());
            self.one_per_slot.look(manager.state());
        }
        self.nothing_lost.look(manager);
    }

    /// A container of a task has ended by itself.
    pub fn ended(&mut self, task: TaskId, code: u8) {
        self.jobs.ended(task, code);
    }

    /// A manager is about to write entries of the log.
    pub fn persists(&mut self, entries: &[Entry]) {
        self.logs_match.look(entries);
    }

    /// An agent wants something of its host's runtime.
    pub fn orders(&mut self, host: &Host, now: Time, task: TaskId, order: &Order) {
        self.alone.orders(host, now, order);
        stops_as_told::check(host, task, order);
    }

    /// A user is about to ask for something.
    pub fn asked(&mut self, request: &Request) {
        self.nothing_lost.asked(request);
    }

    /// A user was answered.
    pub fn answered(&mut self, request: &Request, answer: &Result<Response, Refusal>) {
        self.nothing_lost.answered(request, answer);
    }

    /// A manager tells a node something.
    pub fn tells(&self, state: &State, node: NodeId, message: &ToAgent) {
        own_secrets::sent(state, node, message);
        let is_known = state.nodes().find(node).is_some();
        let assigns = matches!(message, ToAgent::Assignments(_));
        assert!(
            is_known || !assigns,
            "{node} was removed and is told what to do"
        );
    }

    /// A host has written to its disk.
    pub fn kept(&self, host: &Host) {
        own_secrets::kept(host);
    }

    /// A host is about to prepare a container with these secrets.
    pub fn prepares(&self, record: &Record, dependencies: &[Arc<Dependency>]) {
        own_secrets::prepared(record, dependencies);
    }

    /// A host is about to prepare or start a container.
    pub fn runs(&self, hosts: &[Host], host: usize, task: TaskId, starts: bool) {
        own_tasks::check(hosts, host, task, starts);
    }

    /// Nothing fails any more, and this is the state of the swarm.
    pub fn healed(&self, state: &State) {
        self.nothing_lost.check(state);
    }
}
