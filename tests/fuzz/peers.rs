//! What must hold for any bytes that come from peers, name servers, clients or a damaged card.
//!
//! Each function is a fuzz target; tests/fuzz_corpus.rs calls it for each file of its corpus.

use serde::Serialize;
use serde::de::DeserializeOwned;
use skep::api::query::Query;
use skep::model::record::{decode_batch, encode_batch, row};
use skep::model::state::State;
use skep::network::resolve::config::{Config, Hosts};
use skep::network::resolve::question::{Kind, Question};
use skep::raft::message::Message;
use skep::raft::node::{Node, Ready};
use skep::raft::record::{Anchor, Restored};
use skep::wire::control::{Request, Response};
use skep::wire::frame;
use skep::wire::session::{ToAgent, ToManager};

/// A frame is refused, or its message is sent as bytes that are read as the same message. The
/// first byte chooses the kind of message.
pub fn wire_frame(bytes: &[u8]) {
    let Some((kind, frame)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        0 => there_and_back::<ToManager>(frame),
        1 => there_and_back::<ToAgent>(frame),
        2 => there_and_back::<Request>(frame),
        _ => there_and_back::<Response>(frame),
    }
}

/// Compares bytes, since a number that is none does not equal itself.
fn there_and_back<T: Serialize + DeserializeOwned>(frame: &[u8]) {
    if let Ok(message) = frame::decode::<T>(frame) {
        let sent = frame::encode(&message).expect("what was read can be sent");
        let read: T = frame::decode(&sent).expect("and read");
        let again = frame::encode(&read).expect("and sent again");
        assert_eq!(sent, again);
    }
}

/// A log entry is refused, or applied to a state whose every object can then be stored.
pub fn log_entry(bytes: &[u8]) {
    let Ok(batch) = decode_batch(bytes) else {
        return;
    };
    encode_batch(&batch).expect("what was read can be written");
    let mut state = State::default();
    state.apply(1, &batch);
    state.apply(2, &batch);
    for id in state.objects() {
        row(&state, id).expect("an object can be stored");
    }
}

/// Whatever another manager says, a member goes on, and hands out each committed entry once and in
/// order. The first byte chooses what the member is, and whether its disk keeps up.
pub fn raft_message(bytes: &[u8]) {
    let Some((kind, frame)) = bytes.split_first() else {
        return;
    };
    let Ok(messages) = frame::decode::<Vec<Message>>(frame) else {
        return;
    };
    let mut member = Member::new(kind & 1 == 0);
    member.stalls = kind & 2 != 0;
    for message in messages {
        // Why one is refused does not matter here.
        let _ = member.node.step(message);
        member.run();
    }
    member.stalls = false;
    for _ in 0..25 {
        member.node.tick();
        member.run();
    }
}

/// The first of three members.
struct Member {
    node: Node,
    stalls: bool,
    unwritten: u64,
    applied: u64,
}

impl Member {
    /// A member that leads, or follows nobody yet.
    fn new(leads: bool) -> Self {
        let start = |id| {
            let anchor = Anchor::bootstrap(vec![1, 2, 3]);
            Node::new(id, Restored::from(anchor), 7).expect("a member starts")
        };
        let [mut member, mut other] = [1, 2].map(|id| Self {
            node: start(id),
            stalls: false,
            unwritten: 0,
            applied: 1,
        });
        if leads {
            member.node.campaign();
            let mut mail = member.run();
            while !mail.is_empty() {
                for message in mail.drain(..).filter(|m| m.to() == 2) {
                    other.node.step(message).expect("the other takes it");
                }
                for message in other.run() {
                    member.node.step(message).expect("an honest answer");
                }
                mail = member.run();
            }
            assert!(member.node.leads());
        }
        member
    }

    /// Does what the node asks for, and gives what it sends.
    fn run(&mut self) -> Vec<Message> {
        let mut sent = Vec::new();
        loop {
            if !self.stalls && self.unwritten > 0 {
                self.node.persisted(std::mem::take(&mut self.unwritten));
            }
            let Some(ready) = self.node.ready() else {
                return sent;
            };
            let Ready {
                messages,
                committed,
                persist,
                ..
            } = ready;
            sent.extend(messages);
            for entry in committed {
                assert_eq!(entry.index, self.applied + 1);
                self.applied = entry.index;
            }
            self.unwritten = persist.map_or(self.unwritten, |persist| persist.number);
        }
    }
}

/// Answers of name servers, the files that name them, and the queries of clients are read or
/// refused. The first byte chooses.
pub fn lookup(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    if kind % 4 == 0 {
        for kind in Kind::BOTH {
            // A message that answers must carry the id, which fuzzing would otherwise have to find.
            let id = u16::from_be_bytes([*rest.first().unwrap_or(&0), *rest.get(1).unwrap_or(&0)]);
            let question = Question::new(id, "board.example", kind).expect("a question");
            question.read(rest);
        }
        return;
    }
    let text = String::from_utf8_lossy(rest);
    match kind % 4 {
        1 => drop(Hosts::parse(&text).addresses("board")),
        2 => {
            let config = Config::parse(&text, |_| Some(2));
            config.candidates("board", false);
            config.rounds().count();
        }
        _ => {
            let query = Query::parse(&text);
            let _ = (query.time("since"), query.number::<u64>("tail"));
            let _ = query.filters();
        }
    }
}
