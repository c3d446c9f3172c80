//! An address in the ingress network for each node: what it passes on from outside comes from it.

use crate::host::rng::Rng;
use crate::manager::allocator::addresses::{self, Given};
use crate::manager::dirty::Dirty;
use crate::manager::passes::View;
use crate::model::change::Change;

/// Gives addresses to the nodes that lack one, whatever is dirty: as a rule there are none.
pub fn pass(view: &View<'_>, _: &Dirty, _: &mut Rng) -> Vec<Change> {
    let mut lacking = view.state.unaddressed().take(view.room).peekable();
    if lacking.peek().is_none() {
        return Vec::new();
    }
    let ingress = view.state.networks().iter().find(|net| net.spec.ingress);
    let Some(ingress) = ingress else {
        return Vec::new();
    };
    let mut given = Given::default();
    let changes = lacking.map_while(|id| {
        // With none left the others wait: ports of their own tasks lead there all the same.
        let address = addresses::take(view.state, &mut given, ingress, id.0)?.ok()?;
        let address = (ingress.id, address);
        Some(Change::AllocateNode { id, address })
    });
    changes.collect()
}
