//! How session messages travel between an agent and a manager. Whatever carries them, a side holds
//! an [`end::End`]: it sends one kind of message, takes the other, and sees when its peer is gone.

use std::fmt;
use std::future::{Future, pending};

use crate::transport::end::End;
use crate::wire::session::{Roster, ToAgent, ToManager};
use crate::wire::stream::Summons;

pub mod tls;
pub mod local;
pub mod end;

/// How an agent reaches a manager.
pub trait Dial {
    /// Why no session began, for users: one whole line.
    type Error: fmt::Display;

    /// Begins a session with a manager.
    fn dial(&self) -> impl Future<Output = Result<End<ToManager, ToAgent>, Self::Error>>;

    /// Hears who the managers are. Whoever knows only one way to one of them needs nothing of it.
    fn learn(&self, _roster: Roster) {}

    /// Hears that a manager wants to be called for a stream. Whoever has nothing to show does not.
    fn answer(&self, _summons: Summons) {}

    /// Waits until this node has another certificate; the digest of the root that issued it.
    fn certified(&self) -> impl Future<Output = [u8; 32]> {
        pending()
    }
}
