//! `skep quickstart`, from nothing to an answer and back to nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const REQUESTS: usize = 10;

/// A quick start whose files all lie in a directory of the test's own.
struct Started {
    dir: PathBuf,
    child: Child,
    lines: BufReader<ChildStdout>,
}

fn start(name: &str) -> Option<Started> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: containers need root");
        return None;
    }
    let dir = std::env::temp_dir().join(format!("skep-test-{name}-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command
        .arg("quickstart")
        .env("TMPDIR", &dir)
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    Some(Started { dir, child, lines })
}

impl Started {
    /// Reads on to a line that has all the words; what it says before its end is the panic.
    fn line(&mut self, words: &[&str]) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                panic!("no line with {words:?} in:\n{seen}");
            }
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    /// Ctrl-C, and what is left of the machine's state that names the directory.
    fn end(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        let left: Vec<_> = fs::read_dir(&self.dir).unwrap().flatten().collect();
        assert!(left.is_empty(), "files are left: {left:?}");
        let name = self.dir.display().to_string();
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        assert!(!mounts.contains(&name), "mounts are left:\n{mounts}");
        assert_eq!(
            processes(&self.dir),
            Vec::<String>::new(),
            "processes are left"
        );
        fs::remove_dir(&self.dir).unwrap();
    }
}

/// The command lines and roots of processes that name the directory.
fn processes(dir: &Path) -> Vec<String> {
    let name = dir.display().to_string();
    let about = |process: fs::DirEntry| {
        let command = fs::read(process.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let mounts = fs::read_to_string(process.path().join("mounts")).unwrap_or_default();
        (command.contains(&name) || mounts.contains(&name)).then_some(command)
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(about)
        .collect()
}

/// The control groups of a daemon with this run directory.
fn groups(run_dir: &Path) -> Vec<PathBuf> {
    let name = format!(
        "skep-{:08x}",
        crc32fast::hash(run_dir.as_os_str().as_encoded_bytes())
    );
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    let places = hierarchies.map(|place| place.path().join(&name));
    let all = places.chain([Path::new("/sys/fs/cgroup").join(&name)]);
    all.filter(|group| group.exists()).collect()
}

fn ask(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn three_replicas_share_a_port_and_nothing_is_left_of_them() {
    let Some(mut started) = start("quickstart") else {
        return;
    };
    let url = started.line(&["Service hello is at http://localhost:"]);
    let url = url
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let address = url.trim_start_matches("http://").to_owned();
    let mut running = BTreeSet::new();
    while running.len() < 3 {
        let line = started.line(&["hello.", "Running"]);
        running.insert(line.split(' ').next().unwrap().to_owned());
    }
    let sandbox = format!("skep-quickstart-{}", started.child.id());
    let run_dir = started.dir.join(sandbox).join("run");
    assert!(
        !groups(&run_dir).is_empty(),
        "the test looks for groups in the wrong place"
    );
    let answers: BTreeSet<String> = (0..REQUESTS).map(|_| ask(&address)).collect();
    assert!(
        answers.iter().all(|a| a.starts_with("hello from task ")),
        "{answers:?}"
    );
    assert!(answers.len() >= 2, "one task answered all: {answers:?}");
    started.end();
    assert_eq!(groups(&run_dir), Vec::<PathBuf>::new(), "groups are left");
}
