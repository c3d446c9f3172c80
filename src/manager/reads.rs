//! What waits for this manager's state to have all that was committed before it was asked for.
//!
//! ```text
//!  next  --one round at a time-->  asked  --the leader, and a quorum, answer-->  confirmed
//!                                                                                    |
//!                          answered once the state has that much applied  <----------+
//! ```
//!
//! What arrives while a round is under way joins the next one.

use std::collections::BTreeMap;

use crate::manager::dispatcher::SessionId;
use crate::manager::{Asker, Effect, Manager};
use crate::model::time::Time;
use crate::raft::node::Read;
use crate::wire::control::Request;
use crate::wire::peer::PeerMessage;

/// The most that wait for a round.
const WAITING_MAX: usize = 10_000;
/// The leader's answer may be lost; the question is then asked again.
const ROUND_MS_MAX: u64 = 1_000;

/// What waits.
#[derive(Debug)]
pub enum Waiter {
    Request(Asker, Box<Request>),
    Session(SessionId),
    /// Another manager, for a round of its own.
    Peer {
        from: u64,
        id: u64,
    },
}

/// All that waits.
#[derive(Debug, Default)]
pub struct Reads {
    next: Vec<Waiter>,
    round: Option<Round>,
    confirmed: BTreeMap<u64, Vec<Waiter>>,
    /// Counts the rounds that another manager was asked in.
    rounds: u64,
}

/// A question that is on its way.
#[derive(Debug)]
struct Round {
    number: u64,
    /// The manager that was asked, or this one's own consensus.
    asked: Option<u64>,
    since: Time,
    waiters: Vec<Waiter>,
}

impl Reads {
    /// Takes in a waiter for the next round, or hands it back if there are too many.
    pub fn wait(&mut self, waiter: Waiter) -> Result<(), Waiter> {
        if self.next.len() >= WAITING_MAX {
            return Err(waiter);
        }
        self.next.push(waiter);
        Ok(())
    }

    /// Takes out all that nobody has confirmed.
    pub fn take(&mut self) -> Vec<Waiter> {
        let mut waiters = self.round.take().map_or_else(Vec::new, |r| r.waiters);
        waiters.append(&mut self.next);
        waiters
    }

    /// Takes out what waits in a round that was answered.
    fn take_round(&mut self, number: u64, asked: Option<u64>) -> Vec<Waiter> {
        let answers = |round: &mut Round| round.number == number && round.asked == asked;
        let round = self.round.take_if(answers);
        round.map_or_else(Vec::new, |round| round.waiters)
    }

    /// What the state at `index` is new enough for.
    fn take_confirmed(&mut self, index: u64) -> Vec<Waiter> {
        let later = self.confirmed.split_off(&(index + 1));
        let ready = std::mem::replace(&mut self.confirmed, later);
        ready.into_values().flatten().collect()
    }
}

impl Manager {
    /// Takes in what consensus says of the rounds of this manager.
    pub(super) fn hear_reads(&mut self, reads: Vec<Read>) {
        for Read { number, index } in reads {
            self.confirm(number, None, index);
        }
    }

    /// Another manager has a round of its own.
    pub(super) fn ask_index(&mut self, now: Time, from: u64, id: u64) {
        if self.leading {
            return self.wait(now, Waiter::Peer { from, id });
        }
        let message = PeerMessage::Index { id, index: None };
        self.effects.push(Effect::ToPeer { to: from, message });
    }

    /// Takes in what another manager says of a round. One that leads no more says nothing: the
    /// round is asked again when it is known who does.
    pub(super) fn hear_index(&mut self, from: u64, number: u64, index: Option<u64>) {
        if let Some(index) = index {
            self.confirm(number, Some(from), index);
        }
    }

    /// What waits in a round needs the state at `index`; another manager has its own.
    fn confirm(&mut self, number: u64, asked: Option<u64>, index: u64) {
        for waiter in self.reads.take_round(number, asked) {
            if let Waiter::Peer { from, id } = waiter {
                let index = Some(index);
                let message = PeerMessage::Index { id, index };
                self.effects.push(Effect::ToPeer { to: from, message });
            } else {
                let waiting = self.reads.confirmed.entry(index).or_default();
                waiting.push(waiter);
            }
        }
    }

    /// Starts the next round if something waits for one and the last is over; whether consensus
    /// has something to do now.
    pub(super) fn ask_reads(&mut self, now: Time) -> bool {
        let reads = &mut self.reads;
        let is_late =
            |round: &mut Round| round.asked.is_some() && round.since.plus_ms(ROUND_MS_MAX) <= now;
        if let Some(late) = reads.round.take_if(is_late) {
            reads.next.splice(..0, late.waiters);
        }
        if reads.round.is_some() || reads.next.is_empty() {
            return false;
        }
        let (number, asked) = match (self.leading, self.reports_to()) {
            (true, _) => match self.raft.read() {
                Some(number) => (number, None),
                None => return false,
            },
            (false, Some(to)) => {
                self.reads.rounds += 1;
                let id = self.reads.rounds;
                let message = PeerMessage::AskIndex { id };
                self.effects.push(Effect::ToPeer { to, message });
                (id, Some(to))
            }
            (false, None) => return false,
        };
        let waiters = std::mem::take(&mut self.reads.next);
        self.reads.round = Some(Round {
            number,
            asked,
            since: now,
            waiters,
        });
        asked.is_none()
    }

    /// Answers what has waited for the state that there is now.
    pub(super) fn answer_reads(&mut self, now: Time) {
        for waiter in self.reads.take_confirmed(self.state.index()) {
            match waiter {
                Waiter::Request(asker, request) => {
                    let answer = self.read(now, &request);
                    self.reply(asker, answer);
                }
                Waiter::Session(session) => self.dispatcher.admit(&self.state, session),
                // Answered as soon as the index was known.
                Waiter::Peer { .. } => {}
            }
        }
    }

    /// The leader is another one, or there is none: what waits for an answer of the old one is
    /// asked again.
    pub(super) fn ask_reads_again(&mut self, now: Time) {
        for waiter in self.reads.take() {
            match waiter {
                Waiter::Request(asker, request) => self.request(now, asker, request),
                Waiter::Session(session) => self.wait(now, Waiter::Session(session)),
                Waiter::Peer { from, id } => {
                    let message = PeerMessage::Index { id, index: None };
                    self.effects.push(Effect::ToPeer { to: from, message });
                }
            }
        }
    }
}
