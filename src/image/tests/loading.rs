use std::os::unix::fs::MetadataExt;

use serde_json::json;

use super::kit::*;
use crate::image::digest::Digest;
use crate::image::store::ImageStore;

fn contents(store: &ImageStore, image: &str, path: &str) -> String {
    let image = store.resolve(image).unwrap();
    let layers = image.layers.iter().rev().map(|l| l.dir.join(path));
    let bytes = layers.map(std::fs::read).find_map(Result::ok);
    String::from_utf8(bytes.expect(path)).unwrap()
}

#[test]
fn an_archive_of_docker_save_is_loaded_however_it_is_packed() {
    if !is_root() {
        return;
    }
    let low = LayerTar::new().dir("etc/").file("etc/motd", b"hi").bytes();
    let high = LayerTar::new().file("etc/motd", b"ho").bytes();
    let plain = docker_archive(&["app:1", "me/app"], &[&low, &high]);
    for archive in [plain.clone(), gzip(&plain), zstd(&plain)] {
        let scratch = Scratch::new();
        let store = open(&scratch);
        let loaded = load(&store, &archive).unwrap();
        assert_eq!(loaded.len(), 1);
        let image = store.resolve("app:1").unwrap();
        assert_eq!(image.id, loaded[0].id);
        assert_eq!(image, store.resolve("me/app").unwrap());
        assert_eq!(image, store.resolve(&image.id.hex()[..12]).unwrap());
        let layers: Vec<Digest> = image.layers.iter().map(|l| l.diff_id).collect();
        assert_eq!(layers, [Digest::of(&low), Digest::of(&high)]);
        assert_eq!(image.bytes(), 4);
        assert_eq!(contents(&store, "app:1", "etc/motd"), "ho");
        assert_eq!(
            image.layers[0]
                .dir
                .join("etc/motd")
                .metadata()
                .unwrap()
                .mtime(),
            1_000_000_000
        );
    }
}

#[test]
fn a_saved_image_is_the_same_image_again() {
    if !is_root() {
        return;
    }
    let low = LayerTar::new()
        .dir("a/")
        .file("a/b", &[7; 3000])
        .link("a/c", "a/b")
        .bytes();
    let high = LayerTar::new()
        .file("a/.wh.b", b"")
        .symlink("a/d", "../x")
        .bytes();
    let (first, second) = (Scratch::new(), Scratch::new());
    let (from, to) = (open(&first), open(&second));
    load(&from, &docker_archive(&["app:1"], &[&low, &high, &low])).unwrap();
    let mut saved = Vec::new();
    from.save(&["app:1".to_owned()], &mut saved).unwrap();
    load(&to, &saved).unwrap();
    let (before, after) = (from.resolve("app:1").unwrap(), to.resolve("app:1").unwrap());
    assert_eq!((before.id, before.config), (after.id, after.config));
    let mut again = Vec::new();
    to.save(&["app:1".to_owned()], &mut again).unwrap();
    assert!(saved == again, "the second archive differs from the first");
}

#[test]
fn the_build_for_this_host_is_taken_from_an_oci_layout() {
    if !is_root() {
        return;
    }
    let layer = |text: &[u8]| LayerTar::new().file("arch", text).bytes();
    let (arm, amd) = (layer(b"arm"), layer(b"amd"));
    let mut oci = Oci::default();
    let arm = oci.build("linux/arm64", &[&arm], &[zstd(&arm)]);
    let amd = oci.build("linux/amd64", &[&amd], &[gzip(&amd)]);
    let index = oci.index(json!([
        {"digest": arm, "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": amd, "platform": {"os": "linux", "architecture": "amd64"}},
    ]));
    oci.descriptor(json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": index,
        "annotations": {"io.containerd.image.name": "docker.io/library/app:1"},
    }));
    let scratch = Scratch::new();
    let store = open(&scratch);
    load(&store, &oci.bytes()).unwrap();
    assert_eq!(contents(&store, "app:1", "arch"), "amd");
    assert_eq!(contents(&store, &format!("app@{amd}"), "arch"), "amd");
    assert_eq!(store.list().len(), 1);
    let layers = listing(&scratch.path().join("layers"));
    assert_eq!(
        layers.iter().filter(|l| !l.contains('/')).count(),
        1,
        "{layers:?}"
    );
}

/// Docker gives equal layers a directory each; here they are one, which overlayfs takes only once.
#[test]
fn an_image_that_has_a_layer_twice_can_be_mounted() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    let (low, high) = (
        in_words("dir d; file d/a; file b"),
        in_words("file d/.wh.a; file c"),
    );
    let twice: [&[u8]; 5] = [&low, &high, &low, &high, &high];
    load(&store, &docker_archive(&["app"], &twice)).unwrap();
    let image = store.resolve("app").unwrap();
    assert_eq!((image.layers.len(), image.layer_dirs().len()), (5, 2));
    let upper_first: Vec<_> = image
        .layer_dirs()
        .iter()
        .rev()
        .map(|d| d.display().to_string())
        .collect();
    let options = std::ffi::CString::new(format!("lowerdir={}", upper_first.join(":"))).unwrap();
    let root = Scratch::new();
    let read_only = rustix::mount::MountFlags::RDONLY;
    match rustix::mount::mount(
        "none",
        root.path(),
        "overlay",
        read_only,
        options.as_c_str(),
    ) {
        Ok(()) => {
            let seen = listing(root.path());
            rustix::mount::unmount(root.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
            assert_eq!(seen, ["b", "c", "d"]);
        }
        Err(error) => eprintln!("skipped: cannot mount an overlay: {error}"),
    }
}

#[test]
fn a_repository_without_a_tag_is_saved_with_all_its_tags() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    for tag in ["app:1", "app:2", "apple:1"] {
        load(
            &store,
            &docker_archive(&[tag], &[&in_words(&format!("file {tag}"))]),
        )
        .unwrap();
    }
    let mut saved = Vec::new();
    store
        .save(&["app".to_owned(), "app:1".to_owned()], &mut saved)
        .unwrap();
    let other = Scratch::new();
    let loaded = load(&open(&other), &saved).unwrap();
    let names: Vec<_> = loaded
        .iter()
        .flat_map(|l| &l.names)
        .map(|n| n.familiar())
        .collect();
    assert_eq!(
        names
            .iter()
            .filter(|n| !n.contains('@'))
            .collect::<Vec<_>>(),
        ["app:1", "app:2"]
    );
    let error = store
        .save(&["none".to_owned()], &mut saved)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "No such image: none:latest");
}

#[test]
fn a_layer_that_changed_on_the_disk_is_not_saved() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    load(
        &store,
        &docker_archive(&["app"], &[&in_words("file a; file b")]),
    )
    .unwrap();
    let layer = store.resolve("app").unwrap().layers.remove(0);
    let save = || {
        store
            .save(&["app".to_owned()], &mut std::io::sink())
            .unwrap_err()
            .to_string()
    };
    std::fs::write(layer.dir.join("a"), "A").unwrap();
    assert_eq!(
        save(),
        format!("layer {} has changed on the disk", layer.diff_id)
    );
    std::fs::write(layer.dir.join("a"), "").unwrap();
    let start = format!(
        "layer {} cannot be read back: \"a\" has changed: ",
        layer.diff_id
    );
    assert!(save().starts_with(&start), "{}", save());
}
