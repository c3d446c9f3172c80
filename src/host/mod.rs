//! The machine's clock, randomness and waiting: the only place that reads a clock or entropy,
//! sleeps or spawns.

pub mod clock;
pub mod rng;
pub mod wait;
pub mod signal;
