//! What this host's manager does for those who call at the cluster's port.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use async_executor::LocalExecutor;
use futures_lite::future::or;

use crate::daemon::holding::Holding;
use crate::daemon::peers::Own;
use crate::daemon::sessions;
use crate::daemon::streams::Streams;
use crate::host::clock;
use crate::host::wait::sleep;
use crate::model::id::NodeId;
use crate::transport::end::{End, ReceiveError, SendError};
use crate::transport::tls::connection::ConnectionError;
use crate::transport::tls::lines::Lines;
use crate::transport::tls::listener::{Incoming, Limits, Listener, Socket};
use crate::wire::control::{Filters, Refusal, Request, Response};
use crate::wire::greeting::Purpose;
use crate::wire::join::{Joining, Outcome, Renewal, Seated, Seating, Shown};

/// Hosts that join at the same time, and as many nodes that want a certificate or a place among the
/// managers.
const JOINS_MAX: usize = 64;

/// How long a caller may take to say its one message.
const SAID_WITHIN: Duration = Duration::from_secs(5);

/// How long one of them may take.
const JOIN_WITHIN: Duration = Duration::from_secs(30);

/// How long to wait before a port that could not be listened at is tried again.
const BIND_AGAIN: Duration = Duration::from_secs(5);

/// What those who serve callers need.
#[derive(Debug)]
struct Desk {
    own: Rc<Own>,
    holding: Holding,
    streams: Rc<Streams>,
    /// Counted apart: whoever joins has shown no certificate, and must not keep a node from its.
    joins: Cell<usize>,
    renewals: Cell<usize>,
    lines: RefCell<Lines>,
}

/// Why a host that joins, or a node that renews, heard no answer.
#[derive(Debug, thiserror::Error)]
enum Unserved {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("it said nothing")]
    Silent,
    #[error("it took more than {} s", JOIN_WITHIN.as_secs())]
    Late,
}

/// Takes the port, though it may take a while until that is possible.
pub async fn bind(address: SocketAddr) -> Socket {
    loop {
        match Socket::bind(address) {
            Ok(socket) => return socket,
            Err(error) => tracing::error!("{error}; trying again"),
        }
        sleep(BIND_AGAIN).await;
    }
}

/// Serves whoever calls, for as long as it is waited for.
pub async fn serve(socket: Socket, own: Rc<Own>, holding: Holding, streams: Rc<Streams>) {
    let listener = Listener::new(socket, own.keyring.clone(), Limits::default());
    let desk = Rc::new(Desk {
        own,
        holding,
        streams,
        joins: Cell::new(0),
        renewals: Cell::new(0),
        lines: RefCell::default(),
    });
    let executor = LocalExecutor::new();
    let accept = async {
        loop {
            let incoming = listener.accept().await;
            executor.spawn(desk.clone().serve(incoming)).detach();
        }
    };
    executor.run(accept).await
}

impl Desk {
    async fn serve(self: Rc<Self>, incoming: Incoming) {
        match incoming.purpose {
            Purpose::Session => sessions::remote(incoming, self.own.manager.clone()).await,
            Purpose::Join => self.in_turn(&self.joins, incoming, Self::join).await,
            Purpose::Renew => self.in_turn(&self.renewals, incoming, Self::renew).await,
            Purpose::Image => self.give_image(incoming).await,
            Purpose::Seat => self.in_turn(&self.renewals, incoming, Self::seat).await,
            Purpose::Raft | Purpose::Snapshot | Purpose::Request => self.hear(incoming).await,
            Purpose::Stream { id } => {
                let from = incoming.from;
                if let Err(error) = self.streams.take(id, incoming).await {
                    self.warn(format_args!("refused a stream of {from}: {error}"));
                }
            }
        }
    }

    /// Hears what another manager has to say.
    async fn hear(&self, incoming: Incoming) {
        let from = incoming.from;
        if let Err(error) = self.own.hear(incoming).await {
            self.warn(format_args!("what manager {from} said is over: {error}"));
        }
    }

    /// Serves one of a bounded number, in a bounded time.
    async fn in_turn(
        &self,
        turns: &Cell<usize>,
        incoming: Incoming,
        serve: impl AsyncFn(&Self, Incoming) -> Served,
    ) {
        let from = incoming.from;
        if turns.get() >= JOINS_MAX {
            // Nothing is kept of it, not even for as long as it would take to say why.
            return self.warn(format_args!("hung up on {from}: {JOINS_MAX} are served"));
        }
        turns.set(turns.get() + 1);
        let late = async {
            sleep(JOIN_WITHIN).await;
            Err(Unserved::Late)
        };
        let served = or(serve(self, incoming), late).await;
        turns.set(turns.get() - 1);
        match served {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => self.warn(format_args!("refused {from}: {refusal}")),
            Err(unserved) => self.warn(format_args!("could not serve {from}: {unserved}")),
        }
    }

    /// Makes a host a node.
    async fn join(&self, incoming: Incoming) -> Served {
        let from = incoming.from;
        let end = End::<Outcome, Joining>::over(incoming.accept().await?);
        let mut host = said(&end).await?;
        if host.address.is_empty() {
            host.address = from.ip().to_canonical().to_string();
        }
        let outcome = self.ask(Request::Join(Box::new(host))).await;
        if let Ok(certified) = &outcome {
            tracing::info!("node {} joined from {from}", certified.node);
        }
        answer(end, outcome).await
    }

    /// Gives a node its next certificate.
    async fn renew(&self, incoming: Incoming) -> Served {
        let Some(peer) = incoming.peer().cloned() else {
            incoming.refuse("it shows no certificate".into()).await;
            return Err(Unserved::Silent);
        };
        let end = End::<Outcome, Renewal>::over(incoming.accept().await?);
        let renewal = said(&end).await?;
        let shown = Shown {
            node: peer.node,
            key: peer.public_key,
            ran_out: peer.not_after <= clock::now(),
        };
        let request = renewal.request;
        let outcome = self.ask(Request::Renew { shown, request }).await;
        answer(end, outcome).await
    }

    /// Gives a node an image that one of its tasks names.
    async fn give_image(&self, incoming: Incoming) {
        let from = incoming.from;
        let may_have = async |node: NodeId, name: &str| {
            let of_node = ("node".to_owned(), [node.to_string()].into());
            let tasks = Request::Tasks(Filters([of_node].into()));
            let Ok(Response::Tasks(tasks)) = self.own.manager.request(tasks).await else {
                return false;
            };
            tasks.iter().any(|task| task.spec.container.image == name)
        };
        if let Err(unserved) = self.holding.serve(incoming, may_have).await {
            self.warn(format_args!("{from} asked for an image: {unserved}"));
        }
    }

    async fn ask(&self, request: Request) -> Outcome {
        match self.own.manager.request(request).await? {
            Response::Certified(certified) => Ok(certified),
            _ => Err(Refusal::NoCertificate("it has another answer".into())),
        }
    }

    /// Gives a node that shall be a manager its place among them.
    async fn seat(&self, incoming: Incoming) -> Served {
        let Some(node) = incoming.peer().map(|peer| peer.node) else {
            incoming.refuse("it shows no certificate".into()).await;
            return Err(Unserved::Silent);
        };
        let end = End::<Seated, Seating>::over(incoming.accept().await?);
        let Seating { held, address } = said(&end).await?;
        let place = Request::TakeSeat {
            node,
            held,
            address,
        };
        let seated = match self.own.manager.request(place).await {
            Ok(Response::Seat { raft_id, .. }) => Ok(raft_id),
            Ok(_) => Err(Refusal::NotManager(node)),
            Err(refusal) => Err(refusal),
        };
        answer(end, seated).await
    }

    fn warn(&self, line: std::fmt::Arguments<'_>) {
        self.lines.borrow_mut().warn(line);
    }
}

/// Whether the caller was answered, and whether with yes.
type Served = Result<Result<(), Refusal>, Unserved>;

/// The one message of a caller, which is under way when the caller has been accepted.
async fn said<Out, In>(end: &End<Out, In>) -> Result<In, Unserved>
where
    Out: serde::Serialize,
    In: serde::de::DeserializeOwned,
{
    let late = async {
        sleep(SAID_WITHIN).await;
        Ok(None)
    };
    or(end.receive(), late).await?.ok_or(Unserved::Silent)
}

async fn answer<Out, In>(
    end: End<Result<Out, Refusal>, In>,
    outcome: Result<Out, Refusal>,
) -> Served
where
    Out: serde::Serialize,
    In: serde::de::DeserializeOwned,
{
    end.send(&outcome).await?;
    end.finish().await;
    Ok(outcome.map(drop))
}
