//! Between Docker's JSON and the model: `read` takes a spec as a client gives it and collects all
//! problems with their paths, `show` writes what the model has as Docker would.

pub mod problems;
pub mod words;
pub mod container_spec;
pub mod task_spec;
pub mod service;
pub mod defaults;
pub mod task;
pub mod node;
pub mod swarm;
pub mod network;
pub mod secret;
pub mod container;
pub mod image;

#[cfg(test)]
mod tests;
