//! Managers: their steps and what follows from them, and how hosts become managers and cease to
//! be.

use skep::manager::dispatcher::SessionId;
use skep::manager::{Effect, Event, Manager, RequestId};
use skep::model::spec::node::Role;
use skep::wire::control::{Refusal, Request, Response};
use skep::wire::session::ToAgent;

use crate::seat::{Job, Outcome, Seat};
use crate::world::{Happening, World, address_of};

/// How often a host looks whether it is the manager that it shall be.
const CLAIM_MS: u64 = 5_000;

/// Who is to be answered.
#[derive(Debug)]
pub enum Asker {
    User(Box<Request>),
    /// The daemon of a host, which asks for its place.
    Daemon(usize),
}

impl World {
    /// A user asks some manager, but not that of a node that was removed: it may not know that it
    /// is none any more, and answers that nobody leads (seed 500).
    pub fn ask(&mut self, request: Request) {
        let state = self.state();
        let is_node = |seat: &usize| {
            let node = self.hosts[*seat].node;
            state.is_none_or(|state| state.nodes().find(node).is_some())
        };
        let all = (0..self.seats.len()).filter(|seat| self.seats[*seat].raft_id.is_some());
        let mut managers: Vec<_> = all.clone().filter(is_node).collect();
        if managers.is_empty() {
            managers.extend(all);
        }
        let place = self.draw(managers.len());
        self.checkers.asked(&request);
        let asker = Asker::User(Box::new(request.clone()));
        self.request(managers[place], asker, request);
    }

    fn request(&mut self, seat: usize, asker: Asker, request: Request) {
        self.count += 1;
        let id = RequestId(self.count);
        self.requests.insert(id, asker);
        self.step_manager(seat, Event::Request(id, Box::new(request)));
    }

    pub fn start_manager(&mut self, seat: usize) {
        self.seats[seat].start();
        self.step_manager(seat, Event::Tick);
    }

    /// What was not written is lost, and every session ends.
    pub fn kill_manager(&mut self, seat: usize, with_power: bool) {
        match with_power {
            true => self.seats[seat].cut_power(),
            false => self.seats[seat].kill(),
        }
        self.cut_seat(seat);
    }

    /// The manager is asked to stop; its daemon ends when it has.
    pub fn stop_manager(&mut self, seat: usize) {
        self.step_manager(seat, Event::Stop);
    }

    /// The disk is gone for good.
    pub fn lose_disk(&mut self, seat: usize) {
        self.vacate(seat, None);
    }

    /// The quorum is lost for good, and one manager goes on alone. Of the others one keeps its
    /// disk, and comes back some time.
    pub fn go_alone(&mut self, survivor: usize) {
        let others = (0..self.seats.len()).filter(|seat| *seat != survivor);
        let members: Vec<_> = others
            .filter(|s| self.seats[*s].raft_id.is_some())
            .collect();
        for (place, seat) in members.into_iter().enumerate() {
            match place {
                0 => self.kill_manager(seat, false),
                _ => self.lose_disk(seat),
            }
        }
        self.kill_manager(survivor, false);
        let now = self.seats[survivor].clock.at(self.now);
        let node = self.hosts[survivor].node;
        self.seats[survivor].go_alone(node, address_of(survivor), now);
        self.start_manager(survivor);
    }

    /// A host's place among the managers is another, or it has none any more.
    fn vacate(&mut self, seat: usize, raft_id: Option<u64>) {
        self.seats[seat].vacate(raft_id);
        self.cut_seat(seat);
    }

    pub(super) fn step_manager(&mut self, seat: usize, event: Event) {
        let now = self.seats[seat].clock.at(self.now);
        let Seat {
            manager: Some(manager),
            rng,
            raft_id,
            life,
            ..
        } = &mut self.seats[seat]
        else {
            return;
        };
        let effects = manager.step(now, rng, event);
        let id = raft_id.expect("a manager has a raft id");
        self.checkers.stepped((id, *life), manager);
        for effect in effects {
            self.manager_wants(seat, effect);
        }
        self.begin_write(seat);
    }

    fn manager_wants(&mut self, seat: usize, effect: Effect) {
        match effect {
            Effect::Raft { to, message } => self.send_raft(seat, to, &message),
            Effect::ToPeer { to, message } => self.send_peer(seat, to, &message),
            Effect::SendSnapshot { to, state } => self.send_state(seat, to, *state),
            Effect::Peers(peers) => self.seats[seat].known = peers.into_keys().collect(),
            Effect::Persist(persist) => {
                self.checkers.persists(&persist.entries);
                self.seats[seat].push(Job::Persist(persist));
            }
            Effect::Checkpoint(anchor, rows) => {
                self.seats[seat].push(Job::Checkpoint(anchor, rows));
            }
            Effect::Install(anchor, rows) => self.seats[seat].push(Job::Install(anchor, rows)),
            Effect::ToAgent(session, message) => {
                self.check_told(seat, session, &message);
                self.send_down(session, &message);
            }
            Effect::CloseSession(session) => self.end_down(session),
            Effect::Reply(id, answer) => self.answered(id, answer),
            Effect::Publish(_) | Effect::Lock(_) => {}
            Effect::Stopped => {
                self.kill_manager(seat, false);
                if self.is_healed {
                    self.start_manager(seat);
                }
            }
            Effect::Fatal(fatal) => panic!("{fatal}"),
        }
    }

    fn check_told(&self, seat: usize, session: SessionId, message: &ToAgent) {
        let state = self.seats[seat].manager.as_ref().map(Manager::state);
        if let Some((state, line)) = state.zip(self.lines.get(&session)) {
            let node = self.hosts[line.host].node;
            self.checkers.tells(state, node, message);
        }
    }

    fn answered(&mut self, id: RequestId, answer: Result<Response, Refusal>) {
        match self.requests.remove(&id).expect("answered twice") {
            Asker::User(request) => self.checkers.answered(&request, &answer),
            Asker::Daemon(host) => self.claimed(host, answer),
        }
    }

    fn begin_write(&mut self, seat: usize) {
        let Some(life) = self.seats[seat].begin_write() else {
            return;
        };
        let takes_ms = match self.happens(self.faults.stall) {
            true => 3_000,
            false => 1 + self.dice.below(20),
        };
        self.after(takes_ms, Happening::Written { seat, life });
    }

    pub(super) fn written(&mut self, seat: usize, life: u64) {
        if life != self.seats[seat].life {
            return;
        }
        match self.seats[seat].end_write() {
            Outcome::Tell(events) => {
                for event in events {
                    self.step_manager(seat, event);
                }
                self.begin_write(seat);
            }
            Outcome::Failed => self.kill_manager(seat, false),
        }
    }

    /// What an agent was told of its host's role is followed by the host's daemon.
    pub(super) fn follow_role(&mut self, host: usize) {
        if !std::mem::replace(&mut self.hosts[host].looks, true) {
            self.after(10, Happening::Claim(host));
        }
    }

    /// A host that shall be a manager asks for its place, until it has one and the swarm's state;
    /// one that shall be none, or has another place, asks whether the one it holds is still its.
    pub(super) fn claim(&mut self, host: usize) {
        self.after(CLAIM_MS, Happening::Claim(host));
        let seat = &self.seats[host];
        let has_state = seat.manager.as_ref().is_none_or(|m| m.state().index() > 0);
        let roster = &self.hosts[host].roster;
        let fits = match seat.raft_id {
            Some(held) => roster.raft_id == Some(held) && has_state,
            None => roster.role == Role::Worker,
        };
        let is_isolated = self.hosts[host].isolated_until > self.now;
        if fits || is_isolated || self.hosts[host].agent.is_none() {
            return;
        }
        let managers = &self.hosts[host].roster.managers;
        let mut seats: Vec<_> = managers.iter().filter_map(|a| self.seat_of(a)).collect();
        seats.retain(|seat| *seat != host && self.seats[*seat].manager.is_some());
        if seats.is_empty() {
            return;
        }
        let place = self.draw(seats.len());
        let request = Request::TakeSeat {
            node: self.hosts[host].node,
            held: self.seats[host].raft_id,
            address: address_of(host),
        };
        self.request(seats[place], Asker::Daemon(host), request);
    }

    fn claimed(&mut self, host: usize, answer: Result<Response, Refusal>) {
        match answer {
            Ok(Response::Seat { raft_id, members }) => {
                if self.seats[host].raft_id != Some(raft_id) {
                    self.vacate(host, Some(raft_id));
                }
                let others = members.iter().map(|member| member.raft_id);
                self.seats[host].known.extend(others);
                if self.seats[host].is_off() {
                    self.start_manager(host);
                }
            }
            Err(Refusal::OldSeat(_)) => self.vacate(host, None),
            // It is asked for again.
            _ => {}
        }
    }
}
