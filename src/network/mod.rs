//! Names, and the way of packets between tasks.
//!
//! ```text
//!  what the managers say of services  ->  node  ->  rules      one table of packet rules
//!  the tasks of this node             ->        ->  interface  a pair of links for each network
//!                                               ->  dns        names
//! ```

pub mod resolve;
pub mod netlink;
pub mod namespace;
pub mod interface;
pub mod rules;
pub mod dns;
pub mod services;
pub mod node;
#[cfg(test)]
mod tests;
