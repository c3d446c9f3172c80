//! Docker's words for the model's choices.

use crate::model::object::NodeState;
use crate::model::spec::node::{Availability, Role};
use crate::model::spec::service::{
    EndpointMode, FailureAction, Protocol, PublishMode, UpdateOrder,
};
use crate::model::spec::task::RestartCondition;

pub const AVAILABILITIES: [(&str, Availability); 3] = [
    ("active", Availability::Active),
    ("pause", Availability::Pause),
    ("drain", Availability::Drain),
];

pub const ENDPOINT_MODES: [(&str, EndpointMode); 2] = [
    ("vip", EndpointMode::Vip),
    ("dnsrr", EndpointMode::DnsRoundRobin),
];

pub const FAILURE_ACTIONS: [(&str, FailureAction); 3] = [
    ("pause", FailureAction::Pause),
    ("continue", FailureAction::Continue),
    ("rollback", FailureAction::Rollback),
];

pub const NODE_STATES: [(&str, NodeState); 4] = [
    ("unknown", NodeState::Unknown),
    ("down", NodeState::Down),
    ("ready", NodeState::Ready),
    ("disconnected", NodeState::Disconnected),
];

pub const PROTOCOLS: [(&str, Protocol); 3] = [
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("sctp", Protocol::Sctp),
];

pub const PUBLISH_MODES: [(&str, PublishMode); 2] = [
    ("ingress", PublishMode::Ingress),
    ("host", PublishMode::Host),
];

pub const RESTART_CONDITIONS: [(&str, RestartCondition); 3] = [
    ("none", RestartCondition::None),
    ("on-failure", RestartCondition::OnFailure),
    ("any", RestartCondition::Any),
];

pub const ROLES: [(&str, Role); 2] = [("worker", Role::Worker), ("manager", Role::Manager)];

pub const UPDATE_ORDERS: [(&str, UpdateOrder); 2] = [
    ("stop-first", UpdateOrder::StopFirst),
    ("start-first", UpdateOrder::StartFirst),
];

/// Docker's word for `value`.
pub fn word<T: Copy + PartialEq>(value: T, words: &[(&str, T)]) -> String {
    let found = words.iter().find(|(_, known)| *known == value);
    found
        .map(|(word, _)| (*word).to_owned())
        .unwrap_or_default()
}
