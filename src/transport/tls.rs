//! The cluster's port: mutual TLS 1.3 over TCP, and frames in it.
//!
//! ```text
//! caller                                    manager
//!   TCP, TLS 1.3; the manager shows its chain, the caller its own if it is a node
//!   Greeting { protocols, purpose }   ->
//!                                     <-    Accepted { protocol } or Refused { reason }
//!   frames: 4 bytes of length, little-endian, then a frame of crate::wire
//! ```
//!
//! A caller knows the manager by the swarm's roots and by the role that its certificate names; a
//! host that joins knows only the digest of the root, from its token, and says nothing secret
//! before that was found in the manager's chain. Nothing is resumed: each connection proves anew
//! who is there.

mod verify;
pub mod credentials;
mod state;
pub mod connection;
pub mod dial;
mod half_open;
pub mod lines;
pub mod listener;
#[cfg(test)]
pub(crate) mod tests;
