use super::kit::*;
use crate::image::import::Import;
use crate::image::removal::{InUse, Removed};
use crate::image::store::ImageStore;
use crate::model::time::Time;

/// A store with three images: `one:1` and `two:1` share a layer, `one:2` has two names.
fn three(scratch: &Scratch) -> ImageStore {
    let store = open(scratch);
    let (base, one, two) = (
        in_words("file base"),
        in_words("file one"),
        in_words("file twotwo"),
    );
    load(&store, &docker_archive(&["one:1"], &[&base, &one])).unwrap();
    load(&store, &docker_archive(&["two:1"], &[&base, &two])).unwrap();
    load(&store, &docker_archive(&["one:2", "x.y/other:2"], &[&one])).unwrap();
    store
}

fn words(store: &ImageStore, removed: &[Removed]) -> Vec<String> {
    let left = store.usage().images.len();
    let word = |removed: &Removed| match removed {
        Removed::Deleted(_) => "deleted".to_owned(),
        Removed::Untagged(name) => format!("untagged {}", name.familiar()),
    };
    let words = removed.iter().map(word);
    words.chain([format!("{left} left")]).collect()
}

#[track_caller]
fn removed(store: &ImageStore, name: &str, force: bool, in_use: &InUse, expect: &[&str]) {
    let text = match store.remove(name, force, in_use) {
        Ok(removed) => words(store, &removed),
        Err(error) => vec![error.to_string()],
    };
    assert_eq!(text, expect, "remove {name}");
}

#[test]
fn an_image_is_found_by_name_and_by_id() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = three(&scratch);
    let id = store.resolve("one:1").unwrap().id;
    let found = |text: &str| store.resolve(text).map(|i| i.id).map_err(|e| e.to_string());
    assert_eq!(found("docker.io/library/one:1"), Ok(id));
    assert_eq!(found(&id.to_string()), Ok(id));
    assert_eq!(found(&id.hex()), Ok(id));
    assert_eq!(found(&id.hex()[..12]), Ok(id));
    assert_eq!(found(&id.to_string()[..20]), Ok(id));
    store.tag("two:1", &id.hex()[..12]).unwrap();
    assert_ne!(found(&id.hex()[..12]), Ok(id), "a name goes before an id");
    let unknown = |text: &str, shown: &str| {
        assert_eq!(found(text), Err(format!("No such image: {shown}")));
    };
    unknown("one", "one:latest");
    unknown("one:3", "one:3");
    unknown("sha256:00", "sha256:00");
    unknown(&"0".repeat(64), &"0".repeat(64));
    assert_eq!(
        found("One"),
        Err(
            "invalid reference format: repository name (library/One) must \
        be lowercase"
                .to_owned()
        )
    );
    assert_eq!(found(""), Err("invalid reference format".to_owned()));
}

#[test]
fn an_id_cut_so_short_that_two_images_have_it_names_none() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    let mut firsts = std::collections::BTreeSet::new();
    let prefix = (0..600).find_map(|n| {
        let layer = in_words(&format!("file {n}"));
        let loaded = load(&store, &docker_archive(&[], &[&layer])).unwrap();
        let prefix = loaded[0].id.hex()[..2].to_owned();
        (!firsts.insert(prefix.clone())).then_some(prefix)
    });
    let prefix = prefix.unwrap();
    let error = store.resolve(&prefix).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("several images have an id that begins with {prefix}")
    );
}

#[test]
fn a_tag_moves_from_image_to_image() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = three(&scratch);
    store.tag("one:1", "mine").unwrap();
    assert_eq!(
        store.resolve("mine:latest").unwrap().id,
        store.resolve("one:1").unwrap().id
    );
    let loaded = load(&store, &docker_archive(&["mine"], &[&in_words("file new")])).unwrap();
    assert_eq!(loaded[0].taken.len(), 1);
    assert_eq!(store.resolve("mine").unwrap().id, loaded[0].id);
    for (source, target, expect) in [
        ("gone", "x", "No such image: gone:latest"),
        (
            "one:1",
            "X",
            "invalid reference format: repository name (library/X) must be lowercase",
        ),
        (
            "one:1",
            &format!("x@{}", loaded[0].id),
            "refusing to create a tag with a digest reference",
        ),
    ] {
        assert_eq!(store.tag(source, target).unwrap_err().to_string(), expect);
    }
}

#[test]
fn the_last_name_takes_the_image_along_and_layers_that_nobody_else_has() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = three(&scratch);
    let free = InUse::new();
    removed(&store, "one:2", false, &free, &["untagged one:2", "3 left"]);
    removed(
        &store,
        "x.y/other:2",
        false,
        &free,
        &["untagged x.y/other:2", "deleted", "2 left"],
    );
    removed(
        &store,
        "two:1",
        false,
        &free,
        &["untagged two:1", "deleted", "deleted", "1 left"],
    );
    assert_eq!(store.resolve("one:1").unwrap().bytes(), 7);
    let id = store.resolve("one:1").unwrap().id;
    let all = ["untagged one:1", "deleted", "deleted", "deleted", "0 left"];
    removed(&store, &id.hex()[..12], false, &free, &all);
    removed(&store, "one:1", false, &free, &["No such image: one:1"]);
    let left = listing(scratch.path());
    assert_eq!(left, ["configs", "index", "index.old", "layers", "tmp"]);
}

#[test]
fn an_image_in_use_or_with_several_names_is_kept_in_dockers_words() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = three(&scratch);
    let id = store.resolve("two:1").unwrap().id;
    let short = &id.hex()[..12];
    let used = InUse::from([(id, "web.1".to_owned())]);
    let by_name = format!(
        "conflict: unable to remove repository reference \"two:1\" (must force) - container web.1 \
         is using its referenced image {short}"
    );
    removed(&store, "two:1", false, &used, &[&by_name]);
    removed(&store, "two:1", true, &used, &["untagged two:1", "3 left"]);
    let by_id = format!(
        "conflict: unable to delete {short} (cannot be forced) - image is being used by running \
         container web.1"
    );
    removed(&store, short, true, &used, &[&by_id]);
    let both = store.resolve("one:2").unwrap().id.hex()[..12].to_owned();
    let several = format!(
        "conflict: unable to delete {both} (must be forced) - image is referenced in multiple \
         repositories"
    );
    removed(&store, &both, false, &used, &[&several]);
    let all = [
        "untagged one:2",
        "untagged x.y/other:2",
        "deleted",
        "2 left",
    ];
    removed(&store, &both, true, &used, &all);
}

#[test]
fn a_prune_removes_what_is_chosen_and_not_used() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = three(&scratch);
    load(
        &store,
        &docker_archive(&["one:1"], &[&in_words("file newer")]),
    )
    .unwrap();
    let nothing = InUse::new();
    let dangling = store.prune(&|image| image.is_dangling(), &nothing).unwrap();
    assert_eq!(words(&store, &dangling.removed), ["deleted", "3 left"]);
    assert_eq!(
        dangling.reclaimed_bytes, 0,
        "its layers belong to others too"
    );
    let id = store.resolve("two:1").unwrap().id;
    let all = store
        .prune(&|_| true, &InUse::from([(id, "x".to_owned())]))
        .unwrap();
    assert_eq!(all.reclaimed_bytes, 8);
    assert_eq!(store.list().len(), 1);
    assert_eq!(
        store.prune(&|_| true, &nothing).unwrap().reclaimed_bytes,
        10
    );
    assert_eq!(listing(&scratch.path().join("layers")), [""; 0]);
}

#[test]
fn layers_that_images_share_are_counted_and_stored_once() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = three(&scratch);
    let usage = store.usage();
    assert_eq!(usage.layers_bytes, 4 + 3 + 6);
    let mut figures: Vec<_> = usage
        .images
        .iter()
        .map(|i| (i.bytes, i.shared_bytes))
        .collect();
    figures.sort_unstable();
    assert_eq!(figures, [(3, 3), (7, 7), (10, 4)]);
    assert_eq!(
        std::fs::read_dir(scratch.path().join("layers"))
            .unwrap()
            .count(),
        3
    );
}

#[test]
fn a_root_file_system_is_imported_as_an_image_of_one_layer() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = open(&scratch);
    let layer = in_words("dir bin; file bin/sh");
    let import = Import {
        name: Some("mine".to_owned()),
        message: "by hand".to_owned(),
        changes: vec!["CMD [\"/bin/sh\"]".to_owned(), "ENV A=b".to_owned()],
    };
    let now = Time(1_700_000_000_500);
    let id = store.import(&gzip(&layer)[..], &import, now).unwrap();
    let image = store.resolve("mine:latest").unwrap();
    assert_eq!(image.id, id);
    assert_eq!(
        (image.config.created_s(), image.config.comment.as_str()),
        (1_700_000_000, "by hand")
    );
    assert_eq!(
        (&image.config.config.cmd[..], &image.config.config.env[..]),
        (&["/bin/sh".to_owned()][..], &["A=b".to_owned()][..],)
    );
    assert_eq!(image.config.platform(), amd64());
    let nameless = store.import(&layer[..], &Import::default(), now).unwrap();
    assert!(store.resolve(&nameless.to_string()).unwrap().is_dangling());
}

#[test]
fn an_import_that_fails_leaves_nothing() {
    if !is_root() {
        return;
    }
    let layer = in_words("file a");
    for (input, name, change, expect) in [
        (
            &b"junk".repeat(500),
            "a",
            "USER x",
            "cannot import: not a tar archive: header checksum does not match",
        ),
        (
            &layer,
            "A",
            "USER x",
            "invalid reference format: repository name (library/A) must be lowercase",
        ),
        (&layer, "a", "RUN x", "RUN is not a valid change command"),
        (
            &in_words("file ../a"),
            "a",
            "USER x",
            "cannot import: \"../a\" climbs out of the layer",
        ),
    ] {
        let scratch = Scratch::new();
        let store = open(&scratch);
        let import = Import {
            name: Some(name.to_owned()),
            changes: vec![change.to_owned()],
            ..Import::default()
        };
        let error = store
            .import(&input[..], &import, Time(0))
            .unwrap_err()
            .to_string();
        assert_eq!(error, expect);
        assert_eq!(listing(scratch.path()), EMPTY);
    }
}
