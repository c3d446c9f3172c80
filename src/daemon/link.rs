//! How this host's agent reaches a manager: the one of this host, or one over the network.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use async_channel::{Receiver, Sender};
use futures_lite::future::pending;

use crate::transport::Dial;
use crate::transport::end::End;
use crate::transport::local;
use crate::transport::tls::dial::{DialError, ManagerDialer};
use crate::wire::session::{Roster, ToAgent, ToManager};
use crate::wire::stream::Summons;

/// Where the agent's sessions begin.
#[derive(Debug)]
pub struct Link {
    here: RefCell<Option<local::Dialer>>,
    elsewhere: ManagerDialer,
    /// Whether the last session was, or would have been, with this host's manager: the next one is
    /// elsewhere, as this host's may be cut off from the others.
    was_here: Cell<bool>,
    /// Hears what managers say of each other.
    news: Sender<Roster>,
    /// Hears which streams managers want.
    summons: Sender<Summons>,
    /// Brings the issuers of this node's certificates.
    issuers: Receiver<[u8; 32]>,
}

/// Why no session began.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Here(#[from] local::DialError),
    #[error(transparent)]
    Elsewhere(#[from] DialError),
}

impl Link {
    pub fn new(
        elsewhere: ManagerDialer,
        news: Sender<Roster>,
        summons: Sender<Summons>,
        issuers: Receiver<[u8; 32]>,
    ) -> Self {
        Self {
            here: RefCell::default(),
            elsewhere,
            was_here: Cell::default(),
            news,
            summons,
            issuers,
        }
    }

    /// This host has a manager, or none any more. One that has yet to hear of the swarm is not the
    /// first that is tried.
    pub fn set_here(&self, here: Option<local::Dialer>, is_new: bool) {
        self.was_here.set(is_new);
        self.here.replace(here);
    }

    /// Knows these managers elsewhere from now on.
    pub fn learn_elsewhere(&self, managers: Vec<SocketAddr>) {
        self.elsewhere.learn(managers);
    }
}

impl Dial for Link {
    type Error = LinkError;

    async fn dial(&self) -> Result<End<ToManager, ToAgent>, LinkError> {
        let here = self.here.borrow().clone();
        let turn = !self.was_here.get() || !self.elsewhere.knows_any();
        self.was_here.set(here.is_some() && turn);
        match here {
            Some(here) if turn => Ok(here.dial().await?),
            _ => Ok(self.elsewhere.dial().await?),
        }
    }

    fn learn(&self, roster: Roster) {
        // Nobody needs it when the host is about to leave or to stop.
        let _ = self.news.try_send(roster);
    }

    fn answer(&self, summons: Summons) {
        // More than fit are more than this node serves: whoever asked gives up.
        let _ = self.summons.try_send(summons);
    }

    async fn certified(&self) -> [u8; 32] {
        match self.issuers.recv().await {
            Ok(issuer) => issuer,
            Err(_) => pending().await,
        }
    }
}
