//! `quickstart`: a swarm of one node in a temporary directory, a service of three replicas from the
//! built-in image, and a look at it until Ctrl-C. Nothing is left behind.

pub mod sandbox;

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use futures_lite::future;
use serde_json::{Value, json};

use crate::cli::answer::{ago, capital, filters_of, list, short_id, text, uint};
use crate::cli::client::{Client, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::ending::Endings;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command};
use crate::cli::quickstart::sandbox::Sandbox;
use crate::cli::table::{Listing, Row};
use crate::host::wait::sleep;

/// `quickstart`.
pub const QUICKSTART: Command = Command {
    names: &["quickstart"],
    usage: "",
    about: "Run three replicas of a built-in service on a temporary one-node swarm",
    args: Args::None,
    flags: &[],
    run: Run(|context, _| Box::pin(quickstart(context))),
};

const PORT_FIRST: u16 = 8080;
const PORT_LAST: u16 = 8180;
const REPLICAS: usize = 3;
const LOOK_MS: u64 = 500;

const LISTING: Listing = Listing {
    fields: &[
        ("Task", "TASK"),
        ("ID", "ID"),
        ("State", "STATE"),
        ("Error", "ERROR"),
    ],
    table: "{{.Task}}\t{{.ID}}\t{{.State}}\t{{.Error}}",
    quiet: "{{.ID}}",
};

async fn quickstart(context: Context) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        let conflict =
            "quickstart runs containers, so it must be run as root: sudo skep quickstart";
        return Err(Failure::Conflict(conflict));
    }
    let mut endings = Endings::listen()?;
    let mut sandbox = Sandbox::create()?;
    let client = Client::new(sandbox.host(), context.executor.clone());
    let result = future::or(endings.next(), show(&mut sandbox, &client)).await;
    // A second Ctrl-C does not wait for an orderly end.
    let ended = future::or(endings.next(), end(&mut sandbox, &client)).await;
    let removed = sandbox.remove().await;
    let failures = [result, ended, removed].into_iter().filter_map(Result::err);
    Failure::gather(failures.collect())
}

/// Starts everything and shows it until something fails.
async fn show(sandbox: &mut Sandbox, client: &Client) -> Result<(), Failure> {
    print("Starting a swarm of one node ...\n")?;
    sandbox.start(client).await?;
    let swarm = json!({"ListenAddr": sandbox.listen().to_string(), "AdvertiseAddr": "127.0.0.1"});
    client.post("/swarm/init", &swarm).await?;
    let port = free_port()?;
    client.post("/services/create", &service(port)).await?;
    let host = sandbox.host();
    print(&format!(
        "Service hello is at http://localhost:{port} (try: curl http://localhost:{port})\n\
         Look at it with: skep -H {host} service ps hello\nCtrl-C ends and removes it all.\n\n"
    ))?;
    let mut view = View {
        terminal: io::stdout().is_terminal(),
        lines: 0,
        last: Vec::new(),
    };
    loop {
        sandbox.check()?;
        view.show(&tasks(client).await?)?;
        sleep(Duration::from_millis(LOOK_MS)).await;
    }
}

/// Removes the service and leaves the swarm, as far as that got; the daemon ends in any case.
async fn end(sandbox: &mut Sandbox, client: &Client) -> Result<(), Failure> {
    print("\nEnding ...\n")?;
    if sandbox.is_up() {
        // What is not there cannot be removed; leaving the swarm ends its tasks anyway.
        client.delete("/services/hello").await.ok();
        client.post("/swarm/leave?force=1", &Value::Null).await.ok();
    }
    sandbox.stop().await
}

fn service(port: u16) -> Value {
    json!({
        "Name": "hello",
        "TaskTemplate": {
            "ContainerSpec": {"Image": "hello:latest", "Env": [format!("PORT={port}")]},
            "Networks": [{"Target": "host"}],
        },
        "Mode": {"Replicated": {"Replicas": REPLICAS}},
    })
}

/// A port that nobody has yet. The replicas share it, so they could not find out themselves.
fn free_port() -> Result<u16, Failure> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    (PORT_FIRST..=PORT_LAST)
        .find(is_free)
        .ok_or(Failure::Conflict(
            "the ports from 8080 to 8180 are all in use",
        ))
}

async fn tasks(client: &Client) -> Result<Vec<Row>, Failure> {
    let filters = filters_of(&[("service", "hello")]);
    let tasks = client
        .get(&with_query("/tasks", &[("filters", &filters)]))
        .await?;
    let mut tasks = list(&tasks, "").to_vec();
    tasks.sort_by_key(|task| (uint(task, "/Slot"), text(task, "/CreatedAt").to_owned()));
    Ok(tasks.iter().map(row).collect())
}

fn row(task: &Value) -> Row {
    let mut row = Row::default();
    row.set("Task", format!("hello.{}", uint(task, "/Slot")))
        .set("ID", short_id(text(task, "/ID")))
        .set("State", capital(text(task, "/Status/State")))
        .set("Since", ago(text(task, "/Status/Timestamp")))
        .set("Error", text(task, "/Status/Err"));
    row
}

/// The live list: redrawn in place on a terminal, else a line for each change.
struct View {
    terminal: bool,
    lines: usize,
    last: Vec<String>,
}

impl View {
    fn show(&mut self, tasks: &[Row]) -> Result<(), Failure> {
        if self.terminal {
            let text = LISTING.render(tasks, None, false)?;
            let up = match self.lines {
                0 => String::new(),
                lines => format!("\x1b[{lines}A"),
            };
            self.lines = text.lines().count();
            return print(&format!("{up}\r\x1b[J{text}"));
        }
        let tell = |task: &Row| {
            let words = ["Task", "ID", "State", "Error"].map(|field| task.text(field));
            words.join(" ").trim_end().to_owned()
        };
        let now: Vec<String> = tasks.iter().map(tell).collect();
        for line in now.iter().filter(|line| !self.last.contains(line)) {
            print(&format!("{line}\n"))?;
        }
        self.last = now;
        Ok(())
    }
}
