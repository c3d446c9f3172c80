//! Files of the host in a container.

use skep::runtime::plan::{MountKind, MountPlan};

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
                  stat -c %a /scratch; cat /run/secrets/key";
    let mut plan = host.plan('a', script);
    plan.read_only = true;
    fs::write(host.dir.join("key"), "secret\n").unwrap();
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
        mount(
            "/run/secrets/key",
            true,
            MountKind::File {
                source: host.dir.join("key"),
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
        "secret",
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
