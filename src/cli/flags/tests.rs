use super::*;

const FLAGS: &[Flag] = &[
    Flag::new("detach", Kind::Switch, "").short('d'),
    Flag::new("env", Kind::List, "").short('e'),
    Flag::new("filter", Kind::Filter, "").short('f'),
    Flag::new("interactive", Kind::Switch, "").short('i'),
    Flag::new("name", Kind::Text, ""),
    Flag::new("replicas", Kind::Uint, ""),
];

#[track_caller]
fn parse(line: &str, count: Args) -> Result<String, String> {
    let words = line.split_whitespace().map(OsString::from);
    let parsed = Parsed::parse(words, FLAGS, count).map_err(|e| e.to_string())?;
    let values = FLAGS.iter().filter(|f| parsed.given(f.long));
    let mut shown: Vec<String> = values
        .map(|f| format!("{}={}", f.long, parsed.list(f.long).join(",")))
        .collect();
    shown.extend(parsed.args.iter().cloned());
    if parsed.wants_help() {
        shown.push("help".to_owned());
    }
    Ok(shown.join(" "))
}

#[track_caller]
fn check(line: &str, expect: &str) {
    assert_eq!(
        parse(line, Args::AtLeast(0)).as_deref(),
        Ok(expect),
        "{line}"
    );
}

#[track_caller]
fn refuses(line: &str, expect: &str) {
    assert_eq!(
        parse(line, Args::AtLeast(0)),
        Err(expect.to_owned()),
        "{line}"
    );
}

#[test]
fn values_follow_their_flag_in_every_way_docker_knows() {
    check("--name=web x", "name=web x");
    check("--name web x", "name=web x");
    check("x --name web", "name=web x");
    check("-e A=1 -eB=2 -e=C", "env=A=1,B=2,C");
    check("--name a --name b", "name=a,b");
    check("-- --name", "--name");
    check("--name -- x", "name=-- x");
}

#[test]
fn switches_take_a_value_only_after_an_equals_sign() {
    check("-di x", "detach=true interactive=true x");
    check("--detach=false x", "detach=false x");
    check("--detach false", "detach=true false");
    check("-d=false", "detach=false");
    check("-die A=1", "detach=true env=A=1 interactive=true");
}

#[test]
fn help_is_understood_everywhere_and_ends_the_reading() {
    check("x --help --nope", "x help");
    check("-h", "help");
}

#[test]
fn a_program_keeps_its_own_flags() {
    let program = Args::Program(1);
    let got = parse("-d img sh -c -- --name x", program);
    assert_eq!(got.as_deref(), Ok("detach=true img sh -c -- --name x"));
    assert_eq!(
        parse("-d", program),
        Err("requires at least 1 argument".to_owned())
    );
}

#[test]
fn mistakes_are_worded_as_docker_words_them() {
    refuses("--foo", "unknown flag: --foo");
    refuses("-dzq", "unknown shorthand flag: 'z' in -zq");
    refuses("--name", "flag needs an argument: --name");
    refuses("-de", "flag needs an argument: 'e' in -e");
    let parse_uint = "strconv.ParseUint: parsing \"a\": invalid syntax";
    refuses(
        "--replicas a",
        &format!("invalid argument \"a\" for \"--replicas\" flag: {parse_uint}"),
    );
    refuses(
        "-f a",
        "invalid argument \"a\" for \"-f, --filter\" flag: \
         bad format of filter (expected name=value)",
    );
}

#[test]
fn positional_arguments_are_counted() {
    let count = |line, args| parse(line, args).unwrap_err();
    assert_eq!(count("x", Args::None), "accepts no arguments");
    assert_eq!(count("x", Args::Exactly(2)), "requires 2 arguments");
    assert_eq!(count("", Args::Exactly(1)), "requires 1 argument");
    assert_eq!(count("", Args::AtLeast(1)), "requires at least 1 argument");
    assert_eq!(count("x y", Args::AtMost(1)), "requires at most 1 argument");
}
