use super::*;

#[test]
fn a_program_runs_and_leaves_its_exit_its_output_and_nothing_else() {
    let Some(host) = host("life") else { return };
    let (exit, output) = host.run(host.plan('a', "echo out; echo err >&2; exit 7"));
    assert_eq!(
        (exit.code, exit.signal, exit.oom_killed),
        (Some(7), None, false)
    );
    assert!(
        output.contains("out\n") && output.contains("err\n"),
        "{output}"
    );
    assert_eq!(exit.tail.len(), output.len());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
