//! Lines that are rewritten in place on a terminal, and written one after the other elsewhere.

use std::io::{self, IsTerminal};

use crate::cli::context::print;
use crate::cli::failure::Failure;
use crate::cli::table::padded;
use crate::cli::terminal;

const BAR_LENGTH: usize = 50;
/// A terminal narrower than this has no room for bars.
const BAR_COLUMNS_MIN: u16 = 110;

/// Named lines of progress.
#[derive(Debug)]
pub struct Lines {
    names: Vec<String>,
    quiet: bool,
    columns: Option<u16>,
}

impl Lines {
    /// Lines on standard output, or nowhere.
    pub fn new(quiet: bool) -> Self {
        let columns = io::stdout()
            .is_terminal()
            .then(|| terminal::size().map_or(80, |s| s.columns));
        Self {
            names: Vec::new(),
            quiet,
            columns,
        }
    }

    /// Whether nothing has been shown yet.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Shows a text on the line of a name.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let at = self.names.iter().position(|known| known == name);
        if at.is_none() {
            self.names.push(name.to_owned());
        }
        if self.quiet {
            return Ok(());
        }
        match (at, self.columns) {
            (Some(at), Some(_)) => {
                let up = self.names.len() - at;
                print(&format!("\x1b[{up}A\x1b[2K\r{name}: {text}\r\x1b[{up}B"))
            }
            _ => print(&format!("{name}: {text}\n")),
        }
    }

    /// Shows a state and how far it is; where there is no terminal, only other lines tell.
    pub fn bar(
        &mut self,
        name: &str,
        state: &str,
        width: usize,
        done: usize,
        total: usize,
    ) -> Result<(), Failure> {
        let Some(columns) = self.columns else {
            return Ok(());
        };
        let state = padded(state, width);
        if columns <= BAR_COLUMNS_MIN {
            return self.set(name, &state);
        }
        let filled = (BAR_LENGTH * done / total.max(1)).min(BAR_LENGTH);
        let (bar, rest) = ("=".repeat(filled), " ".repeat(BAR_LENGTH - filled));
        self.set(name, &format!("{state} [{bar}>{rest}] "))
    }

    /// Says something below the lines.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.quiet {
            Ok(())
        } else {
            print(&format!("{text}\n"))
        }
    }
}
