//! What a user was told is done stays done, whoever leads.

use std::collections::{BTreeMap, BTreeSet};

use skep::manager::Manager;
use skep::model::state::State;
use skep::wire::control::{Refusal, Request, Response, ServiceUpdate};

/// The label in which each spec carries its number; later ones have larger ones.
pub const NUMBER: &str = "number";

#[derive(Debug, Default)]
pub struct Checker {
    /// The largest number that was acknowledged, by the service's name.
    acknowledged: BTreeMap<String, u64>,
    /// Services whose removal was asked for. Without an answer they may be gone or not.
    doomed: BTreeSet<String>,
    /// Terms whose leader was looked at.
    terms: BTreeSet<u64>,
}

impl Checker {
    pub fn asked(&mut self, request: &Request) {
        if let Request::RemoveService(name) = request {
            self.doomed.insert(name.clone());
        }
    }

    pub fn answered(&mut self, request: &Request, answer: &Result<Response, Refusal>) {
        let spec = match request {
            Request::CreateService(spec) => spec,
            Request::UpdateService {
                update: ServiceUpdate::Spec(spec),
                ..
            } => spec,
            _ => return,
        };
        if answer.is_ok() {
            let number: u64 = spec.labels[NUMBER].parse().unwrap();
            let last = self.acknowledged.entry(spec.name.clone()).or_default();
            *last = number.max(*last);
        }
    }

    /// A manager that begins to lead has all that was ever acknowledged.
    pub fn look(&mut self, manager: &Manager) {
        let raft = manager.raft();
        if raft.leads() && self.terms.insert(raft.term()) {
            self.check(manager.state());
        }
    }

    pub fn check(&self, state: &State) {
        for (name, number) in &self.acknowledged {
            if self.doomed.contains(name) {
                continue;
            }
            let service = state.services().by_name(name);
            let Some(service) = service else {
                panic!("{name} was acknowledged and is gone");
            };
            let is: u64 = service.spec.labels[NUMBER].parse().unwrap();
            assert!(
                is >= *number,
                "{name}: update {number} was acknowledged, {is} is there"
            );
        }
    }
}
