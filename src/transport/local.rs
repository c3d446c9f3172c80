//! Sessions between an agent and a manager of one process: the same frames, over bounded queues.

use std::marker::PhantomData;

use async_channel::{Receiver, Sender};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::frame::{self, FrameError};
use crate::wire::session::{ToAgent, ToManager};

/// Frames that wait in one direction before the sender waits, or, if it cannot, is told so.
const QUEUE_FRAMES: usize = 64;

/// Sessions that wait to be accepted.
const BACKLOG: usize = 8;

/// One side of a session. Dropping it, or closing it, ends the session on both sides; what was sent
/// before still arrives.
#[derive(Debug)]
pub struct End<Out, In> {
    frames_out: Sender<Vec<u8>>,
    frames_in: Receiver<Vec<u8>>,
    messages: PhantomData<fn(Out) -> In>,
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the session is closed")]
    Closed,
    #[error("the peer does not read: {QUEUE_FRAMES} frames wait for it")]
    Full,
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl<Out: Serialize, In: DeserializeOwned> End<Out, In> {
    /// Sends a message, waiting while the queue is full.
    pub async fn send(&self, message: &Out) -> Result<(), SendError> {
        let frame = frame::encode(message)?;
        let sent = self.frames_out.send(frame).await;
        sent.map_err(|_| SendError::Closed)
    }

    /// Sends a message without waiting.
    pub fn try_send(&self, message: &Out) -> Result<(), SendError> {
        let sent = self.frames_out.try_send(frame::encode(message)?);
        sent.map_err(|error| match error.is_full() {
            true => SendError::Full,
            false => SendError::Closed,
        })
    }

    /// The next message; `None` once the session is closed.
    pub async fn receive(&self) -> Result<Option<In>, FrameError> {
        match self.frames_in.recv().await {
            Ok(frame) => frame::decode(&frame).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Ends the session; whoever waits on either side is woken.
    pub fn close(&self) {
        self.frames_out.close();
        self.frames_in.close();
    }
}

/// A new session.
pub fn pair() -> (End<ToManager, ToAgent>, End<ToAgent, ToManager>) {
    let (to_manager, from_agent) = async_channel::bounded(QUEUE_FRAMES);
    let (to_agent, from_manager) = async_channel::bounded(QUEUE_FRAMES);
    let agent = End {
        frames_out: to_manager,
        frames_in: from_manager,
        messages: PhantomData,
    };
    let manager = End {
        frames_out: to_agent,
        frames_in: from_agent,
        messages: PhantomData,
    };
    (agent, manager)
}

/// Where agents of this process find its manager.
pub fn listen() -> (Dialer, Listener) {
    let (sessions_out, sessions_in) = async_channel::bounded(BACKLOG);
    (Dialer(sessions_out), Listener(sessions_in))
}

/// The agents' side of [`listen`].
#[derive(Clone, Debug)]
pub struct Dialer(Sender<End<ToAgent, ToManager>>);

/// The manager's side of [`listen`].
#[derive(Debug)]
pub struct Listener(Receiver<End<ToAgent, ToManager>>);

/// Why no session began.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("no manager runs in this process")]
    NoManager,
    #[error("the manager does not take sessions: {BACKLOG} wait for it")]
    Full,
}

impl Dialer {
    /// Begins a session.
    pub fn dial(&self) -> Result<End<ToManager, ToAgent>, DialError> {
        let (agent, manager) = pair();
        match self.0.try_send(manager) {
            Ok(()) => Ok(agent),
            Err(error) if error.is_full() => Err(DialError::Full),
            Err(_) => Err(DialError::NoManager),
        }
    }
}

impl Listener {
    /// The next session; `None` once nobody can dial any more.
    pub async fn accept(&self) -> Option<End<ToAgent, ToManager>> {
        self.0.recv().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    fn goodbye() -> ToManager {
        ToManager::Goodbye
    }

    #[test]
    fn messages_cross_in_both_directions() {
        let (agent, manager) = pair();
        agent.try_send(&ToManager::Heartbeat).unwrap();
        let welcome = ToAgent::Welcome { heartbeat_ms: 2000 };
        block_on(manager.send(&welcome)).unwrap();
        assert_eq!(
            block_on(manager.receive()).unwrap(),
            Some(ToManager::Heartbeat)
        );
        assert_eq!(block_on(agent.receive()).unwrap(), Some(welcome));
    }

    #[test]
    fn an_end_that_goes_is_seen_by_the_other_after_its_last_words() {
        let (agent, manager) = pair();
        agent.try_send(&goodbye()).unwrap();
        drop(agent);
        assert_eq!(block_on(manager.receive()).unwrap(), Some(goodbye()));
        assert_eq!(block_on(manager.receive()).unwrap(), None);
        let late = manager.try_send(&ToAgent::Welcome { heartbeat_ms: 1 });
        assert!(matches!(late, Err(SendError::Closed)));
    }

    #[test]
    fn closing_ends_both_sides() {
        let (agent, manager) = pair();
        manager.close();
        assert!(matches!(
            block_on(agent.send(&goodbye())),
            Err(SendError::Closed)
        ));
        assert_eq!(block_on(agent.receive()).unwrap(), None);
        assert_eq!(block_on(manager.receive()).unwrap(), None);
    }

    #[test]
    fn a_peer_that_does_not_read_fills_a_bounded_queue() {
        let (agent, _manager) = pair();
        for _ in 0..QUEUE_FRAMES {
            agent.try_send(&ToManager::Heartbeat).unwrap();
        }
        assert!(matches!(
            agent.try_send(&ToManager::Heartbeat),
            Err(SendError::Full)
        ));
    }

    #[test]
    fn sessions_are_accepted_in_turn_and_not_without_a_manager() {
        let (dialer, listener) = listen();
        let agent = dialer.dial().unwrap();
        let manager = block_on(listener.accept()).unwrap();
        agent.try_send(&goodbye()).unwrap();
        assert_eq!(block_on(manager.receive()).unwrap(), Some(goodbye()));
        drop(listener);
        assert!(matches!(dialer.dial(), Err(DialError::NoManager)));
    }

    #[test]
    fn sessions_that_nobody_accepts_are_bounded() {
        let (dialer, _listener) = listen();
        let waiting: Vec<_> = (0..BACKLOG).map(|_| dialer.dial().unwrap()).collect();
        assert!(matches!(dialer.dial(), Err(DialError::Full)));
        drop(waiting);
    }
}
