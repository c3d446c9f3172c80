//! `cargo bench`: skep's figures beside Docker Swarm's, measured in one run on one machine.
//!
//! Both engines are driven through the same HTTP calls, keep their state on an ext4 filesystem of
//! their own (a loop device, whose counters give the bytes that reach the device, journal
//! included), and run the same image. Needs root; Docker is measured where `dockerd` is installed.

mod engine;
mod figures;
mod http;
#[path = "../e2e/image.rs"]
mod image;

use engine::{Docker, Skep};
use figures::Figures;

fn main() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: the figures need root");
        return;
    }
    let skep = figures::measure(&mut Skep::start());
    let docker = Docker::start().map(|mut docker| figures::measure(&mut docker));
    if docker.is_none() {
        println!("dockerd is not installed: no figures to compare with");
    }
    print(&skep, docker.as_ref());
}

fn print(skep: &Figures, docker: Option<&Figures>) {
    println!(
        "{:<52} {:>14} {:>14} {:>8}",
        "figure (median of the runs)", "skep", "docker", "ratio"
    );
    for (row, (name, unit, ours)) in skep.rows().into_iter().enumerate() {
        let theirs = docker.map(|figures| figures.rows()[row].2);
        let ratio = theirs.map_or(String::new(), |theirs| format!("{:.1} x", theirs / ours));
        let theirs = theirs.map_or_else(|| "-".into(), |theirs| format!("{theirs:.2}"));
        println!(
            "{:<52} {ours:>14.2} {theirs:>14} {ratio:>8}",
            format!("{name}, {unit}")
        );
    }
}
