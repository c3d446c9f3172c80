//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use crate::manager::figures::{BUCKETS_MS, Histogram};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics as text, one family after another.
#[derive(Debug, Default)]
pub struct Metrics(String);

/// One label of a series.
type Label<'a> = (&'a str, &'a str);

impl Metrics {
    /// A figure that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.series(name, &[], value);
    }

    /// A figure that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.series(name, &[], value);
    }

    /// A gauge with one series for each value of a label.
    pub fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        all: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.family(name, "gauge", help);
        for (value, count) in all {
            self.series(name, &[(label, value)], count);
        }
    }

    /// A gauge that is always 1, for what its labels say.
    pub fn info(&mut self, name: &str, help: &str, labels: &[Label<'_>]) {
        self.family(name, "gauge", help);
        self.series(name, labels, 1);
    }

    /// How long something took; in seconds, as Prometheus wants it.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let (bucket, mut within) = (format!("{name}_bucket"), 0);
        for (bound_ms, count) in BUCKETS_MS.iter().zip(histogram.buckets) {
            within += count;
            self.series(&bucket, &[("le", &seconds(*bound_ms))], within);
        }
        self.series(&bucket, &[("le", "+Inf")], histogram.count);
        self.series(&format!("{name}_sum"), &[], seconds(histogram.sum_ms));
        self.series(&format!("{name}_count"), &[], histogram.count);
    }

    pub fn into_text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn series(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        let labels: Vec<_> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
            .collect();
        if !labels.is_empty() {
            let _ = write!(self.0, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// Milliseconds as seconds, without zeros at the end.
fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_says_what_it_is_before_its_series() {
        let mut metrics = Metrics::default();
        metrics.gauge("a", "How\nmany", 2);
        metrics.counter("b_total", "All \\ of them", 0.5);
        metrics.gauges("c", "By state", "state", [("up", 1), ("down", 0)]);
        metrics.info("d_info", "It", &[("name", "a\"b\\c\nd"), ("os", "linux")]);
        let expect = "# HELP a How\\nmany\n# TYPE a gauge\na 2\n\
                      # HELP b_total All \\\\ of them\n# TYPE b_total counter\nb_total 0.5\n\
                      # HELP c By state\n# TYPE c gauge\nc{state=\"up\"} 1\nc{state=\"down\"} 0\n\
                      # HELP d_info It\n# TYPE d_info gauge\n\
                      d_info{name=\"a\\\"b\\\\c\\nd\",os=\"linux\"} 1\n";
        assert_eq!(metrics.into_text(), expect);
    }

    #[test]
    fn buckets_of_a_histogram_hold_all_below_them() {
        let mut histogram = Histogram::default();
        for ms in [1, 7, 2_500, 400_000] {
            histogram.observe(ms);
        }
        let mut metrics = Metrics::default();
        metrics.histogram("h_seconds", "It took", &histogram);
        let text = metrics.into_text();
        for line in [
            "h_seconds_bucket{le=\"0.005\"} 1",
            "h_seconds_bucket{le=\"0.01\"} 2",
            "h_seconds_bucket{le=\"1\"} 2",
            "h_seconds_bucket{le=\"2.5\"} 3",
            "h_seconds_bucket{le=\"300\"} 3",
            "h_seconds_bucket{le=\"+Inf\"} 4",
            "h_seconds_sum 402.508",
            "h_seconds_count 4",
        ] {
            assert!(text.lines().any(|has| has == line), "{line} in {text}");
        }
    }
}
