//! A swarm of three boards in one thread, and the API of the first, its manager.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Sender;
use async_executor::{LocalExecutor, Task};
use futures_lite::future::{self, BoxedLocal};
use skep::agent::{self, Agent, Farewell};
use skep::api;
use skep::api::context::{
    Cluster, ClusterError, Context, Host, Init, Join, Loss, MemberState, Membership,
};
use skep::api::events::Events;
use skep::api::execs::Execs;
use skep::api::listen::{Address, Listener};
use skep::host::clock::{self, Stopwatch};
use skep::host::rng::Rng;
use skep::host::wait::sleep;
use skep::identity::founding;
use skep::image::registries::Registries;
use skep::image::store::ImageStore;
use skep::manager::figures::Figures;
use skep::manager::genesis::{Genesis, genesis};
use skep::manager::run::{self, ManagerHandle, Session};
use skep::model::change::{Batch, Change, NewNode};
use skep::model::id::{ClusterId, NodeId};
use skep::model::object::{NodeState, NodeStatus, TaskState};
use skep::model::record;
use skep::model::spec::node::{
    EngineDescription, NodeDescription, NodeResources, NodeSpec, Platform,
};
use skep::model::state::State;
use skep::model::trust::TokenSecret;
use skep::raft::record::{Anchor, Restored};
use skep::runtime::containers::{Runtime, Settings};
use skep::runtime::volume::Volumes;
use skep::store::manager_store::{ManagerStore, Opened};
use skep::store::memory_disk::MemoryDisk;
use skep::transport::end::End;
use skep::transport::local;
use skep::wire::control::{Filters, Request, Response};
use skep::wire::session::{ToAgent, ToManager};

use crate::board::{self, Board};

/// The boards; the first is the manager.
const BOARDS: [&str; 3] = ["pi-1", "pi-2", "pi-3"];

/// How long the swarm may take to do what it was asked to.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one looks away before looking again.
const GLANCE: Duration = Duration::from_millis(5);

/// The host whose socket the command lines of a story use.
pub struct Swarm {
    dir: PathBuf,
    executor: Rc<LocalExecutor<'static>>,
    context: Rc<Context>,
    members: Rc<Members>,
}

impl Swarm {
    /// Serves the API of a board that is in no swarm yet.
    pub fn start(story: &str) -> Self {
        let name = format!("skep-{story}-{}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        let executor = Rc::new(LocalExecutor::new());
        let members = Rc::new(Members {
            executor: executor.clone(),
            running: RefCell::default(),
        });
        let settings = Settings::new(dir.join("run"), name.into());
        let images = Arc::new(ImageStore::open(&dir.join("images")).unwrap());
        let context = Rc::new(Context {
            cluster: members.clone(),
            host: Host {
                id: "host-1".into(),
                description: description(BOARDS[0]),
                root_dir: dir.clone(),
                volumes: Volumes::open(dir.join("volumes")).unwrap(),
                registries: Rc::new(Registries::new(images.clone(), Default::default())),
                images,
                runtime: Rc::new(Runtime::open(settings).unwrap()),
            },
            events: Rc::new(Events::default()),
            execs: Execs::default(),
            executor: executor.clone(),
        });
        let swarm = Self {
            dir,
            executor,
            context,
            members,
        };
        let address = swarm.socket().parse::<Address>().unwrap();
        let listener = swarm.run(Listener::bind(&address)).unwrap();
        let served = api::serve::serve(
            listener,
            swarm.context.clone(),
            api::serve::Serves::Everything,
        );
        swarm.executor.spawn(served).detach();
        swarm
    }

    pub fn socket(&self) -> String {
        format!("unix://{}", self.dir.join("skep.sock").display())
    }

    /// Runs a future beside everything that is served.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        future::block_on(self.executor.run(future))
    }

    /// Waits until every node is ready, and every task has come where it shall be or can.
    pub async fn settle(&self, before: &str) {
        let waited = Stopwatch::start();
        while let Some(what) = self.unsettled().await {
            let long = waited.elapsed() > PATIENCE;
            assert!(!long, "waited in vain before `{before}`: {what}");
            sleep(GLANCE).await;
        }
    }

    /// What is still on its way.
    async fn unsettled(&self) -> Option<String> {
        let is_waited_for =
            |node: &&skep::wire::control::NodeView| node.node.status.state != NodeState::Ready;
        if let Some(Response::Nodes(nodes)) = self.ask(Request::Nodes(Filters::default())).await
            && let Some(node) = nodes.iter().find(is_waited_for)
        {
            return Some(format!("node {} is not ready", node.node.id));
        }
        if let Some(Response::Services(services)) =
            self.ask(Request::Services(Filters::default())).await
        {
            let updates = |view: &skep::wire::control::ServiceView| {
                let update = view.service.update.as_ref();
                update.is_some_and(|update| update.state.is_active())
            };
            if let Some(view) = services.iter().find(|view| updates(view)) {
                return Some(format!("{} is updating", view.service.spec.name));
            }
        }
        let Some(Response::Tasks(tasks)) = self.ask(Request::Tasks(Filters::default())).await
        else {
            return None;
        };
        let on_its_way = tasks.iter().find(|task| {
            let (wish, is) = (task.desired_state, task.status.state);
            let stuck = is == TaskState::Pending && !task.status.error.is_empty();
            let ended = is >= TaskState::Complete && wish <= TaskState::Shutdown;
            let ends = board::exit_code(&task.spec.container.image).is_some();
            (is < wish || ends && is < TaskState::Complete) && !stuck && !ended
        });
        on_its_way.map(|task| {
            let (name, is) = (task.name(), task.status.state.name());
            format!("{name} is {is} and shall be {}", task.desired_state.name())
        })
    }

    /// The ids of everything in the swarm, each with what it is.
    pub async fn ids(&self) -> Vec<(String, &'static str)> {
        let mut ids = Vec::new();
        let requests = [
            Request::Nodes,
            Request::Services,
            Request::Tasks,
            Request::Secrets,
            Request::Configs,
            Request::Networks,
        ];
        for request in requests {
            match self.ask(request(Filters::default())).await {
                Some(Response::Nodes(nodes)) => {
                    ids.extend(nodes.iter().map(|n| (n.node.id.to_string(), "node")));
                }
                Some(Response::Services(services)) => {
                    ids.extend(
                        services
                            .iter()
                            .map(|s| (s.service.id.to_string(), "service")),
                    );
                }
                Some(Response::Tasks(tasks)) => {
                    ids.extend(tasks.iter().map(|t| (t.id.to_string(), "task")));
                }
                Some(Response::Secrets(secrets)) => {
                    ids.extend(secrets.iter().map(|s| (s.id.to_string(), "secret")));
                }
                Some(Response::Configs(configs)) => {
                    ids.extend(configs.iter().map(|c| (c.id.to_string(), "config")));
                }
                Some(Response::Networks(networks)) => {
                    ids.extend(networks.iter().map(|n| (n.id.to_string(), "network")));
                }
                _ => {}
            }
        }
        ids
    }

    async fn ask(&self, request: Request) -> Option<Response> {
        self.members.request(request).await.ok()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.context.host.runtime.close();
        // What is left lies in the machine's directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The manager and the agents, while there is a swarm.
struct Members {
    executor: Rc<LocalExecutor<'static>>,
    running: RefCell<Option<Running>>,
}

struct Running {
    node: NodeId,
    manager: ManagerHandle,
    /// Dropped with the swarm, and what runs with them.
    _agents: Vec<(Task<()>, Sender<Farewell>)>,
    _manager: Task<()>,
}

impl Members {
    fn begin(&self, init: Init) -> NodeId {
        let mut rng = Rng::from_seed(1);
        let nodes = BOARDS.map(|board| (NodeId(rng.next_u128()), board));
        let (mut store, _) = ManagerStore::open(Arc::new(MemoryDisk::default())).unwrap();
        let opened = found(&mut store, init, &nodes);
        let manager = run::resume(opened, 1, 1).unwrap();
        let (handle, inbox) = run::channel();
        let running = run::run(manager, store, rng.fork("manager"), inbox);
        let running = async { running.await.unwrap() };
        let agents = nodes.map(|(node, board)| self.join(node, board, rng.fork(board), &handle));
        let running = Running {
            node: nodes[0].0,
            manager: handle,
            _agents: agents.into(),
            _manager: self.executor.spawn(running),
        };
        self.running.replace(Some(running));
        nodes[0].0
    }

    /// Runs a board's agent, and carries its session to the manager.
    fn join(
        &self,
        node: NodeId,
        board: &'static str,
        rng: Rng,
        manager: &ManagerHandle,
    ) -> (Task<()>, Sender<Farewell>) {
        let (dialer, listener) = local::listen();
        let (farewells, said) = async_channel::bounded(1);
        let (executor, manager) = (self.executor.clone(), manager.clone());
        let agent = async move {
            let agent = Agent::new(node, description(board));
            agent::run::run(agent, rng, &Board::default(), &dialer, &said)
                .await
                .unwrap();
        };
        let sessions = async move {
            while let Some(end) = listener.accept().await {
                if let Some(session) = manager.connect().await {
                    executor.spawn(carry(end, session)).detach();
                }
            }
        };
        let both = async { future::or(agent, sessions).await };
        (self.executor.spawn(both), farewells)
    }
}

impl Cluster for Members {
    fn request(&self, request: Request) -> BoxedLocal<Result<Response, ClusterError>> {
        let running = self.running.borrow();
        let manager = running.as_ref().map(|running| running.manager.clone());
        Box::pin(async move {
            let manager = manager.ok_or(ClusterError::NotInSwarm)?;
            Ok(manager.request(request).await?)
        })
    }

    fn figures(&self) -> BoxedLocal<Option<Figures>> {
        let running = self.running.borrow();
        let manager = running.as_ref().map(|running| running.manager.clone());
        Box::pin(async move { manager?.figures().await })
    }

    fn membership(&self) -> Membership {
        match &*self.running.borrow() {
            Some(running) => Membership {
                state: MemberState::Active,
                node: Some(running.node),
                address: "192.0.2.1".into(),
                is_manager: true,
                ..Membership::default()
            },
            None => Membership::default(),
        }
    }

    fn init(&self, init: Init) -> BoxedLocal<Result<NodeId, ClusterError>> {
        let is_member = self.running.borrow().is_some();
        let begun = match is_member {
            true => Err(ClusterError::AlreadyInSwarm),
            false => Ok(self.begin(init)),
        };
        Box::pin(future::ready(begun))
    }

    fn join(&self, _: Join) -> BoxedLocal<Result<(), ClusterError>> {
        Box::pin(future::ready(Err(ClusterError::AlreadyInSwarm)))
    }

    fn leave(&self, force: bool) -> BoxedLocal<Result<(), ClusterError>> {
        let is_member = self.running.borrow().is_some();
        let left = match (is_member, force) {
            (false, _) => Err(ClusterError::NotPartOfSwarm),
            (true, false) => Err(ClusterError::StillManager(Loss::Everything)),
            (true, true) => {
                self.running.replace(None);
                Ok(())
            }
        };
        Box::pin(future::ready(left))
    }
}

/// A swarm that has all its nodes from the start.
fn found(store: &mut ManagerStore, init: Init, nodes: &[(NodeId, &str)]) -> Opened {
    let (now, manager) = (clock::now(), nodes[0]);
    let secret = |byte| TokenSecret([byte; 16]);
    let trust = founding::found(clock::now(), [1; 16], secret(1), secret(2)).unwrap();
    let start = Genesis {
        cluster: ClusterId(1),
        spec: init.spec,
        address_pools: vec!["10.0.0.0/8".into()],
        subnet_size: init.subnet_size,
        data_path_port: 4789,
        node: manager.0,
        description: description(manager.1),
        availability: init.availability,
        address: "192.0.2.1".into(),
        manager_address: "192.0.2.1:2377".into(),
        raft_id: 1,
        key: None,
        trust,
    };
    let mut changes = genesis(start, now);
    let workers = nodes[1..].iter().zip(2..).map(|((id, board), number)| {
        Change::CreateNode(NewNode {
            id: *id,
            spec: NodeSpec::default(),
            description: description(board),
            status: NodeStatus {
                address: format!("192.0.2.{number}"),
                since: now,
                ..NodeStatus::default()
            },
            manager: None,
            key: None,
        })
    });
    changes.extend(workers);
    let (anchor, mut state) = (Anchor::bootstrap(vec![1]), State::default());
    state.apply(anchor.applied.index, &Batch { at: now, changes });
    let rows: Vec<_> = state.objects().collect();
    let rows = rows.into_iter().map(|id| record::row(&state, id).unwrap());
    let rows: Vec<_> = rows.collect();
    store.begin(&anchor, &rows).unwrap();
    let rows = rows.into_iter().filter_map(|(key, row)| Some((key, row?)));
    Opened {
        log: Restored::from(anchor),
        rows: rows.collect(),
    }
}

fn description(board: &str) -> NodeDescription {
    NodeDescription {
        hostname: board.into(),
        platform: Platform {
            architecture: "aarch64".into(),
            os: "linux".into(),
        },
        resources: NodeResources {
            nano_cpus: 4_000_000_000,
            memory_bytes: 512 << 20,
            generic: Vec::new(),
        },
        engine: EngineDescription {
            version: "0.1.0".into(),
            ..EngineDescription::default()
        },
        ..NodeDescription::default()
    }
}

/// Passes messages both ways until either side ends.
async fn carry(agent: End<ToAgent, ToManager>, session: Session) {
    let up = async {
        while let Ok(Some(message)) = agent.receive().await {
            if !session.send(message).await {
                break;
            }
        }
    };
    let down = async {
        while let Some(message) = session.receive().await {
            if agent.send(&message).await.is_err() {
                break;
            }
        }
    };
    future::or(up, down).await;
}
