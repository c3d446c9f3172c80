//! Several managers as their daemons run them, joined by queues.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use async_channel::Receiver;
use async_executor::{LocalExecutor, Task};
use futures_lite::future::block_on;

use crate::host::clock;
use crate::host::rng::Rng;
use crate::manager::Manager;
use crate::manager::genesis::genesis;
use crate::manager::run::{self, ManagerHandle, RunError, ToPeers};
use crate::manager::snapshot::Incoming;
use crate::manager::tests::running::names;
use crate::manager::tests::swarm::{NODE, a_genesis, create_request};
use crate::model::change::{Batch, Change, NewNode};
use crate::model::id::NodeId;
use crate::model::object::NodeStatus;
use crate::model::record;
use crate::model::spec::node::{NodeDescription, NodeSpec, Role};
use crate::model::state::State;
use crate::raft::record::Anchor;
use crate::store::manager_store::ManagerStore;
use crate::store::memory_disk::MemoryDisk;
use crate::wire::control::{Refusal, Request, Response};

const SECOND: NodeId = NodeId(11);
const THIRD: NodeId = NodeId(12);

type Running = Task<Result<(), RunError>>;

/// Managers by raft id, and whoever carries what they have for each other.
#[derive(Default)]
struct Fleet<'a> {
    executor: LocalExecutor<'a>,
    handles: Rc<RefCell<BTreeMap<u64, ManagerHandle>>>,
}

impl Fleet<'_> {
    fn start(&self, id: u64, manager: Manager, store: ManagerStore) -> (ManagerHandle, Running) {
        let (peers, for_peers) = async_channel::bounded(100);
        let (handle, inbox) = run::channel();
        self.handles.borrow_mut().insert(id, handle.clone());
        let running = run::run(manager, store, Rng::from_seed(id), inbox.with_peers(peers));
        let carrier = carry(id, for_peers, self.handles.clone());
        self.executor.spawn(carrier).detach();
        (handle, self.executor.spawn(running))
    }

    /// A node's daemon asks for its place and takes it.
    async fn join(&self, node: NodeId, asked: &ManagerHandle) -> (ManagerHandle, Running) {
        let seat = Request::TakeSeat {
            node,
            held: None,
            address: "127.0.0.1:2377".into(),
        };
        let Ok(Response::Seat { raft_id, .. }) = asked.request(seat).await else {
            panic!("no seat");
        };
        let disk = Arc::new(MemoryDisk::default());
        let (store, _) = ManagerStore::open(disk).unwrap();
        let manager = run::newcomer(raft_id, raft_id).unwrap();
        self.start(raft_id, manager, store)
    }
}

/// Carries what a manager has for the others to them.
async fn carry(
    from: u64,
    messages: Receiver<ToPeers>,
    handles: Rc<RefCell<BTreeMap<u64, ManagerHandle>>>,
) {
    let handle = |to| handles.borrow().get(&to).cloned();
    while let Ok(message) = messages.recv().await {
        match message {
            ToPeers::Know(_) => {}
            ToPeers::Raft { to, message } => {
                if let Some(peer) = handle(to) {
                    peer.hear_raft(from, *message).await;
                }
            }
            ToPeers::Message { to, message } => {
                if let Some(peer) = handle(to) {
                    peer.hear_peer(from, message).await;
                }
            }
            ToPeers::State { to, state } => {
                let mut incoming = Incoming::default();
                let frames = state.map(Result::unwrap);
                let arrived = frames.filter_map(|frame| incoming.take(&frame).unwrap());
                let arrived = arrived.last().unwrap();
                handle(to).unwrap().hear_state(from, arrived).await;
                handle(from).unwrap().sent_state(to, true).await;
            }
        }
    }
}

/// A swarm of one manager, whose other two nodes shall be managers too.
fn founded() -> (Manager, ManagerStore) {
    let now = clock::now();
    let mut changes = genesis(a_genesis(), now);
    changes.extend([SECOND, THIRD].map(|id| {
        Change::CreateNode(NewNode {
            id,
            spec: NodeSpec {
                role: Role::Manager,
                ..NodeSpec::default()
            },
            description: NodeDescription::default(),
            status: NodeStatus::default(),
            manager: None,
            key: None,
        })
    }));
    let disk: Arc<MemoryDisk> = Arc::default();
    let (mut store, mut opened) = ManagerStore::open(disk).unwrap();
    let anchor = Anchor::bootstrap(vec![1]);
    let mut state = State::default();
    state.apply(1, &Batch { at: now, changes });
    let rows = state.objects().map(|id| record::row(&state, id).unwrap());
    let rows: Vec<_> = rows.collect();
    store.begin(&anchor, &rows).unwrap();
    opened.log = anchor.into();
    opened.rows = rows
        .into_iter()
        .map(|(key, row)| (key, row.unwrap()))
        .collect();
    (run::resume(opened, 1, 1).unwrap(), store)
}

/// Lets a manager see what the others have; whoever waits is answered when it has it too.
async fn voters(handle: &ManagerHandle) -> usize {
    let Ok(Response::Nodes(nodes)) = handle.request(Request::Nodes(<_>::default())).await else {
        panic!("no nodes");
    };
    nodes.iter().filter(|view| view.reachable).count()
}

#[test]
fn managers_that_come_agree_and_go_on_when_one_stops() {
    let fleet = Fleet::default();
    block_on(fleet.executor.run(async {
        let (manager, store) = founded();
        let (first, running) = fleet.start(1, manager, store);
        first.request(create_request("web", 1)).await.unwrap();
        let (second, _running) = fleet.join(SECOND, &first).await;
        let (third, _other) = fleet.join(THIRD, &first).await;
        while voters(&third).await < 3 {}
        third.request(create_request("db", 1)).await.unwrap();
        assert_eq!(names(&second).await, ["db", "web"]);
        first.stop().await;
        running.await.unwrap();
        // The lead was handed over; this one hears of it in a moment.
        while second.request(create_request("log", 1)).await.is_err() {}
        assert_eq!(names(&third).await, ["db", "log", "web"]);
    }));
}

#[test]
fn a_seat_is_for_managers_and_kept_by_its_holder_only() {
    let fleet = Fleet::default();
    block_on(fleet.executor.run(async {
        let (manager, store) = founded();
        let (first, _running) = fleet.start(1, manager, store);
        let ask = async |node, held, address: &str| {
            let address = address.to_owned();
            let seat = Request::TakeSeat {
                node,
                held,
                address,
            };
            first.request(seat).await
        };
        let seat = ask(NODE, Some(1), "127.0.0.9:2377").await.unwrap();
        let Response::Seat { raft_id, members } = seat else {
            panic!("no seat");
        };
        assert_eq!((raft_id, &*members[0].address), (1, "127.0.0.9:2377"));
        assert_eq!(
            ask(NODE, Some(2), "127.0.0.9:2377").await,
            Err(Refusal::OldSeat(NODE))
        );
        let missing = ask(NodeId(99), None, "127.0.0.9:2377").await;
        assert!(matches!(missing, Err(Refusal::NotFound { .. })));
        let odd = ask(SECOND, None, "nowhere").await;
        assert!(matches!(odd, Err(Refusal::Invalid { .. })));
    }));
}
