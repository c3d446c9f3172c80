//! Images made by the tests: busybox and what a test puts beside it, as `docker save` writes them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Programs of busybox that the tests call by name.
const APPLETS: [&str; 24] = [
    "sh", "sleep", "cat", "echo", "date", "id", "ps", "mount", "ls", "hostname", "dd", "head",
    "tail", "env", "kill", "test", "grep", "true", "false", "yes", "nc", "nproc", "stty", "tty",
];

/// Writes busybox as an image: a docker archive, with `config` for its containers.
pub fn busybox_archive(busybox: &Path, archive: &Path, tag: &str, config: &Value) {
    let mut layer = tar::Builder::new(Vec::new());
    for dir in ["bin", "tmp", "etc", "proc", "sys", "dev", "root"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        layer
            .append_data(&mut header, dir, std::io::empty())
            .expect("a folder in the layer");
    }
    let program = std::fs::read(busybox).expect("busybox is readable");
    let mut file = header(tar::EntryType::Regular, 0o755, program.len() as u64);
    layer
        .append_data(&mut file, "bin/busybox", &*program)
        .expect("busybox in the layer");
    for applet in APPLETS {
        let mut link = header(tar::EntryType::Symlink, 0o777, 0);
        layer
            .append_link(&mut link, format!("bin/{applet}"), "busybox")
            .expect("a link");
    }
    let passwd = b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/:/bin/sh\n";
    append(&mut layer, "etc/passwd", passwd);
    append(
        &mut layer,
        "etc/group",
        b"root:x:0:\nweb:x:1001:\naudio:x:29:web\n",
    );
    let layer = layer.into_inner().expect("the layer is in memory");
    write_docker_archive(archive, tag, config, &layer);
}

/// What most images here say of their containers.
pub fn plain() -> Value {
    serde_json::json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]})
}

fn write_docker_archive(archive: &Path, tag: &str, config: &Value, layer: &[u8]) {
    let config = serde_json::json!({
        "architecture": docker_architecture(), "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(layer))]},
        "history": [{"created_by": "test", "created": "2026-01-01T00:00:00Z"}],
    });
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", hex(&config));
    let manifest =
        serde_json::json!([{"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}]);
    let file = File::create(archive).expect("the archive can be written");
    let mut tar = tar::Builder::new(file);
    append(&mut tar, &name, &config);
    append(&mut tar, "layer.tar", layer);
    append(&mut tar, "manifest.json", manifest.to_string().as_bytes());
    tar.finish().expect("the archive is whole");
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) {
    let mut header = header(tar::EntryType::Regular, 0o644, bytes.len() as u64);
    tar.append_data(&mut header, name, bytes)
        .expect("a file in the archive");
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

fn docker_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
