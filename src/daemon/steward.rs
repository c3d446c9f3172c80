//! Keeps this host what the managers want it to be, and its certificate in date: a node that shall
//! be a manager gets its place among them, and one that shall be none any more ends its manager.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::{or, pending};

use crate::daemon::address;
use crate::daemon::failure::SwarmError;
use crate::daemon::holders::Holders;
use crate::daemon::link::Link;
use crate::daemon::managing::Managing;
use crate::daemon::member::{self, Member};
use crate::daemon::record::RecordError;
use crate::daemon::renewal::{Keeper, RenewalError};
use crate::daemon::site::Site;
use crate::daemon::streams::Streams;
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::{sleep, until};
use crate::manager::run::{self, ManagerHandle};
use crate::model::spec::node::Role;
use crate::network::netlink::moves::Moves;
use crate::transport::end::{End, ReceiveError, SendError};
use crate::transport::tls::dial::{Caller, DialError};
use crate::transport::tls::listener::{ListenError, Socket};
use crate::wire::control::{Refusal, Request};
use crate::wire::greeting::Purpose;
use crate::wire::join::{Seated, Seating};
use crate::wire::session::Roster;

/// The waits after something that could not be done.
const AGAIN_MS_MIN: u64 = 250;
const AGAIN_MS_MAX: u64 = 60_000;
const DEAF: &str = "this node does not notice when its address changes";
/// How long a manager may take to give this one its place.
const SEAT_WITHIN: Duration = Duration::from_secs(15);

/// What this host is in its swarm by now.
pub struct Standing {
    pub member: RefCell<Member>,
    pub(super) managing: RefCell<Option<Managing>>,
}

impl Standing {
    /// The manager of this host, if it has one.
    pub fn manager(&self) -> Option<ManagerHandle> {
        let managing = self.managing.borrow();
        managing.as_ref().map(|managing| managing.handle.clone())
    }

    /// The streams of this host's manager, if it has one.
    pub fn streams(&self) -> Option<Rc<Streams>> {
        let managing = self.managing.borrow();
        managing.as_ref().map(|managing| managing.streams.clone())
    }

    /// Ends the manager, if there is one.
    pub async fn end_manager(&self) {
        let managing = self.managing.take();
        if let Some(managing) = managing {
            managing.end().await;
        }
    }
}

/// Whoever does so, and what for.
pub struct Steward {
    pub site: Rc<Site>,
    pub standing: Rc<Standing>,
    pub keeper: Keeper,
    pub link: Rc<Link>,
    pub holders: Rc<Holders>,
    pub news: Receiver<Roster>,
    /// Tells the agent by which root its node is known.
    pub issuers: Sender<[u8; 32]>,
    pub rng: Rng,
    /// What this host is to the managers, as far as they have said.
    pub shall: Option<Roster>,
}

/// What makes the steward look again.
enum Occasion {
    News(Roster),
    Moved,
    Due,
}

/// Why this host is not what it shall be.
#[derive(Debug, thiserror::Error)]
enum StewardError {
    #[error("this node's certificate was not renewed: {0}")]
    Renewal(#[from] RenewalError),
    #[error("this node did not get its place among the managers: {0}")]
    Seat(#[from] SeatError),
    #[error("this node does not become a manager: {0}")]
    Swarm(#[from] SwarmError),
    #[error("this node does not become a manager: {0}")]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a manager has no place among the others.
#[derive(Debug, thiserror::Error)]
enum SeatError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error("the manager hung up")]
    HungUp,
    #[error("the manager did not answer within {} s", SEAT_WITHIN.as_secs())]
    Late,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Steward {
    /// Does so for as long as it is waited for.
    pub async fn serve(mut self) {
        let mut again = Some(Duration::ZERO);
        let mut again_ms = AGAIN_MS_MIN;
        let mut obstacle = String::new();
        let mut moves = self.moves();
        loop {
            match self.occasion(again, &mut moves).await {
                Occasion::News(roster) => {
                    self.learn(&roster.managers);
                    self.shall = Some(roster);
                    again_ms = AGAIN_MS_MIN;
                }
                Occasion::Moved => again_ms = AGAIN_MS_MIN,
                Occasion::Due => {}
            }
            let followed = self.follow().await;
            let error = followed.as_ref().err().map(ToString::to_string);
            if let Some(error) = error.as_ref().filter(|error| obstacle != **error) {
                tracing::warn!("{error}");
            }
            obstacle = error.unwrap_or_default();
            if let Ok(true) = followed {
                again_ms = AGAIN_MS_MIN;
                again = None;
                continue;
            }
            again = Some(Duration::from_millis(again_ms));
            again_ms = (2 * again_ms).min(AGAIN_MS_MAX);
        }
    }

    /// Tells when this host's addresses change, if it shall be found at another one then.
    fn moves(&self) -> Option<Moves> {
        let follows = self.standing.member.borrow().follows;
        let moves = follows.then(Moves::open)?;
        let deaf = |error: &io::Error| tracing::warn!("{DEAF}: {error}");
        moves.inspect_err(deaf).ok()
    }

    /// Waits for the next: what failed is tried again, or else the certificate becomes due. `moves`
    /// is gone after an error.
    async fn occasion(&self, again: Option<Duration>, moves: &mut Option<Moves>) -> Occasion {
        let news = async {
            match self.news.recv().await {
                Ok(roster) => Occasion::News(roster),
                Err(_) => pending().await,
            }
        };
        let due = async {
            match again {
                Some(wait) => sleep(wait).await,
                None => until(self.keeper.due()).await,
            }
            Occasion::Due
        };
        let moved = async {
            while let Some(open) = moves {
                if let Err(error) = open.next().await {
                    tracing::warn!("{DEAF}: {error}");
                    *moves = None;
                } else if address::moved(&self.standing.member.borrow().address).is_some() {
                    return Occasion::Moved;
                }
            }
            pending().await
        };
        or(news, or(moved, due)).await
    }

    /// Keeps where the other managers are, for the next session and the next start.
    fn learn(&mut self, managers: &[String]) {
        let mut member = self.standing.member.borrow().clone();
        let own = member.manager_address();
        let others = managers.iter().filter(|address| **address != own);
        let mut others: Vec<SocketAddr> = others.filter_map(|at| at.parse().ok()).collect();
        // Not all nodes of a manager that dies shall turn to the same one.
        for last in (1..others.len()).rev() {
            let other = usize::try_from(self.rng.below(last as u64 + 1)).unwrap_or(last);
            others.swap(last, other);
        }
        self.link.learn_elsewhere(others.clone());
        self.holders.learn(others.clone());
        let is_known = |other: &SocketAddr| member.managers.contains(other);
        if others.len() == member.managers.len() && others.iter().all(is_known) {
            return;
        }
        member.managers = others;
        if let Err(error) = self.keep(member) {
            tracing::warn!("this node cannot keep who the managers are: {error}");
        }
    }

    /// Brings this host nearer to what it shall be; whether it is all that.
    async fn follow(&mut self) -> Result<bool, StewardError> {
        self.follow_address().await?;
        let mut is_settled = true;
        let shall = self.shall.as_ref();
        let shall = shall.map(|shall| (shall.role, shall.raft_id, shall.roots));
        if let Some((role, raft_id, roots)) = shall {
            let held = self.held();
            if held.is_some() && held != raft_id {
                match self.has_lost_seat(held).await? {
                    true => self.demote().await?,
                    // It has yet to leave the quorum, or what it was told is older than its place.
                    false => is_settled = false,
                }
            }
            if role == Role::Manager && self.held().is_none() {
                self.promote().await?;
            }
            let is_other = self.keeper.role() != Some(role) || self.keeper.roots() != roots;
            if is_other && is_settled {
                self.renew().await?;
            }
        }
        if self.keeper.due() <= clock::now() {
            self.renew().await?;
        }
        Ok(is_settled)
    }

    /// Notices that this host is found elsewhere by now. Its manager tells the others, who know it
    /// by its certificate wherever it calls from; agents hear of it from them.
    async fn follow_address(&self) -> Result<(), StewardError> {
        let mut member = self.standing.member.borrow().clone();
        let moved = address::moved(&member.address).filter(|_| member.follows);
        let Some(moved) = moved else {
            return Ok(());
        };
        member.address = moved.to_string();
        let address = member.manager_address();
        if let (Some(held), Some(manager)) = (self.held(), self.standing.manager()) {
            if let Some(managing) = &*self.standing.managing.borrow() {
                managing.own.move_to(address.clone());
            }
            let place = Request::TakeSeat {
                node: member.node,
                held: Some(held),
                address: address.clone(),
            };
            manager.request(place).await.map_err(SeatError::from)?;
        }
        // Last: whoever was not told is told at the next try.
        self.keep(member)?;
        tracing::info!("this node is found at {address} from here on");
        Ok(())
    }

    /// The place that this host's manager holds among the others.
    fn held(&self) -> Option<u64> {
        let manages = self.standing.managing.borrow().is_some();
        let raft_id = self.standing.member.borrow().raft_id;
        raft_id.filter(|_| manages)
    }

    /// Whether the others go on without the manager of this host, and all know it: only then are
    /// its log and its votes of no use any more.
    async fn has_lost_seat(&self, held: Option<u64>) -> Result<bool, StewardError> {
        if self.keeper.role() == Some(Role::Worker) {
            return Ok(true);
        }
        match self.take_seat(held).await {
            Ok(_) => Ok(false),
            Err(SeatError::Refused(Refusal::OldSeat(_))) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn renew(&mut self) -> Result<(), StewardError> {
        let here = self.standing.manager();
        let managers = self.managers();
        let renewed = self
            .keeper
            .renew(here.as_ref(), &managers, &mut self.rng)
            .await;
        if let Some(issuer) = self.keeper.issuer() {
            // Nobody needs it when the host is about to leave or to stop.
            let _ = self.issuers.try_send(issuer);
        }
        Ok(renewed?)
    }

    /// Makes this host a manager: under a raft id that nobody has had, with nothing in its log.
    async fn promote(&mut self) -> Result<(), StewardError> {
        if self.keeper.role() != Some(Role::Manager) {
            self.renew().await?;
        }
        let mut member = self.standing.member.borrow().clone();
        let socket = Socket::bind(member.listen)?;
        let raft_id = self.take_seat(None).await?;
        let (store, _) = self.site.new_store().await?;
        let core = run::newcomer(raft_id, self.rng.next_u64()).map_err(SwarmError::from)?;
        member.raft_id = Some(raft_id);
        self.keep(member.clone())?;
        let rng = self.rng.fork("manager");
        let launched = self.site.launch(core, store, rng);
        let keyring = self.keeper.keyring().clone();
        let opened = self
            .site
            .open(launched, raft_id, &member, keyring, Some(socket));
        let (managing, dialer) = opened;
        self.link.set_here(Some(dialer), true);
        self.standing.managing.replace(Some(managing));
        tracing::info!("this node is a manager");
        Ok(())
    }

    /// Ends the manager of this host, which has left the quorum.
    async fn demote(&mut self) -> Result<(), StewardError> {
        self.link.set_here(None, false);
        self.standing.end_manager().await;
        // A worker keeps nothing that a lock is for.
        self.site.vault.lock(None).map_err(SwarmError::from)?;
        let mut member = self.standing.member.borrow().clone();
        member.raft_id = None;
        self.keep(member)?;
        self.site.remove_store().await?;
        tracing::info!("this node is a manager no more");
        Ok(())
    }

    /// Asks one manager after another for a place, or whether it has the one that it holds.
    async fn take_seat(&self, held: Option<u64>) -> Result<u64, SeatError> {
        let address = self.standing.member.borrow().manager_address();
        let wish = Seating { held, address };
        let mut failure = SeatError::Dial(DialError::NoManager);
        for manager in self.managers() {
            let late = async {
                sleep(SEAT_WITHIN).await;
                Err(SeatError::Late)
            };
            match or(self.ask_seat(manager, &wish), late).await {
                Ok(seated) => return Ok(seated?),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn ask_seat(&self, manager: SocketAddr, wish: &Seating) -> Result<Seated, SeatError> {
        let caller = Caller::member(self.keeper.keyring());
        let connection = caller.dial(manager, Purpose::Seat).await?;
        let end = End::<Seating, Seated>::over(connection);
        end.send(wish).await?;
        let seated = end.receive().await?.ok_or(SeatError::HungUp)?;
        end.finish().await;
        Ok(seated)
    }

    fn managers(&self) -> Vec<SocketAddr> {
        self.standing.member.borrow().managers.clone()
    }

    fn keep(&self, member: Member) -> Result<(), RecordError> {
        member::store(&self.site.host.state_dir, &member)?;
        self.standing.member.replace(member);
        Ok(())
    }
}
