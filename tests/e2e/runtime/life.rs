//! Starts and ends.

use skep::runtime::adopt::Found;
use skep::runtime::attempt::{Attempt, ProcessMark, Running};

use super::*;

const FOR_EVER: &str = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";

/// Longer than a machine with much to do takes to end a process that was killed.
const DEAD_WITHIN: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};

/// Kills a process and waits until it is dead.
fn kill_9(mark: ProcessMark) {
    let pid = rustix::process::Pid::from_raw(mark.pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    await_death(mark);
}

fn await_death(mark: ProcessMark) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Ok(process) = pidfd_open(Pid::from_raw(mark.pid).unwrap(), PidfdFlags::empty()) else {
        return;
    };
    if mark.is_there() {
        let mut ends = [PollFd::new(&process, PollFlags::IN)];
        poll(&mut ends, Some(&DEAD_WITHIN)).unwrap();
    }
    assert!(!mark.is_there(), "it lives on");
}

#[test]
fn a_program_leaves_its_exit_its_output_and_nothing_else() {
    let Some(host) = host("life") else { return };
    let (exit, output) = host.run(host.plan('a', "echo out; echo err >&2; exit 7"));
    assert_eq!(
        (exit.code, exit.signal, exit.oom_killed),
        (Some(7), None, false)
    );
    assert!(
        output.contains("out\n") && output.contains("err\n"),
        "{output}"
    );
    assert_eq!(exit.tail.len(), output.len());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn an_open_standard_input_does_not_end_and_a_closed_one_is_at_its_end() {
    let Some(host) = host("stdin") else { return };
    let script = "exec 2>/dev/null; timeout 1 cat; echo $?";
    let (_, output) = host.run(host.plan('a', script));
    assert_eq!(output, "0\n");
    let mut open = host.plan('b', script);
    open.process.open_stdin = true;
    let (_, output) = host.run(open);
    assert_eq!(output, "143\n");
    // A shell without a script waits for one.
    let mut shell = host.plan('c', "");
    shell.process.args = vec!["sh".to_owned()];
    shell.process.open_stdin = true;
    let id = host.start(shell).unwrap();
    host.runtime.signal(&id, libc::SIGKILL).unwrap();
    assert_eq!(block_on(host.runtime.wait(&id)).unwrap().code, Some(137));
    block_on(host.runtime.remove(&id)).unwrap();
}

#[test]
fn a_program_that_cannot_start_says_why_in_one_line() {
    let Some(host) = host("unable") else { return };
    let reason = |change: fn(&mut Plan)| {
        let mut plan = host.plan('a', "");
        change(&mut plan);
        let error = host.start(plan).unwrap_err().to_string();
        block_on(host.runtime.remove(&id('a'))).unwrap();
        assert_eq!(host.leftovers(), Vec::<String>::new());
        error
    };
    assert_eq!(
        reason(|plan| plan.process.args = vec!["nope".to_owned()]),
        "exec: \"nope\": executable file not found in $PATH"
    );
    assert_eq!(
        reason(|plan| plan.process.args = vec!["/etc/passwd".to_owned()]),
        "exec: \"/etc/passwd\": Permission denied (os error 13)"
    );
    assert_eq!(
        reason(|plan| plan.process.user = "nobody".to_owned()),
        "unable to find user nobody: no matching entries in passwd file"
    );
    assert_eq!(
        reason(|plan| plan.layers.clear()),
        "the image has no layers"
    );
    assert!(reason(|plan| plan.layers.push("/nowhere".into())).starts_with("cannot mount"));
}

#[test]
fn signals_reach_the_program_and_kill_leaves_nothing_of_it() {
    let Some(host) = host("signals") else { return };
    let stopped = host.start(host.plan('a', FOR_EVER)).unwrap();
    host.await_line(&stopped, "ready");
    host.runtime.signal(&stopped, 15).unwrap();
    assert_eq!(block_on(host.runtime.wait(&stopped)).unwrap().code, Some(3));

    let killed = host.start(host.plan('b', FOR_EVER)).unwrap();
    host.await_line(&killed, "ready");
    host.runtime.kill(&killed).unwrap();
    let exit = block_on(host.runtime.wait(&killed)).unwrap();
    assert_eq!((exit.code, exit.signal), (Some(137), Some(9)));
    assert!(!exit.oom_killed, "killed by hand, not for memory");
    assert!(host.runtime.signal(&killed, 15).is_err());
}

#[test]
fn a_restarted_daemon_finds_what_runs_and_what_ended() {
    let Some(mut host) = host("adopt") else {
        return;
    };
    let runs = host.start(host.plan('a', FOR_EVER)).unwrap();
    host.await_line(&runs, "ready");
    let ended = host.start(host.plan('b', "exit 5")).unwrap();
    block_on(host.runtime.wait(&ended)).unwrap();
    block_on(host.runtime.prepare(host.plan('c', ""))).unwrap();
    host.restart();
    let found = block_on(host.runtime.adopt()).unwrap();
    let ids: Vec<_> = found.iter().map(|adopted| adopted.id.as_str()).collect();
    assert_eq!(ids, [runs.as_str(), ended.as_str(), id('c').as_str()]);
    assert!(matches!(found[0].state, Found::Running(_)));
    assert!(matches!(&found[1].state, Found::Ended(_, exit) if exit.code == Some(5)));
    assert_eq!(found[2].state, Found::Prepared);
    host.runtime.signal(&runs, 15).unwrap();
    assert_eq!(block_on(host.runtime.wait(&runs)).unwrap().code, Some(3));
}

#[test]
fn the_end_of_a_shim_is_the_end_of_its_container_with_an_unknown_exit() {
    let Some(host) = host("shim") else { return };
    block_on(host.runtime.prepare(host.plan('a', FOR_EVER))).unwrap();
    let running = block_on(host.runtime.start(&id('a'))).unwrap();
    host.await_line(&id('a'), "ready");
    kill_9(running.shim);
    let exit = block_on(host.runtime.wait(&id('a'))).unwrap();
    assert_eq!((exit.code, exit.signal), (None, None));
    assert!(!running.init.unwrap().is_there(), "the container goes too");
    block_on(host.runtime.remove(&id('a'))).unwrap();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn shims_outlive_the_zygote_and_the_next_one_has_another() {
    let Some(host) = host("zygote") else { return };
    let start = |letter| {
        block_on(host.runtime.prepare(host.plan(letter, FOR_EVER))).unwrap();
        let running = block_on(host.runtime.start(&id(letter))).unwrap();
        host.await_line(&id(letter), "ready");
        running
    };
    let first = start('a');
    let zygote = parent(first.shim.pid);
    kill_9(ProcessMark::of(zygote).unwrap());
    let second = start('b');
    assert!(first.shim.is_there() && first.init.unwrap().is_there());
    assert_ne!(parent(second.shim.pid), zygote);
    for letter in ['a', 'b'] {
        host.runtime.signal(&id(letter), 15).unwrap();
        let exit = block_on(host.runtime.wait(&id(letter))).unwrap();
        assert_eq!(exit.code, Some(3));
        block_on(host.runtime.remove(&id(letter))).unwrap();
    }
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

/// Who forked a process.
fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    after_name.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_shim_killed_while_no_daemon_ran_is_swept_at_the_next_start() {
    let Some(mut host) = host("sweep") else {
        return;
    };
    block_on(host.runtime.prepare(host.plan('a', FOR_EVER))).unwrap();
    let running = block_on(host.runtime.start(&id('a'))).unwrap();
    kill_9(running.shim);
    host.restart();
    let found = block_on(host.runtime.adopt()).unwrap();
    assert!(matches!(&found[0].state, Found::Ended(_, exit) if exit.code.is_none()));
    await_death(running.init.unwrap());
}

/// The moment between a first process that waits and the word that it may start.
#[test]
fn a_first_process_left_by_a_shim_that_was_killed_before_its_start_is_swept() {
    let Some(mut host) = host("halfway") else {
        return;
    };
    block_on(host.runtime.prepare(host.plan('a', FOR_EVER))).unwrap();
    let running = block_on(host.runtime.start(&id('a'))).unwrap();
    kill_9(running.shim);
    let dir = host.dir.join("run/containers").join(id('a'));
    let never_started = Running {
        init: None,
        ..running
    };
    Attempt { dir }.write_running(&never_started).unwrap();
    host.restart();
    assert_eq!(block_on(host.runtime.adopt()).unwrap().len(), 0);
    await_death(running.init.unwrap());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn folders_without_a_plan_and_groups_without_a_folder_are_swept() {
    let Some(mut host) = host("strays") else {
        return;
    };
    fs::create_dir(host.dir.join("run/containers").join(id('b'))).unwrap();
    let stray = host.start(host.plan('a', FOR_EVER)).unwrap();
    host.await_line(&stray, "ready");
    let dir = host.dir.join("run/containers").join(&stray);
    let aside = host.dir.join("aside");
    fs::rename(&dir, &aside).unwrap();
    let running = Attempt { dir: aside }.running().unwrap().unwrap();
    host.restart();
    assert_eq!(block_on(host.runtime.adopt()).unwrap().len(), 0);
    for stray in ["writable-a", "writable-a.work"] {
        fs::remove_dir_all(host.dir.join(stray)).unwrap();
    }
    await_death(running.shim);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_shim_is_outside_the_group_of_whoever_started_it() {
    let Some(host) = host("groups") else { return };
    block_on(host.runtime.prepare(host.plan('a', FOR_EVER))).unwrap();
    let running = block_on(host.runtime.start(&id('a'))).unwrap();
    let groups = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    for line in groups(running.shim.pid).lines() {
        assert!(line.ends_with("/shims"), "{line}");
    }
    // systemd kills by the hierarchies without controllers too.
    let own = std::process::id().cast_signed();
    for (own, init) in groups(own)
        .lines()
        .zip(groups(running.init.unwrap().pid).lines())
    {
        assert_ne!(own, init);
    }
}
