//! Files of the host in a container.

use skep::runtime::content::Content;
use skep::runtime::plan::{FilePlan, MountKind, MountPlan};

use super::*;

fn bind(source: &Path) -> MountKind {
    MountKind::Bind {
        source: source.to_owned(),
        create: false,
        recursive: true,
        read_only_below: true,
        slave: false,
    }
}

fn mount(target: &str, read_only: bool, kind: MountKind) -> MountPlan {
    MountPlan {
        target: target.to_owned(),
        read_only,
        kind,
    }
}

#[test]
fn mounts_appear_as_asked() {
    let Some(host) = host("mounts") else { return };
    let shared = host.dir.join("shared");
    let volume = host.dir.join("volume");
    for dir in [&shared, &volume] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(shared.join("file"), "shared\n").unwrap();
    let script = "cat /in/file /data/file; (echo y > /in/x) 2>/dev/null || echo in: read-only; \
                  (echo y > /root) 2>/dev/null || echo root: read-only; echo z > /scratch/z; \
                  echo kept > /data/new; df -k /scratch | tail -1 | awk '{print $2}'; \
                  stat -c %a /scratch";
    let mut plan = host.plan('a', script);
    plan.read_only = true;
    plan.mounts = vec![
        mount("/in", true, bind(&shared)),
        mount(
            "/data",
            false,
            MountKind::Volume {
                source: volume.clone(),
                copy: true,
            },
        ),
        mount(
            "/scratch",
            false,
            MountKind::Tmpfs {
                size_bytes: 1 << 20,
                mode: 0o700,
            },
        ),
    ];
    let expect = [
        "shared",
        "from the image",
        "in: read-only",
        "root: read-only",
        "1024",
        "700",
    ];
    let (exit, output) = host.run(plan);
    assert_eq!(output.lines().collect::<Vec<_>>(), expect, "{exit:?}");
    assert_eq!(fs::read_to_string(volume.join("new")).unwrap(), "kept\n");
}

#[test]
fn a_bind_without_its_source_is_refused_or_made_as_asked() {
    let Some(host) = host("source") else { return };
    let absent = host.dir.join("absent");
    let mut plan = host.plan('a', "ls -A /in | wc -l");
    plan.mounts = vec![mount("/in", false, bind(&absent))];
    let error = host.start(plan.clone()).unwrap_err().to_string();
    assert!(
        error.starts_with("bind source path does not exist: "),
        "{error}"
    );
    block_on(host.runtime.remove(&id('a'))).unwrap();

    let MountKind::Bind { create, .. } = &mut plan.mounts[0].kind else {
        unreachable!()
    };
    *create = true;
    assert_eq!(host.run(plan).1, "0\n");
    assert!(absent.is_dir());
}

#[test]
fn files_handed_in_lie_in_memory_with_owner_and_mode_and_cannot_be_changed() {
    let Some(host) = host("files") else { return };
    let script = "cat /run/secrets/db/key /site.conf; stat -c '%u:%g %a' /run/secrets/db/key; \
                  stat -c '%u:%g %a' /site.conf; stat -f -c %T /run/secrets/db/key; \
                  (echo x > /run/secrets/new) 2>/dev/null || echo read-only; \
                  (echo x > /site.conf) 2>/dev/null || echo read-only; \
                  readlink /proc/1/fd/0";
    let file = |target: &str, uid, mode, bytes| FilePlan {
        target: target.to_owned(),
        uid,
        gid: 101,
        mode,
        bytes,
    };
    let mut plan = host.plan('a', script);
    plan.files = vec![
        file("/run/secrets/db/key", 100, 0o400, 7),
        file("/site.conf", 0, 0o644, 5),
    ];
    let content = Content::new([&b"s3cret\n"[..], b"conf\n"].into_iter()).unwrap();
    block_on(host.runtime.prepare_with(plan, content)).unwrap();
    let id = id('a');
    block_on(host.runtime.start(&id)).unwrap();
    block_on(host.runtime.wait(&id)).unwrap();
    let expect = "s3cret\nconf\n100:101 400\n0:101 644\ntmpfs\nread-only\nread-only\n/dev/null\n";
    assert_eq!(host.output(&id), expect);
    // Neither the records of the container nor its writable layer hold what is secret.
    let found = Command::new("grep")
        .args(["-rl", "s3cret"])
        .arg(&host.dir)
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let but_the_log: Vec<_> = found
        .lines()
        .filter(|path| !path.contains("/log."))
        .collect();
    assert_eq!(but_the_log, Vec::<&str>::new());
    block_on(host.runtime.remove(&id)).unwrap();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn content_that_is_short_of_its_files_starts_nothing() {
    let Some(host) = host("short") else { return };
    let mut plan = host.plan('a', "true");
    plan.files = vec![FilePlan {
        target: "/site.conf".to_owned(),
        bytes: 9,
        ..FilePlan::default()
    }];
    let content = Content::new([&b"conf"[..]].into_iter()).unwrap();
    block_on(host.runtime.prepare_with(plan, content)).unwrap();
    let error = block_on(host.runtime.start(&id('a')))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot write the secrets and configs: "),
        "{error}"
    );
    block_on(host.runtime.remove(&id('a'))).unwrap();
}
