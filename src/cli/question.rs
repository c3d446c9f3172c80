//! Asking before something is lost.

use std::io::{self, BufRead};

use crate::cli::context::print;
use crate::cli::failure::Failure;

/// Warns, asks, and gives whether the answer was yes.
pub fn agreed(warning: &str) -> Result<bool, Failure> {
    print(&format!(
        "{warning}\nAre you sure you want to continue? [y/N] "
    ))?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|source| Failure::Io {
        action: "read the answer",
        source,
    })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
