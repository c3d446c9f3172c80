//! The faces of this binary that run beside the daemon or inside containers. They must start before
//! anything else of the program does: no thread, no logging, no signal handler.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::runtime::{hello, init, shim, zygote};

/// Runs one of those faces if the arguments (without the program's name) ask for it.
pub fn run(args: &[OsString]) -> Option<ExitCode> {
    let (face, rest) = args.split_first()?;
    match (face.to_str()?, rest) {
        ("zygote", [_room_for_names]) => Some(zygote::run()),
        ("exec-shim", [dir, name]) => Some(shim::tenant::run(Path::new(dir), name.to_str()?)),
        ("init", command) => Some(init::run(command)),
        ("hello", []) => Some(hello::run()),
        _ => None,
    }
}
