//! Comparing two member lists.

use crate::eraftpb::ConfState;

fn same_members(left: &[u64], right: &[u64]) -> bool {
    left.iter().all(|id| right.contains(id)) && right.iter().all(|id| left.contains(id))
}

/// Whether two states name the same members, in whatever order.
#[must_use]
pub fn conf_state_eq(left: &ConfState, right: &ConfState) -> bool {
    same_members(&left.voters, &right.voters)
        && same_members(&left.learners, &right.learners)
        && same_members(&left.voters_outgoing, &right.voters_outgoing)
        && same_members(&left.learners_next, &right.learners_next)
        && left.auto_leave == right.auto_leave
}
