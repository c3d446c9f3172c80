//! Agents: their steps and what follows from them.

use skep::agent::containers::Left;
use skep::agent::{Effect, Event, Farewell};
use skep::manager::dispatcher::SessionId;
use skep::wire::session::{Assignments, ToAgent};

use crate::host::{Host, Order};
use crate::world::{Happening, World};

impl World {
    pub fn start_daemon(&mut self, host: usize) {
        let found = self.hosts[host].start_daemon();
        let node = self.hosts[host].node;
        self.checkers.alone.started(node, self.now);
        let kept = self.hosts[host].kept.values().cloned().collect();
        self.step_agent(host, Event::Adopted(Left { found, kept }));
        self.dial_after(host, 10);
        self.follow_role(host);
    }

    pub fn kill_daemon(&mut self, host: usize) {
        self.hosts[host].agent = None;
        if let Some(session) = self.hosts[host].session.take() {
            self.end_up(session);
        }
    }

    /// The daemon stops, and says that it comes back.
    pub fn pause_daemon(&mut self, host: usize) {
        self.step_agent(host, Event::Farewell(Farewell::BackSoon));
        self.kill_daemon(host);
    }

    pub(super) fn tell_agent(&mut self, host: usize, session: SessionId, message: ToAgent) {
        if self.hosts[host].session != Some(session) {
            return;
        }
        if let ToAgent::Assignments(assignments) = &message {
            self.hosts[host].told(assignments);
            if let Assignments::Full { .. } = assignments {
                self.checkers.alone.told(self.hosts[host].node);
            }
        }
        self.step_agent(host, Event::Message(message));
    }

    pub(super) fn step_agent(&mut self, host: usize, event: Event) {
        let now = self.hosts[host].clock.at(self.now);
        let Host {
            agent: Some(agent),
            rng,
            life,
            session,
            ..
        } = &mut self.hosts[host]
        else {
            return;
        };
        let (life, session) = (*life, *session);
        for effect in agent.step(now, rng, event) {
            match effect {
                Effect::Send(message) => self.send_up(session, &message),
                Effect::Learn(roster) => {
                    self.hosts[host].roster = roster;
                    self.follow_role(host);
                }
                Effect::HangUp => {
                    self.hosts[host].session = None;
                    self.checkers.alone.lost(self.hosts[host].node, self.now);
                    session.into_iter().for_each(|session| self.end_up(session));
                    self.dial_after(host, 1_000);
                }
                Effect::Keep(changes) => {
                    self.hosts[host].keep(changes);
                    self.checkers.kept(&self.hosts[host]);
                }
                Effect::Reach(_) | Effect::Answer(_) | Effect::Done => {}
                effect => {
                    let (attempt, order) = Order::of(effect).unwrap();
                    let task = attempt.task;
                    self.checkers
                        .orders(&self.hosts[host], self.now, task, &order);
                    if matches!(order, Order::Remove(_)) {
                        self.cancel_preparation(host, attempt);
                    }
                    let ms = 1 + self.dice.below(200);
                    let ordered = Happening::Ordered {
                        host,
                        life,
                        attempt,
                        order,
                    };
                    self.after(ms, ordered);
                }
            }
        }
    }
}
