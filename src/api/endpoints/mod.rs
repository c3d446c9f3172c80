//! One file per noun of the API. An endpoint reads its call, asks, and shows the answer; what it
//! answers in which case is Docker's.

pub mod system;
pub mod events;
pub mod swarm;
pub mod access;
pub mod backup;
pub mod nodes;
pub mod services;
pub mod tasks;
pub mod networks;
pub mod secrets;
pub mod volumes;
pub mod images;
pub mod registry;
pub mod push;
pub mod distribution;
pub mod doctor;
pub mod containers;
pub mod exec;
pub mod logs;
pub mod stats;
pub mod disk;
pub mod metrics;

use crate::api::failure::Failure;

/// The managers answered something that does not belong to the question.
pub(super) fn odd_answer() -> Failure {
    Failure::internal("the manager gave an answer to another question")
}
