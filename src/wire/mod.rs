//! What crosses between parts: the session between agent and manager, and the requests that the API
//! makes of the managers. Everything can be sent: a frame is a protocol version, then postcard, and
//! has a limit.

pub mod frame;
pub mod session;
pub mod control;
