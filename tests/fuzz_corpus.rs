//! Replays what fuzzing found and what it started from: tests/fuzz/corpus/TARGET/*.

use std::fs;

#[path = "fuzz/api.rs"]
mod api;
#[path = "fuzz/cli.rs"]
mod cli;
#[path = "fuzz/image.rs"]
mod image;
#[path = "fuzz/network.rs"]
mod network;
#[path = "fuzz/peers.rs"]
mod peers;
#[path = "fuzz/store.rs"]
mod store;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");

fn replay(target: &str, run: fn(&[u8])) {
    let files = fs::read_dir(format!("{CORPUS}/{target}")).unwrap();
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        eprintln!("{}", path.display());
        run(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 2, "{target} has a corpus");
}

/// Unpacking sets owners and makes devices.
fn replay_as_root(target: &str, run: fn(&[u8])) {
    if rustix::process::geteuid().is_root() {
        replay(target, run);
    } else {
        eprintln!("skipped: unpacking layers needs root");
    }
}

#[test]
fn archives_leave_nothing_or_load_again() {
    replay_as_root("image_archive", image::archive);
}

#[test]
fn image_json_is_read_or_refused() {
    replay("image_json", image::json);
}

#[test]
fn layers_stay_in_their_directory_and_give_the_same_tar_again() {
    replay_as_root("image_layer", image::layer);
}

#[test]
fn references_read_back() {
    replay("image_reference", image::reference);
}

#[test]
fn frames_are_refused_or_come_back_the_same() {
    replay("wire_frame", peers::wire_frame);
}

#[test]
fn log_entries_are_refused_or_leave_a_state_that_can_be_stored() {
    replay("log_entry", peers::log_entry);
}

#[test]
fn answers_files_and_queries_are_read_or_refused() {
    replay("lookup", peers::lookup);
}

#[test]
fn members_go_on_whatever_another_says() {
    replay("raft_message", peers::raft_message);
}

#[test]
fn stores_are_refused_or_go_on() {
    replay("store", store::store);
}

#[test]
fn bodies_are_refused_or_can_be_sent_back() {
    replay("api_body", api::body);
}

#[test]
fn what_is_typed_is_understood_or_refused() {
    replay("cli_text", cli::text);
}

#[test]
fn questions_are_ignored_passed_on_or_answered_in_a_size_that_fits() {
    replay("dns_question", network::dns_question);
}

#[test]
fn what_the_kernel_says_is_read_as_far_as_it_can_be() {
    replay("netlink", network::netlink);
}

#[test]
fn who_has_no_key_gets_nothing_through_a_tunnel() {
    replay("tunnel", network::tunnel);
}

#[test]
fn every_target_has_a_corpus_that_is_replayed() {
    let targets = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/fuzz_targets");
    for file in fs::read_dir(targets).unwrap() {
        let path = file.unwrap().path();
        let target = path.file_stem().unwrap().to_str().unwrap();
        let corpus = fs::read_dir(format!("{CORPUS}/{target}"));
        assert!(corpus.is_ok_and(|files| files.count() > 2), "{target}");
        let replayed = format!("(\"{target}\", ");
        assert!(
            include_str!("fuzz_corpus.rs").contains(&replayed),
            "{target}"
        );
    }
}
