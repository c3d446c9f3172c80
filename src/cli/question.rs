//! Asking the user.

use std::io::{self, BufRead, Read};

use crate::cli::context::print;
use crate::cli::failure::Failure;
use crate::cli::terminal::{self, Silent};

const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Warns, asks, and gives whether the answer was yes.
pub fn agreed(warning: &str) -> Result<bool, Failure> {
    print(&format!(
        "{warning}\nAre you sure you want to continue? [y/N] "
    ))?;
    Ok(matches!(line()?.trim(), "y" | "Y" | "yes"))
}

/// Asks for what nobody may see. Without a terminal it is the first line of standard input.
pub fn secret(question: &str) -> Result<String, Failure> {
    if !terminal::has_input() {
        return line();
    }
    print(question)?;
    let silent = Silent::start().map_err(unread)?;
    let answer = line();
    drop(silent);
    print("\n")?;
    answer
}

/// The next line of standard input, without its end.
pub fn line() -> Result<String, Failure> {
    let mut line = String::new();
    let mut input = io::stdin().lock().take(ANSWER_BYTES_MAX);
    input.read_line(&mut line).map_err(unread)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn unread(source: io::Error) -> Failure {
    let action = "read the answer";
    Failure::Io { action, source }
}
