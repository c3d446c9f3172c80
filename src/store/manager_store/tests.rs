use super::*;
use crate::host::rng::Rng;
use crate::identity::seal::{KEY_BYTES, SealKey};
use crate::raft::record::{EntryKind, Position};
use crate::store::file_disk::FileDisk;
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
fn a_sealed_store_opens_under_its_key_alone_and_nothing_of_it_is_readable() {
    let disk = MemoryDisk::default();
    let open = |key| {
        let sealer = Sealer::new(SealKey::from_bytes([key; KEY_BYTES]));
        ManagerStore::open_sealed(Arc::new(disk.clone()), sealer)
    };
    let (mut store, _) = open(1).unwrap();
    let told = |index| Entry {
        data: b"a secret of the log".to_vec().into(),
        ..entry(index, 1)
    };
    let rows = [row("a", "a secret row"), row("b", "")];
    store.begin(&Anchor::bootstrap(vec![1]), &rows).unwrap();
    store.append(&[told(2), entry(3, 0)], state(1)).unwrap();
    let changed = [row("c", "a secret row"), (b"b".to_vec(), None)];
    store.checkpoint(&anchor(2), &changed).unwrap();
    store.append(&[told(4)], state(3)).unwrap();
    drop(store);

    for name in disk.list().unwrap() {
        let file = disk.open(&name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        assert!(!bytes.windows(8).any(|part| part == b"a secret"), "{name}");
    }
    let error = open(2).unwrap_err().to_string();
    assert!(
        error.contains("does not open: the key is not its own"),
        "{error}"
    );
    let (_, opened) = open(1).unwrap();
    let rows = ["a", "c"].map(|key| (key.into(), b"a secret row".to_vec()));
    assert_eq!(opened.rows, rows);
    assert_eq!(opened.log.entries[..], [told(2), entry(3, 0), told(4)]);

    // A value does not open in the place of another, nor an entry.
    let (mut raw, sealed) = ManagerStore::open(Arc::new(disk.clone())).unwrap();
    let moved = (b"a".to_vec(), Some(sealed.rows[1].1.clone()));
    raw.checkpoint(&anchor(3), &[moved]).unwrap();
    drop(raw);
    let error = open(1).unwrap_err().to_string();
    assert!(error.contains("a row does not open"), "{error}");
}

#[test]
fn log_and_rows_are_there_after_a_power_cut() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    store
        .begin(&Anchor::bootstrap(vec![1]), &[row("a", "1"), row("b", "2")])
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
mod member;

#[test]
fn a_lone_entry_costs_one_block_and_one_sync() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    let before = (disk.written_bytes(), disk.syncs());
    for index in 1..=100 {
        store
            .append(&[entry(index, 200)], state(index - 1))
            .unwrap();
    }
    assert_eq!(disk.written_bytes() - before.0, 100 * 4096);
    assert_eq!(disk.syncs() - before.1, 100);
}

#[test]
fn a_checkpoint_is_due_seldom_and_before_a_turn_carries_much() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    let mut checkpoints = 0;
    for index in 1..=2_000 {
        store
            .append(&[entry(index, 200)], state(index - 1))
            .unwrap();
        if store.is_checkpoint_due() {
            store.checkpoint(&anchor(index), &[]).unwrap();
            assert!(!store.is_checkpoint_due());
            checkpoints += 1;
        }
    }
    assert_eq!(checkpoints, 3);
    for segment in ["journal-0", "journal-1"] {
        assert_eq!(disk.open(segment).unwrap().length().unwrap(), 1 << 20);
    }
    drop(store);
    disk.restart(Tear::OldOrNew, &mut Rng::from_seed(3));
    let (_, opened) = open(&disk);
    assert_eq!(opened.log.entries.last().unwrap().index, 2_000);
}

#[test]
fn a_directory_of_the_host_serves_one_store_at_a_time() {
    let directory = std::env::temp_dir().join(format!("skep-store-{}", std::process::id()));
    let disk = || FileDisk::open(&directory);
    let (mut store, opened) = ManagerStore::open(Arc::new(disk().unwrap())).unwrap();
    assert!(opened.is_new());
    store
        .begin(&Anchor::bootstrap(vec![1]), &[row("a", "1")])
        .unwrap();
    store.append(&[entry(2, 10)], state(1)).unwrap();
    assert_eq!(
        disk().unwrap_err().to_string(),
        format!("another skep daemon uses {}", directory.display())
    );
    drop(store);
    let (_, opened) = ManagerStore::open(Arc::new(disk().unwrap())).unwrap();
    assert_eq!(opened.log.entries, [entry(2, 10)]);
    assert_eq!(opened.rows, [(b"a".to_vec(), b"1".to_vec())]);
    std::fs::remove_dir_all(directory).unwrap();
}
