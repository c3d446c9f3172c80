//! Compose files: read, interpolated, checked, merged, and made into what the API wants. Nothing
//! here asks a daemon.
//!
//! ```text
//! yaml         text -> a tree, each part with its line
//! interpolate  ${NAME} in its values
//! shapes       what may stand where            read   tree -> one long form, as `stack config`
//! short        the short forms of ports, volumes, …
//! load         files -> the long form: paths, env files, names
//! merge        several files -> one            emit   the long form as YAML
//! convert      the long form -> services, networks, secrets and configs of the API
//! ```

pub mod yaml;
pub mod interpolate;
pub mod short;
pub mod shapes;
pub mod read;
pub mod merge;
pub mod load;
pub mod emit;
pub mod convert;
pub mod resources;

use std::fmt;

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub what: String,
}

impl Fault {
    pub fn new(line: usize, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { line, what }
    }
}

/// Why Compose files were not understood: a line for each fault.
#[derive(Debug, thiserror::Error)]
pub struct ComposeError(pub Vec<String>);

impl ComposeError {
    /// The faults of one file.
    pub fn of(file: &str, faults: &[Fault]) -> Self {
        let line = |fault: &Fault| format!("{file}:{}: {}", fault.line, fault.what);
        Self(faults.iter().map(line).collect())
    }

    pub fn one(what: impl Into<String>) -> Self {
        Self(vec![what.into()])
    }
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

#[cfg(test)]
mod tests;
