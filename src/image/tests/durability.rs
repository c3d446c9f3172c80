use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use super::kit::*;
use crate::image::disk::power;
use crate::image::removal::InUse;
use crate::image::store::ImageStore;

/// What a store holds, after a look that everything it names is there.
fn images(store: &ImageStore) -> BTreeSet<String> {
    let images = store.list().into_iter();
    let names = images.flat_map(|image| {
        for layer in &image.layers {
            let files = listing(&layer.dir);
            assert_eq!(files.len(), 1, "{} of {:?}", layer.diff_id, image.tags);
        }
        image.tags.into_iter().map(|tag| tag.familiar())
    });
    names.collect()
}

/// Nothing lies about that no image has.
fn tidy(dir: &Path, store: &ImageStore) {
    let images = store.list();
    let layers: BTreeSet<_> = images
        .iter()
        .flat_map(|i| &i.layers)
        .map(|l| l.diff_id)
        .collect();
    let count = |folder: &str| std::fs::read_dir(dir.join(folder)).unwrap().count();
    assert_eq!(count("tmp"), 0);
    assert_eq!(count("layers"), layers.len());
    assert_eq!(count("configs"), images.len());
}

/// Lets the power fail at each step of `act` in turn, and expects a store as before or as after.
fn survives(act: impl Fn(&ImageStore) -> bool, before: &[&str], after: &[&str]) {
    if !is_root() {
        return;
    }
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|n| (*n).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let mut seen = BTreeSet::new();
    for steps in 0.. {
        let scratch = Scratch::new();
        let store = open(&scratch);
        load(
            &store,
            &docker_archive(&["one:1"], &[&in_words("file a"), &in_words("file b")]),
        )
        .unwrap();
        power::fail_after(Some(steps));
        let done = act(&store);
        drop(store);
        let enough = power::steps_left() > Some(0);
        power::fail_after(None);
        let store = open(&scratch);
        let found = images(&store);
        assert!(
            found == set(before) || found == set(after),
            "after {steps} steps: {found:?}"
        );
        assert!(
            !done || found == set(after),
            "what was reported is there, after {steps} steps"
        );
        tidy(scratch.path(), &store);
        // It still works.
        load(
            &store,
            &docker_archive(&["one:2"], &[&in_words("file b"), &in_words("file d")]),
        )
        .unwrap();
        seen.insert(found);
        if enough {
            break;
        }
    }
    assert_eq!(seen.len(), 2, "both outcomes were met: {seen:?}");
}

#[test]
fn a_power_cut_during_a_load_leaves_the_store_as_before_or_as_after() {
    let archive = docker_archive(&["two:1"], &[&in_words("file a"), &in_words("file c")]);
    survives(
        |store| load(store, &archive).is_ok(),
        &["one:1"],
        &["one:1", "two:1"],
    );
}

#[test]
fn a_power_cut_during_a_load_that_moves_a_name_leaves_it_at_one_of_both() {
    let archive = docker_archive(&["one:1", "three"], &[&in_words("file c")]);
    survives(
        |store| load(store, &archive).is_ok(),
        &["one:1"],
        &["one:1", "three:latest"],
    );
}

#[test]
fn a_power_cut_during_a_removal_leaves_the_store_as_before_or_as_after() {
    survives(
        |store| store.remove("one:1", false, &InUse::new()).is_ok(),
        &["one:1"],
        &[],
    );
}

#[test]
fn a_power_cut_during_a_tag_leaves_the_store_as_before_or_as_after() {
    survives(
        |store| store.tag("one:1", "new").is_ok(),
        &["one:1"],
        &["one:1", "new:latest"],
    );
}

#[test]
fn the_index_is_replaced_only_after_everything_it_names_is_durable() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    let archive = docker_archive(&["one:1"], &[&in_words("file a")]);
    power::notes();
    load(&store, &archive).unwrap();
    let folder = |path: &Path| {
        let path = path.strip_prefix(scratch.path()).unwrap().to_owned();
        path.iter()
            .next()
            .map_or_else(|| ".".to_owned(), |n| n.to_string_lossy().into_owned())
    };
    let notes = power::notes();
    let notes = notes
        .iter()
        .map(|(doing, path)| format!("{doing} {}", folder(path)));
    let notes: Vec<_> = notes.filter(|n| !n.starts_with("remove")).collect();
    let expect = [
        "create tmp",
        "write tmp",
        // The file system as a whole: all layers and configs.
        "sync tmp",
        "rename to layers",
        "rename to configs",
        "sync layers",
        "sync configs",
        // The new index, itself synced before it gets its name.
        "write tmp",
        "rename to index",
        "sync .",
    ];
    assert_eq!(notes, expect);
}

/// A card that lost the newest index gives the one before; what that names and is gone is dropped.
#[test]
fn a_damaged_index_costs_at_most_the_last_change() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    load(&store, &docker_archive(&["one:1"], &[&in_words("file a")])).unwrap();
    load(&store, &docker_archive(&["two:1"], &[&in_words("file b")])).unwrap();
    store.remove("one:1", false, &InUse::new()).unwrap();
    drop(store);
    let index = scratch.path().join("index");
    let mut bytes = std::fs::read(&index).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    let store = open(&scratch);
    assert_eq!(images(&store), BTreeSet::from(["two:1".to_owned()]));
    tidy(scratch.path(), &store);
    drop(store);
    for name in ["index", "index.old"] {
        std::fs::write(scratch.path().join(name), b"").unwrap();
    }
    let store = open(&scratch);
    assert_eq!(images(&store), BTreeSet::new());
    tidy(scratch.path(), &store);
    load(&store, &docker_archive(&["one:1"], &[&in_words("file a")])).unwrap();
}

#[test]
fn an_index_of_a_later_version_is_refused_and_not_touched() {
    let scratch = Scratch::new();
    let body = b"whatever";
    let crc = crc32fast::hash(body).to_le_bytes();
    let bytes = [&2u16.to_le_bytes()[..], &crc, body].concat();
    std::fs::write(scratch.path().join("index"), &bytes).unwrap();
    let error = ImageStore::open(scratch.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the image store has format 2, which is newer than this version of skep"
    );
    assert_eq!(std::fs::read(scratch.path().join("index")).unwrap(), bytes);
}

#[test]
fn a_second_process_on_the_same_store_is_refused() {
    let scratch = Scratch::new();
    let store = open(&scratch);
    let error = ImageStore::open(scratch.path()).unwrap_err().to_string();
    let expect = format!(
        "the image store {} is in use by another process",
        scratch.path().display()
    );
    assert_eq!(error, expect);
    drop(store);
    open(&scratch);
}

/// Reads, and in the middle does something to the store.
struct Meanwhile<'a, F> {
    bytes: &'a [u8],
    at: usize,
    act: Option<F>,
}

impl<F: FnOnce()> Read for Meanwhile<'_, F> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.bytes.len() < self.at
            && let Some(act) = self.act.take()
        {
            act();
        }
        self.bytes.read(buf)
    }
}

#[test]
fn a_layer_that_a_load_counts_on_outlives_its_image() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    let (shared, own) = (in_words("file a"), in_words("file b"));
    load(&store, &docker_archive(&["one:1"], &[&shared])).unwrap();
    let mut oci = Oci::default();
    let manifest = oci.build(
        "linux/amd64",
        &[&shared, &own],
        &[shared.clone(), own.clone()],
    );
    let name = serde_json::json!({"io.containerd.image.name": "two:1"});
    oci.descriptor(serde_json::json!({"digest": manifest, "annotations": name}));
    let archive = oci.bytes();
    let last = archive.len() - 2048;
    let (first, rest) = archive.split_at(last);
    let input = first.chain(Meanwhile {
        bytes: rest,
        at: rest.len(),
        act: Some(|| drop(store.remove("one:1", false, &InUse::new()).unwrap())),
    });
    store.load(input, &mut |_| {}).unwrap();
    assert_eq!(images(&store), BTreeSet::from(["two:1".to_owned()]));
    store.remove("two:1", false, &InUse::new()).unwrap();
    tidy(scratch.path(), &store);
}

#[test]
fn loads_at_the_same_time_share_the_store() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..5 {
                    let own = in_words(&format!("file {n}-{round}"));
                    let layers = [&in_words("file base")[..], &own];
                    let name = format!("app:{n}");
                    load(store, &docker_archive(&[&name], &layers)).unwrap();
                    store.remove(&name, true, &InUse::new()).unwrap();
                }
                load(
                    store,
                    &docker_archive(&[&format!("app:{n}")], &[&in_words("file base")]),
                )
                .unwrap();
            });
        }
    });
    assert_eq!(images(&store).len(), 4);
    tidy(scratch.path(), &store);
}
