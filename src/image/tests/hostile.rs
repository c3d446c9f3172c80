use super::kit::*;
use crate::image::digest::Digest;
use crate::image::limits::Limits;
use crate::image::store::ImageStore;
use tar::EntryType::{Block, Char, Fifo, Symlink};

/// Loads an archive with one such layer and expects one line and an empty store.
#[track_caller]
fn check(layer: &[u8], expect: &str) {
    check_archive(
        &docker_archive(&["a"], &[layer]),
        limits(),
        &format!("layer 0/layer.tar: {expect}"),
    );
}

#[track_caller]
fn check_archive(archive: &[u8], limits: Limits, expect: &str) {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let store = ImageStore::open_with(scratch.path(), limits, amd64()).unwrap();
    let error = load(&store, archive).unwrap_err().to_string();
    assert_eq!(error, expect);
    assert_eq!(listing(scratch.path()), EMPTY, "left by: {expect}");
}

#[test]
fn a_layer_that_climbs_out_is_refused_and_nothing_is_left() {
    for (layer, expect) in [
        ("file ../x", "\"../x\" climbs out of the layer"),
        ("file a/../../x", "\"a/../../x\" climbs out of the layer"),
        ("file /../x", "\"/../x\" climbs out of the layer"),
        ("dir a/..", "\"a/..\" climbs out of the layer"),
        (
            "link x ../../etc/passwd",
            "\"../../etc/passwd\" climbs out of the layer",
        ),
        (
            "file a/.wh...",
            "\"a/.wh...\" hides something that cannot be",
        ),
        ("file .wh.", "\".wh.\" hides something that cannot be"),
        ("file .", "\".\" would replace the layer itself"),
        ("symlink . /", "\".\" would replace the layer itself"),
        (
            "link x /etc/passwd",
            "cannot link \"x\": No such file or directory (os error 2)",
        ),
        (
            "dir d; link x d",
            "cannot link \"x\": Operation not permitted (os error 1)",
        ),
    ] {
        check(&in_words(layer), expect);
    }
}

#[test]
fn a_link_that_leads_nowhere_or_out_of_the_layer_leads_into_nothing() {
    let endless = "cannot find the place of \"a/x\": Too many levels of symbolic links \
                   (os error 40)";
    check(&in_words("symlink a b; symlink b a; file a/x"), endless);
    check(&in_words("symlink a a; file a/x"), endless);
    // The host has these files, the layer does not.
    let missing = "cannot link \"x\": No such file or directory (os error 2)";
    check(&in_words("symlink way /etc; link x way/passwd"), missing);
    let missing = "cannot link \"x\": No such file or directory (os error 2)";
    check(
        &in_words("symlink way ../../etc; link x way/passwd"),
        missing,
    );
    let file = "cannot create \"f/x\": Not a directory (os error 20)";
    check(&in_words("file f; file f/x"), file);
    check(&in_words("file f; symlink s f; file s/x"), file);
}

#[test]
fn an_absolute_path_or_link_stays_inside() {
    if !is_root() {
        return;
    }
    let layer = LayerTar::new()
        .file("/etc/x", b"in")
        .link("/y", "/etc/x")
        .bytes();
    let scratch = Scratch::new();
    let store = open(&scratch);
    load(&store, &docker_archive(&["a"], &[&layer])).unwrap();
    let root = &store.resolve("a").unwrap().layers[0].dir;
    assert_eq!(std::fs::read(root.join("etc/x")).unwrap(), b"in");
    assert_eq!(std::fs::read(root.join("y")).unwrap(), b"in");
}

#[test]
fn a_damaged_layer_is_refused_and_nothing_is_left() {
    let good = LayerTar::new().file("a", &[1; 2000]).file("b", b"").bytes();
    let mut checksum = good.clone();
    checksum[2560] = b'c';
    let long = LayerTar::new().entry(tar::EntryType::XHeader, "x", &vec![b' '; 2 << 20], |_| {});
    let long_note = vec![b'x'; 400 << 10];
    let chain = (0..3).fold(LayerTar::new(), |tar, _| {
        tar.pax(&[("comment", &long_note)])
    });
    let number = LayerTar::new().entry(tar::EntryType::Regular, "a", b"", |header| {
        header.as_old_mut().mode = *b"rwxrwxrw";
    });
    let unknown = LayerTar::new().entry(tar::EntryType::new(b'V'), "a", b"", |_| {});
    let endless = [LayerTar::new().file("a", b"").bytes(), vec![0; 17 << 20]].concat();
    for (layer, expect) in [
        (
            b"no tar at all".repeat(100),
            "not a tar archive: header checksum does not match",
        ),
        (
            checksum,
            "not a tar archive: header checksum does not match",
        ),
        (good[..2048].to_vec(), "the archive ends in the middle"),
        (
            LayerTar::new()
                .pax(&[("path", b"a\0b")])
                .file("x", b"")
                .bytes(),
            "\"a\" is a path with a NUL in it",
        ),
        (
            long.bytes(),
            "\"x\" has more in its headers than 1048576 bytes",
        ),
        (
            chain.bytes(),
            "\"PaxHeaders/x\" has more in its headers than 1048576 bytes",
        ),
        (
            number.bytes(),
            "header has a number that cannot be read: \"rwxrwxrw\"",
        ),
        (unknown.bytes(), "\"a\" is of a kind that no layer has"),
        (
            LayerTar::new()
                .pax(&[("size", b"-1")])
                .file("x", b"")
                .bytes(),
            "PAX header is damaged",
        ),
        (
            endless,
            "the archive goes on for more than 16777216 bytes after its end",
        ),
    ] {
        check(&layer, expect);
    }
}

#[test]
fn a_sparse_file_whose_map_makes_no_sense_is_refused_and_nothing_is_left() {
    let version_1: [(&str, &[u8]); 3] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"600"),
    ];
    let tar = LayerTar::new;
    for layer in [
        tar().pax(&[("GNU.sparse.major", b"1")]).file("x", b""),
        tar()
            .pax(&[("GNU.sparse.size", b"4"), ("GNU.sparse.map", b"3,2")])
            .file("x", b"ab"),
        tar().pax(&version_1).file("x", b"1\n0\n600\n"),
        tar().pax(&version_1).file("x", &[b'1'; 512]),
        tar().pax(&version_1).dir("x"),
    ] {
        check(
            &layer.bytes(),
            "\"x\" is a sparse file with a map that makes no sense",
        );
    }
}

#[test]
fn an_archive_that_contradicts_itself_is_refused_and_nothing_is_left() {
    let layer = in_words("file a");
    let other = in_words("file b");
    let config = config(&[&layer], "linux/amd64");
    let check = |manifest: &str, config: &[u8], layer: &[u8], expect: &str| {
        let files = [
            ("c", config),
            ("l", layer),
            ("manifest.json", manifest.as_bytes()),
        ];
        check_archive(&archive(&files), limits(), expect);
    };
    let one = r#"[{"Config":"c","RepoTags":["a"],"Layers":["l"]}]"#;
    let (announced, came) = (Digest::of(&layer), Digest::of(&other));
    let swapped = format!("digest does not match: {announced} was announced, {came} came");
    check(one, &config, &other, &swapped);
    check(
        one,
        b"{}",
        &layer,
        "the manifest has 1 layers, the config 0",
    );
    let wrong = "the image config is not valid: invalid type: integer `3`, \
                 expected struct RootFs at line 1 column 11";
    check(one, b"{\"rootfs\":3}", &layer, wrong);
    for (manifest, expect) in [
        (
            "[]",
            "not an image archive: neither manifest.json nor index.json is in it",
        ),
        (
            "[{",
            "manifest.json in the archive is not valid: EOF while parsing an object at line 1 \
          column 2",
        ),
        (
            r#"[{"Config":"z"}]"#,
            "the archive lacks z, which its manifest names",
        ),
        (
            r#"[{"Config":"c"}]"#,
            "the manifest has 0 layers, the config 1",
        ),
        (
            r#"[{"Config":"c","Layers":["z"]}]"#,
            "the archive lacks z, which its manifest names",
        ),
        (
            r#"[{"Config":"c","Layers":["l"],"RepoTags":["A"]}]"#,
            "\"A\" in the archive: invalid reference format: repository name (library/A) must be \
             lowercase",
        ),
    ] {
        check(manifest, &config, &layer, expect);
    }
}

#[test]
fn what_is_no_image_archive_is_refused_and_nothing_is_left() {
    let no_image = "not an image archive: neither manifest.json nor index.json is in it";
    let no_tar = "cannot read the image archive: not a tar archive: header checksum does not match";
    check_archive(b"", limits(), no_image);
    check_archive(&[0; 1024], limits(), no_image);
    check_archive(&archive(&[("x", b"y")]), limits(), no_image);
    check_archive(&b"hello ".repeat(200), limits(), no_tar);
    check_archive(&gzip(b""), limits(), no_image);
    let cut =
        "cannot read the image archive: corrupt gzip stream does not have a matching checksum";
    let mut damaged = gzip(&[0; 1024]);
    let crc = damaged.len() - 8;
    damaged[crc] ^= 1;
    check_archive(&damaged, limits(), cut);
}

#[test]
fn every_cut_of_an_archive_is_refused_and_nothing_is_left() {
    if !is_root() {
        return;
    }
    let layer = LayerTar::new()
        .dir("d")
        .file("d/a", &[1; 700])
        .symlink("s", "d")
        .bytes();
    let whole = docker_archive(&["a"], &[&layer]);
    let scratch = Scratch::new();
    let store = open(&scratch);
    // The last 1024 bytes are the end mark, which may be missing.
    for end in (0..whole.len() - 1024).step_by(256) {
        assert!(load(&store, &whole[..end]).is_err(), "cut at {end}");
        assert_eq!(listing(scratch.path()), EMPTY, "cut at {end}");
    }
    load(&store, &whole).unwrap();
}

#[test]
fn an_archive_beyond_a_limit_is_refused_and_nothing_is_left() {
    let check = |layer: &[u8], change: fn(&mut Limits), expect: &str| {
        let mut limits = limits();
        change(&mut limits);
        check_archive(&docker_archive(&["a"], &[layer]), limits, expect);
    };
    let many: String = (0..20).map(|n| format!("dir {n};")).collect();
    let many = in_words(&many);
    let again = in_words(&"file x;".repeat(5));
    let deep = in_words(&format!("dir {}", "d/".repeat(40)));
    let zeros = LayerTar::new().file("zeros", &vec![0; 4 << 20]).bytes();
    let in_layer = |text: &str| format!("layer 0/layer.tar: {text}");
    let entries = in_layer("the archive has more than 9 entries");
    check(&many, |l| l.entries_max = 9, &entries);
    let directories = in_layer("\"8\" is one directory too many");
    check(&many, |l| l.directory_bytes_max = 500, &directories);
    let replaced = in_layer("\"x\" is replaced, and so were too many others");
    check(&again, |l| l.replaced_max = 2, &replaced);
    let path = in_layer(&format!("\"{}\" is too long a path", "d/".repeat(40)));
    check(&deep, |l| l.path_bytes_max = 60, &path);
    let bytes = in_layer("the layer unpacks to more than 1048576 bytes");
    check(&zeros, |l| l.layer_bytes_max = 1 << 20, &bytes);
    let layers = "the image has 1 layers; at most 0 are possible";
    check(&zeros, |l| l.layers_max = 0, layers);
    check(
        &zeros,
        |l| l.images_max = 0,
        "the archive has more than 0 images",
    );
    let members = "cannot read the image archive: the archive has more than 1 entries";
    check(&zeros, |l| l.members_max = 1, members);
    let no_manifest = "not an image archive: neither manifest.json nor index.json is in it";
    check(&zeros, |l| l.json_bytes_max = 10, no_manifest);
    let json = "the archive's manifests and configs are larger than 10 bytes together";
    check(&zeros, |l| l.json_bytes_total_max = 10, json);
}

#[test]
fn a_bomb_is_cut_off_wherever_it_was_packed() {
    let zeros = LayerTar::new().file("zeros", &vec![0; 4 << 20]).bytes();
    let plain = docker_archive(&["a"], &[&zeros]);
    let config = config(&[&zeros], "linux/amd64");
    let manifest = br#"[{"Config":"c","Layers":["l"]}]"#;
    let packed = gzip(&zeros);
    let inside = archive(&[("l", &packed), ("c", &config), ("manifest.json", manifest)]);
    for bomb in [gzip(&plain), zstd(&plain), gzip(&inside), inside] {
        let scratch = Scratch::new();
        let limits = Limits {
            ratio_free_bytes: 4096,
            ratio_max: 10,
            ..limits()
        };
        let store = ImageStore::open_with(scratch.path(), limits, amd64()).unwrap();
        let text = load(&store, &bomb).unwrap_err().to_string();
        assert!(text.ends_with("taken for a decompression bomb"), "{text}");
        assert_eq!(listing(scratch.path()), EMPTY);
    }
}

#[test]
fn ten_gigabytes_of_zeros_in_ten_megabytes_are_cut_off_early() {
    if !is_root() {
        return;
    }
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(10 << 30);
    header.set_cksum();
    // A gzip file may be several gzip files, one after the other.
    let mebibyte = gzip(&vec![0; 1 << 20]);
    let layer = [gzip(header.as_bytes()), mebibyte.repeat(10 << 10)].concat();
    assert!(layer.len() < 12 << 20, "{}", layer.len());
    let manifest = br#"[{"Config":"c","Layers":["l"]}]"#;
    let archive = archive(&[
        ("l", &layer),
        ("c", &config(&[b"x"], "linux/amd64")),
        ("manifest.json", manifest),
    ]);
    let scratch = Scratch::new();
    let store = open(&scratch);
    let error = load(&store, &archive).unwrap_err().to_string();
    assert!(error.ends_with("taken for a decompression bomb"), "{error}");
    assert_eq!(listing(scratch.path()), EMPTY);
}

#[test]
fn devices_are_made_as_the_layer_says_and_lead_nowhere_outside_the_store() {
    if !is_root() {
        return;
    }
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    let layer = LayerTar::new()
        .device(Block, "sda", 8, 0)
        .device(Char, "null", 1, 3)
        .entry(Fifo, "pipe", b"", |h| h.set_mode(0o622))
        .entry(Symlink, "loop", b"", |h| h.as_old_mut().linkname[0] = b'.');
    let scratch = Scratch::new();
    let store = open(&scratch);
    load(&store, &docker_archive(&["a"], &[&layer.bytes()])).unwrap();
    let root = &store.resolve("a").unwrap().layers[0].dir;
    let meta = |name: &str| root.join(name).symlink_metadata().unwrap();
    assert!(meta("sda").file_type().is_block_device() && meta("sda").rdev() == 0x800);
    assert!(meta("null").file_type().is_char_device() && meta("null").rdev() == 0x103);
    assert!(meta("pipe").file_type().is_fifo() && meta("pipe").mode() & 0o777 == 0o622);
    assert!(meta("loop").file_type().is_symlink());
    // No other user gets at them, or at setuid programs.
    assert_eq!(
        scratch
            .path()
            .join("layers")
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
}
