//! `skep init -- CMD…`: the small pid 1 of a container that asked for one. It runs the command,
//! passes signals on, reaps what is left to it, and ends as the command ends.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions};

const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs the command to its end.
pub fn run(command: &[OsString]) -> ExitCode {
    let command = match command {
        [dashes, rest @ ..] if dashes == "--" => rest,
        rest => rest,
    };
    let [program, args @ ..] = command else {
        return ExitCode::from(NOT_FOUND);
    };
    let all = block_signals();
    let mut child = Command::new(program);
    child.args(args).process_group(0);
    let child = match unblocked(&mut child).spawn() {
        Ok(child) => child.id(),
        Err(error) => {
            eprintln!("exec: {program:?}: {error}");
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return ExitCode::from(if missing { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) else {
        return ExitCode::FAILURE;
    };
    // The command gets the terminal, if there is one.
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), child);
    serve(child, &all)
}

fn serve(child: Pid, all: &libc::sigset_t) -> ExitCode {
    loop {
        let mut number = 0;
        // SAFETY: `all` is an initialised set and `number` takes one signal.
        #[allow(unsafe_code)]
        let failed = unsafe { libc::sigwait(all, &raw mut number) } != 0;
        if failed {
            continue;
        }
        if number != libc::SIGCHLD {
            if let Some(signal) = Signal::from_named_raw(number) {
                // It may just have ended, which the next signal says.
                let _ = rustix::process::kill_process(child, signal);
            }
            continue;
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == child {
                let status = std::process::ExitStatus::from_raw(status.as_raw());
                let code = status
                    .code()
                    .or_else(|| status.signal().map(|signal| 128 + signal));
                return ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
            }
        }
    }
}

fn block_signals() -> libc::sigset_t {
    // SAFETY: the set is filled before it is used, and the process has one thread.
    #[allow(unsafe_code)]
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        all
    }
}

/// Lets the command have its signals again.
fn unblocked(command: &mut Command) -> &mut Command {
    // SAFETY: both calls are async-signal-safe.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| {
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            Ok(())
        })
    }
}
