//! Ctrl-C and its like, for commands that have something to say or to do before they end.

use std::io;

use crate::cli::failure::Failure;
use crate::host::signal;

/// Hears of the signals that ask a program to end, instead of being ended by them.
#[derive(Debug)]
pub struct Endings(signal::Endings);

impl Endings {
    /// Takes the signals over; once in a process.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self(signal::Endings::listen().map_err(failed)?))
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) -> Result<(), Failure> {
        self.0.next().await.map_err(failed)
    }
}

fn failed(source: io::Error) -> Failure {
    Failure::Io {
        action: "listen for Ctrl-C",
        source,
    }
}
