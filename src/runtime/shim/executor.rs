//! The last steps of a container's first process: the filter, the last capabilities, and the
//! program itself. What goes wrong here is written to a pipe that the program closes by starting.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use rustix::termios::Winsize;
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::runtime::plan::{ProcessPlan, Security};
use crate::runtime::seccomp::Filter;
use crate::runtime::shim::spec::FILTER_CAPABILITIES;

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Becomes the program that a plan names.
#[derive(Clone, Debug)]
pub struct Program {
    args: Vec<String>,
    env: Vec<String>,
    filter: Option<Filter>,
    /// Set when capabilities were kept for the filter's sake.
    keep_only: Option<CapabilitySet>,
    /// The program finds its terminal sized.
    size: Option<Winsize>,
    /// Takes the reason of a failure; open in this process and its children, closed by success.
    failure: RawFd,
}

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("exec: \"{0}\": executable file not found in $PATH")]
    NotFound(String),
    #[error("exec: \"{program}\": {source}")]
    Exec { program: String, source: io::Error },
    #[error("exec: an argument or variable contains a zero byte")]
    ZeroByte,
    #[error("cannot install the system call filter: {0}")]
    Filter(io::Error),
    #[error("cannot drop capabilities: {0}")]
    Capabilities(io::Error),
}

impl Program {
    /// `failure` must stay open until the container is built.
    pub fn new(process: &ProcessPlan, security: &Security, failure: RawFd) -> Self {
        let held: BTreeSet<_> = security.capabilities.iter().cloned().collect();
        let filter = security.seccomp.then(|| Filter::docker_default(&held));
        let keep = security.seccomp && !security.no_new_privileges;
        Self {
            args: process.args.clone(),
            env: process.env.clone(),
            filter,
            keep_only: keep.then(|| capability_set(&security.capabilities)),
            size: None,
            failure,
        }
    }

    /// Starts in a terminal of this many rows and columns.
    pub fn in_terminal(self, rows_and_columns: Option<(u16, u16)>) -> Self {
        let size = rows_and_columns.map(|(ws_row, ws_col)| Winsize {
            ws_row,
            ws_col,
            ws_xpixel: 0,
            ws_ypixel: 0,
        });
        Self { size, ..self }
    }

    fn start(&self) -> Result<(), StartError> {
        // Rust ignores SIGPIPE; programs expect the default.
        // SAFETY: no handler is installed, and the process has one thread.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        }
        // The daemon's keys are not the container's. A kernel without keys has none to leave.
        // SAFETY: joining an unnamed session keyring passes a null name and nothing else.
        #[allow(unsafe_code)]
        unsafe {
            libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
        }
        if let Some(size) = self.size {
            // A program can live with a terminal of another size.
            let _ = rustix::termios::tcsetwinsize(rustix::stdio::stdin(), size);
        }
        let program = self.find()?;
        let args = strings(&self.args)?;
        let env = strings(&self.env)?;
        let path =
            CString::new(program.as_os_str().as_bytes()).map_err(|_| StartError::ZeroByte)?;
        if let Some(filter) = &self.filter {
            filter.install().map_err(StartError::Filter)?;
        }
        if let Some(keep) = self.keep_only {
            drop_capabilities(keep).map_err(StartError::Capabilities)?;
        }
        let source = execve(&path, &args, &env);
        Err(StartError::Exec {
            program: self.name().to_owned(),
            source,
        })
    }

    fn name(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// As a shell would: by its path, or along $PATH.
    fn find(&self) -> Result<PathBuf, StartError> {
        let name = self.name();
        if name.contains('/') {
            return Ok(PathBuf::from(name));
        }
        let path = self
            .env
            .iter()
            .find_map(|entry| entry.strip_prefix("PATH="))
            .unwrap_or("");
        let found = path
            .split(':')
            .map(|dir| Path::new(dir).join(name))
            .find(|path| runs(path));
        found
            .filter(|_| !name.is_empty())
            .ok_or_else(|| StartError::NotFound(name.to_owned()))
    }
}

impl Executor for Program {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let Err(error) = self.start() else {
            return Ok(());
        };
        let text = error.to_string();
        // SAFETY: the shim keeps the descriptor open until the container is built, and this
        // process has inherited it.
        #[allow(unsafe_code)]
        let failure = unsafe { BorrowedFd::borrow_raw(self.failure) };
        // The shim may be gone; then there is nobody to tell.
        let _ = rustix::io::write(failure, text.as_bytes());
        Err(ExecutorError::Other(text))
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        // `exec` finds out, and says it better.
        Ok(())
    }
}

/// The kernel's set of these names; a name that it does not know is left out.
fn capability_set(names: &[String]) -> CapabilitySet {
    let flags = names.iter().filter_map(|name| name.strip_prefix("CAP_"));
    flags
        .filter_map(CapabilitySet::from_name)
        .fold(CapabilitySet::empty(), CapabilitySet::union)
}

fn drop_capabilities(keep: CapabilitySet) -> io::Result<()> {
    let borrowed = capability_set(&FILTER_CAPABILITIES.map(str::to_owned));
    for capability in borrowed.difference(keep).iter() {
        rustix::thread::remove_capability_from_bounding_set(capability)?;
    }
    let effective = if rustix::process::geteuid().is_root() {
        keep
    } else {
        CapabilitySet::empty()
    };
    let sets = CapabilitySets {
        effective,
        permitted: keep,
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

fn runs(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn strings(all: &[String]) -> Result<Vec<CString>, StartError> {
    let string = |text: &String| CString::new(text.as_bytes()).map_err(|_| StartError::ZeroByte);
    all.iter().map(string).collect()
}

fn execve(path: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| {
        let end = std::iter::once(std::ptr::null());
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain(end)
            .collect::<Vec<_>>()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both lists end with a null pointer and, like the path, live until the call returns,
    // which it does only if it fails.
    #[allow(unsafe_code)]
    unsafe {
        libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr())
    };
    io::Error::last_os_error()
}
