//! Requests: taken in by any manager, carried out by the leader, answered where they came in.

use std::collections::BTreeMap;

use crate::manager::control;
use crate::manager::reads::Waiter;
use crate::manager::{Effect, Manager, REQUESTS_MAX, RequestId};
use crate::model::time::Time;
use crate::wire::control::{Refusal, Request, Response};
use crate::wire::peer::PeerMessage;

/// How long the leader's answer is waited for. A leader that is lost is noticed sooner.
const ANSWER_MS_MAX: u64 = 10_000;
/// How long an answer of a leader that has just lost the lead may be on its way.
const LAST_ANSWER_MS: u64 = 300;
/// One that was not heard for so many heartbeats before has lost it because it is gone, and answers
/// no more.
const GONE_HEARTBEATS: u64 = 3;

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Here(RequestId),
    /// Another manager, for somebody who asked there.
    Peer {
        from: u64,
        id: u64,
    },
}

/// Requests that were passed on to the leader.
#[derive(Debug, Default)]
pub struct Forwards {
    waiting: BTreeMap<u64, Forward>,
    count: u64,
}

#[derive(Debug)]
struct Forward {
    id: RequestId,
    to: u64,
    deadline: Time,
    /// Kept if it is a read: without a leader, it is answered from what is known here.
    read: Option<Box<Request>>,
}

impl Forwards {
    fn is_full(&self) -> bool {
        self.waiting.len() >= REQUESTS_MAX
    }

    /// Takes out what the manager has to give up: all, or what has waited for too long.
    fn give_up(&mut self, due: impl Fn(&Forward) -> bool) -> Vec<Forward> {
        let due = self.waiting.extract_if(.., |_, forward| due(forward));
        due.map(|(_, forward)| forward).collect()
    }
}

impl Manager {
    /// Takes in a request, from here or from another manager.
    pub(super) fn request(&mut self, now: Time, asker: Asker, request: Box<Request>) {
        if self.stopping {
            return self.answer_alone(now, asker, &request);
        }
        if self.is_about_to_lead() || self.is_between_leaders() && matches!(asker, Asker::Here(_)) {
            return match self.early.len() {
                queued if queued >= REQUESTS_MAX => {
                    self.reply(asker, Err(Refusal::Busy { queued }));
                }
                _ => self.early.push((asker, request)),
            };
        }
        if self.leading {
            return match request.is_read() {
                true => self.wait(now, Waiter::Request(asker, request)),
                false => self.enqueue(asker, request),
            };
        }
        match (self.raft.leadership().leader, asker) {
            (Some(to), Asker::Here(id)) => self.forward(now, to, id, request),
            (None, Asker::Here(_)) => self.answer_alone(now, asker, &request),
            // The other one knows better by now.
            (_, Asker::Peer { .. }) => self.reply(asker, Err(Refusal::NoLeader)),
        }
    }

    /// Lets something wait for an up-to-date state.
    pub(super) fn wait(&mut self, now: Time, waiter: Waiter) {
        match self.reads.wait(waiter) {
            Err(Waiter::Request(asker, request)) => self.answer_alone(now, asker, &request),
            // The other end asks again.
            Ok(()) | Err(Waiter::Session(_) | Waiter::Peer { .. }) => {}
        }
    }

    /// Answers as well as this manager can without a leader.
    fn answer_alone(&mut self, now: Time, asker: Asker, request: &Request) {
        let answer = match request.is_read() {
            true => self.read(now, request),
            false => Err(Refusal::NoLeader),
        };
        self.reply(asker, answer);
    }

    /// The answer to a read, from the state as it is.
    pub(super) fn read(&self, now: Time, request: &Request) -> Result<Response, Refusal> {
        let presence = self.presence(now);
        let answer = control::read(&self.state, &presence, request);
        answer.unwrap_or(Err(Refusal::NoLeader))
    }

    pub(super) fn reply(&mut self, asker: Asker, answer: Result<Response, Refusal>) {
        self.effects.push(match asker {
            Asker::Here(id) => Effect::Reply(id, answer),
            Asker::Peer { from, id } => {
                let answer = Box::new(answer);
                let message = PeerMessage::Reply { id, answer };
                Effect::ToPeer { to: from, message }
            }
        });
    }

    fn enqueue(&mut self, asker: Asker, request: Box<Request>) {
        let queued = self.queue.len();
        let refusal = if let Some(reason) = self.checkpoint.full() {
            Refusal::Storage(reason.to_owned())
        } else if queued >= REQUESTS_MAX {
            Refusal::Busy { queued }
        } else {
            return self.queue.push_back((asker, request));
        };
        self.reply(asker, Err(refusal));
    }

    fn forward(&mut self, now: Time, to: u64, id: RequestId, request: Box<Request>) {
        if self.forwards.is_full() {
            let queued = REQUESTS_MAX;
            return self.reply(Asker::Here(id), Err(Refusal::Busy { queued }));
        }
        let read = request.is_read().then(|| request.clone());
        self.forwards.count += 1;
        let number = self.forwards.count;
        let forward = Forward {
            id,
            to,
            deadline: now.plus_ms(ANSWER_MS_MAX),
            read,
        };
        self.forwards.waiting.insert(number, forward);
        let message = PeerMessage::Request {
            id: number,
            request,
        };
        self.effects.push(Effect::ToPeer { to, message });
    }

    /// Takes in the leader's answer to a request that was passed on.
    pub(super) fn hear_reply(
        &mut self,
        now: Time,
        from: u64,
        number: u64,
        answer: Result<Response, Refusal>,
    ) {
        let waiting = &mut self.forwards.waiting;
        if waiting
            .get(&number)
            .is_none_or(|forward| forward.to != from)
        {
            return;
        }
        let Some(forward) = waiting.remove(&number) else {
            return;
        };
        match answer {
            Err(Refusal::NoLeader) => self.drop_forward(now, forward),
            answer => self.reply(Asker::Here(forward.id), answer),
        }
    }

    /// What was passed on to a leader that is one no more: reads are asked again, and what else was
    /// done may be answered yet.
    pub(super) fn drop_forwards(&mut self, now: Time) {
        let quorum = &self.quorum;
        let gone_ms = GONE_HEARTBEATS * self.raft.timing().heartbeat_ms();
        for forward in self.forwards.waiting.values_mut() {
            let is_gone = quorum.silent_ms(forward.to, now) >= gone_ms;
            let last_ms = if is_gone { 0 } else { LAST_ANSWER_MS };
            forward.deadline = forward.deadline.min(now.plus_ms(last_ms));
        }
        for mut forward in self.forwards.give_up(|forward| forward.read.is_some()) {
            if let Some(read) = forward.read.take() {
                self.request(now, Asker::Here(forward.id), read);
            }
        }
        self.tick_forwards(now);
    }

    /// Gives up what was not answered in time.
    pub(super) fn tick_forwards(&mut self, now: Time) {
        for forward in self.forwards.give_up(|forward| forward.deadline <= now) {
            self.drop_forward(now, forward);
        }
    }

    fn drop_forward(&mut self, now: Time, forward: Forward) {
        let answer = match &forward.read {
            Some(read) => self.read(now, read),
            None => Err(Refusal::NoLeader),
        };
        self.reply(Asker::Here(forward.id), answer);
    }
}
