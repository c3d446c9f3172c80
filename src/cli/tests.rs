use super::*;

#[track_caller]
fn check(line: &str, expect: &str) {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let failure = run("skep", words.into_iter()).unwrap_err();
    assert_eq!(failure.to_string(), expect, "{line}");
}

#[test]
fn unknown_words_are_named_with_where_to_look() {
    check(
        "foo",
        "skep: unknown command: skep foo\n\nRun 'skep --help' for more information",
    );
    check(
        "service foo",
        "skep: unknown command: skep service foo\n\nUsage:  skep service\n\n\
         Run 'skep service --help' for more information",
    );
}

#[test]
fn run_is_refused_with_what_to_use() {
    check("run -it alpine sh", NO_RUN);
    check("container run x", NO_RUN);
}

#[test]
fn mistakes_show_the_usage_of_the_command() {
    check(
        "service ls --nope",
        "unknown flag: --nope\n\nUsage:  skep service ls [OPTIONS]\n\n\
         Run 'skep service ls --help' for more information",
    );
    check(
        "service create",
        "skep: 'skep service create' requires at least 1 argument\n\n\
         Usage:  skep service create [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
         See 'skep service create --help' for more information",
    );
    check(
        "service list x",
        "skep: 'skep service ls' accepts no arguments\n\nUsage:  skep service ls [OPTIONS]\n\n\
         Run 'skep service ls --help' for more information",
    );
}

#[test]
fn a_daemon_that_is_not_there_is_named_with_what_to_do() {
    check(
        "-H unix:///nonexistent/skep.sock service ls",
        "Cannot connect to the skep daemon at unix:///nonexistent/skep.sock. Is it running? \
         (start it as root with: skep daemon)",
    );
    check(
        "-H nonsense service ls",
        &host::Error::Form("nonsense".to_owned()).to_string(),
    );
}

#[test]
fn exit_codes_are_dockers() {
    let code = |line: &str| {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        run("skep", words.into_iter()).map_or_else(|failure| failure.code(), |()| ExitCode::SUCCESS)
    };
    assert_eq!(code("--nope"), ExitCode::from(125));
    assert_eq!(code("service ls --nope"), ExitCode::from(125));
    assert_eq!(code("service create"), ExitCode::from(1));
    assert_eq!(code("foo"), ExitCode::from(1));
    assert_eq!(
        code("-H unix:///nonexistent/skep.sock service ls"),
        ExitCode::from(1)
    );
}
