//! Each rule complains about what it forbids, and about nothing else.

use super::source::Source;
use super::{homes, layers, leftovers, lengths, licences, padding, top_level};

#[test]
fn a_lower_module_may_not_name_a_higher_one() {
    check(
        layers,
        "src/model/a.rs",
        "use crate::wire::X;",
        &["src/model/a.rs:1: model may not name wire"],
    );
    check(layers, "src/wire/a.rs", "use crate::model::X;", &[]);
    check(
        layers,
        "src/wire/a.rs",
        "fn f() {\n crate::cli::run()\n}",
        &["a.rs:2: wire may not name cli"],
    );
    let group = "use crate::{\n model::{api, x},\n daemon,\n};";
    check(
        layers,
        "src/store/a.rs",
        group,
        &["src/store/a.rs:3: store may not name daemon"],
    );
}

#[test]
fn agent_and_manager_may_not_name_each_other() {
    check(
        layers,
        "src/agent/a.rs",
        "use crate::manager::X;",
        &["agent may not name manager"],
    );
    check(
        layers,
        "src/manager/mod.rs",
        "use crate::agent::X;",
        &["manager may not name agent"],
    );
}

#[test]
fn a_way_over_the_parent_module_counts_too() {
    check(
        layers,
        "src/model/mod.rs",
        "use super::wire;",
        &["model may not name wire"],
    );
    check(
        layers,
        "src/model/a.rs",
        "use super::super::wire::X;",
        &["model may not name wire"],
    );
    check(layers, "src/model/a.rs", "use super::wire;", &[]);
    let inline = "mod tests { use super::image; }\nuse super::image;";
    check(
        layers,
        "src/model/mod.rs",
        inline,
        &["mod.rs:2: model may not name image"],
    );
}

#[test]
fn words_in_comments_and_literals_are_not_code() {
    let quiet =
        "// crate::cli\n/* crate::cli */ \"crate::cli\" r#\"\"crate::cli\"# b'\"' '\\'' <'a>";
    check(layers, "src/model/a.rs", quiet, &[]);
    let after = format!("{quiet} crate::cli::x()");
    check(
        layers,
        "src/model/a.rs",
        &after,
        &["a.rs:2: model may not name cli"],
    );
}

#[test]
fn a_shim_crate_has_its_own_root() {
    check(
        layers,
        "src/raft/protobuf/src/lib.rs",
        "use crate::cli;",
        &[],
    );
    check(
        layers,
        "src/raft/node.rs",
        "use crate::cli;",
        &["raft may not name cli"],
    );
}

#[test]
fn names_away_from_home_are_found() {
    check(
        homes,
        "src/agent/a.rs",
        "use libcontainer::x;",
        &["a.rs:1: `libcontainer`"],
    );
    check(homes, "src/runtime/a.rs", "use libcontainer::x;", &[]);
    check(
        homes,
        "src/transport/mqtt.rs",
        "use tokio::x;",
        &["`tokio`"],
    );
    check(
        homes,
        "src/store/a.rs",
        "use raft_proto::x;",
        &["`raft_proto`"],
    );
    check(homes, "src/store/a.rs", "use slog::x;", &["`slog`"]);
    check(
        homes,
        "src/api/a.rs",
        "println!();\nprint!();",
        &["a.rs:1: `println`", "a.rs:2: `print`"],
    );
    check(homes, "src/cli/a.rs", "println!();", &[]);
}

#[test]
fn the_raft_crate_is_told_from_our_module() {
    check(homes, "src/store/a.rs", "use raft::x;", &["`raft`"]);
    check(homes, "src/store/a.rs", "use crate::raft::x;", &[]);
    check(homes, "src/store/a.rs", "use crate::raft; raft::x();", &[]);
    check(homes, "src/raft/a.rs", "use raft::x;", &[]);
}

#[test]
fn padding_outside_the_table_is_found() {
    check(
        padding,
        "src/cli/node.rs",
        "let s = format!(\"{x:<10}\");",
        &["node.rs:1: columns"],
    );
    check(
        padding,
        "src/cli/table.rs",
        "let s = format!(\"{x:<10}\");",
        &[],
    );
    check(
        padding,
        "src/cli/node.rs",
        "f(\"{x}\", Vec::<u8>::new())",
        &[],
    );
}

#[test]
fn long_files_lines_and_functions_are_found() {
    check(lengths, "src/a.rs", &"\n".repeat(500), &[]);
    check(
        lengths,
        "src/a.rs",
        &"\n".repeat(501),
        &["src/a.rs:501: 501 lines, at most 500"],
    );
    check(lengths, "src/a.rs", &"é".repeat(100), &[]);
    check(
        lengths,
        "src/a.rs",
        &"é".repeat(101),
        &["src/a.rs:1: 101 columns, at most 100"],
    );
    let function = |lines| format!("trait T {{\n fn f(x: [u8; 2]);\n}}\nfn g() {{{}}}", lines);
    check(lengths, "src/a.rs", &function("\n".repeat(69)), &[]);
    check(
        lengths,
        "src/a.rs",
        &function("\n".repeat(70)),
        &["src/a.rs:4: `g` has 71 lines"],
    );
}

#[test]
fn leftovers_are_found() {
    let code =
        "fn f() {\n todo!();\n unimplemented!(); dbg!(1);\n}\n#[ignore]\n#[allow(dead_code)]";
    let found = [
        "a.rs:2: `todo!`",
        "a.rs:3: `unimplemented!`",
        "a.rs:3: `dbg!`",
        "a.rs:5",
        "a.rs:6",
    ];
    check(leftovers, "src/a.rs", code, &found);
    check(
        leftovers,
        "tests/a.rs",
        "std::thread::sleep(x);",
        &["a.rs:1: `thread::sleep`"],
    );
    for word in ["TODO", "FIXME", "XXX"] {
        check(
            leftovers,
            "src/a.rs",
            &format!("// {word}: later"),
            &["a.rs:1"],
        );
        check(leftovers, "src/a.rs", &format!("\"{word}\""), &[]);
    }
}

#[test]
fn strangers_at_the_top_level_are_found() {
    let names = ["src", ".git", "target", "notes.md"].map(String::from);
    let found = top_level(names.into_iter());
    assert_eq!(
        found,
        ["notes.md:1: not in the design's list of the top level"]
    );
}

#[test]
fn licences_are_read_as_spdx() {
    let fine = |licence| licences("x", licence).is_none();
    for licence in [
        "MIT",
        "MIT/GPL-3.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
    ] {
        assert!(fine(Some(licence)), "{licence}");
    }
    assert!(fine(Some("Apache-2.0 WITH LLVM-exception")));
    for licence in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT AND (MPL-2.0 OR GPL-2.0)",
        "(MIT",
        "MIT MIT",
    ] {
        assert!(!fine(Some(licence)), "{licence}");
    }
    assert!(!fine(Some("Apache-2.0 WITH Other-exception")));
    assert!(!fine(None) && !fine(Some("")));
    assert_eq!(licences("rust-criu", None), None);
}

#[track_caller]
fn check(rule: fn(&Source) -> Vec<String>, path: &str, text: &str, expect: &[&str]) {
    let complaints = rule(&Source::new(path, text));
    let fits = complaints.iter().zip(expect).all(|(c, e)| c.contains(e));
    assert!(
        fits && complaints.len() == expect.len(),
        "{complaints:#?}\nexpected {expect:#?}"
    );
}
