//! `login` and `logout`: credentials for registries.

use std::io::{self, Read};

use serde_json::json;

use crate::cli::commands::Run;
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::credentials::{Keychain, key_of, registry_of};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::question;
use crate::cli::terminal;

const PASSWORD_BYTES_MAX: u64 = 1 << 20;

/// `login`.
pub const LOGIN: Command = Command {
    names: &["login"],
    usage: "[OPTIONS] [SERVER]",
    about: "Authenticate to a registry",
    args: Args::AtMost(1),
    flags: &[
        Flag::new(
            "password",
            Kind::Text,
            "Password or Personal Access Token (PAT)",
        )
        .short('p'),
        Flag::new(
            "password-stdin",
            Kind::Switch,
            "Take the Password or PAT from stdin",
        ),
        Flag::new("username", Kind::Text, "Username").short('u'),
    ],
    run: Run(|context, parsed| Box::pin(login(context, parsed))),
};

/// `logout`.
pub const LOGOUT: Command = Command {
    names: &["logout"],
    usage: "[SERVER]",
    about: "Log out from a registry",
    args: Args::AtMost(1),
    flags: &[],
    run: Run(|_, parsed| Box::pin(async move { logout(&parsed) })),
};

async fn login(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let registry = server(&parsed);
    let (username, password) = asked(&parsed)?;
    let auth = json!({
        "username": username,
        "password": password,
        "serveraddress": key_of(&registry),
    });
    context.client.post("/auth", &auth).await?;
    let keychain = Keychain::of_user();
    keychain.keep(&registry, &username, &password)?;
    let path = keychain.path().display();
    warn(&format!(
        "WARNING! Your credentials are stored unencrypted in '{path}'."
    ))?;
    print("Login Succeeded\n")
}

fn logout(parsed: &Parsed) -> Result<(), Failure> {
    let registry = server(parsed);
    let key = key_of(&registry);
    match Keychain::of_user().forget(&registry)? {
        true => print(&format!("Removing login credentials for {key}\n")),
        false => print(&format!("Not logged in to {key}\n")),
    }
}

fn server(parsed: &Parsed) -> String {
    registry_of(parsed.args.first().map_or("", String::as_str)).to_owned()
}

/// Name and password, from the flags or from the user.
fn asked(parsed: &Parsed) -> Result<(String, String), Failure> {
    let given = |flag| parsed.text(flag).map(str::to_owned);
    if parsed.on("password-stdin") {
        if parsed.given("password") {
            let conflict = "--password and --password-stdin are mutually exclusive";
            return Err(Failure::Conflict(conflict));
        }
        let conflict = "Must provide --username with --password-stdin";
        let username = given("username").ok_or(Failure::Conflict(conflict))?;
        return Ok((username, piped()?));
    }
    if parsed.given("password") {
        warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")?;
    }
    let is_missing = !parsed.given("username") || !parsed.given("password");
    if is_missing && !terminal::has_input() {
        let conflict = "Cannot perform an interactive login from a non TTY device";
        return Err(Failure::Conflict(conflict));
    }
    let username = match given("username") {
        Some(username) => username,
        None => {
            print("Username: ")?;
            question::line()?
        }
    };
    let password = match given("password") {
        Some(password) => password,
        None => question::secret("Password: ")?,
    };
    if username.is_empty() {
        return Err(Failure::Conflict("username is empty"));
    }
    if password.is_empty() {
        return Err(Failure::Conflict("password is empty"));
    }
    Ok((username, password))
}

/// All of standard input, without its last line's end.
fn piped() -> Result<String, Failure> {
    let mut text = String::new();
    let mut input = io::stdin().lock().take(PASSWORD_BYTES_MAX);
    input.read_to_string(&mut text).map_err(unread)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn warn(text: &str) -> Result<(), Failure> {
    print_error_bytes(format!("{text}\n").as_bytes())
}

fn unread(source: io::Error) -> Failure {
    Failure::Io {
        action: "read the answer",
        source,
    }
}
