//! `system`: the daemon's host as a whole, and the way in over SSH.

use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::cli::commands::Run;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command};

/// `system dial-stdio`.
pub const DIAL_STDIO: Command = Command {
    names: &["system dial-stdio"],
    usage: "",
    about: "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
    args: Args::None,
    flags: &[],
    run: Run(|context, _| Box::pin(dial_stdio(context))),
};

/// Joins standard input and output to the daemon's socket, until the daemon closes it.
async fn dial_stdio(context: Context) -> Result<(), Failure> {
    let socket = context.client.connect().await?;
    let (from_daemon, mut to_daemon) = futures_lite::io::split(socket);
    let mut input = blocking::Unblock::new(io::stdin());
    let mut output = blocking::Unblock::new(io::stdout());
    let up = async {
        futures_lite::io::copy(&mut input, &mut to_daemon).await?;
        // The other side has said all; its answer may still be on its way.
        to_daemon.close().await?;
        future::pending::<io::Result<()>>().await
    };
    let down = async {
        let mut from_daemon = from_daemon;
        let mut buffer = vec![0; 32 << 10];
        loop {
            match from_daemon.read(&mut buffer).await? {
                0 => return Ok(()),
                length => {
                    output.write_all(&buffer[..length]).await?;
                    output.flush().await?;
                }
            }
        }
    };
    let joined = future::or(up, down).await;
    joined.map_err(|source| Failure::Io {
        action: "pass bytes to the daemon",
        source,
    })
}
