//! How long to wait before a registry is asked again, and when to give up.

use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future;

use crate::host::rng::Rng;
use crate::host::wait::sleep;
use crate::image::registry::failure::RegistryError;

/// Doubled with each try that brought nothing, between these.
const WAIT_MS_MIN: u64 = 100;
const WAIT_MS_MAX: u64 = 8_000;
/// Tries in a row that may bring nothing: with the waits between them about half a minute.
const TRIES_MAX: u32 = 10;
/// The same where a user waits to hear that the registry is not there.
const FIRST_TRIES_MAX: u32 = 3;

/// Held by whoever wants a pull: dropped, the pull ends.
#[derive(Debug)]
pub struct Wanted(Sender<()>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Says whether a pull is still wanted.
#[derive(Clone, Debug)]
pub struct Cancel {
    own: Receiver<()>,
    above: Option<Receiver<()>>,
}

impl Cancel {
    /// A wish and whoever listens for its end.
    pub fn new() -> (Wanted, Self) {
        let (sender, own) = async_channel::bounded(1);
        (Wanted(sender), Self { own, above: None })
    }

    /// A part of this pull, which can end before it.
    pub fn part(&self) -> (Wanted, Self) {
        let (wanted, mut part) = Self::new();
        part.above = Some(self.own.clone());
        (wanted, part)
    }

    /// An error if nobody wants it any more.
    pub fn check(&self) -> Result<(), RegistryError> {
        let mut wishes = self.above.iter().chain([&self.own]);
        match wishes.any(Receiver::is_closed) {
            true => Err(RegistryError::Cancelled),
            false => Ok(()),
        }
    }

    /// Holds up this thread for a while, or until nobody wants the pull any more.
    pub fn wait(&self, duration: Duration) -> Result<(), RegistryError> {
        let gone = async { _ = self.own.recv().await };
        let gone_above = async {
            match &self.above {
                Some(above) => _ = above.recv().await,
                None => future::pending().await,
            }
        };
        future::block_on(future::or(future::or(gone, gone_above), sleep(duration)));
        self.check()
    }
}

/// Counts tries.
#[derive(Debug)]
pub struct Pace {
    cancel: Cancel,
    rng: Rng,
    tries: u32,
    tries_max: u32,
}

impl Pace {
    pub fn new(cancel: Cancel) -> Self {
        // Only the spread of a fleet's retries hangs on it.
        let rng = Rng::from_entropy().unwrap_or_else(|_| Rng::from_seed(0));
        Self {
            cancel,
            rng,
            tries: 0,
            tries_max: TRIES_MAX,
        }
    }

    /// For the first question to a registry.
    pub fn first(cancel: Cancel) -> Self {
        Self {
            tries_max: FIRST_TRIES_MAX,
            ..Self::new(cancel)
        }
    }

    /// The last try brought something.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Waits before the next try; gives the error back if there shall be none.
    pub fn wait(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.tries += 1;
        if self.tries >= self.tries_max || !error.is_passing() {
            return Err(error);
        }
        let doubled = WAIT_MS_MIN << (self.tries - 1);
        let wait_ms = doubled.min(WAIT_MS_MAX);
        let wait_ms = wait_ms + self.rng.below(wait_ms / 5 + 1);
        let wait = Duration::from_millis(wait_ms);
        tracing::debug!("{error}; trying again");
        self.cancel
            .wait(error.retry_after().map_or(wait, |asked| asked.max(wait)))
    }

    /// Runs `attempt` until it brings something or fails for good.
    pub fn keep_trying<T>(
        &mut self,
        mut attempt: impl FnMut() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        loop {
            self.cancel.check()?;
            match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => self.wait(error)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::registry::failure::Refusal;

    fn refused(status: u16) -> RegistryError {
        let none = Some(Duration::ZERO);
        RegistryError::Refused(Refusal::read("h", status, b"", none))
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let (_wanted, cancel) = Cancel::new();
        let mut left = vec![Ok(7), Err(refused(503))];
        let done = Pace::new(cancel.clone()).keep_trying(|| left.pop().unwrap());
        assert_eq!(done.unwrap(), 7);
        let mut tries = 0;
        let failed = Pace::new(cancel).keep_trying(|| -> Result<(), _> {
            tries += 1;
            Err(refused(403))
        });
        assert_eq!((failed.unwrap_err().status(), tries), (Some(403), 1));
    }

    #[test]
    fn nobody_waits_for_what_nobody_wants() {
        let (wanted, cancel) = Cancel::new();
        assert!(cancel.check().is_ok());
        drop(wanted);
        let waited = cancel.wait(Duration::from_secs(3600));
        assert!(matches!(waited, Err(RegistryError::Cancelled)));
        let failed = Pace::new(cancel.clone()).keep_trying(|| Ok(()));
        assert!(failed.is_err());
        let (wanted, part) = cancel.part();
        assert!(part.wait(Duration::from_secs(3600)).is_err());
        let (_above, cancel) = Cancel::new();
        let (part_wanted, part) = cancel.part();
        assert!(part.check().is_ok());
        drop((wanted, part_wanted));
        assert!(part.check().is_err() && cancel.check().is_ok());
    }
}
