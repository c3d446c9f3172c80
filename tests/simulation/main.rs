//! The control plane in one thread, from a seed: the real manager and real agents over links that
//! break, on hosts whose containers crash, under daemons that are killed. When the faults are over
//! the swarm must be as its users want it, and a new service must run.
//!
//! `SEED=7 cargo test --test simulation` tells one story again; `STORIES=1000` tells more.

mod disk;
mod host;
mod story;
mod world;

use story::Story;

const STORIES: u64 = 60;

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
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STORIES").unwrap_or(STORIES),
    };
    for seed in seeds {
        let _tell = Tell(seed);
        Story::new(seed).tell();
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let [one, same, other] = [7, 7, 8].map(|seed| Story::new(seed).tell());
    assert_eq!(one, same);
    assert_ne!(one, other);
}
