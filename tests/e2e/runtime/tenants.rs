//! Further processes in a running container.

use async_io::Async;
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use skep::runtime::exec::{Ended, Streams};
use skep::runtime::shim::tenant::ExecRequest;

use super::*;

const WAIT: &str = "echo ready; exec sleep 1000";

fn request(script: &str) -> ExecRequest {
    let args = ["sh", "-c", script].map(str::to_owned).to_vec();
    ExecRequest {
        args,
        ..ExecRequest::default()
    }
}

fn container(host: &Host) -> String {
    let mut plan = host.plan('a', WAIT);
    plan.process.user = "web".to_owned();
    let id = host.start(plan).unwrap();
    host.await_line(&id, "ready");
    id
}

async fn read(from: &Async<fs::File>) -> String {
    let mut from = from;
    let mut text = String::new();
    from.read_to_string(&mut text).await.unwrap();
    text
}

/// Runs a request to its end: exit code, output and errors.
fn run(host: &Host, id: &str, request: ExecRequest, input: &str) -> (i32, String, String) {
    block_on(async {
        let mut session = host.runtime.exec(id, request).await.unwrap();
        let Streams::Pipes {
            stdin,
            stdout,
            stderr,
        } = &mut session.streams
        else {
            panic!("a terminal");
        };
        if let Some(stdin) = stdin.take() {
            (&*stdin).write_all(input.as_bytes()).await.unwrap();
        }
        let (out, err) = zip(read(stdout), read(stderr)).await;
        let Ended::Exited(code) = session.end().await.unwrap() else {
            panic!("it has no time limit");
        };
        (code, out, err)
    })
}

#[test]
fn an_exec_runs_as_the_container_does_with_streams_of_its_own() {
    let Some(host) = host("exec") else { return };
    let id = container(&host);
    let script = "id -u; id -G; echo $GREETING $HOME $0; hostname; cat; echo err >&2; \
                  grep -E '^(CapPrm|NoNewPrivs|Seccomp):' /proc/self/status; exit 9";
    let asked = ExecRequest {
        stdin: true,
        ..request(script)
    };
    let (code, out, err) = run(&host, &id, asked, "typed\n");
    let expect = "100\n10 101\nhello /srv sh\nbox\ntyped\n\
                  CapPrm:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    let out: String = out.replace("101 10\n", "10 101\n");
    assert_eq!((code, out.as_str(), err.as_str()), (9, expect, "err\n"));
}

#[test]
fn an_exec_takes_another_user_folder_and_variables() {
    let Some(host) = host("other") else { return };
    let id = container(&host);
    let asked = ExecRequest {
        user: Some("root".to_owned()),
        dir: Some("/tmp".to_owned()),
        env: vec!["GREETING=bye".to_owned(), "MORE=1".to_owned()],
        ..request("id -u; pwd; echo $GREETING $MORE $HOME; kill -9 $$")
    };
    let (code, out, _) = run(&host, &id, asked, "");
    assert_eq!((code, out.as_str()), (137, "0\n/tmp\nbye 1 /root\n"));
}

#[test]
fn an_exec_that_cannot_start_says_why() {
    let Some(host) = host("noexec") else { return };
    let id = container(&host);
    let reason = |asked| {
        block_on(host.runtime.exec(&id, asked))
            .unwrap_err()
            .to_string()
    };
    let args = vec!["nope".to_owned()];
    let nope = ExecRequest {
        args,
        ..ExecRequest::default()
    };
    assert_eq!(
        reason(nope),
        "exec: \"nope\": executable file not found in $PATH"
    );
    let user = ExecRequest {
        user: Some("nobody".to_owned()),
        ..request("")
    };
    assert_eq!(
        reason(user),
        "unable to find user nobody: no matching entries in passwd file"
    );
    let left = fs::read_dir(host.dir.join("run/containers").join(&id)).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = names.filter(|name| name.starts_with("exec-")).collect();
    assert_eq!(left, Vec::<String>::new());

    host.runtime.kill(&id).unwrap();
    block_on(host.runtime.wait(&id)).unwrap();
    let error = block_on(host.runtime.exec(&id, request("")))
        .unwrap_err()
        .to_string();
    assert_eq!(error, format!("container {id} is not running"));
}

#[test]
fn a_terminal_is_sized_resized_and_spoken_with() {
    let Some(host) = host("tty") else { return };
    let id = container(&host);
    let asked = ExecRequest {
        tty: true,
        size: Some((33, 44)),
        ..request("tty; stty size; read line; echo got $line; stty size; echo $TERM")
    };
    let text = block_on(async {
        let session = host.runtime.exec(&id, asked).await.unwrap();
        let Streams::Terminal(terminal) = &session.streams else {
            panic!("no terminal");
        };
        let mut text = read_until(terminal, "33 44\r\n").await;
        session.streams.resize(55, 66).unwrap();
        (&**terminal).write_all(b"words\n").await.unwrap();
        text += &read_until(terminal, "xterm\r\n").await;
        assert_eq!(session.end().await.unwrap(), Ended::Exited(0));
        text
    });
    assert_eq!(
        text,
        "/dev/pts/0\r\n33 44\r\nwords\r\ngot words\r\n55 66\r\nxterm\r\n"
    );
}

async fn read_until(mut terminal: &Async<fs::File>, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 100];
    while !text.ends_with(end) {
        let length = terminal.read(&mut buffer).await.unwrap();
        text += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    text
}

#[test]
fn processes_and_figures_of_a_container_are_told() {
    let Some(host) = host("figures") else { return };
    let mut plan = host.plan('a', "dd if=/dev/zero of=/tmp/x bs=1M count=4 2>/dev/null; ");
    plan.process.args[2] += WAIT;
    plan.limits.pids = Some(50);
    plan.limits.memory_bytes = Some(64 << 20);
    let id = host.start(plan).unwrap();
    host.await_line(&id, "ready");
    let processes = host.runtime.processes(&id).unwrap();
    let commands: Vec<_> = processes
        .iter()
        .map(|process| process.command.as_str())
        .collect();
    assert_eq!(commands.len(), 1);
    assert!(
        ["sleep 1000", "sh -c"]
            .iter()
            .any(|text| commands[0].starts_with(text))
    );
    let figures = host.runtime.figures(&id).unwrap();
    assert_eq!((figures.pids, figures.pids_limit), (1, Some(50)));
    assert!(figures.cpu.total_ns > 0);
    assert_eq!(figures.memory.limit_bytes, Some(64 << 20));
    assert!(figures.memory.peak_bytes >= figures.memory.used_bytes);
    assert!(
        figures
            .memory
            .detail
            .keys()
            .any(|name| name.ends_with("inactive_file"))
    );
}
