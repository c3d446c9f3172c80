//! What the kernel counts of a process.

use std::fs;

/// Ticks of a second in the kernel's accounts.
const TICKS_PER_SECOND: f64 = 100.0;

/// Time of processors that a process has used.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = text(pid, "stat");
    // The name in parentheses may have blanks; the times are the 14th and the 15th field.
    let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_PER_SECOND
}

/// Bytes that a process has made the disk take.
pub fn written_bytes(pid: u32) -> f64 {
    number(&text(pid, "io"), "write_bytes:")
}

pub fn resident_mib(pid: u32) -> f64 {
    number(&text(pid, "status"), "VmRSS:") / 1024.0
}

/// Bytes that came in and went out at a link of the process's network, with all headers.
pub fn traffic(pid: u32, link: &str) -> (f64, f64) {
    let counters = text(pid, "net/dev");
    let of_link = |line: &str| Some(line.trim().strip_prefix(link)?.to_owned());
    let line = counters.lines().find_map(of_link).unwrap_or_default();
    let counts: Vec<f64> = line
        .trim_start_matches(':')
        .split_whitespace()
        .filter_map(|count| count.parse().ok())
        .collect();
    let count = |place: usize| counts.get(place).copied().unwrap_or(f64::NAN);
    (count(0), count(8))
}

/// The processes whose command lines have a word in them.
pub fn with_word(word: &str) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("the processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| text(*pid, "cmdline").contains(word))
        .collect()
}

fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(f64::NAN)
}

fn text(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}
