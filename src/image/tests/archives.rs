use std::io::Read;

use serde_json::json;

use super::kit::*;
use crate::image::compression::Compression;
use crate::image::digest::Digest;
use crate::image::hello::HELLO;
use crate::image::limits::Limits;
use crate::image::removal::InUse;
use crate::image::store::ImageStore;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn name(name: &str) -> serde_json::Value {
    json!({"org.opencontainers.image.ref.name": name})
}

/// Loads a layout and answers, sorted, each image's platform and names; or the error.
fn loaded(oci: &Oci) -> Vec<String> {
    let scratch = Scratch::new();
    let store = open(&scratch);
    if let Err(error) = load(&store, &oci.bytes()) {
        assert_eq!(listing(scratch.path()), EMPTY, "left by: {error}");
        return vec![error.to_string()];
    }
    let images = store.list().into_iter();
    let mut lines: Vec<_> = images
        .map(|i| {
            let tags: Vec<_> = i.tags.iter().map(|t| t.familiar()).collect();
            format!(
                "{} {} +{}",
                i.config.platform(),
                tags.join(" "),
                i.digests.len()
            )
        })
        .collect();
    lines.sort();
    lines
}

fn builds(oci: &mut Oci, platforms: &[&str]) -> Vec<serde_json::Value> {
    let build = |platform: &&str| {
        let layer = in_words(&format!("file {}", platform.replace('/', "-")));
        let digest = oci.build(platform, &[&layer], &[gzip(&layer)]);
        let parts: Vec<&str> = platform.split('/').collect();
        json!({"digest": digest, "platform": {"os": parts[0], "architecture": parts[1]}})
    };
    platforms.iter().map(build).collect()
}

#[test]
fn builds_are_chosen_by_platform_however_the_layout_lists_them() {
    if !is_root() {
        return;
    }
    let check = |platforms: &[&str], expect: &[&str]| {
        let (mut nested, mut flat) = (Oci::default(), Oci::default());
        let index = json!(builds(&mut nested, platforms));
        let index = nested.index(index);
        nested.descriptor(json!({"mediaType": INDEX, "digest": index, "annotations": name("a:1")}));
        assert_eq!(loaded(&nested), expect, "nested {platforms:?}");
        for mut build in builds(&mut flat, platforms) {
            build["annotations"] = name("a:1");
            flat.descriptor(build);
        }
        assert_eq!(loaded(&flat), expect, "flat {platforms:?}");
    };
    check(&["linux/arm64", "linux/amd64"], &["linux/amd64 a:1 +1"]);
    check(&["linux/386", "linux/s390x"], &["linux/386 a:1 +1"]);
    check(&["linux/amd64", "unknown/unknown"], &["linux/amd64 a:1 +1"]);
    // A single build is taken, and a task on it fails by its platform.
    check(&["linux/arm64"], &["linux/arm64 a:1 +1"]);
    check(&["linux/arm64", "unknown/unknown"], &["linux/arm64 a:1 +1"]);
    let none = "no image for linux/amd64 in the archive, only for linux/arm64, linux/s390x";
    check(&["linux/arm64", "linux/s390x"], &[none]);
}

#[test]
fn a_layout_may_hold_several_images_with_and_without_names() {
    if !is_root() {
        return;
    }
    let mut oci = Oci::default();
    let two = builds(&mut oci, &["linux/amd64", "linux/arm64"]);
    for (build, text) in [(0, "a:1"), (0, "docker.io/library/b:2"), (1, "c:3")] {
        oci.descriptor(json!({"digest": two[build]["digest"], "annotations": name(text)}));
    }
    assert_eq!(
        loaded(&oci),
        ["linux/amd64 a:1 b:2 +2", "linux/arm64 c:3 +1"]
    );
    let mut oci = Oci::default();
    let one = builds(&mut oci, &["linux/amd64"]);
    oci.descriptor(json!({"digest": one[0]["digest"], "annotations": name("latest")}));
    assert_eq!(loaded(&oci), ["linux/amd64  +0"], "a tag alone is no name");
}

#[test]
fn builds_that_the_archive_does_not_hold_are_not_missed() {
    if !is_root() {
        return;
    }
    let mut oci = Oci::default();
    let mut all = builds(&mut oci, &["linux/arm64"]);
    all.push(json!({"digest": Digest::of(b"elsewhere").to_string(),
        "platform": {"os": "linux", "architecture": "amd64"}}));
    let index = oci.index(json!(all));
    oci.descriptor(json!({"mediaType": INDEX, "digest": index, "annotations": name("a:1")}));
    assert_eq!(loaded(&oci), ["linux/arm64 a:1 +1"]);
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_refused() {
    if !is_root() {
        return;
    }
    let layer = in_words("file a");
    for (blob, what) in [(0, "config"), (1, "layer"), (2, "manifest")] {
        let mut oci = Oci::default();
        let manifest = oci.build("linux/amd64", &[&layer], &[gzip(&layer)]);
        oci.descriptor(json!({"digest": manifest}));
        let expected = oci.corrupt(blob);
        let error = &loaded(&oci)[0];
        let start = format!("digest does not match: {expected} was announced, ");
        assert!(error.starts_with(&start), "{what}: {error}");
    }
}

#[test]
fn a_layout_that_contradicts_itself_is_refused() {
    if !is_root() {
        return;
    }
    let layer = in_words("file a");
    let missing = Digest::of(b"missing");
    let check = |manifest: serde_json::Value, expect: &str| {
        let mut oci = Oci::default();
        let config = oci.blob(&config(&[&layer], "linux/amd64"));
        let text = manifest.to_string().replace("CONFIG", &config);
        let manifest = oci.blob(text.as_bytes());
        oci.descriptor(json!({"digest": manifest}));
        assert_eq!(loaded(&oci), [expect]);
    };
    let lacks = format!("the archive lacks {missing}, which its manifest names");
    let gone = json!({"digest": missing.to_string()});
    check(json!({"config": gone}), &lacks);
    check(
        json!({"config": {"digest": "CONFIG"}, "layers": [gone]}),
        &lacks,
    );
    let count = "the manifest has 0 layers, the config 1";
    check(json!({"config": {"digest": "CONFIG"}}), count);
    let text = "a manifest names something by \"sha512:0\" is not a sha256 digest";
    check(json!({"config": {"digest": "sha512:0"}}), text);
}

#[test]
fn zstd_in_several_frames_with_notes_between_them_is_one_stream() {
    let note = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"note"].concat();
    let stream = [
        &note[..],
        &zstd(b"one "),
        &note,
        &zstd(b""),
        &zstd(b"two"),
        &note,
    ]
    .concat();
    assert_eq!(Compression::sniff(&stream), Compression::Zstd);
    let read = |bytes: &[u8]| {
        let mut text = String::new();
        let end = Compression::Zstd.decoder(bytes).read_to_string(&mut text);
        end.map(|_| text).ok()
    };
    assert_eq!(read(&stream).as_deref(), Some("one two"));
    assert_eq!(read(&stream[..stream.len() - 1]), None, "a cut note");
    assert_eq!(
        read(&[&zstd(b"one")[..], b"junk"].concat()),
        None,
        "junk at the end"
    );
    let mut damaged = zstd(b"one");
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(read(&damaged), None, "a wrong checksum");
}

#[test]
fn a_layer_that_is_there_is_not_unpacked_again() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    let layer = in_words("file a");
    let mut oci = Oci::default();
    let manifest = oci.build("linux/amd64", &[&layer], &[gzip(&layer)]);
    oci.descriptor(json!({"digest": manifest, "annotations": name("a:1")}));
    load(&store, &oci.bytes()).unwrap();
    let dir = &store.resolve("a:1").unwrap().layers[0].dir;
    let inode = || std::os::unix::fs::MetadataExt::ino(&dir.metadata().unwrap());
    let before = inode();
    load(&store, &oci.bytes()).unwrap();
    assert_eq!(inode(), before);
    let mut false_claim = Oci::default();
    let manifest = false_claim.build("linux/amd64", &[&layer], &[gzip(&layer)]);
    false_claim.descriptor(json!({"digest": manifest, "annotations": name("b:1")}));
    let expected = false_claim.corrupt(1);
    let error = load(&store, &false_claim.bytes()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("digest does not match: {expected}")),
        "{error}"
    );
}

#[test]
fn a_load_tells_how_far_each_layer_is() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    let layer = LayerTar::new().file("a", &vec![1; 2 << 20]).bytes();
    let mut told = Vec::new();
    let archive = docker_archive(&["a"], &[&layer]);
    store
        .load(&archive[..], &mut |progress| told.push(progress))
        .unwrap();
    let total = layer.len() as u64;
    assert!(
        told.len() > 3 && told.iter().all(|p| p.layer == "0/layer.tar"),
        "{told:?}"
    );
    assert!(told.is_sorted_by_key(|p| p.received_bytes));
    assert_eq!(
        told.last().map(|p| (p.received_bytes, p.total_bytes)),
        Some((total, total))
    );
}

#[test]
fn a_full_disk_is_named_and_what_was_there_stays() {
    if !is_root() {
        return;
    }
    let Some(disk) = SmallDisk::new(4 << 20) else {
        return;
    };
    let store = ImageStore::open_with(disk.path(), limits(), amd64()).unwrap();
    load(&store, &docker_archive(&["small"], &[&in_words("file a")])).unwrap();
    let before = listing(disk.path());
    let layer = LayerTar::new().file("big", &vec![7; 6 << 20]).bytes();
    let error = load(&store, &docker_archive(&["big"], &[&layer]))
        .unwrap_err()
        .to_string();
    let full = "layer 0/layer.tar: cannot write \"big\": No space left on device (os error 28)";
    assert_eq!(error, full);
    assert_eq!(listing(disk.path()), before);
    load(
        &store,
        &docker_archive(&["small:2"], &[&in_words("file b")]),
    )
    .unwrap();
}

#[test]
fn a_load_that_would_eat_the_reserve_is_stopped() {
    if !is_root() {
        return;
    }
    let Some(disk) = SmallDisk::new(20 << 20) else {
        return;
    };
    let limits = Limits {
        reserve_bytes: 8 << 20,
        ..limits()
    };
    let store = ImageStore::open_with(disk.path(), limits, amd64()).unwrap();
    let layer = LayerTar::new().file("big", &vec![7; 16 << 20]).bytes();
    let error = load(&store, &docker_archive(&["big"], &[&layer]))
        .unwrap_err()
        .to_string();
    let start = "layer 0/layer.tar: no space left: the disk has ";
    assert!(
        error.starts_with(start) && error.ends_with("8388608 stay in reserve"),
        "{error}"
    );
    assert_eq!(listing(disk.path()), EMPTY);
}

#[test]
fn the_built_in_image_is_made_once_per_program() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let (exe, dir) = (scratch.path().join("exe"), scratch.path().join("store"));
    std::fs::write(&exe, vec![3; 700]).unwrap();
    let store = ImageStore::open_with(&dir, limits(), amd64()).unwrap();
    let unused = InUse::new();
    let first = store.install_hello(&exe, &unused).unwrap();
    let image = store.resolve(HELLO).unwrap();
    assert_eq!(
        (image.id, image.config.config.cmd.join(" ")),
        (first, "/skep hello".to_owned())
    );
    assert_eq!(
        std::fs::read(image.layers[0].dir.join("skep")).unwrap(),
        [3; 700]
    );
    crate::image::disk::power::notes();
    assert_eq!(store.install_hello(&exe, &unused).unwrap(), first);
    assert_eq!(
        crate::image::disk::power::notes(),
        [],
        "nothing is written the second time"
    );
    let mut saved = Vec::new();
    store.save(&[HELLO.to_owned()], &mut saved).unwrap();
    std::fs::remove_file(&exe).unwrap();
    std::fs::write(&exe, vec![4; 800]).unwrap();
    let used = InUse::from([(first, "web.1".to_owned())]);
    let second = store.install_hello(&exe, &used).unwrap();
    assert_eq!(store.list().len(), 2, "the first one is in use");
    assert_eq!(store.resolve(HELLO).unwrap().id, second);
    std::fs::write(&exe, vec![5; 900]).unwrap();
    store.install_hello(&exe, &unused).unwrap();
    assert_eq!(store.list().len(), 2, "the second one went");
    let other = Scratch::new();
    assert_eq!(
        load(&open(&other), &saved).unwrap()[0].id,
        first,
        "a saved one is the same"
    );
}
