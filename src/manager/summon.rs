//! Asks nodes for streams. Only the manager that has a node's session can: the others are asked to.
//! Nothing is answered here: the node calls whoever asked, or that one gives up.

use crate::manager::{Effect, Manager};
use crate::model::id::NodeId;
use crate::wire::peer::PeerMessage;
use crate::wire::stream::Summons;

impl Manager {
    /// Asks a node, by way of whichever manager has its session.
    pub(super) fn summon(&mut self, node: NodeId, summons: &Summons) {
        if self.dispatcher.summon(node, summons) {
            return;
        }
        for to in self.peers.keys().copied() {
            let summons = summons.clone();
            let message = PeerMessage::Summon { node, summons };
            self.effects.push(Effect::ToPeer { to, message });
        }
    }

    /// Another manager asks, for itself alone.
    pub(super) fn hear_summons(&mut self, from: u64, node: NodeId, summons: &Summons) {
        let from = self.peers.get(&from).map(|at| at.node);
        if from == Some(summons.manager) {
            self.dispatcher.summon(node, summons);
        }
    }
}
