//! What stands in for pathrs in libcontainer keeps a container's paths within its root, and reads
//! procfs and nothing else.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use pathrs::Root;
use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandle, ProcfsHandleBuilder};

/// A root with links that lead within it and out of it.
fn root(name: &str) -> PathBuf {
    let outside = std::env::temp_dir().join(format!("skep-paths-{name}-{}", std::process::id()));
    let root = outside.join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir(outside.join("secret")).unwrap();
    symlink("/a", root.join("absolute")).unwrap();
    symlink("../../../secret", root.join("a/out")).unwrap();
    symlink("gone", root.join("dangling")).unwrap();
    root
}

#[track_caller]
fn check(root: &Path, path: &str, expect: Result<&str, &str>) {
    let permissions = Permissions::from_mode(0o755);
    let made = Root::open(root).unwrap().mkdir_all(path, &permissions);
    let expect = expect.map(|place| root.join(place));
    let made = made.map(|made| {
        let made: OwnedFd = made.into();
        rustix::fs::fstat(made).unwrap().st_ino
    });
    let there = expect.map(|place| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(place).unwrap().ino()
    });
    let failed = made.as_ref().err().map(ToString::to_string);
    match there {
        Ok(there) => assert_eq!(made.unwrap(), there, "{path}"),
        Err(error) => assert_eq!(failed.as_deref(), Some(error), "{path}"),
    }
}

#[test]
fn directories_are_made_within_the_root_whatever_links_say() {
    let root = root("dirs");
    check(&root, "/a/b", Ok("a/b"));
    check(&root, "/absolute/x/y", Ok("a/x/y"));
    check(&root, "/../../z", Ok("z"));
    check(&root, "/", Ok(""));
    // Within the root, neither link leads to anything.
    for link in ["/a/out", "/dangling"] {
        let expect = format!("cannot create the directory {link}/x: Not a directory (os error 20)");
        check(&root, &format!("{link}/x"), Err(&expect));
    }
    let parent = "cannot create the directory /new/../x: No such file or directory (os error 2)";
    check(&root, "/new/../x", Err(parent));
    fs::write(root.join("file"), "").unwrap();
    let file = "cannot create the directory /file/x: Not a directory (os error 20)";
    check(&root, "/file/x", Err(file));
    let outside = root.parent().unwrap();
    assert_eq!(fs::read_dir(outside.join("secret")).unwrap().count(), 0);
    fs::remove_dir_all(outside).unwrap();
}

#[test]
fn a_file_is_made_beside_a_link_of_its_name_and_not_behind_it() {
    let root = root("files");
    symlink("../secret/file", root.join("link")).unwrap();
    let within = Root::open(&root).unwrap();
    let flags = OpenFlags::O_EXCL | OpenFlags::O_CREAT | OpenFlags::O_NOFOLLOW;
    let make = |path: &str| within.create_file(path, flags, &Permissions::from_mode(0o644));
    make("/absolute/b/file").unwrap();
    assert!(root.join("a/b/file").is_file());
    assert!(make("/a/b/file").is_err() && make("/link").is_err() && make("/").is_err());
    assert!(within.resolve("/a/b/file").is_ok() && within.resolve("/link").is_err());
    fs::remove_dir_all(root.parent().unwrap()).unwrap();
}

#[test]
fn procfs_is_read_and_its_links_to_other_files_are_not_followed() {
    for builder in [
        ProcfsHandleBuilder::new(),
        ProcfsHandleBuilder::new().unmasked(),
    ] {
        let procfs = builder.build().unwrap();
        let mut kernel = String::new();
        let path = "sys/kernel/ostype";
        let file = procfs.open(ProcfsBase::ProcRoot, path, OpenFlags::O_RDONLY);
        file.unwrap().read_to_string(&mut kernel).unwrap();
        assert_eq!(kernel, "Linux\n");
    }
    let open = |path| {
        ProcfsHandle::new()
            .unwrap()
            .open(ProcfsBase::ProcSelf, path, OpenFlags::O_RDONLY)
    };
    assert!(open("status").is_ok());
    for path in [
        "exe",
        "fd/0",
        "root/etc/passwd",
        "../../etc/passwd",
        "../self/cwd",
    ] {
        assert!(open(path).is_err(), "{path}");
    }
}
