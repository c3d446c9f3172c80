//! `cargo bench`: skep's figures beside Docker Swarm's, measured in one run on one machine.
//!
//! Both engines are driven through the same HTTP calls, keep their state on an ext4 filesystem of
//! their own (a loop device, whose counters give the bytes that reach the device, journal
//! included), and run the same image. Needs root; Docker is measured where `dockerd` is installed,
//! and a lone container also with runc where that is. `cargo bench -- scheduler` measures the
//! scheduler alone, which needs neither, `cargo bench -- overlay` what a tunnel carries,
//! `cargo bench -- fleet` what a fleet does when hosts come and go, and `cargo bench -- sessions`
//! how many agents one manager carries. The last two take some minutes each.

mod engine;
mod figures;
mod fleet;
mod http;
#[path = "../e2e/image.rs"]
mod image;
mod lone;
mod overlay;
mod process;
mod scheduler;
mod sessions;

use engine::{Docker, Skep};
use figures::Figures;

fn main() {
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    let alone: [(&str, fn()); 4] = [
        ("overlay", overlay::measure),
        ("scheduler", scheduler::measure),
        ("fleet", fleet::measure),
        ("sessions", sessions::measure),
    ];
    if let Some((_, measure)) = alone
        .iter()
        .find(|(name, _)| wanted.iter().any(|w| w == name))
    {
        return measure();
    }
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: the figures need root");
        return;
    }
    let lone = lone::measure();
    if lone.1.is_none() {
        println!("runc is not installed: no lone container to compare with");
    }
    let skep = figures::measure(&mut Skep::start());
    let docker = Docker::start().map(|mut docker| figures::measure(&mut docker));
    if docker.is_none() {
        println!("dockerd is not installed: no figures to compare with");
    }
    print(&skep, docker.as_ref(), lone);
    alone.iter().for_each(|(_, measure)| measure());
}

fn print(skep: &Figures, docker: Option<&Figures>, (ours, runc): (f64, Option<f64>)) {
    println!(
        "{:<52} {:>14} {:>14} {:>8}",
        "figure (median of the runs)", "skep", "docker", "ratio"
    );
    for (row, (name, unit, ours)) in skep.rows().into_iter().enumerate() {
        let theirs = docker.map(|figures| figures.rows()[row].2);
        print_row(&format!("{name}, {unit}"), ours, theirs);
    }
    print_row("a lone `true`, created to deleted (runc), ms", ours, runc);
}

fn print_row(name: &str, ours: f64, theirs: Option<f64>) {
    let ratio = theirs.map_or(String::new(), |theirs| format!("{:.1} x", theirs / ours));
    let theirs = theirs.map_or_else(|| "-".into(), |theirs| format!("{theirs:.2}"));
    println!("{name:<52} {ours:>14.2} {theirs:>14} {ratio:>8}");
}
