//! Which containers are being made. What works on the pool of threads goes on when nobody waits for
//! it any more, so a removal must know.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};

/// Containers whose directories are being made.
#[derive(Debug, Default)]
pub struct Making(Mutex<BTreeMap<String, Receiver<Infallible>>>);

/// Whoever makes a container's directory holds this until it is done.
#[derive(Debug)]
pub struct UnderWay {
    /// Its end is what counts.
    _over: Sender<Infallible>,
}

impl Making {
    /// Someone begins to make a container's directory.
    pub fn begin(&self, id: &str) -> UnderWay {
        let (_over, over) = async_channel::bounded(1);
        self.all().insert(id.to_owned(), over);
        UnderWay { _over }
    }

    /// It was waited for to the end.
    pub fn end(&self, id: &str) {
        self.all().remove(id);
    }

    /// Waits until nobody makes the container's directory.
    pub async fn over(&self, id: &str) {
        let over = self.all().remove(id);
        if let Some(over) = over {
            // Nothing is ever sent: the channel closes.
            let _ = over.recv().await;
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Receiver<Infallible>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_removal_waits_for_what_is_being_made() {
        let making = Making::default();
        block_on(making.over("a"));
        let under_way = making.begin("a");
        let mut over = std::pin::pin!(making.over("a"));
        assert_eq!(block_on(poll_once(&mut over)), None);
        drop(under_way);
        assert_eq!(block_on(poll_once(&mut over)), Some(()));
    }
}
