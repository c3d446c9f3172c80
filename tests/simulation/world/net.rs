//! The network between managers: messages are late, lost, doubled, and held up by partitions.

use std::collections::BTreeSet;

use skep::manager::Event;
use skep::manager::snapshot::{Arrived, Incoming, Outgoing};
use skep::raft::message::Message;
use skep::wire::frame;
use skep::wire::peer::PeerMessage;

use crate::world::{Happening, World};

/// What crosses between two managers.
#[derive(Clone, Debug, Hash)]
pub enum Mail {
    Raft(Vec<u8>),
    Peer(Vec<u8>),
    /// The frames of a state for the manager of a raft id, the last of which may be missing.
    State(u64, Vec<Vec<u8>>),
}

/// What is wrong with the network.
#[derive(Debug, Default)]
pub struct Net {
    /// Ways that nothing gets through: from, to.
    pub cut: BTreeSet<(usize, usize)>,
}

impl World {
    /// Splits the managers in two; half the time, one side still hears the other.
    pub fn split(&mut self) {
        let sides: Vec<_> = self.seats.iter().map(|_| self.dice.below(2)).collect();
        let one_way = self.dice.below(2) == 0;
        for from in 0..sides.len() {
            for to in 0..sides.len() {
                if sides[from] < sides[to] || (sides[from] > sides[to] && !one_way) {
                    self.net.cut.insert((from, to));
                }
            }
        }
    }

    /// A message of consensus may overtake others, and come twice.
    pub(super) fn send_raft(&mut self, from: usize, to: u64, message: &Message) {
        self.checkers.one_vote.sends(message);
        let bytes = frame::encode(message).unwrap();
        if self.happens(self.faults.echo) {
            let ms = self.latency_ms();
            self.mail(from, to, ms, Mail::Raft(bytes.clone()));
        }
        let ms = self.latency_ms();
        self.mail(from, to, ms, Mail::Raft(bytes));
    }

    pub(super) fn send_peer(&mut self, from: usize, to: u64, message: &PeerMessage) {
        let bytes = frame::encode(message).unwrap();
        // In order: each pair of managers has one connection.
        let ms = 1 + self.faults.latency_ms;
        self.mail(from, to, ms, Mail::Peer(bytes));
    }

    pub(super) fn send_state(&mut self, from: usize, to: u64, state: Outgoing) {
        let mut frames: Vec<_> = state.map(Result::unwrap).collect();
        if self.happens(self.faults.damage) {
            let place = self.draw(frames.len());
            match self.dice.below(2) {
                0 => frames.truncate(place),
                _ => {
                    let byte = self.draw(frames[place].len());
                    frames[place][byte] ^= 1;
                }
            }
        }
        let ms = 10 * self.latency_ms();
        if !self.mail(from, to, ms, Mail::State(to, frames)) {
            self.state_sent(from, to, false);
        }
    }

    /// The sender of a state hears what became of it.
    fn state_sent(&mut self, seat: usize, to: u64, arrived: bool) {
        let life = self.seats[seat].life;
        let sent = Happening::StateSent {
            seat,
            life,
            to,
            arrived,
        };
        let ms = self.latency_ms();
        self.after(ms, sent);
    }

    fn latency_ms(&mut self) -> u64 {
        let most = self.faults.latency_ms;
        1 + self.dice.below(most)
    }

    /// Whether somebody may get it.
    fn mail(&mut self, from: usize, to: u64, ms: u64, mail: Mail) -> bool {
        let is_known = self.seats[from].known.contains(&to);
        let to = self.seats.iter().position(|seat| seat.raft_id == Some(to));
        let Some(to) = to.filter(|_| is_known) else {
            return false;
        };
        let is_connection = matches!(mail, Mail::State(..));
        let is_lost = !is_connection && self.happens(self.faults.loss);
        if is_lost || self.net.cut.contains(&(from, to)) {
            return false;
        }
        self.post(from, to, ms, mail);
        true
    }

    fn post(&mut self, from: usize, to: usize, ms: u64, mail: Mail) {
        let lives = (self.seats[from].life, self.seats[to].life);
        let arrives = Happening::Mail {
            from,
            to,
            lives,
            mail,
        };
        self.after(ms, arrives);
    }

    /// A message arrives, unless one of the ends is another daemon by now, or a cut is between.
    pub(super) fn deliver(&mut self, from: usize, to: usize, lives: (u64, u64), mail: &Mail) {
        let same = (self.seats[from].life, self.seats[to].life) == lives;
        let arrives = same && !self.net.cut.contains(&(from, to));
        let Some(from_id) = self.seats[from].raft_id else {
            return;
        };
        if arrives {
            // A connection says where whoever dialled is.
            self.seats[to].known.insert(from_id);
        }
        let event = match mail {
            Mail::State(id, frames) => {
                let state = arrives.then(|| take(frames)).flatten();
                if self.seats[from].life == lives.0 {
                    self.state_sent(from, *id, state.is_some());
                }
                let from = from_id;
                state.map(|state| Event::Snapshot { from, state })
            }
            Mail::Raft(bytes) => Some(Event::Raft {
                from: from_id,
                message: frame::decode(bytes).unwrap(),
            }),
            Mail::Peer(bytes) => Some(Event::Peer {
                from: from_id,
                message: frame::decode(bytes).unwrap(),
            }),
        };
        if let Some(event) = event.filter(|_| arrives) {
            self.step_manager(to, event);
        }
    }
}

/// The state in some frames, if it is whole.
fn take(frames: &[Vec<u8>]) -> Option<Arrived> {
    let mut incoming = Incoming::default();
    let mut last = None;
    for frame in frames {
        last = incoming.take(frame).ok()?;
    }
    last
}
