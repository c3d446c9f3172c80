//! Addresses and ports: what networks, services and tasks get of them. Nothing is handed out twice,
//! and what an object had is free again when the object is gone.

pub mod subnets;
pub mod addresses;
pub mod services;
pub mod tasks;
#[cfg(test)]
mod tests;
