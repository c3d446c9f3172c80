//! `exec`: a program in a running container, with the terminal if it wants one.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use serde_json::{Value, json};

use crate::cli::answer::{int, text};
use crate::cli::client::{Client, Upgraded, escape};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print_bytes, print_error_bytes};
use crate::cli::env_file;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::frames::{Frames, Stream};
use crate::cli::terminal::{self, Raw};
use crate::host::wait::sleep;

/// `exec`.
pub const EXEC: Command = Command {
    names: &["container exec", "exec"],
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    args: Args::Program(2),
    flags: &[
        Flag::new(
            "detach",
            Kind::Switch,
            "Detached mode: run command in the background",
        )
        .short('d'),
        env_file::ENV,
        env_file::ENV_FILE,
        Flag::new(
            "interactive",
            Kind::Switch,
            "Keep STDIN open even if not attached",
        )
        .short('i'),
        Flag::new(
            "privileged",
            Kind::Switch,
            "Give extended privileges to the command",
        ),
        Flag::new("tty", Kind::Switch, "Allocate a pseudo-TTY").short('t'),
        Flag::new(
            "user",
            Kind::Text,
            "Username or UID (format: \"<name|uid>[:<group|gid>]\")",
        )
        .short('u'),
        Flag::new(
            "workdir",
            Kind::Text,
            "Working directory inside the container",
        )
        .short('w'),
    ],
    run: Run(|context, parsed| Box::pin(exec(context, parsed))),
};

const RESIZE_POLL_MS: u64 = 250;
const CHUNK_BYTES: usize = 32 << 10;

async fn exec(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let (tty, input, detach) = (
        parsed.on("tty"),
        parsed.on("interactive"),
        parsed.on("detach"),
    );
    let variables = env_file::environment(&parsed)?;
    let name = parsed.args.first().map_or("", String::as_str);
    let client = &context.client;
    // A terminal that is not there is found out before anything is left behind in the daemon.
    client
        .get(&format!("/containers/{}/json", escape(name)))
        .await?;
    if tty && input && !detach && !terminal::has_input() {
        return Err(Failure::Conflict("the input device is not a TTY"));
    }
    let request = json!({
        "User": parsed.text("user").unwrap_or_default(),
        "Privileged": parsed.on("privileged"),
        "Tty": tty,
        "AttachStdin": input && !detach,
        "AttachStderr": !detach,
        "AttachStdout": !detach,
        "Detach": detach,
        "DetachKeys": "",
        "Env": if variables.is_empty() { Value::Null } else { variables.into() },
        "WorkingDir": parsed.text("workdir").unwrap_or_default(),
        "Cmd": parsed.args.get(1..).unwrap_or_default(),
    });
    let created = client
        .post(&format!("/containers/{}/exec", escape(name)), &request)
        .await?;
    let id = match text(&created, "/Id") {
        "" => return Err(Failure::Lacking("the id of the program")),
        id => id.to_owned(),
    };
    let start = format!("/exec/{id}/start");
    if detach {
        client
            .post(&start, &json!({"Detach": true, "Tty": tty}))
            .await?;
        return Ok(());
    }
    let mut options = json!({"Detach": false, "Tty": tty});
    if let Some(size) = terminal::size().filter(|_| tty) {
        options["ConsoleSize"] = json!([size.rows, size.columns]);
    }
    let connection = client.upgrade(&start, &options).await?;
    converse(client, &id, connection, tty, input).await?;
    let ended = client.get(&format!("/exec/{id}/json")).await?;
    match u8::try_from(int(&ended, "/ExitCode") & 0xff).unwrap_or(1) {
        0 => Ok(()),
        code => Err(Failure::Exit(code)),
    }
}

/// Passes input and output on until the program's output ends.
async fn converse(
    client: &Client,
    id: &str,
    connection: Upgraded,
    tty: bool,
    input: bool,
) -> Result<(), Failure> {
    let raw = match tty && input {
        true => Some(Raw::start().map_err(|source| failed("set the terminal up", source))?),
        false => None,
    };
    let (from, to) = futures_lite::io::split(connection.socket);
    let up = async {
        match input {
            true => send(to).await,
            false => future::pending().await,
        }
    };
    let down = receive(connection.early.to_vec(), from, tty);
    let resize = async {
        match tty {
            true => follow_size(client, id).await,
            false => future::pending().await,
        }
    };
    let result = future::or(down, future::or(up, resize)).await;
    drop(raw);
    result
}

/// Sends standard input, and its end; the output decides when all is over.
async fn send(mut to: impl AsyncWrite + Unpin) -> Result<(), Failure> {
    let mut input = blocking::Unblock::new(io::stdin());
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = input.read(&mut buffer).await;
        let length = read.map_err(|source| failed("read the input", source))?;
        // A program that has ended takes no more input; its exit code says how it went.
        let sent = match length {
            0 => to.close().await,
            _ => to.write_all(&buffer[..length]).await,
        };
        if length == 0 || sent.is_err() {
            return future::pending().await;
        }
    }
}

async fn receive(
    early: Vec<u8>,
    mut from: impl AsyncRead + Unpin,
    tty: bool,
) -> Result<(), Failure> {
    let mut frames = Frames::default();
    let mut show = |bytes: &[u8]| {
        if tty {
            return print_bytes(bytes);
        }
        frames.push(bytes);
        while let Some((stream, frame)) = frames.take()? {
            match stream {
                Stream::Out => print_bytes(&frame)?,
                Stream::Error => print_error_bytes(&frame)?,
            }
        }
        Ok(())
    };
    show(&early)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut buffer).await;
        match read.map_err(|source| failed("read the output", source))? {
            0 => return Ok(()),
            length => show(&buffer[..length])?,
        }
    }
}

/// Tells the daemon the terminal's size, first and whenever it changes.
async fn follow_size(client: &Client, id: &str) -> Result<(), Failure> {
    let mut told = None;
    loop {
        let size = terminal::size();
        if let Some(size) = size.filter(|_| size != told) {
            let path = format!("/exec/{id}/resize?h={}&w={}", size.rows, size.columns);
            // A program that is not there yet, or no more, cannot be told; the next look may do.
            if client.post(&path, &Value::Null).await.is_ok() {
                told = Some(size);
            }
        }
        sleep(Duration::from_millis(RESIZE_POLL_MS)).await;
    }
}

fn failed(action: &'static str, source: io::Error) -> Failure {
    Failure::Io { action, source }
}
