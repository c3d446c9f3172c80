//! Names, and the way of packets between tasks.
//!
//! ```text
//!  what the managers say of services  ->  node  ->  rules      one table of packet rules
//!  what they say of other nodes       ->        ->  interface  a pair of links for each network
//!  the tasks of this node             ->        ->  tunnel     the way to tasks of other nodes
//!                                               ->  dns        names
//! ```

pub mod resolve;
pub mod netlink;
pub mod namespace;
pub mod interface;
pub mod rules;
pub mod flows;
pub mod dns;
pub mod path;
pub mod peers;
pub mod services;
pub mod tunnel;
pub mod ways;
pub mod node;
pub mod foreign;
pub mod probe;
#[cfg(test)]
mod tests;
