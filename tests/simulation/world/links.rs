//! Connections between agents and managers.

use skep::agent::Event;
use skep::manager::dispatcher::SessionId;
use skep::model::time::Time;
use skep::wire::frame;
use skep::wire::session::{REDIAL_MS_MAX, ToAgent, ToManager};

use crate::world::{Happening, World};

/// How long a host knocks at managers that are off.
const KNOCK_MS: u64 = 3_000;

/// A connection: what is sent arrives in order, or not at all once it is cut.
pub(super) struct Line {
    pub(super) host: usize,
    pub(super) seat: usize,
    pub(super) is_cut: bool,
    last_up: Time,
    last_down: Time,
}

impl World {
    /// A connection breaks, and neither side knows at once.
    pub fn cut(&mut self, host: usize) {
        let Some(session) = self.hosts[host].session else {
            return;
        };
        if let Some(line) = self.lines.get_mut(&session) {
            line.is_cut = true;
        }
        let (agent_ms, manager_ms) = (self.dice.below(1_000), self.dice.below(8_000));
        self.after(agent_ms, Happening::AgentHearsEnd(session));
        self.after(manager_ms, Happening::ManagerHearsEnd(session));
    }

    /// A manager is gone: all its connections are.
    pub(super) fn cut_seat(&mut self, seat: usize) {
        let mut sessions = Vec::new();
        for (session, line) in &mut self.lines {
            if line.seat == seat {
                line.is_cut = true;
                sessions.push(*session);
            }
        }
        for session in sessions {
            let ms = self.dice.below(1_000);
            self.after(ms, Happening::AgentHearsEnd(session));
        }
    }

    pub(super) fn send_up(&mut self, session: Option<SessionId>, message: &ToManager) {
        let at = self.now.plus_ms(1 + self.dice.below(50));
        let line = session.and_then(|session| self.lines.get_mut(&session).zip(Some(session)));
        if let Some((line, session)) = line {
            line.last_up = line.last_up.max(at);
            let (at, bytes) = (line.last_up, frame::encode(message).unwrap());
            self.at(at, Happening::ToManager(session, bytes));
        }
    }

    pub(super) fn send_down(&mut self, session: SessionId, message: &ToAgent) {
        let at = self.now.plus_ms(1 + self.dice.below(50));
        if let Some(line) = self.lines.get_mut(&session) {
            line.last_down = line.last_down.max(at);
            let (at, bytes) = (line.last_down, frame::encode(message).unwrap());
            self.at(at, Happening::ToAgent(session, bytes));
        }
    }

    pub(super) fn dial(&mut self, host: usize, life: u64) {
        let dialler = &self.hosts[host];
        if dialler.agent.is_none() || dialler.life != life || dialler.session.is_some() {
            return;
        }
        let known = &self.hosts[host].roster.managers;
        let mut seats: Vec<_> = known.iter().filter_map(|a| self.seat_of(a)).collect();
        // Who knows only managers that are gone is told by a user where to find others; in the end
        // users do so in time (seed 1953).
        let patience = if self.is_healed { 2 } else { 8 };
        if self.dice.below(patience) == 0 {
            seats = (0..self.seats.len()).collect();
        }
        if self.hosts[host].isolated_until > self.now {
            return self.dial_after(host, 1_000);
        }
        // It knocks at one after the other.
        seats.retain(|seat| self.seats[*seat].manager.is_some());
        if seats.is_empty() {
            let ms = 1_000 + self.dice.below(REDIAL_MS_MAX + KNOCK_MS);
            return self.dial_after(host, ms);
        }
        let place = self.draw(seats.len());
        let seat = seats[place];
        self.count += 1;
        let session = SessionId(self.count);
        let line = Line {
            host,
            seat,
            is_cut: false,
            last_up: self.now,
            last_down: self.now,
        };
        self.lines.insert(session, line);
        self.hosts[host].session = Some(session);
        self.step_agent(host, Event::Connected);
    }

    pub(super) fn agent_hears_end(&mut self, session: SessionId) {
        let own = |host: &crate::host::Host| host.session == Some(session);
        if let Some(host) = self.hosts.iter().position(own) {
            self.hosts[host].session = None;
            self.checkers.alone.lost(self.hosts[host].node, self.now);
            self.step_agent(host, Event::Disconnected);
            let ms = 100 + self.dice.below(1_000);
            self.dial_after(host, ms);
        }
    }

    /// The manager's end of a session is closed; what it sent before still arrives.
    pub(super) fn end_down(&mut self, session: SessionId) {
        if let Some(line) = self.lines.get(&session) {
            self.at(line.last_down, Happening::AgentHearsEnd(session));
        }
    }

    /// The agent's end of a session is closed; what it sent before still arrives.
    pub(super) fn end_up(&mut self, session: SessionId) {
        if let Some(line) = self.lines.get(&session) {
            self.at(line.last_up, Happening::ManagerHearsEnd(session));
        }
    }

    pub(super) fn dial_after(&mut self, host: usize, ms: u64) {
        let life = self.hosts[host].life;
        self.after(ms, Happening::Dial { host, life });
    }
}
