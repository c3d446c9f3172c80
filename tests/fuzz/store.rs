//! What must hold for a card that rotted, whatever it now says.
//!
//! Each function is a fuzz target; tests/fuzz_corpus.rs calls it for each file of its corpus.

use std::sync::{Arc, OnceLock};

use skep::model::record;
use skep::raft::node::Node;
use skep::raft::record::{Anchor, Entry, EntryKind, HardState, Position};
use skep::store::checkpoint::Checkpoint;
use skep::store::disk::Disk;
use skep::store::manager_store::{ManagerStore, Opened};
use skep::store::memory_disk::MemoryDisk;

const BLOCK: usize = 4096;
/// Behind the last record, so that few runs go on in the other file.
const ROOM_BLOCKS: usize = 3;
const FILES: [&str; 3] = ["state", "journal-0", "journal-1"];

type Files = Vec<(&'static str, Vec<u8>)>;

/// A store is refused, or opened, and then it goes on and opens again. The first byte chooses
/// whether the rest is records with good check sums, single changed bytes, or rows.
pub fn store(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind % 3 {
        0 => records(rest),
        1 => changed_bytes(rest),
        _ => rows(rest),
    }
}

/// The first piece is the checkpoint's own record, the others are the journal's.
fn records(bytes: &[u8]) {
    let mut pieces = pieces(bytes).into_iter();
    let meta = pieces.next().unwrap_or_default();
    let mut files = written().clone();
    let journal = &mut files[1].1;
    journal.truncate(BLOCK);
    for (sequence, body) in (0..).zip(pieces) {
        append_record(journal, sequence, body);
    }
    journal.resize(journal.len() + ROOM_BLOCKS * BLOCK, 0);
    let disk = disk(&files);
    let checkpoint = Checkpoint::open(Arc::new(disk.clone()));
    let committed = checkpoint.and_then(|mut checkpoint| checkpoint.commit(meta, &[]));
    committed.expect("bytes can be written");
    goes_on(&disk);
}

/// Four bytes for each change: which file, where, and what is there now.
fn changed_bytes(bytes: &[u8]) {
    let mut files = written().clone();
    for change in bytes.chunks_exact(4) {
        let contents = &mut files[usize::from(change[0] % 3)].1;
        let block = usize::from(change[0] / 3) * BLOCK;
        let at = block + usize::from(u16::from_le_bytes([change[1], change[2]]));
        let at = at % contents.len();
        contents[at] = change[3];
    }
    goes_on(&disk(&files));
}

/// Each second piece is the value of the key before.
fn rows(bytes: &[u8]) {
    let pieces = pieces(bytes);
    let rows = pieces.chunks_exact(2);
    let rows: Vec<_> = rows.map(|row| (row[0].to_vec(), row[1].to_vec())).collect();
    restores(2, rows);
}

/// A state that is read can be stored, and comes back the same.
fn restores(index: u64, rows: Vec<(Vec<u8>, Vec<u8>)>) {
    let Ok(state) = record::restore(index, rows) else {
        return;
    };
    let stored = |state: &skep::model::state::State| -> Vec<_> {
        let row = |id| record::row(state, id).expect("an object can be stored");
        let whole = |(key, bytes): record::Row| (key, bytes.expect("the object is there"));
        state.objects().map(|id| whole(row(id))).collect()
    };
    let once = stored(&state);
    let again = record::restore(index, once.clone()).expect("what was stored can be read");
    assert_eq!(stored(&again), once);
}

fn goes_on(disk: &MemoryDisk) {
    let open = || ManagerStore::open(Arc::new(disk.clone()));
    let Ok((mut store, opened)) = open() else {
        return;
    };
    let Opened { log, rows } = opened;
    restores(log.anchor.applied.index, rows);
    let Ok(mut node) = Node::new(1, log, 7) else {
        return;
    };
    for _ in 0..25 {
        node.tick();
        while let Some(ready) = node.ready() {
            if let Some(persist) = ready.persist {
                let appended = store.append(&persist.entries, persist.hard_state);
                appended.expect("the disk takes everything");
                node.persisted(persist.number);
            }
        }
    }
    let checkpointed = store.checkpoint(&node.anchor(), &[]);
    checkpointed.expect("the disk takes everything");
    drop(store);
    let (_, opened) = open().expect("what went on opens again");
    Node::new(1, opened.log, 7).expect("and so does its log");
}

/// The files of a store with a checkpoint at 3, and entries up to 5 in the journal.
fn written() -> &'static Files {
    static WRITTEN: OnceLock<Files> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let disk = MemoryDisk::default();
        let opened = ManagerStore::open(Arc::new(disk.clone()));
        let (mut store, _) = opened.expect("an empty disk gives a store");
        let mut anchor = Anchor::bootstrap(vec![1]);
        let first = store.begin(&anchor, &[(vec![b'?'], Some(vec![1; 50]))]);
        first.expect("a beginning");
        for index in 2..6 {
            let entry = Entry {
                index,
                term: 1,
                kind: EntryKind::Normal,
                data: vec![7; 50].into(),
            };
            let state = HardState {
                term: 1,
                vote: 1,
                commit: index - 1,
            };
            store.append(&[entry], state).expect("an entry");
        }
        anchor.applied = Position { index: 3, term: 1 };
        anchor.hard_state.commit = 3;
        let second = store.checkpoint(&anchor, &[(vec![b'?'], None)]);
        second.expect("a checkpoint");
        drop(store);
        let mut files = Files::from(FILES.map(|name| (name, read(&disk, name))));
        // What was preallocated takes long to copy, and is all zeros.
        files[1].1.truncate((6 + ROOM_BLOCKS) * BLOCK);
        files[2].1.truncate(BLOCK);
        files
    })
}

fn read(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("the file is there");
    let length = file.length().expect("it has a length");
    let mut bytes = vec![0; usize::try_from(length).expect("which fits")];
    file.read_at(0, &mut bytes).expect("and can be read");
    bytes
}

fn disk(files: &Files) -> MemoryDisk {
    let disk = MemoryDisk::default();
    for (name, bytes) in files {
        let file = disk.create(name).expect("a file can be made");
        file.write_at(0, bytes).expect("and written");
        file.sync().expect("and synced");
    }
    disk.sync().expect("and named");
    disk
}

/// A record as the journal writes it, with the right check sum.
fn append_record(journal: &mut Vec<u8>, sequence: u64, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("pieces are short");
    let mut summed = 1_u32.to_le_bytes().to_vec();
    summed.extend(length.to_le_bytes());
    summed.extend(1_u64.to_le_bytes());
    summed.extend(sequence.to_le_bytes());
    summed.extend(body);
    let crc = crc32fast::hash(&summed);
    journal.extend(&summed[..4]);
    journal.extend(crc.to_le_bytes());
    journal.extend(&summed[4..]);
    journal.resize(journal.len().next_multiple_of(BLOCK), 0);
}

/// Pieces, each after its length in one byte, or in two if the first has its highest bit set.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some((short, rest)) = bytes.split_first() {
        let (length, rest) = match rest.split_first() {
            Some((more, rest)) if *short >= 128 => {
                (usize::from(short & 127) * 256 + usize::from(*more), rest)
            }
            _ => (usize::from(*short), rest),
        };
        let (piece, rest) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
