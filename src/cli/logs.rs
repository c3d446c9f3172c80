//! `logs` and `service logs`.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::cli::answer::{is_on, short_id, text, uint};
use crate::cli::client::{Download, Error, empty, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print_bytes, print_error_bytes};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, NO_TRUNC, Parsed};
use crate::cli::frames::{self, Stream};
use crate::cli::moment;
use crate::cli::names::Names;
use crate::cli::table::padded;
use crate::cli::tasks;
use crate::host::clock;

/// `logs`.
pub const CONTAINER: Command = Command {
    names: &["container logs", "logs"],
    usage: "[OPTIONS] CONTAINER",
    about: "Fetch the logs of a container",
    args: Args::Exactly(1),
    flags: &[DETAILS, FOLLOW, SINCE, TAIL, TIMESTAMPS, UNTIL],
    run: Run(|context, parsed| Box::pin(container(context, parsed))),
};

/// `service logs`.
pub const SERVICE: Command = Command {
    names: &["service logs"],
    usage: "[OPTIONS] SERVICE|TASK",
    about: "Fetch the logs of a service or task",
    args: Args::Exactly(1),
    flags: &[
        DETAILS,
        FOLLOW,
        Flag::new(
            "no-resolve",
            Kind::Switch,
            "Do not map IDs to Names in output",
        ),
        Flag::new(
            "no-task-ids",
            Kind::Switch,
            "Do not include task IDs in output",
        ),
        NO_TRUNC,
        Flag::new("raw", Kind::Switch, "Do not neatly format logs"),
        SINCE,
        TAIL,
        TIMESTAMPS,
    ],
    run: Run(|context, parsed| Box::pin(service(context, parsed))),
};

const DETAILS: Flag = Flag::new(
    "details",
    Kind::Switch,
    "Show extra details provided to logs",
);
const FOLLOW: Flag = Flag::new("follow", Kind::Switch, "Follow log output").short('f');
const SINCE: Flag = Flag::new(
    "since",
    Kind::Text,
    "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 \
     minutes)",
);
const TAIL: Flag = Flag::new(
    "tail",
    Kind::Text,
    "Number of lines to show from the end of the logs (default \"all\")",
)
.short('n');
const TIMESTAMPS: Flag = Flag::new("timestamps", Kind::Switch, "Show timestamps").short('t');
const UNTIL: Flag = Flag::new(
    "until",
    Kind::Text,
    "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for \
     42 minutes)",
);

/// The labels that say where a line comes from.
const NODE: &str = "com.docker.swarm.node.id";
const TASK: &str = "com.docker.swarm.task.id";
const SERVICE_ID: &str = "com.docker.swarm.service.id";

async fn container(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let name = parsed.args.first().map_or("", String::as_str);
    let found = context
        .client
        .get(&format!("/containers/{}/json", escape(name)))
        .await?;
    let path = format!("/containers/{}/logs", text(&found, "/Id"));
    let mut query = query(&parsed)?;
    if let Some(until) = parsed.text("until").filter(|t| !t.is_empty()) {
        query.push(("until", moment::parse(until, clock::now())?));
    }
    let mut download = open(&context, &path, &query).await?;
    copy(&mut download, is_on(&found, "/Config/Tty")).await
}

/// Copies output to where it belongs.
async fn copy(download: &mut Download, tty: bool) -> Result<(), Failure> {
    if tty {
        while let Some(bytes) = download.next().await? {
            print_bytes(&bytes)?;
        }
        return Ok(());
    }
    frames::each(download, async |stream, bytes| show(stream, &bytes)).await
}

fn show(stream: Stream, bytes: &[u8]) -> Result<(), Failure> {
    match stream {
        Stream::Out => print_bytes(bytes),
        Stream::Error => print_error_bytes(bytes),
    }
}

async fn service(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let name = parsed.args.first().map_or("", String::as_str);
    let (path, tty, replicas) = find(&context, name).await?;
    let mut query = query(&parsed)?;
    query.retain(|(name, _)| *name != "details");
    let neat = !parsed.on("raw") && !tty;
    if neat || parsed.on("details") {
        query.push(("details", "1".to_owned()));
    }
    let mut download = open(&context, &path, &query).await?;
    if !neat {
        return copy(&mut download, tty).await;
    }
    let mut writer = Writer {
        names: Names::new(&context.client, !parsed.on("no-resolve")),
        context: &context,
        parsed: &parsed,
        width: replicas.to_string().len(),
        tasks: BTreeMap::new(),
    };
    frames::each(&mut download, async |stream, line| {
        let line = writer.line(&line).await?;
        show(stream, &line)
    })
    .await
}

/// The path of the logs of a service or, if there is none of that name, of a task; whether it has
/// a terminal, and how many replicas there are.
async fn find(context: &Context, name: &str) -> Result<(String, bool, u64), Failure> {
    let client = &context.client;
    let escaped = escape(name);
    match client
        .get(&format!("/services/{escaped}?insertDefaults=false"))
        .await
    {
        Ok(service) => {
            let id = text(&service, "/ID");
            let tty = is_on(&service, "/Spec/TaskTemplate/ContainerSpec/TTY");
            let replicas = uint(&service, "/Spec/Mode/Replicated/Replicas");
            Ok((format!("/services/{id}/logs"), tty, replicas))
        }
        Err(error) if error.is_not_found() => {
            match client.get(&format!("/tasks/{escaped}")).await {
                Ok(task) => {
                    let tty = is_on(&task, "/Spec/ContainerSpec/TTY");
                    Ok((
                        format!("/tasks/{}/logs", text(&task, "/ID")),
                        tty,
                        uint(&task, "/Slot"),
                    ))
                }
                Err(error) if error.is_not_found() => Err(Failure::NoSuch {
                    kind: "task or service",
                    name: name.to_owned(),
                }),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn query(parsed: &Parsed) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut query = vec![("stdout", "1".to_owned()), ("stderr", "1".to_owned())];
    for name in ["details", "follow", "timestamps"] {
        if parsed.on(name) {
            query.push((name, "1".to_owned()));
        }
    }
    if let Some(since) = parsed.text("since").filter(|t| !t.is_empty()) {
        query.push(("since", moment::parse(since, clock::now())?));
    }
    query.push(("tail", parsed.text("tail").unwrap_or("all").to_owned()));
    Ok(query)
}

async fn open(
    context: &Context,
    path: &str,
    query: &[(&'static str, String)],
) -> Result<Download, Error> {
    let query: Vec<(&str, &str)> = query.iter().map(|(k, v)| (*k, v.as_str())).collect();
    context
        .client
        .stream(Method::GET, &with_query(path, &query), empty())
        .await
}

/// Puts the task's name and node before each line.
struct Writer<'a> {
    context: &'a Context,
    names: Names<'a>,
    parsed: &'a Parsed,
    width: usize,
    tasks: BTreeMap<String, Value>,
}

impl Writer<'_> {
    async fn line(&mut self, line: &Bytes) -> Result<Vec<u8>, Failure> {
        let stamped = self.parsed.on("timestamps");
        let mut rest = &line[..];
        let stamp = if stamped { word(&mut rest) } else { Vec::new() };
        let details = String::from_utf8_lossy(&word(&mut rest)).into_owned();
        let details = pairs(&details);
        let of = |name: &str| details.get(name).cloned().unwrap_or_default();
        let mut out = Vec::new();
        if stamped {
            out.extend_from_slice(&stamp);
            out.push(b' ');
        }
        out.extend_from_slice(self.head(&of(TASK), &of(NODE)).await?.as_bytes());
        out.extend_from_slice(b"    | ");
        if self.parsed.on("details") {
            let own = [NODE, TASK, SERVICE_ID];
            let more = details
                .iter()
                .filter(|(name, _)| !own.contains(&name.as_str()));
            let more: Vec<String> = more.map(|(k, v)| format!("{k}={v}")).collect();
            out.extend_from_slice(more.join(",").as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(rest);
        Ok(out)
    }

    /// `web.1.9xj2@board1`, as wide for every replica.
    async fn head(&mut self, id: &str, node: &str) -> Result<String, Failure> {
        if !self.tasks.contains_key(id) {
            let task = match self
                .context
                .client
                .get(&format!("/tasks/{}", escape(id)))
                .await
            {
                Ok(task) => task,
                Err(Error::Daemon { .. }) => Value::Null,
                Err(error) => return Err(error.into()),
            };
            self.tasks.insert(id.to_owned(), task);
        }
        let task = self.tasks.get(id).cloned().unwrap_or_default();
        let shown = if self.parsed.on("no-trunc") {
            id.to_owned()
        } else {
            short_id(id)
        };
        if task.is_null() {
            return Ok(format!("{shown}@{node}"));
        }
        let mut name = tasks::name(&mut self.names, &task).await?;
        if !self.parsed.on("no-task-ids") {
            name = format!("{name}.{shown}");
        }
        let slot = uint(&task, "/Slot").to_string().len();
        let padding = padded("", self.width.saturating_sub(slot));
        Ok(format!("{name}@{}{padding}", self.names.node(node).await?))
    }
}

/// Takes the first word off.
fn word(rest: &mut &[u8]) -> Vec<u8> {
    let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
    let (word, tail) = rest.split_at(end);
    *rest = tail.get(1..).unwrap_or_default();
    word.to_vec()
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.split(',').filter_map(pair).collect()
}
