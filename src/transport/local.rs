//! Sessions between an agent and a manager of one process: the same frames, over bounded queues.

use async_channel::{Receiver, Sender};

use crate::transport::Dial;
use crate::transport::end::{End, QUEUE_FRAMES, SendError};
use crate::wire::session::{ToAgent, ToManager};

/// Sessions that wait to be accepted.
const BACKLOG: usize = 8;

/// The frames of one side of a session.
#[derive(Debug)]
pub struct Queues {
    frames_out: Sender<Vec<u8>>,
    frames_in: Receiver<Vec<u8>>,
}

impl Queues {
    pub(super) async fn send(&self, frame: Vec<u8>) -> Result<(), SendError> {
        let sent = self.frames_out.send(frame).await;
        sent.map_err(|_| SendError::Closed)
    }

    pub(super) fn try_send(&self, frame: Vec<u8>) -> Result<(), SendError> {
        let sent = self.frames_out.try_send(frame);
        sent.map_err(|error| match error.is_full() {
            true => SendError::Full(QUEUE_FRAMES),
            false => SendError::Closed,
        })
    }

    pub(super) async fn receive(&self) -> Option<Vec<u8>> {
        self.frames_in.recv().await.ok()
    }

    pub(super) fn close(&self) {
        self.frames_out.close();
        self.frames_in.close();
    }
}

/// A new session.
pub fn pair() -> (End<ToManager, ToAgent>, End<ToAgent, ToManager>) {
    let (to_manager, from_agent) = async_channel::bounded(QUEUE_FRAMES);
    let (to_agent, from_manager) = async_channel::bounded(QUEUE_FRAMES);
    let agent = Queues {
        frames_out: to_manager,
        frames_in: from_manager,
    };
    let manager = Queues {
        frames_out: to_agent,
        frames_in: from_agent,
    };
    (End::local(agent), End::local(manager))
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

impl Dial for Dialer {
    type Error = DialError;

    async fn dial(&self) -> Result<End<ToManager, ToAgent>, DialError> {
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
            Err(SendError::Full(_))
        ));
    }

    #[test]
    fn sessions_are_accepted_in_turn_and_not_without_a_manager() {
        let (dialer, listener) = listen();
        let agent = block_on(dialer.dial()).unwrap();
        let manager = block_on(listener.accept()).unwrap();
        agent.try_send(&goodbye()).unwrap();
        assert_eq!(block_on(manager.receive()).unwrap(), Some(goodbye()));
        drop(listener);
        assert!(matches!(block_on(dialer.dial()), Err(DialError::NoManager)));
    }

    #[test]
    fn sessions_that_nobody_accepts_are_bounded() {
        let (dialer, _listener) = listen();
        let waiting: Vec<_> = (0..BACKLOG)
            .map(|_| block_on(dialer.dial()).unwrap())
            .collect();
        assert!(matches!(block_on(dialer.dial()), Err(DialError::Full)));
        drop(waiting);
    }
}
