//! The manager's store, format 1.

use std::io::Read;
use std::sync::Arc;

use skep::raft::record::{Anchor, ConfState, Entry, EntryKind, HardState, Position, Restored};
use skep::store::disk::Disk;
use skep::store::manager_store::{ManagerStore, Opened};
use skep::store::memory_disk::MemoryDisk;

/// The first bytes of the files, and the records of the journal without the zeros behind them.
const STATE_HEADER: &str = "736b65707374617401000000281727d1";
const JOURNAL_HEADER: &str = "736b65706a726e6c010000008466c570";
const JOURNAL_RECORDS: [&str; 3] = [
    "0100000087e33f8807000000010000000000000000000000000000000100000000000000",
    "010000002986a1bd17000000010000000000000001000000000000000101\
     0103ac02020202030000030301076d656d62657273",
    "010000005759b29b10000000010000000000000002000000000000000003\
     ac020401040300066e6f726d616c",
];

/// All files of the store that `expected` describes, as a tar archive in gzip.
const STORE: &[u8] = include_bytes!("store-1.tar.gz");

fn expected() -> Opened {
    let entry = |index, kind, data: &'static [u8]| Entry {
        index,
        term: 3,
        kind,
        data: data.into(),
    };
    Opened {
        log: Restored {
            anchor: Anchor {
                applied: Position { index: 3, term: 3 },
                hard_state: HardState {
                    term: 3,
                    vote: 300,
                    commit: 4,
                },
                conf_state: ConfState {
                    voters: vec![1, 300],
                    learners: vec![7],
                    voters_outgoing: Vec::new(),
                    learners_next: Vec::new(),
                    auto_leave: false,
                },
            },
            before: Position { index: 1, term: 1 },
            entries: vec![
                entry(2, EntryKind::Normal, b""),
                entry(3, EntryKind::Members, b"members"),
                entry(4, EntryKind::Normal, b"normal"),
            ],
        },
        rows: vec![
            (b"key".to_vec(), b"value".to_vec()),
            (vec![0, 255], Vec::new()),
        ],
    }
}

/// Writes the expected store with this version.
fn write() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (mut store, _) = ManagerStore::open(Arc::new(disk.clone())).unwrap();
    let Opened { log, rows } = expected();
    let bootstrap = Anchor::bootstrap(vec![300]);
    store
        .begin(&bootstrap, &[(b"gone".to_vec(), Some(Vec::new()))])
        .unwrap();
    let hard_state = log.anchor.hard_state;
    store
        .append(
            &log.entries[..2],
            HardState {
                commit: 2,
                ..hard_state
            },
        )
        .unwrap();
    store.append(&log.entries[2..], hard_state).unwrap();
    let rows = rows.into_iter().map(|(key, value)| (key, Some(value)));
    let rows: Vec<_> = rows.chain([(b"gone".to_vec(), None)]).collect();
    let hard_state = HardState {
        commit: 3,
        ..hard_state
    };
    store
        .checkpoint(
            &Anchor {
                hard_state,
                ..log.anchor
            },
            &rows,
        )
        .unwrap();
    disk
}

fn read(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn check(bytes: &[u8], expect: &str) {
    let (bytes, rest) = bytes.split_at(expect.len() / 2);
    assert_eq!(hex(bytes), expect);
    assert!(rest.iter().all(|byte| *byte == 0), "more than {expect}");
}

#[test]
fn a_store_of_format_1_is_read() {
    let disk = MemoryDisk::default();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(STORE));
    for file in archive.entries().unwrap() {
        let mut file = file.unwrap();
        let name = file.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        disk.create(&name).unwrap().write_at(0, &bytes).unwrap();
    }
    assert_eq!(disk.list().unwrap(), ["journal-0", "journal-1", "state"]);
    let (_, opened) = ManagerStore::open(Arc::new(disk)).unwrap();
    let mut expected = expected();
    expected.rows.sort();
    assert_eq!(opened, expected);
}

#[test]
fn a_store_is_written_in_format_1() {
    let disk = write();
    let journal = read(&disk, "journal-0");
    let mut blocks = journal.chunks(4096);
    check(blocks.next().unwrap(), JOURNAL_HEADER);
    for record in JOURNAL_RECORDS {
        check(blocks.next().unwrap(), record);
    }
    assert!(blocks.flatten().all(|byte| *byte == 0));
    check(&read(&disk, "journal-1"), JOURNAL_HEADER);
    check(&read(&disk, "state")[..4096], STATE_HEADER);
}
