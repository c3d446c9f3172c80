//! Signals as users name them, and how a process is sent one.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// What asks a program to end where neither spec nor image says otherwise.
pub const DEFAULT: i32 = libc::SIGTERM;

/// The number of `SIGTERM`, `term`, `15` or `RTMIN+3`; none if there is no such signal.
pub fn parse(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse() {
        return (1..=libc::SIGRTMAX()).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(above) = name.strip_prefix("RTMIN") {
        return real_time(libc::SIGRTMIN(), above);
    }
    if let Some(below) = name.strip_prefix("RTMAX") {
        return real_time(libc::SIGRTMAX(), below);
    }
    SIGNALS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// Sends the very process that was opened a signal.
pub fn send(process: &OwnedFd, number: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: plain numbers, and no siginfo. rustix knows no real-time signals.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            number,
            none,
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn real_time(from: i32, offset: &str) -> Option<i32> {
    let offset = if offset.is_empty() {
        0
    } else {
        offset.parse::<i32>().ok()?
    };
    let number = from.checked_add(offset)?;
    (libc::SIGRTMIN()..=libc::SIGRTMAX())
        .contains(&number)
        .then_some(number)
}

/// How users name a signal; real-time ones go by their numbers.
pub fn name(number: i32) -> String {
    let named = SIGNALS.iter().find(|(_, known)| *known == number);
    named.map_or_else(|| number.to_string(), |(name, _)| format!("SIG{name}"))
}

const SIGNALS: [(&str, i32); 32] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_as_it_is_parsed() {
        assert_eq!(name(2), "SIGINT");
        for number in 1..=libc::SIGRTMAX() {
            assert_eq!(parse(&name(number)), Some(number));
        }
    }

    #[test]
    fn signals_go_by_name_number_and_distance() {
        assert_eq!(parse("SIGTERM"), Some(15));
        assert_eq!(parse("quit"), Some(3));
        assert_eq!(parse("9"), Some(9));
        assert_eq!(parse("SIGRTMIN+3"), Some(libc::SIGRTMIN() + 3));
        assert_eq!(parse("RTMAX-1"), Some(libc::SIGRTMAX() - 1));
    }

    #[test]
    fn there_are_no_other_signals() {
        for name in [
            "", "0", "-1", "65", "SIG", "SIGNOPE", "RTMIN-1", "RTMIN+99", "RTMIN+x",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
