//! Logs of services and tasks, wherever in the swarm they run: each node's lines, as one. A node
//! that cannot be asked, or breaks off, is named, and the others' lines go on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::{Stream, future, stream};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Request, StatusCode};

use crate::api::answer::Broken;
use crate::api::containers::{NODE_ID, SERVICE_ID, TASK_ID};
use crate::api::context::Context;
use crate::api::failure::Failure;
use crate::api::log_lines::{Chosen, Item, Lines, Local, Sources};
use crate::api::log_stream::{LogQuery, Writer, frame_of};
use crate::api::remote;
use crate::api::version::NEWEST;
use crate::host::clock;
use crate::host::wait::sleep;
use crate::model::id::{NodeId, ServiceId, TaskId};
use crate::model::object::NodeState;
use crate::model::time::Time;
use crate::runtime::log::reader::Wanted;
use crate::wire::control::{Filters, Request as Question, Response};
use crate::wire::log::{LogLine, LogLines};

/// While a log is followed: how often tasks on further nodes are looked for, and when a node that
/// was lost is asked again.
const LOOK_MS: u64 = 1_000;
const AGAIN_MS: u64 = 2_000;
/// What lies between two looks for a task that is not known yet.
const LOOK_AT_ONCE_MS: u64 = 100;
/// How long a node may take to go on with a log that is not followed.
const GOES_ON_WITHIN: Duration = Duration::from_secs(10);
/// The stream of an error, in Docker's frames.
const SYSTEM_ERROR: u8 = 3;

/// Whose logs are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Service(ServiceId),
    Task(TaskId),
}

impl Subject {
    fn chosen(self) -> Chosen {
        let (label, value) = match self {
            Self::Service(id) => (SERVICE_ID, id.to_string()),
            Self::Task(id) => (TASK_ID, id.to_string()),
        };
        Chosen { label, value }
    }

    fn tasks(self) -> Question {
        match self {
            Self::Service(id) => {
                let of_service = ("service".to_owned(), [id.to_string()].into());
                Question::Tasks(Filters([of_service].into()))
            }
            Self::Task(id) => Question::Task(id.to_string()),
        }
    }

    /// Where a node has these lines.
    fn target(self, wanted: &Wanted) -> String {
        let (kind, id) = match self {
            Self::Service(id) => ("service", id.to_string()),
            Self::Task(id) => ("task", id.to_string()),
        };
        let moment = |time: Time| format!("{}.{:03}", time.0 / 1000, time.0 % 1000);
        let mut target = format!("/v{NEWEST}/skep/logs/{kind}/{id}?stdout=1&stderr=1");
        if wanted.follow {
            target.push_str("&follow=1");
        }
        for (name, time) in [("since", wanted.since), ("until", wanted.until)] {
            target.extend(time.map(|time| format!("&{name}={}", moment(time))));
        }
        target.extend(wanted.tail_lines.map(|lines| format!("&tail={lines}")));
        target
    }
}

/// The logs of all nodes as one.
struct Everywhere {
    context: Rc<Context>,
    subject: Subject,
    query: LogQuery,
    tty: bool,
    sources: Sources<NodeId>,
    /// The tasks that are meant, and of which service and on which node each is.
    tasks: BTreeMap<TaskId, (ServiceId, NodeId)>,
    /// Nodes whose lines are part of it.
    joined: BTreeSet<NodeId>,
    /// The last line of each node.
    last: BTreeMap<NodeId, Time>,
    /// Nodes whose lines are missing, and when they may be asked again.
    lost: BTreeMap<NodeId, Time>,
    names: BTreeMap<NodeId, String>,
    writers: BTreeMap<TaskId, Writer>,
    ready: VecDeque<Bytes>,
    looked: Time,
    is_over: bool,
}

enum Woken {
    Item(Option<Item<NodeId>>),
    Look,
}

/// The logs of whatever the subject is, as Docker writes them.
pub async fn everywhere(
    context: Rc<Context>,
    subject: Subject,
    query: LogQuery,
    tty: bool,
) -> Result<impl Stream<Item = Result<Bytes, Broken>>, Failure> {
    let mut everywhere = Everywhere {
        context,
        subject,
        query,
        tty,
        sources: Sources::default(),
        tasks: BTreeMap::new(),
        joined: BTreeSet::new(),
        last: BTreeMap::new(),
        lost: BTreeMap::new(),
        names: BTreeMap::new(),
        writers: BTreeMap::new(),
        ready: VecDeque::new(),
        looked: Time::default(),
        is_over: false,
    };
    everywhere.look().await?;
    Ok(stream::unfold(everywhere, |mut everywhere| async {
        let bytes = everywhere.next().await?;
        Some((Ok(bytes), everywhere))
    }))
}

impl Everywhere {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.is_over {
                return None;
            }
            match self.woken().await {
                Woken::Item(Some((node, Ok(line)))) => self.take(node, line).await,
                Woken::Item(Some((node, Err(broken)))) => self.lose(node, &broken.0),
                Woken::Item(None) => self.finish(),
                // What cannot be asked now can be with the next look.
                Woken::Look => drop(self.look().await),
            }
        }
    }

    async fn woken(&mut self) -> Woken {
        let follow = self.query.wanted.follow;
        let wait_ms = self.looked.plus_ms(LOOK_MS).since_ms(clock::now());
        let sources = &mut self.sources;
        let oldest = async {
            match poll_fn(|waking| sources.poll_oldest(waking, !follow)).await {
                // There may be more on other nodes.
                None if follow => future::pending().await,
                item => Woken::Item(item),
            }
        };
        let look = async {
            if !follow {
                return future::pending().await;
            }
            // A clock that was set back must not hold it up.
            sleep(Duration::from_millis(wait_ms.min(LOOK_MS))).await;
            Woken::Look
        };
        future::or(oldest, look).await
    }

    /// Looks where the tasks are, and asks nodes that were not asked yet.
    async fn look(&mut self) -> Result<(), Failure> {
        self.looked = clock::now();
        let cluster = &self.context.cluster;
        let tasks = match cluster.request(self.subject.tasks()).await? {
            Response::Tasks(tasks) => tasks,
            Response::Task(task) => vec![task],
            _ => Vec::new(),
        };
        let Response::Nodes(nodes) = cluster.request(Question::Nodes(Filters::default())).await?
        else {
            return Ok(());
        };
        let placed = tasks.iter().filter_map(|task| {
            let place = (task.service, task.node?);
            Some((task.id, place))
        });
        self.tasks = placed.collect();
        let asked: BTreeSet<_> = self.tasks.values().map(|(_, node)| *node).collect();
        let own = self.context.cluster.membership().node;
        for node in asked {
            let view = nodes.iter().find(|view| view.node.id == node);
            if let Some(view) = view {
                let name = view.node.description.hostname.clone();
                self.names.insert(node, name);
            }
            let is_down = view.is_none_or(|view| view.node.status.state == NodeState::Down);
            if is_down && Some(node) != own {
                self.lose(node, "it is down");
            } else if self.may_ask(node) {
                self.join(node, Some(node) == own)?;
            }
        }
        Ok(())
    }

    fn may_ask(&self, node: NodeId) -> bool {
        let lost = self.lost.get(&node);
        let is_time = lost.is_none_or(|again| *again <= clock::now());
        !self.joined.contains(&node) && is_time
    }

    fn join(&mut self, node: NodeId, is_here: bool) -> Result<(), Failure> {
        let mut wanted = self.query.wanted.clone();
        if let Some(last) = self.last.get(&node) {
            // It was lost: on from there.
            wanted.since = Some(last.plus_ms(1));
            wanted.tail_lines = None;
        }
        let lines: Lines = match is_here {
            true => {
                let chosen = self.subject.chosen();
                Box::pin(Local::open(self.context.clone(), chosen, wanted)?)
            }
            false => remote_lines(self.context.clone(), node, self.subject, wanted),
        };
        self.joined.insert(node);
        self.sources.add(node, lines);
        Ok(())
    }

    async fn take(&mut self, node: NodeId, line: LogLine) {
        let is_its = |own: &Self| {
            own.tasks
                .get(&line.task)
                .filter(|place| place.1 == node)
                .copied()
        };
        if is_its(self).is_none() {
            let soon = self.looked.plus_ms(LOOK_AT_ONCE_MS).since_ms(clock::now());
            sleep(Duration::from_millis(soon.min(LOOK_AT_ONCE_MS))).await;
            // Without an answer it stays unknown.
            let _ = self.look().await;
        }
        // A node has no word for the tasks of another.
        let Some((service, _)) = is_its(self) else {
            return;
        };
        self.lost.remove(&node);
        self.last.insert(node, line.at);
        let (query, tty) = (&self.query, self.tty);
        let writer = self.writers.entry(line.task);
        let writer =
            writer.or_insert_with(|| Writer::new(query, tty, details(node, service, line.task)));
        self.ready.extend(writer.write(&line));
    }

    /// Goes on without a node. Followed, that is said at once.
    fn lose(&mut self, node: NodeId, reason: &str) {
        self.joined.remove(&node);
        self.sources.remove(node);
        let again = clock::now().plus_ms(AGAIN_MS);
        let is_news = self.lost.insert(node, again).is_none();
        if !is_news {
            return;
        }
        let name = self.name(node);
        tracing::debug!("the log of node {name} is missing: {reason}");
        if !self.query.wanted.follow {
            return;
        }
        let of_node = self.tasks.iter().find(|(_, place)| place.1 == node);
        let Some((task, (service, _))) = of_node.map(|(task, place)| (*task, *place)) else {
            return;
        };
        let mut writer = Writer::new(&self.query, self.tty, details(node, service, task));
        let text = format!("skep: node {name} is not available: its lines are missing\n");
        self.ready.extend(writer.write(&LogLine {
            task,
            at: clock::now(),
            is_error: true,
            data: text.into_bytes(),
        }));
    }

    fn name(&self, node: NodeId) -> String {
        let name = self.names.get(&node).cloned();
        name.unwrap_or_else(|| node.to_string())
    }

    /// Says what is missing, as Docker does.
    fn finish(&mut self) {
        self.is_over = true;
        if self.lost.is_empty() {
            return;
        }
        let lost = self.lost.keys();
        let reasons = lost.map(|node| format!("node {} is not available", self.name(*node)));
        let text = format!(
            "Error grabbing logs: warning: incomplete log stream. some logs could not be retrieved \
             for the following reasons: {}\n",
            reasons.collect::<Vec<_>>().join(", ")
        );
        self.ready.push_back(match self.tty {
            true => text.into(),
            false => frame_of(SYSTEM_ERROR, text.as_bytes()),
        });
    }
}

/// Which task a line is from, as Docker's clients read it.
fn details(node: NodeId, service: ServiceId, task: TaskId) -> String {
    format!("{NODE_ID}={node},{SERVICE_ID}={service},{TASK_ID}={task}")
}

/// The lines that another node has.
struct Remote {
    context: Rc<Context>,
    node: NodeId,
    target: String,
    follow: bool,
    body: Option<Incoming>,
    lines: LogLines,
}

fn remote_lines(context: Rc<Context>, node: NodeId, subject: Subject, wanted: Wanted) -> Lines {
    let remote = Remote {
        context,
        node,
        target: subject.target(&wanted),
        follow: wanted.follow,
        body: None,
        lines: LogLines::default(),
    };
    Box::pin(stream::unfold(remote, |mut remote| async {
        let line = remote.next().await.transpose()?;
        Some((line.map_err(Broken), remote))
    }))
}

impl Remote {
    async fn next(&mut self) -> Result<Option<LogLine>, String> {
        if self.body.is_none() {
            let request = Request::get(&self.target).header(HOST, "node");
            let request = request.body(Empty::<Bytes>::new());
            let request = request.map_err(|error| error.to_string())?;
            let answer = remote::send(&self.context, self.node, request).await;
            let answer = answer.map_err(|failure| failure.message)?;
            if answer.status() != StatusCode::OK {
                return Err(format!("it answered {}", answer.status()));
            }
            self.body = Some(answer.into_body());
        }
        loop {
            if let Some(line) = self.lines.take().map_err(|error| error.to_string())? {
                return Ok(Some(line));
            }
            match self.bytes().await? {
                Some(bytes) => self.lines.push(&bytes),
                None if self.follow => return Err("its log ended".into()),
                None => return Ok(None),
            }
        }
    }

    async fn bytes(&mut self) -> Result<Option<Bytes>, String> {
        let (body, follow) = (&mut self.body, self.follow);
        let frame = async {
            match body {
                Some(body) => body.frame().await.transpose().map_err(|e| e.to_string()),
                None => Ok(None),
            }
        };
        let late = async {
            if follow {
                return future::pending().await;
            }
            sleep(GOES_ON_WITHIN).await;
            Err("it does not go on".to_owned())
        };
        let frame = future::or(frame, late).await?;
        // Trailers say nothing here.
        Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }
}
