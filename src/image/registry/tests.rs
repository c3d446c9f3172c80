//! Pulls from registries of the tests' own.

pub mod server;
pub mod shelf;
mod pulling;
pub mod pushing;
mod ways_in;
mod hostile;
