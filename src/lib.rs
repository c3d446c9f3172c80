//! skep: what Docker Swarm mode does, in one small static binary that runs OCI containers itself.
//!
//! ```text
//! docker CLI / skep CLI
//!    -> api            HTTP in, one closed enum of requests out; validates once
//!    -> manager        step(now, event) -> effects: one pure state machine
//!         control      request -> changes
//!         raft, store  batch of changes -> replicated log -> State::apply
//!         passes       View, Dirty -> changes
//!         dispatcher   State -> the difference of a node's assignments
//!    -> transport      session messages; who is who: identity
//!    -> agent          step(now, event) -> effects: assignment -> one lifecycle move per task
//!    -> runtime, image, network   the host
//!    <- status back the same way, coalesced
//! ```
//!
//! The modules below are in reading order, and lower never names higher: a module names only those
//! above it.
//!
//! # Architecture invariants
//!
//! 1. `model` knows nothing but itself. Only `State::apply` changes cluster state.
//! 2. Orchestrator, allocator and scheduler are pure: `(&View, &Dirty, now) -> Vec<Change>`. A pass
//!    over what is dirty equals the pass over everything, and applying a pass and running it again
//!    gives nothing.
//! 3. `Manager::step` and `Agent::step` are synchronous and take time and randomness as arguments;
//!    only their `run.rs` is async.
//! 4. Only `host` reads a clock or entropy, sleeps or spawns.
//! 5. `agent` and `manager` never name each other; they share `wire`. Only `runtime` names
//!    libcontainer. Only `raft` names the raft crate. Only `identity` makes and reads certificates.
//!    Only `cli/table.rs` prints tables.
//! 6. A user's spec is stored as given and never modified.
//! 7. Delays are times stored in objects, never timers in memory.
//! 8. JSON types live in `api`, stored and sent types in `model` and `wire`. Every record and frame
//!    starts with a format number; variants and fields are only appended.
//! 9. Everything has a limit: queues, frames, retries, batches, history.
//! 10. BTreeMap in pure code; `future::or`, never `race`.
//! 11. A small error enum per operation, with what was tried, on what, and the source.
//!
//! `tests/tidy.rs` checks what can be checked.

pub mod model;
pub mod wire;
pub mod template;
pub mod host;
pub mod identity;
pub mod raft;
pub mod store;
pub mod manager;
pub mod transport;
pub mod agent;
pub mod runtime;
pub mod image;
pub mod network;
pub mod api;
/// Puts the parts together: one host's process.
pub mod daemon;
pub mod cli;
