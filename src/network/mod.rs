//! Names and, later, the data path between tasks.

pub mod resolve;
