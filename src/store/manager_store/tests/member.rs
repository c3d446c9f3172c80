//! A member alone with its store, as a manager runs them.

use super::*;
use crate::raft::node::{Node, Persist};

/// The state is a list of texts: a row each, under its place in the list.
struct Member {
    node: Node,
    store: ManagerStore,
    texts: Vec<String>,
    checkpointed: usize,
}

impl Member {
    fn start(disk: &MemoryDisk) -> Result<Self, StoreError> {
        let (mut store, mut opened) = ManagerStore::open(Arc::new(disk.clone()))?;
        if opened.is_new() {
            let anchor = Anchor::bootstrap(vec![1]);
            store.begin(&anchor, &[])?;
            opened.log = anchor.into();
        }
        let value = |(_, value)| String::from_utf8(value).unwrap();
        let texts: Vec<_> = opened.rows.into_iter().map(value).collect();
        let mut member = Self {
            node: Node::new(1, opened.log, 5).unwrap(),
            store,
            checkpointed: texts.len(),
            texts,
        };
        member.settle()?;
        Ok(member)
    }

    /// Proposes a text; when this returns it is acknowledged.
    fn add(&mut self, text: &str) -> Result<(), StoreError> {
        self.node.propose(text.into()).unwrap();
        self.settle()
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        while let Some(ready) = self.node.ready() {
            let texts = ready
                .committed
                .iter()
                .filter(|entry| !entry.data.is_empty());
            let texts = texts.map(|entry| String::from_utf8(entry.data.to_vec()).unwrap());
            self.texts.extend(texts);
            if let Some(Persist {
                number,
                entries,
                hard_state,
            }) = ready.persist
            {
                self.store.append(&entries, hard_state)?;
                self.node.persisted(number);
            }
        }
        if self.store.is_checkpoint_due() {
            self.checkpoint()?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let anchor = self.node.anchor();
        let places = self.texts.iter().enumerate().skip(self.checkpointed);
        let rows = places.map(|(place, text)| row(&format!("{place:06}"), text));
        self.store.checkpoint(&anchor, &rows.collect::<Vec<_>>())?;
        self.checkpointed = self.texts.len();
        self.node.compact(anchor.applied.index, 500);
        Ok(())
    }
}

#[test]
fn a_member_alone_keeps_what_it_acknowledged_through_power_cuts() {
    let disk = MemoryDisk::default();
    let mut rng = Rng::from_seed(4);
    let mut acknowledged: Vec<String> = Vec::new();
    let mut attempt = 0;
    for _ in 0..60 {
        disk.cut_power_at(disk.steps() + 20 + rng.below(150));
        if let Ok(mut member) = Member::start(&disk) {
            assert!(member.node.leads());
            assert!(member.texts.starts_with(&acknowledged));
            // One more may have reached the disk unheard; nothing else.
            assert!(member.texts.len() <= acknowledged.len() + 1);
            acknowledged.clone_from(&member.texts);
            loop {
                attempt += 1;
                let text = format!("{attempt}{}", "-".repeat(2_000));
                if member.add(&text).is_err() {
                    break;
                }
                acknowledged.push(text);
            }
        }
        disk.restart(Tear::OldOrNew, &mut rng);
    }
    assert!(
        acknowledged.len() > 600,
        "{} acknowledged",
        acknowledged.len()
    );
}

#[test]
fn an_idle_member_writes_nothing() {
    let disk = MemoryDisk::default();
    let mut member = Member::start(&disk).unwrap();
    member.add("x").unwrap();
    let steps = disk.steps();
    for _ in 0..3_000 {
        member.node.tick();
        member.settle().unwrap();
    }
    assert_eq!(disk.steps(), steps);
}
