//! The cluster as data: specs as users give them, objects as the cluster keeps them, and
//! `State::apply`, the only code that changes cluster state.
//!
//! Architecture invariant: this module names nothing but itself. It knows no clock, no wire, no
//! disk and no JSON; the same changes in the same order give the same state on every machine.

pub mod address;
pub mod addresses;
pub mod apply;
pub mod change;
pub mod constraint;
pub mod device;
pub mod generic;
pub mod id;
pub mod jobs;
pub mod load;
pub mod logging;
pub mod object;
pub mod record;
pub mod restarts;
pub mod spec;
pub mod state;
mod rows;
pub mod table;
pub mod time;
pub mod trust;
pub mod validate;
