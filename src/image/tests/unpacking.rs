use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::kit::*;
use crate::image::digest::{Digest, HashingWriter};
use crate::image::frames::replay;
use crate::image::unpack::unpack;
use tar::EntryType::{GNULongLink, GNULongName, Regular, XGlobalHeader};

const XATTR_BYTES_MAX: usize = 4096;

/// Unpacks a layer and looks at what came of it; its tar must come out again byte for byte.
fn unpacked(layer: &[u8], look: impl FnOnce(&Path)) {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.path().join("layer");
    let unpacked = unpack(layer, &dir, &limits()).unwrap();
    assert_eq!(unpacked.diff_id, Digest::of(layer));
    let mut again = HashingWriter::new(std::io::sink());
    replay(&dir, &mut again).unwrap();
    assert_eq!(
        again.finish(),
        (unpacked.diff_id, layer.len() as u64),
        "read back"
    );
    look(&dir.join("fs"));
}

/// Every path below the root and what it is.
#[track_caller]
fn check(layer: &[u8], expect: &[&str]) {
    unpacked(layer, |root| assert_eq!(tree(root), expect));
}

fn tree(root: &Path) -> Vec<String> {
    let line = |path: &String| {
        let full = root.join(path);
        let meta = full.symlink_metadata().unwrap();
        let opaque = xattr(&full, "trusted.overlay.opaque").is_some();
        match meta.mode() & 0o170_000 {
            0o040_000 if opaque => format!("{path} opaque"),
            0o040_000 => format!("{path} dir"),
            0o120_000 => format!("{path} -> {}", full.read_link().unwrap().display()),
            0o020_000 if meta.rdev() == 0 => format!("{path} whiteout"),
            0o100_000 => format!("{path} = {}", std::fs::read_to_string(full).unwrap()),
            other => format!("{path} {other:o}"),
        }
    };
    listing(root).iter().map(line).collect()
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; XATTR_BYTES_MAX];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn whiteouts_become_what_overlayfs_takes_for_them() {
    check(&in_words("file a/.wh.b"), &["a dir", "a/b whiteout"]);
    check(&in_words("file .wh.b"), &["b whiteout"]);
    check(&in_words("dir a; file a/.wh..wh..opq"), &["a opaque"]);
    check(
        &in_words("file a/.wh..wh..opq; dir a; file a/b"),
        &["a opaque", "a/b = a/b"],
    );
    check(
        &in_words("file .wh..wh.plnk/1.2; dir .wh..wh.aufs; file a"),
        &["a = a"],
    );
}

#[test]
fn what_a_layer_has_itself_its_whiteouts_do_not_hide() {
    check(&in_words("file a; file .wh.a"), &["a = a"]);
    check(&in_words("file .wh.a; file a"), &["a = a"]);
    check(&in_words("file .wh.a; symlink a b"), &["a -> b"]);
    check(&in_words("file .wh.a; file .wh.a"), &["a whiteout"]);
    // A directory in the place of one below must not show what that one held.
    check(
        &in_words("file .wh.a; dir a; file a/b"),
        &["a opaque", "a/b = a/b"],
    );
    check(
        &in_words("dir a; file a/b; file .wh.a"),
        &["a opaque", "a/b = a/b"],
    );
}

/// As Docker, which unpacks with the layer as its root.
#[test]
fn entries_go_through_the_links_of_their_own_layer_and_stay_in_it() {
    check(
        &in_words("dir usr/lib; symlink lib usr/lib; file lib/a; dir lib/b; symlink lib/c d"),
        &[
            "lib -> usr/lib",
            "usr dir",
            "usr/lib dir",
            "usr/lib/a = lib/a",
            "usr/lib/b dir",
            "usr/lib/c -> d",
        ],
    );
    check(
        &in_words("symlink way /etc; file way/x; link y way/x; link way/z y"),
        &[
            "etc dir",
            "etc/x = way/x",
            "etc/z = way/x",
            "way -> /etc",
            "y = way/x",
        ],
    );
    check(
        &in_words("symlink a b; symlink b ../../c; file a/x"),
        &["a -> b", "b -> ../../c", "c dir", "c/x = a/x"],
    );
    check(
        &in_words("dir d; symlink d/up ..; file d/up/d/up/x"),
        &["d dir", "d/up -> ..", "x = d/up/d/up/x"],
    );
    check(
        &in_words("symlink way e/tc; file way/.wh.x; file way/.wh..wh..opq"),
        &["e dir", "e/tc opaque", "e/tc/x whiteout", "way -> e/tc"],
    );
    // Once the link is another thing, what went through it stays where it went.
    check(
        &in_words("symlink way a; file way/x; dir way; file way/x"),
        &["a dir", "a/x = way/x", "way dir", "way/x = way/x"],
    );
    // The last name is never followed: the entry takes the link's place.
    check(
        &in_words("symlink a b; file a; symlink c d; dir c"),
        &["a = a", "c dir"],
    );
}

#[test]
fn a_later_entry_replaces_an_earlier_one_and_both_are_in_the_tar_again() {
    check(&in_words("file a; file a"), &["a = a"]);
    check(&in_words("dir a; file a/b; file a"), &["a = a"]);
    check(
        &in_words("file a; dir a; file a/b"),
        &["a dir", "a/b = a/b"],
    );
    check(&in_words("dir a; file a/b; dir a"), &["a dir", "a/b = a/b"]);
    check(
        &in_words("dir a; dir a/b; file a/b/c; symlink a x; file y"),
        &["a -> x", "y = y"],
    );
    check(
        &in_words("symlink a x; dir a; file a/b"),
        &["a dir", "a/b = a/b"],
    );
    check(&in_words("file a; link b a; file a"), &["a = a", "b = a"]);
    check(
        &in_words("dir a; file a/b; file a; file a; dir a; file a/b"),
        &["a dir", "a/b = a/b"],
    );
    let versions = ["1", "22", "333"];
    let layer = versions
        .iter()
        .fold(LayerTar::new(), |tar, v| tar.file("a", v.as_bytes()));
    check(&layer.bytes(), &["a = 333"]);
}

#[test]
fn links_are_links() {
    unpacked(
        &in_words("file a; link b a; link d/c ./b; symlink s gone; link t s"),
        |root| {
            assert_eq!(
                tree(root),
                [
                    "a = a",
                    "b = a",
                    "d dir",
                    "d/c = a",
                    "s -> gone",
                    "t -> gone"
                ]
            );
            let inode = |name: &str| root.join(name).symlink_metadata().unwrap().ino();
            assert!(inode("a") == inode("b") && inode("a") == inode("d/c"));
        },
    );
}

#[test]
fn owners_modes_and_times_are_as_the_layer_says() {
    let layer = LayerTar::new()
        .entry(tar::EntryType::Directory, "d", b"", |h| {
            h.set_mode(0o1777);
            h.set_uid(7);
        })
        .entry(Regular, "d/su", b"x", |h| {
            h.set_mode(0o6755);
            h.set_uid(1000);
            h.set_gid(1001);
        })
        .pax(&[("mtime", b"-1.25"), ("uid", b"3000000"), ("gid", b"4")])
        .file("d/pax", b"")
        .entry(tar::EntryType::Symlink, "d/s", b"", |h| {
            h.set_uid(9);
            h.as_old_mut().linkname[0] = b'x';
        })
        .entry(tar::EntryType::Directory, "./", b"", |h| h.set_mode(0o710));
    unpacked(&layer.bytes(), |root| {
        let of = |name: &str| {
            let meta = root.join(name).symlink_metadata().unwrap();
            (
                meta.mode() & 0o7777,
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec(),
            )
        };
        let day = 1_000_000_000;
        assert_eq!(of("d"), (0o1777, 7, 0, day, 0));
        assert_eq!(of("d/su"), (0o6755, 1000, 1001, day, 0));
        assert_eq!(of("d/pax"), (0o644, 3_000_000, 4, -2, 750_000_000));
        assert_eq!(of("d/s"), (0o777, 9, 0, day, 0));
        assert_eq!(of(""), (0o710, 0, 0, day, 0));
    });
}

#[test]
fn attributes_of_programs_and_users_are_kept_and_overlayfs_is_not_spoken_to() {
    // A capability whose bytes hold a newline.
    let capability = b"\x01\0\0\x02\x0a\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let layer = LayerTar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.note", b"a=b\nc"),
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ])
        .entry(Regular, "ping", b"x", |h| h.set_uid(1))
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.d", b"1"),
        ])
        .dir("d");
    unpacked(&layer.bytes(), |root| {
        let ping = root.join("ping");
        assert_eq!(
            xattr(&ping, "security.capability").as_deref(),
            Some(&capability[..])
        );
        assert_eq!(xattr(&ping, "user.note").as_deref(), Some(&b"a=b\nc"[..]));
        assert_eq!(xattr(&ping, "user.overlay.redirect"), None);
        assert_eq!(xattr(&ping, "trusted.overlay.redirect"), None);
        assert_eq!(xattr(&root.join("d"), "user.d").as_deref(), Some(&b"1"[..]));
        assert_eq!(xattr(&root.join("d"), "trusted.overlay.opaque"), None);
    });
}

#[test]
fn long_names_of_every_tar_dialect_are_understood() {
    let long = "n".repeat(120);
    let ustar = |h: &mut tar::Header| {
        let mut new = tar::Header::new_ustar();
        new.set_path(format!("{long}/u")).unwrap();
        *h = new;
        h.set_mode(0o600);
    };
    let layer = LayerTar::new()
        .entry(
            GNULongName,
            "././@LongLink",
            format!("{long}/g\0").as_bytes(),
            |_| {},
        )
        .file("short", b"")
        .pax(&[("path", format!("{long}/p").as_bytes())])
        .file("short", b"")
        .entry(
            GNULongLink,
            "././@LongLink",
            format!("{long}/t\0").as_bytes(),
            |_| {},
        )
        .symlink("l", "short")
        .pax(&[("linkpath", b"pax")])
        .symlink("m", "short")
        .entry(XGlobalHeader, "pax_global_header", b"12 comment=x", |_| {})
        .entry(Regular, "x", b"", ustar);
    let expect = [
        format!("l -> {long}/t"),
        "m -> pax".to_owned(),
        format!("{long} dir"),
        format!("{long}/g = "),
        format!("{long}/p = "),
        format!("{long}/u = "),
    ];
    unpacked(&layer.bytes(), |root| assert_eq!(tree(root), expect));
}

#[test]
fn directories_deeper_than_descriptors_are_kept_open_are_unpacked() {
    let deep: String = (0..300).map(|n| format!("{}/", n % 10)).collect();
    let path = format!("{deep}x");
    let layer = LayerTar::new()
        .pax(&[("path", path.as_bytes())])
        .file("x", b"bottom")
        .pax(&[("path", format!("{deep}y").as_bytes())])
        .file("y", b"")
        .pax(&[("linkpath", path.as_bytes())])
        .link("top", "");
    unpacked(&layer.bytes(), |root| {
        assert_eq!(std::fs::read(root.join(&path)).unwrap(), b"bottom");
        assert_eq!(std::fs::read(root.join("top")).unwrap(), b"bottom");
    });
}

#[test]
fn a_name_longer_than_the_file_system_takes_is_one_clear_error() {
    let long = "n".repeat(300);
    let layer = LayerTar::new()
        .pax(&[("path", long.as_bytes())])
        .file("x", b"")
        .bytes();
    let scratch = Scratch::new();
    let error = unpack(&layer[..], &scratch.path().join("l"), &limits()).unwrap_err();
    let shown = "n".repeat(200);
    assert_eq!(
        error.to_string(),
        format!("cannot create \"{shown}\": File name too long (os error 36)")
    );
}

/// What GNU tar packs it must unpack like GNU tar, whatever the dialect.
#[test]
fn trees_packed_by_gnu_tar_are_the_same_trees() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.path().join("source");
    std::fs::create_dir_all(source.join("d/e")).unwrap();
    std::fs::write(source.join("d/plain"), vec![3; 70_000]).unwrap();
    std::fs::hard_link(source.join("d/plain"), source.join("d/e/hard")).unwrap();
    std::os::unix::fs::symlink("../x", source.join("d/sym")).unwrap();
    std::fs::write(source.join("n".repeat(200)), b"long").unwrap();
    sparse_file(&source.join("sparse"));
    for flags in [
        &["--format=gnu"][..],
        &["--format=pax"],
        &["--format=gnu", "--sparse"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
    ] {
        let tar = std::process::Command::new("tar")
            .args(flags)
            .args(["-C", source.to_str().unwrap(), "-c", "."])
            .output()
            .unwrap();
        assert!(tar.status.success(), "{tar:?}");
        unpacked(&tar.stdout, |root| {
            assert_eq!(summary(root), summary(&source), "{flags:?}")
        });
    }
}

fn sparse_file(path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(path).unwrap();
    for piece in 0..30 {
        file.write_all_at(&[7; 5000], piece * 200_000).unwrap();
    }
    file.set_len(9_000_000).unwrap();
}

fn summary(root: &Path) -> BTreeMap<PathBuf, (u32, u64, i64, i64, Option<Digest>)> {
    let paths = listing(root).into_iter().map(PathBuf::from);
    let summaries = paths.map(|path| {
        let full = root.join(&path);
        let meta = full.symlink_metadata().unwrap();
        let bytes = meta
            .is_file()
            .then(|| Digest::of(&std::fs::read(&full).unwrap()));
        let length = if meta.is_dir() { 0 } else { meta.len() };
        (
            path,
            (meta.mode(), length, meta.mtime(), meta.mtime_nsec(), bytes),
        )
    });
    let mut summaries: BTreeMap<_, _> = summaries.collect();
    // Dialects other than PAX keep whole seconds.
    summaries.values_mut().for_each(|s| s.3 = 0);
    summaries
}
