use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).collect();
    skep::runtime::entry::run(&args).unwrap_or_else(|| skep::cli::main(env::args_os()))
}
