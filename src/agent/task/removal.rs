//! Removing a container, which may have to be tried several times.

use crate::agent::delays::remove_again_ms;
use crate::model::time::Time;

/// A removal under way, or one that failed and waits for the next try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Removal {
    pub tries: u32,
    pub again_at: Option<Time>,
}

impl Default for Removal {
    /// The first try.
    fn default() -> Self {
        Self {
            tries: 1,
            again_at: None,
        }
    }
}

impl Removal {
    pub fn fail(&mut self, now: Time) {
        self.again_at = Some(now.plus_ms(remove_again_ms(self.tries)));
    }

    /// Whether it is to be tried again now.
    pub fn is_due_again(&mut self, now: Time) -> bool {
        let Some(at) = self.again_at else {
            return false;
        };
        if at > now {
            self.again_at = Some(at.min(now.plus_ms(remove_again_ms(self.tries))));
            return false;
        }
        self.tries = self.tries.saturating_add(1);
        self.again_at = None;
        true
    }
}
