//! Lines that are rewritten in place on a terminal, and written one after the other elsewhere.

use std::io::{self, IsTerminal};

use crate::cli::context::print;
use crate::cli::failure::Failure;
use crate::cli::table::padded;
use crate::cli::{terminal, units};

const BAR_LENGTH: usize = 50;
/// A terminal narrower than this has no room for bars.
const BAR_COLUMNS_MIN: u16 = 110;

/// `[====>      ] `
fn drawn(done: u64, total: u64) -> String {
    let filled = BAR_LENGTH as u128 * u128::from(done) / u128::from(total.max(1));
    let filled = usize::try_from(filled)
        .unwrap_or(BAR_LENGTH)
        .min(BAR_LENGTH);
    let (bar, rest) = ("=".repeat(filled), " ".repeat(BAR_LENGTH - filled));
    format!("[{bar}>{rest}] ")
}

/// A bar if there is room, and the numbers, as docker shows them.
fn counted(columns: u16, done: u64, total: u64) -> String {
    let size = |bytes| units::size(bytes, 4);
    match (done, total) {
        (0, 0) => String::new(),
        (_, 0) => format!("{:>8}", size(done)),
        _ => {
            let bar = (columns > BAR_COLUMNS_MIN).then(|| drawn(done, total));
            let of = (done <= total).then(|| format!("/{}", size(total)));
            let (bar, of) = (bar.unwrap_or_default(), of.unwrap_or_default());
            format!("{bar}{:>8}{of}", size(done))
        }
    }
}

/// Named lines of progress.
#[derive(Debug)]
pub struct Lines {
    /// What each line shows, by name, in their order.
    shown: Vec<(String, String)>,
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
            shown: Vec::new(),
            quiet,
            columns,
        }
    }

    /// Whether nothing has been shown yet.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Shows a text on the line of a name, unless it is there already.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let at = self.shown.iter().position(|(known, _)| known == name);
        match at.and_then(|at| self.shown.get_mut(at)) {
            Some((_, shown)) if shown == text => return Ok(()),
            Some((_, shown)) => text.clone_into(shown),
            None => self.shown.push((name.to_owned(), text.to_owned())),
        }
        if self.quiet {
            return Ok(());
        }
        match (at, self.columns) {
            (Some(at), Some(_)) => {
                let up = self.shown.len() - at;
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
        self.set(
            name,
            &format!("{state} {}", drawn(done as u64, total as u64)),
        )
    }

    /// Shows a state and how many of how many bytes were taken in; where there is no terminal, only
    /// other lines tell.
    pub fn bytes(&mut self, name: &str, state: &str, done: u64, total: u64) -> Result<(), Failure> {
        match self.columns {
            Some(columns) => self.set(name, &format!("{state} {}", counted(columns, done, total))),
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(columns: u16, (done, total): (u64, u64), expect: &str) {
        assert_eq!(counted(columns, done, total), expect);
    }

    #[test]
    fn bytes_are_shown_as_docker_shows_them() {
        let bar = format!("[{}>{}] ", "=".repeat(25), " ".repeat(25));
        check(120, (500_000, 1_000_000), &format!("{bar}   500kB/1MB"));
        check(80, (524_288, 4_262_912), " 524.3kB/4.263MB");
        check(80, (2_000, 1_000), "     2kB");
        check(120, (32_768, 0), " 32.77kB");
        check(120, (0, 0), "");
    }
}
