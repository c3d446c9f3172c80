//! How this host's agent reaches a manager: the one of this host, or else one over the network.

use std::cell::RefCell;

use crate::transport::Dial;
use crate::transport::end::End;
use crate::transport::local;
use crate::transport::tls::dial::{DialError, ManagerDialer};
use crate::wire::session::{ToAgent, ToManager};

/// Where the agent's sessions begin.
#[derive(Debug)]
pub struct Link {
    here: RefCell<Option<local::Dialer>>,
    elsewhere: ManagerDialer,
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
    pub fn new(here: Option<local::Dialer>, elsewhere: ManagerDialer) -> Self {
        let here = RefCell::new(here);
        Self { here, elsewhere }
    }
}

impl Dial for Link {
    type Error = LinkError;

    async fn dial(&self) -> Result<End<ToManager, ToAgent>, LinkError> {
        let here = self.here.borrow().clone();
        match here {
            Some(here) => Ok(here.dial().await?),
            None => Ok(self.elsewhere.dial().await?),
        }
    }
}
