//! Stacks: Compose files as people have them, read and deployed by both CLIs.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use skep::cli::compose::read::Reader;
use skep::cli::compose::shapes::Shape;
use skep::cli::compose::yaml::Node;

use crate::tools;

const FIXTURES: [&str; 3] = ["voting", "web", "monitoring"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/e2e/compose/{name}.yml"))
}

/// What a CLI makes of files.
fn config(cli: &Path, files: &[&Path]) -> Value {
    let mut command = Command::new(cli);
    command.args(["stack", "config"]);
    for file in files {
        command.arg("-c").arg(file);
    }
    let output = command.output().expect("the CLI runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = Node::parse(&text).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"));
    Reader::default().read(&tree, Shape::Anything, "")
}

#[test]
fn files_mean_to_skep_what_they_mean_to_docker() {
    // The older one has no such command.
    let Some(docker) = tools::docker_clis().iter().find(|cli| {
        let help = Command::new(cli)
            .args(["stack", "config", "--help"])
            .output();
        help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("final config"))
    }) else {
        return tools::skipped("no docker CLI that shows what it reads, and none could be had");
    };
    let skep = Path::new(env!("CARGO_BIN_EXE_skep"));
    for name in FIXTURES {
        let file = fixture(name);
        let (ours, theirs) = (config(skep, &[&file]), config(docker, &[&file]));
        assert_eq!(ours, theirs, "{name}");
    }
    let files = [fixture("voting"), fixture("voting-more")];
    let files = files.each_ref().map(PathBuf::as_path);
    assert_eq!(config(skep, &files), config(docker, &files));
}
