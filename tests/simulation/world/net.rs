//! The network between managers: messages are late, lost, and held up by partitions.

use std::collections::BTreeSet;

use skep::manager::Event;
use skep::raft::message::Message;
use skep::wire::frame;
use skep::wire::peer::PeerMessage;

use crate::world::{Happening, World};

/// What crosses between two managers.
#[derive(Debug)]
pub enum Mail {
    Raft(Vec<u8>),
    Peer(Vec<u8>),
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

    /// A message of consensus may overtake others.
    pub(super) fn send_raft(&mut self, from: usize, to: u64, message: &Message) {
        let bytes = frame::encode(message).unwrap();
        let ms = self.latency_ms();
        self.mail(from, to, ms, Mail::Raft(bytes));
    }

    pub(super) fn send_peer(&mut self, from: usize, to: u64, message: &PeerMessage) {
        let bytes = frame::encode(message).unwrap();
        // In order: each pair of managers has one connection.
        let ms = 1 + self.faults.latency_ms;
        self.mail(from, to, ms, Mail::Peer(bytes));
    }

    fn latency_ms(&mut self) -> u64 {
        let most = self.faults.latency_ms;
        1 + self.dice.below(most)
    }

    fn mail(&mut self, from: usize, to: u64, ms: u64, mail: Mail) {
        let Some(to) = self.seats.iter().position(|seat| seat.raft_id == to) else {
            return;
        };
        let is_lost = self.dice.below(1_000) < self.faults.loss;
        if is_lost || self.net.cut.contains(&(from, to)) {
            return;
        }
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
        if (self.seats[from].life, self.seats[to].life) != lives
            || self.net.cut.contains(&(from, to))
        {
            return;
        }
        let from = self.seats[from].raft_id;
        let event = match mail {
            Mail::Raft(bytes) => Event::Raft {
                from,
                message: frame::decode(bytes).unwrap(),
            },
            Mail::Peer(bytes) => Event::Peer {
                from,
                message: frame::decode(bytes).unwrap(),
            },
        };
        self.step_manager(to, event);
    }
}
