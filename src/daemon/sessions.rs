//! Joins the sessions of agents with the manager of this host.

use std::rc::Rc;
use std::time::Duration;

use async_executor::LocalExecutor;
use futures_lite::future::or;

use crate::host::wait::sleep;
use crate::manager::run::{ManagerHandle, Session};
use crate::model::id::NodeId;
use crate::transport::end::End;
use crate::transport::local::Listener;
use crate::transport::tls::listener::Incoming;
use crate::wire::session::{ToAgent, ToManager};

/// How long a session may take to say whose it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// Joins every session that the agent of this host dials.
pub async fn local(
    executor: Rc<LocalExecutor<'static>>,
    listener: Listener,
    manager: ManagerHandle,
) {
    while let Some(agent) = listener.accept().await {
        if let Some(session) = manager.connect().await {
            executor.spawn(join(agent, session, |_| true)).detach();
        }
    }
}

/// Joins a session that came over the cluster's port, until it ends. It can only be that of the
/// node which its certificate names.
pub async fn remote(incoming: Incoming, manager: ManagerHandle) {
    let from = incoming.from;
    let Some(session) = manager.connect().await else {
        return incoming
            .refuse("no manager runs here any more".into())
            .await;
    };
    match incoming.accept().await {
        Ok(connection) => {
            let own = connection.peer().map(|peer| peer.node);
            join(End::over(connection), session, |node| Some(node) == own).await;
        }
        Err(error) => tracing::info!("the session of {from} did not begin: {error}"),
    }
}

/// Passes messages both ways until either side ends, or says hello for a node that it is not.
async fn join(agent: End<ToAgent, ToManager>, session: Session, is_own: impl Fn(NodeId) -> bool) {
    let up = async {
        // Nothing counts a session before it has said hello.
        let late = async {
            sleep(HELLO_WITHIN).await;
            Ok(None)
        };
        let mut received = or(agent.receive(), late).await;
        loop {
            let message = match received {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => return tracing::info!("a session ended: {error}"),
            };
            if let ToManager::Hello { node, .. } = message
                && !is_own(node)
            {
                return tracing::warn!("a session of node {node} had another node's certificate");
            }
            if !session.send(message).await {
                return;
            }
            received = agent.receive().await;
        }
    };
    let down = async {
        while let Some(message) = session.receive().await {
            if agent.send(&message).await.is_err() {
                return;
            }
        }
    };
    or(up, down).await;
    // The manager need not wait until the agent has read its last words.
    drop(session);
    agent.finish().await;
}

#[cfg(test)]
mod tests;
