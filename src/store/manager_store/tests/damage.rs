//! Full disks, failed syncs and rotten bytes.

use super::crash::{Model, script};
use super::*;

fn reopen(disk: &MemoryDisk) -> Result<Opened, StoreError> {
    disk.restart(Tear::OldOrNew, &mut Rng::from_seed(0));
    ManagerStore::open(Arc::new(disk.clone())).map(|(_, opened)| opened)
}

#[test]
fn a_full_disk_is_said_and_harms_nothing() {
    let script = script();
    let mut refusals = 0;
    for capacity in (0..16 << 20).step_by(800_000) {
        let disk = MemoryDisk::default();
        disk.fill(Some(capacity));
        let mut full = |error: StoreError| {
            assert!(error.is_passing(), "with {capacity} bytes: {error}");
            assert!(error.to_string().starts_with("the disk is full"), "{error}");
            disk.fill(None);
            refusals += 1;
        };
        let opened = ManagerStore::open(Arc::new(disk.clone()));
        let mut store = opened.map_or_else(
            |error| {
                full(error);
                open(&disk).0
            },
            |(store, _)| store,
        );
        let mut model = Model::default();
        for step in &script {
            if let Err(error) = step.run(&mut store) {
                full(error);
                step.run(&mut store).unwrap();
            }
            model.take(step);
        }
        drop(store);
        assert_eq!(
            Model::of(reopen(&disk).unwrap()),
            model,
            "with {capacity} bytes"
        );
    }
    assert!(refusals > 5, "the disk was full only {refusals} times");
}

#[test]
fn after_a_failed_sync_nothing_is_written_any_more() {
    let steps = [script().remove(0), script().remove(1)];
    for step in steps {
        let disk = MemoryDisk::default();
        let (mut store, _) = open(&disk);
        disk.fail_next_sync(true);
        let error = step.run(&mut store).unwrap_err();
        assert!(matches!(error, StoreError::Sync { .. }), "{error}");
        assert!(!error.is_passing());
        let changes = disk.steps();
        let again = step.run(&mut store).unwrap_err();
        assert!(matches!(again, StoreError::Failed { .. }), "{again}");
        assert_eq!(disk.steps(), changes);
        drop(store);
        assert!(reopen(&disk).unwrap().is_new());
    }
}

/// A store with a checkpoint at 3, and four records in the journal up to entry 5.
fn written() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk);
    store
        .begin(&Anchor::bootstrap(vec![1]), &[row("a", "1")])
        .unwrap();
    for index in 2..6 {
        store.append(&[entry(index, 50)], state(index - 1)).unwrap();
    }
    store.checkpoint(&anchor(3), &[row("a", "3")]).unwrap();
    disk
}

/// The block of the record in the first segment that brought an entry.
fn block(index: usize) -> usize {
    index * 4096
}

#[track_caller]
fn check_refused(file: &str, change: impl FnOnce(&mut Vec<u8>), expect: &str) {
    let disk = written();
    disk.corrupt(file, change);
    let error = reopen(&disk).unwrap_err();
    assert!(error.to_string().contains(expect), "{error}");
    assert!(!error.is_passing());
}

#[test]
fn a_torn_last_record_is_left_out() {
    let disk = written();
    disk.corrupt("journal-0", |bytes| bytes[block(5) + 30] ^= 1);
    let opened = reopen(&disk).unwrap();
    assert_eq!(opened.log.entries.last().unwrap().index, 4);
    assert_eq!(opened.log.anchor.hard_state, state(3));
}

#[test]
fn a_lost_record_before_others_is_refused() {
    let lose = |index: usize| move |bytes: &mut Vec<u8>| bytes[block(index) + 30] ^= 1;
    check_refused(
        "journal-0",
        lose(4),
        "no record at byte 16384 but one at byte 20480",
    );
    check_refused("journal-0", lose(1), "no complete record");
}

#[test]
fn a_journal_that_ends_before_the_checkpoint_is_refused() {
    let blank = |bytes: &mut Vec<u8>| bytes[block(3)..].fill(0);
    check_refused(
        "journal-0",
        blank,
        "ends at entry 2, but the checkpoint has applied 3",
    );
    let blank = |bytes: &mut Vec<u8>| bytes[block(1)..].fill(0);
    check_refused("journal-0", blank, "no complete record");
}

#[test]
fn files_of_others_and_of_the_future_are_refused() {
    for file in ["journal-0", "journal-1", "state"] {
        check_refused(file, |bytes| bytes[0] ^= 1, "none of skep's files");
        check_refused(file, |bytes| bytes.truncate(3), "none of skep's files");
        let future = |bytes: &mut Vec<u8>| {
            bytes[8] = 2;
            let crc = crc32fast::hash(&bytes[..12]);
            bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        };
        check_refused(file, future, "has format 2; this skep reads format 1");
    }
}

#[test]
fn a_missing_file_is_refused() {
    for file in ["journal-0", "journal-1"] {
        let disk = written();
        disk.remove(file).unwrap();
        disk.sync().unwrap();
        let error = reopen(&disk).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("memory/{file} is missing, though the rest of the store is there")
        );
    }
}

#[test]
fn no_rotten_byte_of_the_journal_goes_unnoticed() {
    let disk = written();
    let whole = Model::of(reopen(&disk).unwrap());
    let mut shorter = whole.clone();
    shorter.entries.pop();
    shorter.anchor.hard_state.commit = 3;
    for position in (0..block(6)).step_by(29) {
        disk.corrupt("journal-0", |bytes| bytes[position] ^= 0x10);
        if let Ok(opened) = reopen(&disk) {
            let found = Model::of(opened);
            let in_last = position >= block(5);
            assert!(
                found == whole || in_last && found == shorter,
                "byte {position}"
            );
        }
        disk.corrupt("journal-0", |bytes| bytes[position] ^= 0x10);
    }
}

#[test]
fn no_rotten_byte_of_the_checkpoint_goes_unnoticed() {
    let whole = Model::of(reopen(&written()).unwrap());
    let mut refused = 0;
    for position in (0..140_000).step_by(1_499) {
        let disk = written();
        disk.corrupt("state", |bytes| bytes[position] ^= 0x10);
        match reopen(&disk) {
            Ok(opened) => assert_eq!(Model::of(opened), whole, "byte {position}"),
            Err(error) => {
                assert!(
                    matches!(error, StoreError::Damaged { .. }),
                    "byte {position}: {error}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 1, "nothing that was changed was in use");
}
