//! Pulls from registries of the tests' own.

mod server;
mod shelf;
mod pulling;
mod ways_in;
mod hostile;
