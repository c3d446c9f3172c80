//! `swarm backup` and `swarm restore`: the whole state of a swarm as one file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use hyper::Method;

use crate::cli::client::{empty, upload, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::env_file::file as file_failure;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Parsed};
use crate::cli::question;
use crate::cli::swarm::settings;
use crate::host::wait::blocking;
use crate::manager::backup::is_locked;

/// `swarm backup`.
pub const BACKUP: Command = Command {
    names: &["swarm backup"],
    usage: "FILE",
    about: "Write the state of the swarm to a file, which holds its keys, tokens and secrets",
    args: Args::Exactly(1),
    flags: &[],
    run: Run(|context, parsed| Box::pin(backup(context, parsed))),
};

/// `swarm restore`.
pub const RESTORE: Command = Command {
    names: &["swarm restore"],
    usage: "[OPTIONS] FILE",
    about: "Go on with a swarm from a backup, as its only manager",
    args: Args::Exactly(1),
    flags: &[settings::ADVERTISE_ADDR, settings::LISTEN_ADDR],
    run: Run(|context, parsed| Box::pin(restore(context, parsed))),
};

/// The header that takes the key to a locked backup.
const UNLOCK: &str = "x-skep-unlock-key";
const OWNER_ONLY: u32 = 0o600;

async fn backup(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let path = parsed.args.first().map_or("", String::as_str);
    let state = context.client.stream(Method::GET, "/skep/backup", empty());
    let mut state = state.await?;
    // A backup that is there stays until the new one is whole.
    let partial = format!("{path}.{}.partial", std::process::id());
    let failed = |source| file_failure(path, source);
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(OWNER_ONLY);
    let mut file = options.open(&partial).map_err(failed)?;
    let written = async {
        while let Some(bytes) = state.next().await? {
            file = write(file, move |file| file.write_all(&bytes))
                .await
                .map_err(failed)?;
        }
        write(file, |file| file.sync_all()).await.map_err(failed)?;
        fs::rename(&partial, path).map_err(failed)
    };
    if let Err(failure) = written.await {
        fs::remove_file(&partial).map_err(failed)?;
        return Err(failure);
    }
    print(&format!(
        "The state of the swarm is in {path}. It holds the swarm's keys, tokens and secrets: keep \
         it as safe as a manager.\n"
    ))
}

async fn write(
    mut file: File,
    deed: impl FnOnce(&mut File) -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<File> {
    blocking(move || deed(&mut file).map(|()| file)).await
}

async fn restore(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let path = parsed.args.first().map_or("", String::as_str);
    let failed = |source| file_failure(path, source);
    let file = File::open(path).map_err(failed)?;
    let mut start = [0; 16];
    let length = file.read_at(&mut start, 0).map_err(failed)?;
    let key = is_locked(&start[..length]).then(|| question::secret("Enter unlock key: "));
    let key = key.transpose()?.map(|key| key.trim().to_owned());
    let query = [("advertise-addr", "advertise"), ("listen-addr", "listen")];
    let query = query.map(|(flag, name)| (name, parsed.text(flag).unwrap_or_default()));
    let asked = with_query("/skep/restore", &query);
    let body = upload(file).with_secret(UNLOCK, key);
    let id = context.client.json(Method::POST, &asked, body);
    let id = id.await?;
    let id = id
        .as_str()
        .ok_or(Failure::Lacking("the id of the new node"))?;
    print(&format!(
        "Swarm restored: current node ({id}) is now its only manager.\n\n\
         Workers come back by themselves if this host is found where a manager was; others join \
         anew\nwith their old tokens. Managers of before are workers, and can be promoted.\n"
    ))
}
