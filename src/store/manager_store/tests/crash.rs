//! The power fails in every single change that a scripted run makes, and in every change that the
//! start after it makes; each time the store must come back with all that it had acknowledged.

use std::ops::Range;

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Append(Vec<Entry>, HardState),
    Checkpoint(Anchor, Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Begin(Anchor, Vec<(Vec<u8>, Option<Vec<u8>>)>),
}

impl Step {
    pub(super) fn run(&self, store: &mut ManagerStore) -> Result<(), StoreError> {
        match self {
            Self::Append(entries, hard_state) => store.append(entries, *hard_state),
            Self::Checkpoint(anchor, rows) => store.checkpoint(anchor, rows),
            Self::Begin(anchor, rows) => store.begin(anchor, rows),
        }
    }
}

/// What a store has to remember after some steps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Model {
    pub(super) anchor: Anchor,
    /// After the checkpoint.
    pub(super) entries: Vec<Entry>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Model {
    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::Append(entries, hard_state) => {
                if let Some(first) = entries.first() {
                    self.entries.retain(|entry| entry.index < first.index);
                    self.entries.extend(entries.iter().cloned());
                }
                self.anchor.hard_state = *hard_state;
            }
            Step::Checkpoint(anchor, rows) => {
                self.entries
                    .retain(|entry| entry.index > anchor.applied.index);
                let HardState { term, vote, commit } = self.anchor.hard_state;
                self.anchor = anchor.clone();
                // Neither a vote nor what is committed is ever taken back.
                let hard_state = &mut self.anchor.hard_state;
                if term > 0 {
                    *hard_state = HardState {
                        term,
                        vote,
                        commit: commit.max(hard_state.commit),
                    };
                }
                for (key, value) in rows {
                    self.rows.retain(|(k, _)| k != key);
                    self.rows
                        .extend(value.clone().map(|value| (key.clone(), value)));
                }
                self.rows.sort();
            }
            Step::Begin(anchor, rows) => {
                self.anchor = anchor.clone();
                self.entries.clear();
                let rows = rows.iter().cloned();
                self.rows = rows.filter_map(|(key, row)| Some((key, row?))).collect();
            }
        }
    }

    /// The model of what was read; the log up to the checkpoint may be there or not.
    pub(super) fn of(opened: Opened) -> Self {
        let applied = opened.log.anchor.applied.index;
        let mut entries = opened.log.entries;
        entries.retain(|entry| entry.index > applied);
        Self {
            anchor: opened.log.anchor,
            entries,
            rows: opened.rows,
        }
    }
}

/// Bootstrap, small and large entries, a lost tail, votes alone, turns with and without much to
/// carry, a segment that has to grow, and checkpoints between them; then twice another state and
/// log in the place of all that.
pub(super) fn script() -> Vec<Step> {
    let mut steps = vec![Step::Begin(Anchor::bootstrap(vec![1]), vec![row("a", "0")])];
    let append = |steps: &mut Vec<Step>, range: Range<u64>, bytes| {
        let first = range.start;
        let entries = range.map(|index| entry(index, bytes)).collect();
        steps.push(Step::Append(entries, state(first - 1)));
    };
    let checkpoint = |steps: &mut Vec<Step>, index: u64| {
        let changed = row(&format!("row{}", index % 3), &index.to_string());
        steps.push(Step::Checkpoint(
            anchor(index),
            vec![changed, (b"a".to_vec(), None)],
        ));
    };
    append(&mut steps, 2..3, 10);
    append(&mut steps, 3..6, 5_000);
    append(&mut steps, 4..5, 20);
    steps.push(Step::Append(Vec::new(), state(4)));
    append(&mut steps, 5..9, 100_000);
    checkpoint(&mut steps, 6);
    (9..13).for_each(|index| append(&mut steps, index..index + 1, 170_000));
    checkpoint(&mut steps, 12);
    append(&mut steps, 13..14, 1_100_000);
    append(&mut steps, 14..18, 500_000);
    append(&mut steps, 18..19, 10);
    checkpoint(&mut steps, 18);
    steps.push(Step::Begin(anchor(40), vec![row("b", "40")]));
    append(&mut steps, 41..43, 10);
    checkpoint(&mut steps, 42);
    append(&mut steps, 43..45, 10);
    steps.push(Step::Begin(anchor(43), vec![row("b", "43")]));
    checkpoint(&mut steps, 43);
    append(&mut steps, 44..45, 20);
    steps
}

/// Runs the script until the power fails; returns what was acknowledged, and that with the step
/// that was under way.
fn run(disk: &MemoryDisk, script: &[Step]) -> (Model, Model) {
    let mut acknowledged = Model::default();
    let Ok((mut store, _)) = ManagerStore::open(Arc::new(disk.clone())) else {
        return (acknowledged.clone(), acknowledged);
    };
    for step in script {
        let mut attempted = acknowledged.clone();
        attempted.take(step);
        if step.run(&mut store).is_err() {
            return (acknowledged, attempted);
        }
        acknowledged = attempted;
    }
    (acknowledged.clone(), acknowledged)
}

#[track_caller]
fn check_reopens(disk: &MemoryDisk, legal: &(Model, Model), story: &str) {
    let found = match ManagerStore::open(Arc::new(disk.clone())) {
        Ok((_, opened)) => Model::of(opened),
        Err(error) => panic!("{story}: {error}"),
    };
    let short = |model: &Model| {
        let entries = model
            .entries
            .iter()
            .map(|entry| (entry.index, entry.data.len()));
        let entries: Vec<_> = entries.collect();
        format!("{:?} {entries:?} {:?}", model.anchor, model.rows)
    };
    assert!(
        found == legal.0 || found == legal.1,
        "{story}: found {}\ninstead of {}\nor {}",
        short(&found),
        short(&legal.0),
        short(&legal.1)
    );
}

#[test]
fn a_power_cut_in_any_change_loses_nothing_acknowledged() {
    let script = script();
    let disk = MemoryDisk::default();
    let (complete, _) = run(&disk, &script);
    let steps = disk.steps();
    assert!(
        complete.anchor.applied.index == 43 && steps > 80,
        "{steps} steps"
    );
    for step in 1..=steps {
        let disk = MemoryDisk::default();
        disk.cut_power_at(step);
        let legal = run(&disk, &script);
        disk.restart(Tear::OldOrNew, &mut Rng::from_seed(step));
        check_reopens(&disk, &legal, &format!("power cut in change {step}"));
    }
}

#[test]
fn a_power_cut_during_the_start_after_one_loses_nothing_either() {
    let script = script();
    let disk = MemoryDisk::default();
    run(&disk, &script);
    for step in (1..=disk.steps()).step_by(17) {
        for start_step in 1.. {
            let story = format!("power cuts in change {step} and {start_step} of the start");
            let disk = MemoryDisk::default();
            disk.cut_power_at(step);
            let legal = run(&disk, &script);
            let mut rng = Rng::from_seed(step);
            disk.restart(Tear::OldOrNew, &mut rng);
            disk.cut_power_at(disk.steps() + start_step);
            let survived = ManagerStore::open(Arc::new(disk.clone())).is_ok();
            disk.restart(Tear::OldOrNew, &mut rng);
            check_reopens(&disk, &legal, &story);
            if survived {
                break;
            }
        }
    }
}

/// A killed process leaves its last write in the host's memory only. The next one reads it and
/// tells other members about it, so it has to be on the disk by then.
#[test]
fn what_a_start_after_a_kill_has_read_survives_a_power_cut() {
    let script = script();
    let disk = MemoryDisk::default();
    run(&disk, &script);
    for step in (1..40).chain((40..=disk.steps()).step_by(3)) {
        let disk = MemoryDisk::default();
        disk.cut_power_at(step);
        run(&disk, &script);
        disk.restart_process();
        let (mut store, opened) = open(&disk);
        let mut read = Model::of(opened);
        let hard_state = HardState {
            term: 9,
            ..read.anchor.hard_state
        };
        store.append(&[], hard_state).unwrap();
        read.anchor.hard_state = hard_state;
        disk.restart(Tear::OldOrNew, &mut Rng::from_seed(step));
        let story = format!("kill in change {step}, then a power cut");
        check_reopens(&disk, &(read.clone(), read), &story);
    }
}
