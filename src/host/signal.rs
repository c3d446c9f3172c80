//! Signals that ask a program to end, as values.

use std::io;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;

/// Hears of SIGINT, SIGTERM and SIGHUP instead of being ended by them. Programs started from here
/// are ended by them as always: handlers do not outlive `exec`.
#[derive(Debug)]
pub struct Endings(Signals);

impl Endings {
    pub fn listen() -> io::Result<Self> {
        Signals::new([Signal::Int, Signal::Term, Signal::Hup]).map(Self)
    }

    /// Waits for the next of the signals.
    pub async fn next(&mut self) -> io::Result<()> {
        self.0.next().await.unwrap_or(Ok(Signal::Term)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_heard_and_ends_nothing() {
        let mut endings = Endings::listen().unwrap();
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
        futures_lite::future::block_on(endings.next()).unwrap();
    }
}
