use super::*;
use crate::host::rng::Rng;
use crate::raft::record::{EntryKind, Position};
use crate::store::memory_disk::{MemoryDisk, Tear};

fn open(disk: &MemoryDisk) -> (ManagerStore, Opened) {
    ManagerStore::open(Arc::new(disk.clone())).unwrap()
}

fn entry(index: u64, bytes: usize) -> Entry {
    Entry {
        index,
        term: 1,
        kind: EntryKind::Normal,
        data: vec![u8::try_from(index % 251).unwrap(); bytes].into(),
    }
}

fn state(commit: u64) -> HardState {
    HardState {
        term: 1,
        vote: 1,
        commit,
    }
}

fn anchor(index: u64) -> Anchor {
    Anchor {
        applied: Position { index, term: 1 },
        hard_state: state(index),
        ..Anchor::bootstrap(vec![1])
    }
}

fn row(key: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.into(), Some(value.into()))
}

#[test]
fn an_empty_disk_gives_a_new_store() {
    let disk = MemoryDisk::default();
    assert!(open(&disk).1.is_new());
    assert!(open(&disk).1.is_new());
}

#[test]
fn log_and_rows_are_there_after_a_power_cut() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    store
        .checkpoint(&Anchor::bootstrap(vec![1]), &[row("a", "1"), row("b", "2")])
        .unwrap();
    store
        .append(&[entry(2, 10), entry(3, 10)], state(1))
        .unwrap();
    store.append(&[entry(4, 10)], state(3)).unwrap();
    store
        .checkpoint(&anchor(3), &[row("a", "3"), (b"b".to_vec(), None)])
        .unwrap();
    disk.restart(Tear::Garbage, &mut Rng::from_seed(1));
    let (_, opened) = open(&disk);
    assert_eq!(opened.rows, [(b"a".to_vec(), b"3".to_vec())]);
    assert_eq!(opened.log.anchor, anchor(3));
    assert_eq!(opened.log.before, Position { index: 1, term: 1 });
    assert_eq!(
        opened.log.entries,
        [entry(2, 10), entry(3, 10), entry(4, 10)]
    );
}

mod crash;
mod damage;
