//! What a manager counts, for whoever watches it: figures of the moment from its state, and what
//! has gone by since it started. Nothing here is decided on.

use crate::model::object::{NodeState, TaskState};
use crate::model::state::State;

/// Upper bounds of the buckets: those that Prometheus' clients have, and beyond them, as a task may
/// wait long for its node.
pub const BUCKETS_MS: [u64; 14] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
];

/// How long something took, each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many took no longer than a bucket's bound and longer than the one's before.
    pub buckets: [u64; BUCKETS_MS.len()],
    pub count: u64,
    pub sum_ms: u64,
}

impl Histogram {
    pub fn observe(&mut self, ms: u64) {
        if let Some(place) = BUCKETS_MS.iter().position(|bound| ms <= *bound) {
            self.buckets[place] += 1;
        }
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }
}

/// What has gone by since the manager started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// From the proposal of a batch, by this manager as the leader, to its being applied.
    pub transactions: Histogram,
    /// Writes of checkpoints.
    pub checkpoints: Histogram,
    /// From the creation of a task to the first news that it runs.
    pub scheduling: Histogram,
}

/// All that a manager counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    pub leads: bool,
    pub nodes: Vec<(NodeState, u64)>,
    pub tasks: Vec<(TaskState, u64)>,
    pub services: usize,
    pub networks: usize,
    pub secrets: usize,
    pub configs: usize,
    /// The index of the last log entry that was applied.
    pub applied: u64,
    pub tallies: Tallies,
}

impl Figures {
    pub fn of(state: &State, leads: bool, tallies: &Tallies) -> Self {
        let states = [
            NodeState::Unknown,
            NodeState::Down,
            NodeState::Ready,
            NodeState::Disconnected,
        ];
        let nodes = states.map(|wanted| {
            let nodes = state.nodes().iter();
            let count = nodes.filter(|node| node.status.state == wanted).count();
            (wanted, count as u64)
        });
        Self {
            leads,
            nodes: nodes.into(),
            tasks: TaskState::ALL.map(|s| (s, state.tasks_in(s))).into(),
            services: state.services().len(),
            networks: state.networks().len(),
            secrets: state.secrets().len(),
            configs: state.configs().len(),
            applied: state.index(),
            tallies: tallies.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_a_bound_is_within_it_and_what_takes_longest_in_none() {
        let mut histogram = Histogram::default();
        for ms in [0, 5, 6, 300_001] {
            histogram.observe(ms);
        }
        assert_eq!(histogram.buckets[..3], [2, 1, 0]);
        assert_eq!(histogram.buckets.iter().sum::<u64>(), 3);
        assert_eq!((histogram.count, histogram.sum_ms), (4, 300_012));
    }
}
