//! The control plane in one thread, from a seed: real managers with real stores and real agents,
//! over networks that lose, hold up and split, on disks that stall and lose their power, on hosts
//! whose containers crash, under daemons that are killed. `checkers/` has what must hold all the
//! time. When the faults are over the swarm must be as its users want it, and a new service must
//! run.
//!
//! `SEED=7 cargo test --test simulation` tells one story again; `STORIES=1000` tells more, from
//! `SEED` on if that is given too, and says how many a second.

mod checkers;
mod clock;
mod founding;
mod host;
mod seat;
mod story;
mod world;

use skep::host::clock::Stopwatch;

use story::Story;

const STORIES: u64 = 30;

/// Names the seed of a story that failed.
struct Tell(u64);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with: SEED={} cargo test --test simulation", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_fails_the_swarm_becomes_what_its_users_want() {
    let (seed, stories) = (number("SEED"), number("STORIES"));
    let first = seed.unwrap_or(0);
    let count = stories.unwrap_or_else(|| seed.map_or(STORIES, |_| 1));
    let watch = Stopwatch::start();
    for seed in first..first + count {
        let _tell = Tell(seed);
        Story::new(seed).tell();
    }
    if stories.is_some() {
        let seconds = watch.elapsed().as_secs_f64();
        eprintln!("{count} stories, {:.2} a second", count as f64 / seconds);
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let [one, same, other] = [7, 7, 8].map(|seed| Story::new(seed).tell());
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[test]
fn what_ends_while_no_manager_is_there_runs_again_and_is_not_replaced() {
    for seed in 0..4 {
        let _tell = Tell(seed);
        Story::new(seed).tell_of_nodes_alone();
    }
}

#[test]
fn a_leader_that_dies_takes_no_node_with_it() {
    for seed in 0..8 {
        let _tell = Tell(seed);
        Story::new(seed).tell_of_leaders_that_die();
    }
}

#[test]
fn voters_that_die_do_not_vote_again() {
    for seed in 0..8 {
        let _tell = Tell(seed);
        Story::new(seed).tell_of_voters_that_die();
    }
}

#[test]
fn managers_that_were_off_for_long_are_found_in_time() {
    for seed in 0..8 {
        let _tell = Tell(seed);
        Story::new(seed).tell_of_managers_that_come_back();
    }
}
