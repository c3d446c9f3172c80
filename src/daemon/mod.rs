//! One host's process: opens what lies on disk, starts the parts and joins them.

pub mod describe;
pub mod member;
pub mod containers;
