//! What happens to the containers of a host.

use skep::agent::Event as AgentEvent;
use skep::agent::containers::{Attempt, ContainerId, Health};
use skep::agent::task::News;

use crate::host::Order;
use crate::world::{Happening, World};

impl World {
    /// A removal ends the preparation before it.
    pub(super) fn cancel_preparation(&mut self, removed_on: usize, removed: Attempt) {
        self.queue.retain(|_, happening| match happening {
            Happening::Ordered {
                host,
                attempt,
                order: Order::Prepare(..),
                ..
            } => (*host, *attempt) != (removed_on, removed),
            _ => true,
        });
    }

    pub(super) fn carry_out(&mut self, host: usize, attempt: Attempt, order: Order) {
        if let Order::Prepare(record, dependencies) = &order {
            self.checkers.prepares(record, dependencies);
        }
        if matches!(order, Order::Prepare(..) | Order::Start(_)) {
            let starts = matches!(order, Order::Start(_));
            self.checkers.runs(&self.hosts, host, attempt.task, starts);
        }
        let fails = self.happens(self.faults.order);
        let health = match self.dice.below(3) {
            0 => Health::Starting,
            _ => Health::Unchecked,
        };
        let now = self.hosts[host].clock.at(self.now);
        let outcome = self.hosts[host].carry_out(order, now, fails, health);
        let container = attempt.container;
        let started = match outcome.news {
            Some(News::Started(started)) => Some(started),
            _ => None,
        };
        if started.is_some_and(|started| started.health == Health::Starting) {
            self.health_follows(host, container);
        }
        if started.is_some() {
            let crashes = self.happens(self.faults.crash);
            let code = u8::from(crashes && self.dice.below(4) > 0);
            let within_ms = match crashes {
                true => Some(60_000),
                false => self.hosts[host].is_of_job(container).then_some(20_000),
            };
            if let Some(ms) = within_ms {
                self.ends_within(ms, host, container, code);
            }
        }
        if let Some(code) = outcome.ends {
            self.ends_within(3_000, host, container, code);
        }
        if let Some(news) = outcome.news {
            self.step_agent(host, AgentEvent::Container { attempt, news });
        }
    }

    fn ends_within(&mut self, ms: u64, host: usize, container: ContainerId, code: u8) {
        let ms = self.dice.below(ms);
        let ends = Happening::Ends {
            host,
            container,
            code,
        };
        self.after(ms, ends);
    }

    pub(super) fn container_ends(&mut self, host: usize, container: ContainerId, code: u8) {
        let attempt = self.hosts[host]
            .running()
            .find(|a| a.container == container);
        let now = self.hosts[host].clock.at(self.now);
        let news = self.hosts[host].end(container, code, now);
        if let Some((attempt, news)) = attempt.zip(news) {
            self.checkers.ended(attempt.task, code);
            self.step_agent(host, AgentEvent::Container { attempt, news });
        }
    }

    /// Everything that runs ends by itself.
    pub fn crash_all(&mut self) {
        for host in 0..self.hosts.len() {
            let running: Vec<_> = self.hosts[host].running().collect();
            for attempt in running {
                self.container_ends(host, attempt.container, 1);
            }
        }
    }

    /// A container with a health check becomes healthy, if it lives so long, and may be unhealthy
    /// at any time.
    fn health_follows(&mut self, host: usize, container: ContainerId) {
        let change = |health| Happening::Health {
            host,
            container,
            health,
        };
        let ms = self.dice.below(3_000);
        self.after(ms, change(Health::Healthy));
        if self.happens(self.faults.crash) {
            let ms = self.dice.below(60_000);
            self.after(ms, change(Health::Unhealthy));
        }
    }

    pub(super) fn health_changes(&mut self, host: usize, container: ContainerId, health: Health) {
        let attempt = self.hosts[host].health_changes(container, health);
        if let Some(attempt) = attempt {
            let news = News::Health(health);
            self.step_agent(host, AgentEvent::Container { attempt, news });
        }
    }
}
