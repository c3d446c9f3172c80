use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    skep::cli::main(env::args_os())
}
