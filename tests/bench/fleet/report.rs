//! The figures of a fleet, each with what it shall be.

use crate::figures::median;

/// What was measured, in the order in which it first was.
#[derive(Debug, Default)]
pub struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    name: &'static str,
    /// At most that; `None` if nothing is said of it.
    goal: Option<f64>,
    values: Vec<f64>,
}

impl Report {
    /// Takes in a figure that shall be at most its goal.
    pub fn note(&mut self, name: &'static str, goal: f64, value: f64) {
        self.add(name, Some(goal), value);
    }

    /// Takes in a figure that stands for itself.
    pub fn tell(&mut self, name: &'static str, value: f64) {
        self.add(name, None, value);
    }

    fn add(&mut self, name: &'static str, goal: Option<f64>, value: f64) {
        match self.0.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => self.0.push(Row {
                name,
                goal,
                values: vec![value],
            }),
        }
    }

    pub fn print(&self) {
        println!(
            "{:<64} {:>9} {:>9} {:>9} {:>3} {:>8}",
            "figure", "median", "least", "most", "of", "goal"
        );
        for Row { name, goal, values } in &self.0 {
            let middle = median(values.clone());
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let count = values.len();
            let goal_text = goal.map_or_else(|| "-".to_owned(), |goal| format!("{goal}"));
            let missed = goal.is_some_and(|goal| middle > goal);
            let verdict = if missed { "  missed" } else { "" };
            println!(
                "{name:<64} {middle:>9.3} {least:>9.3} {most:>9.3} {count:>3} \
                 {goal_text:>8}{verdict}"
            );
        }
    }
}
