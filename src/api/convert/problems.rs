//! What is wrong with a spec: every problem, each with the path of its field.

/// Most problems that one answer names.
const PROBLEMS_MAX: usize = 20;

/// A spec that cannot be taken as it is.
#[derive(Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Problems(Vec<String>);

impl Problems {
    pub fn add(&mut self, problem: String) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(problem);
        }
    }

    /// What was read, if nothing was wrong with it.
    pub fn or<T>(self, read: T) -> Result<T, Self> {
        match self.0.is_empty() {
            true => Ok(read),
            false => Err(self),
        }
    }

    /// The value that `word` names; none if it is empty.
    pub fn choice<T: Copy>(&mut self, path: &str, word: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(name, _)| *name == word);
        if found.is_none() && !word.is_empty() {
            let known: Vec<_> = words.iter().map(|(name, _)| *name).collect();
            self.add(format!(
                "{path}: {word:?} is not one of {}",
                known.join(", ")
            ));
        }
        found.map(|(_, value)| *value)
    }

    /// A port number.
    pub fn port(&mut self, path: &str, number: u32) -> u16 {
        u16::try_from(number).unwrap_or_else(|_| {
            self.add(format!(
                "{path}: {number} is not a port: ports end at 65535"
            ));
            0
        })
    }
}
