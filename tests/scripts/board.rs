//! A board whose containers are only thought of: the real agent runs them, and they do what the
//! name of their image says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_channel::{Receiver, Sender};
use futures_lite::future::pending;
use skep::agent::containers::{
    Attempt, Change, ContainerId, Containers, Exit, Health, Left, Record, Started,
};
use skep::host::clock;
use skep::wire::dependency::Dependency;
use skep::wire::reach::Reach;

/// The containers of one board.
#[derive(Debug, Default)]
pub struct Board(RefCell<BTreeMap<ContainerId, Container>>);

/// A container; it ends when its sender is dropped.
#[derive(Debug)]
struct Container {
    image: String,
    end: Option<Sender<()>>,
    ended: Receiver<()>,
    code: u8,
}

/// The code that a container ends with by itself, if it does.
pub fn exit_code(image: &str) -> Option<u8> {
    match image {
        "crash" => Some(1),
        "done" => Some(0),
        _ => None,
    }
}

impl Containers for Board {
    type Error = String;

    async fn adopt(&self) -> Result<Left, String> {
        Ok(Left::default())
    }

    fn keep(&self, _: Vec<Change>) {}

    async fn prepare(&self, record: Record, _: Vec<Arc<Dependency>>) -> Result<(), String> {
        let image = record.assignment.spec.container.image.clone();
        if image == "missing" {
            return Err("No such image: missing:latest".into());
        }
        let (end, ended) = async_channel::bounded(1);
        let container = Container {
            image,
            end: Some(end),
            ended,
            code: 0,
        };
        let id = record.attempt.container;
        self.0.borrow_mut().insert(id, container);
        Ok(())
    }

    fn is_passing(_: &String) -> bool {
        false
    }

    async fn start(&self, attempt: Attempt) -> Result<Started, String> {
        let image = self.0.borrow()[&attempt.container].image.clone();
        if let Some(code) = exit_code(&image) {
            self.end(attempt, code);
        }
        Ok(Started {
            pid: 42,
            health: Health::Unchecked,
        })
    }

    async fn wait(&self, attempt: Attempt) -> Exit {
        let ended = self.0.borrow()[&attempt.container].ended.clone();
        // Nothing is ever sent: the channel closes.
        let _ = ended.recv().await;
        Exit {
            code: Some(self.0.borrow()[&attempt.container].code),
            at: clock::now(),
            ..Exit::default()
        }
    }

    async fn health(&self, _: Attempt) -> Health {
        pending().await
    }

    fn reach(&self, _: Reach) {}

    async fn stop(&self, attempt: Attempt) -> Result<(), String> {
        self.end(attempt, 143);
        Ok(())
    }

    async fn kill(&self, attempt: Attempt) -> Result<(), String> {
        self.end(attempt, 137);
        Ok(())
    }

    async fn remove(&self, attempt: Attempt) -> Result<(), String> {
        self.0.borrow_mut().remove(&attempt.container);
        Ok(())
    }
}

impl Board {
    fn end(&self, attempt: Attempt, code: u8) {
        if let Some(container) = self.0.borrow_mut().get_mut(&attempt.container)
            && container.end.take().is_some()
        {
            container.code = code;
        }
    }
}
