//! Addresses and ports: what networks, services, tasks and nodes get of them. Nothing is handed out
//! twice, and what an object had is free again when the object is gone.

pub mod subnets;
pub mod addresses;
pub mod services;
pub mod tasks;
pub mod nodes;
#[cfg(test)]
mod tests;
