//! How session messages travel between an agent and a manager. Whatever carries them, a side holds
//! an `End`: it sends one kind of message, takes the other, and sees when its peer is gone.

pub mod local;
