//! What a shim tells the daemon that started it, once, over its standard output.

use std::fs::File;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::runtime::attempt::Running;

/// Most bytes of a report.
pub const REPORT_BYTES_MAX: usize = 16 << 10;

/// How the start went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    Started(Running),
    /// One line for the user.
    Failed(String),
}

/// The way to the daemon.
#[derive(Debug)]
pub struct Status(File);

impl Status {
    /// Takes over the standard output; what is printed from now on goes nowhere.
    pub fn take() -> io::Result<Self> {
        let pipe = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        Ok(Self(pipe.into()))
    }

    /// Reports. The daemon may be gone: its container goes on all the same.
    pub fn report(mut self, report: &Report) {
        if let Ok(bytes) = postcard::to_stdvec(report) {
            let _ = self.0.write_all(&bytes);
        }
    }
}

/// An error and its causes in one line, none said twice.
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line.replace('\n', " ")
}
