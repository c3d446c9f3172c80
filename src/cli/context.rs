//! What every command is given: the daemon's client, and where to write.

use std::io::{self, Write};
use std::rc::Rc;

use async_executor::LocalExecutor;

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::host::Host;

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The name the program was called by: `skep` or `docker`.
    pub program: &'static str,
    /// The daemon.
    pub client: Client,
    /// The executor that the command runs on.
    pub executor: Rc<LocalExecutor<'static>>,
}

impl Context {
    /// A context for one daemon.
    pub fn new(program: &'static str, host: Host, executor: Rc<LocalExecutor<'static>>) -> Self {
        let client = Client::new(host, Rc::clone(&executor));
        Self {
            program,
            client,
            executor,
        }
    }
}

/// Writes to standard output at once.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output at once.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(output)
}

/// Writes bytes to standard error at once.
pub fn print_error_bytes(bytes: &[u8]) -> Result<(), Failure> {
    io::stderr().lock().write_all(bytes).map_err(output)
}

fn output(source: io::Error) -> Failure {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::Io {
            action: "write the output",
            source,
        },
    }
}
