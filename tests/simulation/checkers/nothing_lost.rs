//! What a user was told is done stays done, whoever leads.

use std::collections::{BTreeMap, BTreeSet};

use skep::manager::Manager;
use skep::model::spec::service::{FailureAction, ServiceSpec};
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
    /// Services that may have gone back to an earlier spec; these are there at least.
    rolled_back: BTreeSet<String>,
    /// Terms whose leader was looked at.
    terms: BTreeSet<u64>,
}

impl Checker {
    pub fn asked(&mut self, request: &Request) {
        match request {
            Request::RemoveService(name) => self.doomed.insert(name.clone()),
            Request::UpdateService {
                service, update, ..
            } if goes_back(update) => self.rolled_back.insert(service.clone()),
            _ => false,
        };
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
            if self.rolled_back.contains(name) {
                continue;
            }
            let is: u64 = service.spec.labels[NUMBER].parse().unwrap();
            assert!(
                is >= *number,
                "{name}: update {number} was acknowledged, {is} is there"
            );
        }
    }
}

/// Whether the update brings an earlier spec back, or may do so by itself.
fn goes_back(update: &ServiceUpdate) -> bool {
    let by_itself = |spec: &ServiceSpec| {
        let action = spec
            .update
            .as_ref()
            .and_then(|update| update.failure_action);
        action == Some(FailureAction::Rollback)
    };
    match update {
        ServiceUpdate::Spec(spec) => by_itself(spec),
        ServiceUpdate::Rollback => true,
    }
}
