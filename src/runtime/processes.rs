//! The processes of a container, as `docker top` lists them.

use std::fs;

use crate::runtime::containers::{Runtime, RuntimeError};

/// Most bytes of a command line that are shown.
const COMMAND_BYTES_MAX: usize = 4096;

/// One process, as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub uid: u32,
    /// Clock ticks since boot.
    pub began: u64,
    /// Clock ticks of processor time.
    pub used: u64,
    pub command: String,
}

impl Runtime {
    /// The processes of a running container.
    pub fn processes(&self, id: &str) -> Result<Vec<Process>, RuntimeError> {
        self.attempt(id)?;
        let mut all: Vec<_> = self
            .group(id)
            .processes()
            .into_iter()
            .filter_map(read)
            .collect();
        if all.is_empty() {
            return Err(RuntimeError::NotRunning(id.to_owned()));
        }
        all.sort_by_key(|process| process.pid);
        Ok(all)
    }
}

/// None if it has ended.
fn read(pid: i32) -> Option<Process> {
    use std::os::unix::fs::MetadataExt;
    let dir = format!("/proc/{pid}");
    let stat = fs::read_to_string(format!("{dir}/stat")).ok()?;
    let (head, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let mut line = fs::read(format!("{dir}/cmdline")).ok()?;
    line.truncate(COMMAND_BYTES_MAX);
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let name = head.split_once('(').map_or("", |(_, name)| name);
    let command = if line.is_empty() {
        format!("[{name}]")
    } else {
        line.trim_end().to_owned()
    };
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        uid: fs::metadata(&dir).ok()?.uid(),
        began: number(19)?,
        used: number(11)?.saturating_add(number(12)?),
        command,
    })
}
