//! The name server of this node's tasks.

pub mod names;
pub mod answer;
pub mod upstream;
pub mod server;
