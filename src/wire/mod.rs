//! What crosses between parts: the session between agent and manager, the requests that the API
//! makes of the managers, what managers say to each other beside consensus, how nodes join, and how
//! they get images from each other.
//! Everything can be sent: a frame is a protocol version, then postcard, and has a limit.

pub mod access;
pub mod frame;
pub mod log;
pub mod greeting;
pub mod dependency;
pub mod reach;
pub mod stream;
pub mod session;
pub mod control;
pub mod peer;
pub mod join;
pub mod image;

/// Where managers are found, unless somebody says otherwise.
pub const MANAGER_PORT: u16 = 2377;
