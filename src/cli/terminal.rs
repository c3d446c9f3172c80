//! The terminal: its size, and raw mode while a program at the other end uses it.

use std::io;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// The size of the terminal on standard output, if there is one.
pub fn size() -> Option<Size> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_col > 0).then_some(Size {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// Whether standard input is a terminal.
pub fn has_input() -> bool {
    isatty(stdin())
}

/// Raw mode, which passes every key on; ends when this is dropped.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Puts the terminal on standard input into raw mode.
    pub fn start() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone by now; then there is nothing to restore.
        tcsetattr(stdin(), OptionalActions::Now, &self.before).ok();
    }
}

/// What is typed is not shown; ends when this is dropped.
#[derive(Debug)]
pub struct Silent {
    before: Termios,
}

impl Silent {
    /// For what a user types on the terminal at standard input.
    pub fn start() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Now, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // The terminal may be gone by now; then there is nothing to restore.
        tcsetattr(stdin(), OptionalActions::Now, &self.before).ok();
    }
}
