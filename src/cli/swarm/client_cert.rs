//! `swarm client-cert`: what a client elsewhere needs to use the API over TLS.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::answer::text;
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::env_file::file as file_failure;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::tls::Tls;
use crate::identity::key::PrivateKey;
use crate::identity::text::{base64, pem};

/// `swarm client-cert`.
pub const CLIENT_CERT: Command = Command {
    names: &["swarm client-cert"],
    usage: "[OPTIONS] DIR",
    about: "Issue a certificate to use the API over TLS: ca.pem, cert.pem and key.pem",
    args: Args::Exactly(1),
    flags: &[
        Flag::new(
            "expiry",
            Kind::Duration,
            "How long it is valid (ns|us|ms|s|m|h) (default 2160h0m0s)",
        ),
        Flag::new(
            "name",
            Kind::Text,
            "Name of the client (default \"client\")",
        ),
    ],
    run: Run(|context, parsed| Box::pin(client_cert(context, parsed))),
};

const EXPIRY_NS: i64 = 2160 * 3600 * 1_000_000_000;
const DIR_MODE: u32 = 0o700;
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

async fn client_cert(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let dir = parsed.args.first().map_or("", String::as_str);
    let files = Tls::in_dir(Path::new(dir));
    for path in [&files.ca, &files.cert, &files.key] {
        if fs::symlink_metadata(path).is_ok() {
            let name = path.display().to_string();
            return Err(file_failure(&name, rustix::io::Errno::EXIST.into()));
        }
    }
    // The key never leaves this host: only what asks for its certificate does.
    let key = PrivateKey::generate()?;
    let request = key.request()?;
    let asked = json!({
        "Request": base64(&request),
        "Name": parsed.text("name").unwrap_or("client"),
        "Expiry": parsed.duration_ns("expiry").unwrap_or(EXPIRY_NS),
    });
    let answer = context.client.post("/skep/client-cert", &asked).await?;
    let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir);
    made.map_err(|source| file_failure(dir, source))?;
    let key = Zeroizing::new(pem("PRIVATE KEY", key.pkcs8()));
    write(&files.key, KEY_MODE, &key)?;
    write(&files.cert, CERTIFICATE_MODE, text(&answer, "/Certificate"))?;
    write(&files.ca, CERTIFICATE_MODE, text(&answer, "/CA"))?;
    let (program, until) = (context.program, text(&answer, "/NotAfter"));
    print(&format!(
        "ca.pem, cert.pem and key.pem are in {dir}. Until {until} whoever has key.pem rules the \
         swarm.\n\nTo use them at a manager that serves the API over TLS \
         ({program} daemon -H tcp://IP:2376):\n\n    \
         docker -H tcp://MANAGER:2376 --tlsverify --tlscacert {ca} \
         --tlscert {cert} --tlskey {key} node ls\n    \
         DOCKER_HOST=tcp://MANAGER:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={dir} \
         docker node ls\n",
        ca = files.ca.display(),
        cert = files.cert.display(),
        key = files.key.display(),
    ))
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let failed = |source| file_failure(&path.display().to_string(), source);
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
