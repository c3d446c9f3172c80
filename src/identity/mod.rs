//! Who belongs to a swarm: its certificate authority, the tokens that let a node join, the
//! certificate that names a node and its role, and the sealing of what must not be read.
//!
//! ```text
//! swarm init   -> Authority (root certificate and key), two join tokens
//! join token   = digest of the root + a secret: the node checks the root before it says the secret
//! certificate  = CN node, OU role, O swarm, signed by the root: what a peer is known by
//! access       = for the API over TLS: for its clients, and for the managers they reach
//! unlock key   -> seals the key that seals the rest
//! ```
//!
//! Nothing here does IO or reads a clock. Keys and signatures draw on ring's own randomness, which
//! it lets nobody else provide; all other randomness is an argument.

pub mod text;
pub mod key;
pub mod token;
pub mod certificate;
pub mod roots;
pub mod authority;
pub mod access;
pub mod founding;
pub mod seal;
pub mod unlock;

#[cfg(test)]
mod tests;
