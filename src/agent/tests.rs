//! What an agent does, in words. Each clause of a story is an event, and each clause of what is
//! expected is what the agent does about it: the states that it reports, and with a `+` what it
//! wants done with the container. Whatever is not said of another task is said of `web.1`.

mod alone;
mod random;
mod services;
mod health;
mod stories;

use std::sync::Arc;

use super::*;
use crate::agent::containers::{Condition, Exit, Found, Health, KeptId, Started};
use crate::model::id::{SecretId, ServiceId};
use crate::model::object::{RestartRecord, Slot, TaskStatus};
use crate::model::spec::Labels;
use crate::model::spec::container::SecretReference;
use crate::model::spec::task::TaskSpec;

/// So long that no story about tasks sees a heartbeat.
const SELDOM_MS: u64 = HEARTBEAT_MS_MAX;

/// An assignment of `web.N`, whose id is N.
pub fn assignment(name: &str, desired: &str) -> Assignment {
    let number: u64 = name.strip_prefix("web.").unwrap().parse().unwrap();
    Assignment {
        task: TaskId(number.into()),
        service: ServiceId(1),
        service_name: "web".into(),
        service_labels: Labels::new(),
        registry_auth: Default::default(),
        networks: Vec::new(),
        generic: Vec::new(),
        of_job: false,
        restarts: RestartRecord::default(),
        slot: Slot::Number(number),
        desired_state: state(desired),
        spec: Arc::new(TaskSpec::default()),
        state: TaskState::Assigned,
    }
}

/// Runs a story in an open session.
#[track_caller]
fn check(story: &str, expect: &str) {
    let mut world = World::default();
    world.clause("connected");
    world.clause("full");
    let seen: Vec<_> = story
        .split(';')
        .map(|clause| world.clause(clause.trim()))
        .collect();
    assert_eq!(seen.join("; "), expect);
}

/// An agent, and what a story needs to speak to it.
struct World {
    agent: Agent,
    now: Time,
    rng: Rng,
    version: u64,
    heartbeat_ms: u64,
    /// Every attempt that was prepared.
    records: BTreeMap<TaskId, Record>,
    /// What the host remembers.
    kept: BTreeMap<KeptId, Kept>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            agent: agent(),
            now: Time(1_000_000),
            rng: Rng::from_seed(1),
            version: 1,
            heartbeat_ms: SELDOM_MS,
            records: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }
}

impl World {
    /// Makes one clause of a story happen; what the agent does about it.
    fn clause(&mut self, clause: &str) -> String {
        let words: Vec<_> = clause.split(' ').collect();
        let (name, words) = match &words[..] {
            [name, rest @ ..] if name.starts_with("web.") => (*name, rest),
            rest => ("web.1", rest),
        };
        let done = match words {
            ["after", time] => self.wait(time),
            ["clock", "back", time] => {
                self.now.0 -= ms(time);
                Vec::new()
            }
            ["connected"] => {
                let mut done = self.step(Event::Connected);
                done.extend(self.hear(ToAgent::Welcome {
                    heartbeat_ms: self.heartbeat_ms,
                }));
                done
            }
            ["disconnected"] => self.step(Event::Disconnected),
            ["refused"] => self.hear(ToAgent::Refused {
                reason: "no room".into(),
            }),
            ["full", tasks @ ..] => self.full(tasks),
            ["part", tasks @ ..] => {
                let tasks = assignments(tasks);
                self.hear(ToAgent::Assignments(Assignments::Part { tasks }))
            }
            ["sent", number, data, rest @ ..] => {
                let dependency = Dependency {
                    id: secret(number),
                    data: data.as_bytes().to_vec(),
                    template: false,
                    at_rest: rest.is_empty(),
                };
                self.hear(ToAgent::Dependencies {
                    set: vec![dependency],
                    released: Vec::new(),
                })
            }
            ["released", number] => {
                let (set, released) = (Vec::new(), vec![secret(number)]);
                self.hear(ToAgent::Dependencies { set, released })
            }
            ["assigned", tasks @ ..] => self.difference(assignments(tasks), &[], &[]),
            ["desired", wish] => self.difference(Vec::new(), &[(task_id(name), state(wish))], &[]),
            ["removed"] => self.difference(Vec::new(), &[], &[task_id(name)]),
            ["a", "difference", "is", "lost"] => {
                self.version += 1;
                Vec::new()
            }
            ["restarted,", fate @ ..] => self.restart(fate),
            ["the", "host", "restarts"] => self.reboot(),
            ["back", "soon"] => self.step(Event::Farewell(Farewell::BackSoon)),
            ["switched", "off"] => self.step(Event::Farewell(Farewell::SwitchedOff)),
            ["leave"] => self.step(Event::Farewell(Farewell::Leave)),
            news => {
                let attempt = self.records[&task_id(name)].attempt;
                let news = parse_news(news, self.now);
                self.step(Event::Container { attempt, news })
            }
        };
        let done: Vec<_> = done.iter().flat_map(say).collect();
        if done.is_empty() {
            "-".into()
        } else {
            done.join(", ")
        }
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.agent.step(self.now, &mut self.rng, event);
        for effect in &effects {
            if let Effect::Prepare(record, _) = effect {
                self.records.insert(record.attempt.task, record.clone());
            }
            if let Effect::Keep(changes) = effect {
                keep(&mut self.kept, changes);
            }
        }
        effects
    }

    fn hear(&mut self, message: ToAgent) -> Vec<Effect> {
        self.step(Event::Message(message))
    }

    fn full(&mut self, tasks: &[&str]) -> Vec<Effect> {
        let full = Assignments::Full {
            version: self.version,
            tasks: assignments(tasks),
        };
        self.hear(ToAgent::Assignments(full))
    }

    fn difference(
        &mut self,
        set: Vec<Assignment>,
        desired: &[(TaskId, TaskState)],
        removed: &[TaskId],
    ) -> Vec<Effect> {
        let from = self.version;
        self.version += 1;
        let (desired, removed) = (desired.to_vec(), removed.to_vec());
        let difference = Assignments::Difference {
            from,
            to: self.version,
            set,
            desired,
            removed,
        };
        self.hear(ToAgent::Assignments(difference))
    }

    /// Lets time pass, waking the agent only when it asks for it.
    fn wait(&mut self, time: &str) -> Vec<Effect> {
        let until = self.now.plus_ms(ms(time));
        let mut done = Vec::new();
        while let Some(due) = self.agent.due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            done.extend(self.step(Event::Tick));
        }
        self.now = until;
        done
    }

    /// Another daemon finds the container of `web.1` as `fate` says.
    fn restart(&mut self, fate: &[&str]) -> Vec<Effect> {
        self.agent = agent();
        let (fate, health) = match fate {
            [rest @ .., "and", health] => (rest, parse_health(health)),
            _ => (fate, Health::Unchecked),
        };
        let condition = match fate {
            ["running"] => Condition::Running {
                pid: 7,
                since: Time(1_000_000),
                stopped: None,
            },
            ["stopping", "since", ago] => Condition::Running {
                pid: 7,
                since: Time(1_000_000),
                stopped: Some(Time(self.now.0 - ms(ago))),
            },
            ended => match parse_news(ended, self.now) {
                News::Exited(exit) => Condition::Ended(exit),
                other => panic!("{other:?} is not what a daemon finds"),
            },
        };
        let record = self.records[&TaskId(1)].clone();
        let found = Found {
            record,
            condition,
            health,
        };
        let kept = self.kept.values().cloned().collect();
        self.step(Event::Adopted(Left {
            found: vec![found],
            kept,
        }))
    }

    /// Another daemon finds only what the host remembers.
    fn reboot(&mut self) -> Vec<Effect> {
        self.agent = agent();
        let kept = self.kept.values().cloned().collect();
        let found = Vec::new();
        self.step(Event::Adopted(Left { found, kept }))
    }
}

fn keep(kept: &mut BTreeMap<KeptId, Kept>, changes: &[Change]) {
    for (id, new) in changes {
        match new {
            Some(new) => drop(kept.insert(*id, new.clone())),
            None => assert!(kept.remove(id).is_some(), "{id:?} was not kept"),
        }
    }
}

fn agent() -> Agent {
    Agent::new(NodeId(1), NodeDescription::default())
}

fn state(name: &str) -> TaskState {
    *TaskState::ALL
        .iter()
        .find(|state| state.name() == name)
        .unwrap()
}

fn task_id(name: &str) -> TaskId {
    assignment(name, "running").task
}

fn secret(number: &str) -> DependencyId {
    DependencyId::Secret(SecretId(number.parse().unwrap()))
}

fn ms(time: &str) -> u64 {
    let number = |unit| {
        time.strip_suffix(unit)
            .map(|n: &str| n.parse::<u64>().unwrap())
    };
    number("ms").unwrap_or_else(|| number("s").unwrap() * 1000)
}

/// `web.1 running web.2 ready/running web.3 running+7`: names, desired states, what the manager
/// knows already, and which secret the task names.
fn assignments(words: &[&str]) -> Vec<Assignment> {
    let parse = |pair: &[&str]| {
        let (word, named) = pair[1].split_once('+').unwrap_or((pair[1], ""));
        let (desired, knows) = word.split_once('/').unwrap_or((word, "assigned"));
        let mut spec = TaskSpec::default();
        spec.container.secrets = named.parse().ok().map_or_else(Vec::new, |number| {
            vec![SecretReference {
                secret_id: SecretId(number).to_string(),
                ..SecretReference::default()
            }]
        });
        Assignment {
            state: state(knows),
            spec: Arc::new(spec),
            ..assignment(pair[0], desired)
        }
    };
    words.chunks(2).map(parse).collect()
}

fn parse_news(words: &[&str], now: Time) -> News {
    match words {
        ["prepared"] => News::Prepared,
        ["prepare", "fails:", reason @ ..] => News::PrepareFailed {
            reason: reason.join(" "),
            passing: false,
        },
        ["prepare", "fails", "for", "now:", reason @ ..] => News::PrepareFailed {
            reason: reason.join(" "),
            passing: true,
        },
        ["started"] => started(Health::Unchecked),
        ["started", "to", "be", "checked"] => started(Health::Starting),
        ["is", health @ ("healthy" | "unhealthy")] => News::Health(parse_health(health)),
        ["start", "fails:", reason @ ..] => News::StartFailed {
            reason: reason.join(" "),
        },
        ["exits", code, rest @ ..] => News::Exited(Exit {
            code: code.parse().ok(),
            oom_killed: *rest == ["oom"],
            log_tail: b"last words".to_vec(),
            at: now,
        }),
        ["is", "removed"] => News::Removed,
        ["is", "not", "removed"] => News::RemoveFailed,
        other => panic!("{other:?} says nothing"),
    }
}

fn started(health: Health) -> News {
    News::Started(Started { pid: 7, health })
}

fn parse_health(word: &str) -> Health {
    match word {
        "starting" => Health::Starting,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        other => panic!("{other} is no health"),
    }
}

fn say(effect: &Effect) -> Vec<String> {
    let task = |attempt: &Attempt, word: &str| vec![format!("{}{word}", prefix(attempt.task))];
    match effect {
        Effect::Send(ToManager::Hello { .. }) => vec!["hello".into()],
        Effect::Send(ToManager::Heartbeat) => vec!["heartbeat".into()],
        Effect::Send(ToManager::AskFull) => vec!["ask full".into()],
        Effect::Send(ToManager::BackSoon { ms }) => vec![format!("back within {ms} ms")],
        Effect::Send(ToManager::Goodbye) => vec!["goodbye".into()],
        Effect::Send(ToManager::Describe(node)) => vec![format!("issuer {:?}", node.issuer)],
        Effect::Send(ToManager::Status(updates)) => updates
            .iter()
            .map(|u| prefix(u.task) + &say_status(&u.status))
            .collect(),
        Effect::HangUp => vec!["hang up".into()],
        // Where it counts, stories restart the host.
        Effect::Keep(_) => Vec::new(),
        Effect::Reach(news) => vec![format!("reach {}", news.services.len())],
        Effect::Prepare(record, dependencies) => {
            let data = dependencies
                .iter()
                .map(|one| String::from_utf8_lossy(&one.data));
            let words: String = data.map(|data| format!(" {data}")).collect();
            task(&record.attempt, &format!("+prepare{words}"))
        }
        Effect::Answer(summons) => vec![format!("call {}", summons.address)],
        Effect::Learn(roster) => vec![format!("{:?}", roster.role)],
        Effect::Start(attempt) => task(attempt, "+start"),
        Effect::Stop(attempt) => task(attempt, "+stop"),
        Effect::Kill(attempt) => task(attempt, "+kill"),
        Effect::Remove(attempt) => task(attempt, "+remove"),
        Effect::Done => vec!["done".into()],
    }
}

fn prefix(task: TaskId) -> String {
    match task {
        TaskId(1) => String::new(),
        TaskId(number) => format!("web.{number} "),
    }
}

fn say_status(status: &TaskStatus) -> String {
    match &status.error[..] {
        "" => status.state.name().into(),
        error => format!("{} ({error})", status.state.name()),
    }
}

#[test]
fn managers_hear_by_which_root_a_node_is_known_once_they_have_welcomed_it() {
    let mut world = World::default();
    let described = |effects: &[Effect]| match effects {
        [Effect::Send(ToManager::Describe(node))] => node.issuer,
        _ => None,
    };
    world.clause("connected");
    let effects = world.step(Event::Certified([1; 32]));
    assert_eq!(described(&effects), Some([1; 32]));
    assert_eq!(world.step(Event::Certified([1; 32])), []);
    world.step(Event::Disconnected);
    assert_eq!(world.step(Event::Certified([2; 32])), []);
    let hello = world.step(Event::Connected);
    let [Effect::Send(ToManager::Hello { description, .. })] = &hello[..] else {
        panic!("{hello:?}");
    };
    assert_eq!(description.issuer, Some([2; 32]));
    // The hello has said something else, and nothing may come between it and the welcome.
    assert_eq!(world.step(Event::Certified([3; 32])), []);
    let welcomed = world.hear(ToAgent::Welcome { heartbeat_ms: 2000 });
    assert_eq!(described(&welcomed), Some([3; 32]));
}
