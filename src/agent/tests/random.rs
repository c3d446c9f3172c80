//! Whatever managers, connections, containers and daemons do, some things never happen.

use super::*;

/// The manager and the host of one agent, as a random story goes.
struct Chaos {
    world: World,
    dice: Rng,
    connected: bool,
    /// What the manager wants of each task, and what it was last told.
    wanted: BTreeMap<TaskId, (TaskState, TaskStatus)>,
    /// What is on the host: whether each attempt was started.
    host: BTreeMap<TaskId, (Attempt, bool)>,
    /// What the host was asked to do and has not done.
    asked: Vec<Effect>,
    /// Tasks that were assigned at any time.
    assigned: BTreeSet<TaskId>,
    further_attempts: u32,
}

#[test]
fn states_only_grow_nothing_unassigned_runs_and_what_shall_end_ends() {
    let mut further_attempts = 0;
    for seed in 0..300 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..150 {
            chaos.anything();
        }
        chaos.wind_down();
        assert!(
            chaos.host.values().all(|(_, runs)| !runs),
            "seed {seed}: {:?}",
            chaos.host
        );
        for (task, (_, told)) in &chaos.wanted {
            let told = told.state;
            assert!(told.is_terminal(), "seed {seed}: {task} was left {told:?}");
        }
        further_attempts += chaos.further_attempts;
    }
    assert!(further_attempts > 50, "{further_attempts} further attempts");
}

fn draw_health(dice: &mut Rng) -> Health {
    match dice.below(8) {
        0 => Health::Unhealthy,
        1 => Health::Starting,
        2 => Health::Healthy,
        _ => Health::Unchecked,
    }
}

impl Chaos {
    fn new(seed: u64) -> Self {
        Self {
            world: World::default(),
            dice: Rng::from_seed(seed),
            connected: false,
            wanted: BTreeMap::new(),
            host: BTreeMap::new(),
            asked: Vec::new(),
            assigned: BTreeSet::new(),
            further_attempts: 0,
        }
    }

    fn anything(&mut self) {
        match self.dice.below(20) {
            0..4 => self.assign(),
            4..6 => self.change_wish(),
            6 => self.forget(),
            7 => self.toggle_connection(),
            8 => self.restart_daemon(),
            9 if self.dice.below(2) == 0 => self.health_changes(),
            9 => self.container_ends(),
            10 => {
                self.world.now = self.world.now.plus_ms(self.dice.below(30_000));
                self.step(Event::Tick);
            }
            _ => self.do_one_thing_asked(),
        }
    }

    /// Everything shall end, the manager is there, and the host does all it is asked.
    fn wind_down(&mut self) {
        self.wanted
            .values_mut()
            .for_each(|(wish, _)| *wish = TaskState::Shutdown);
        if self.connected {
            self.toggle_connection();
        }
        self.toggle_connection();
        for _ in 0..100 {
            while !self.asked.is_empty() {
                self.do_one_thing_asked();
            }
            if let Some(due) = self.world.agent.due() {
                self.world.now = due;
                self.step(Event::Tick);
            }
        }
    }

    fn step(&mut self, event: Event) {
        for effect in self.world.step(event) {
            match effect {
                Effect::Send(ToManager::Status(updates)) => self.told(updates),
                Effect::Send(ToManager::AskFull) => self.send_full(),
                Effect::Send(_) => assert!(self.connected),
                Effect::Reach(_) | Effect::Keep(_) => {}
                other => self.asked.push(other),
            }
        }
    }

    fn told(&mut self, updates: Vec<crate::wire::session::StatusUpdate>) {
        assert!(self.connected, "told without a session");
        for update in updates {
            let Some((_, known)) = self.wanted.get_mut(&update.task) else {
                continue;
            };
            let status = TaskStatus {
                at: known.at,
                ..update.status
            };
            // A task that could not be prepared says each time why not.
            let may_stay = status != *known || !status.error.is_empty();
            let news = status.state > known.state || status.state == known.state && may_stay;
            assert!(news, "{} goes from {known:?} to {status:?}", update.task);
            let (before, after) = (known.restarts, status.restarts);
            let is_lost = before.is_some_and(|b| after.is_some_and(|after| b.is_beyond(&after)));
            assert!(!is_lost, "{before:?} was lost: {after:?}");
            let restarts = after.or(before);
            *known = TaskStatus { restarts, ..status };
        }
    }

    fn assign(&mut self) {
        let id = TaskId(self.assigned.len() as u128 + 1);
        let wish = if self.dice.below(4) == 0 {
            TaskState::Ready
        } else {
            TaskState::Running
        };
        let told = TaskStatus {
            state: TaskState::Assigned,
            ..TaskStatus::default()
        };
        self.wanted.insert(id, (wish, told));
        if self.connected {
            let set = vec![self.assignment(id)];
            self.differ(set, &[], &[]);
        }
    }

    fn assignment(&mut self, id: TaskId) -> Assignment {
        self.assigned.insert(id);
        let (desired_state, told) = &self.wanted[&id];
        Assignment {
            desired_state: *desired_state,
            state: told.state,
            restarts: told.restarts.unwrap_or_default(),
            ..assignment(&format!("web.{}", id.0), "running")
        }
    }

    fn differ(
        &mut self,
        set: Vec<Assignment>,
        desired: &[(TaskId, TaskState)],
        removed: &[TaskId],
    ) {
        let from = self.world.version;
        self.world.version += 1;
        if self.dice.below(10) == 0 {
            return; // Lost: the next difference does not fit.
        }
        let to = self.world.version;
        let (desired, removed) = (desired.to_vec(), removed.to_vec());
        let difference = Assignments::Difference {
            from,
            to,
            set,
            desired,
            removed,
        };
        self.step(Event::Message(ToAgent::Assignments(difference)));
    }

    fn send_full(&mut self) {
        let ids: Vec<_> = self.wanted.keys().copied().collect();
        let tasks = ids.into_iter().map(|id| self.assignment(id)).collect();
        let full = Assignments::Full {
            version: self.world.version,
            tasks,
        };
        self.step(Event::Message(ToAgent::Assignments(full)));
    }

    fn any_wanted(&mut self) -> Option<TaskId> {
        let count = self.wanted.len() as u64;
        let place = usize::try_from(self.dice.below(count)).ok()?;
        self.wanted.keys().nth(place).copied()
    }

    fn change_wish(&mut self) {
        let Some(id) = self.any_wanted() else {
            return;
        };
        let wishes = [TaskState::Running, TaskState::Running, TaskState::Shutdown];
        let new = wishes[usize::try_from(self.dice.below(3)).unwrap_or(0)];
        let wish = &mut self.wanted.get_mut(&id).unwrap().0;
        *wish = new.max(*wish);
        let wish = *wish;
        if self.connected {
            self.differ(Vec::new(), &[(id, wish)], &[]);
        }
    }

    fn forget(&mut self) {
        let Some(id) = self.any_wanted() else {
            return;
        };
        self.wanted.remove(&id);
        if self.connected {
            self.differ(Vec::new(), &[], &[id]);
        }
    }

    fn toggle_connection(&mut self) {
        self.connected = !self.connected;
        if !self.connected {
            return self.step(Event::Disconnected);
        }
        self.step(Event::Connected);
        self.step(Event::Message(ToAgent::Welcome { heartbeat_ms: 2000 }));
        self.send_full();
    }

    /// The daemon is killed: what it was about to do is not done, and another one looks around.
    fn restart_daemon(&mut self) {
        self.connected = false;
        self.asked.clear();
        self.world.agent = agent();
        let mut found = Vec::new();
        self.host.retain(|id, (attempt, runs)| {
            let record = self.world.records[id].clone();
            assert_eq!(record.attempt, *attempt);
            if *runs && self.dice.below(2) == 0 {
                let condition = Condition::Running {
                    pid: 7,
                    since: Time(5),
                    stopped: (self.dice.below(2) == 0).then_some(Time(6)),
                };
                let health = draw_health(&mut self.dice);
                found.push(Found {
                    record,
                    condition,
                    health,
                });
            } else if *runs || self.dice.below(2) == 0 {
                *runs = false;
                let exit = Exit {
                    code: Some(1),
                    ..Exit::default()
                };
                let health = draw_health(&mut self.dice);
                found.push(Found {
                    record,
                    health,
                    condition: Condition::Ended(exit),
                });
            } else {
                return false;
            }
            true
        });
        let kept = self.world.kept.values().cloned().collect();
        self.step(Event::Adopted(Left { found, kept }));
    }

    fn container_ends(&mut self) {
        let running = self.host.values_mut().find(|(_, runs)| *runs);
        if let Some((attempt, runs)) = running {
            *runs = false;
            let attempt = *attempt;
            let exit = Exit {
                code: Some(1),
                ..Exit::default()
            };
            self.step(Event::Container {
                attempt,
                news: News::Exited(exit),
            });
        }
    }

    fn health_changes(&mut self) {
        let health = draw_health(&mut self.dice);
        let running = self.host.values().find(|(_, runs)| *runs);
        if let Some((attempt, _)) = running {
            let (attempt, news) = (*attempt, News::Health(health));
            self.step(Event::Container { attempt, news });
        }
    }

    fn do_one_thing_asked(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let fails = self.dice.below(8) == 0;
        let (attempt, news) = match self.asked.remove(0) {
            Effect::Prepare(Record { attempt, .. }, _) if fails => (
                attempt,
                News::PrepareFailed {
                    reason: "no image".into(),
                    passing: self.dice.below(2) == 0,
                },
            ),
            Effect::Prepare(Record { attempt, .. }, _) => {
                self.further_attempts += u32::from(attempt.number > 1);
                assert!(self.assigned.contains(&attempt.task));
                self.host.insert(attempt.task, (attempt, false));
                (attempt, News::Prepared)
            }
            Effect::Start(attempt) if fails => (
                attempt,
                News::StartFailed {
                    reason: "no such program".into(),
                },
            ),
            Effect::Start(attempt) => {
                let place = self
                    .host
                    .get_mut(&attempt.task)
                    .expect("started unprepared");
                assert!(!std::mem::replace(&mut place.1, true), "started twice");
                (attempt, started(draw_health(&mut self.dice)))
            }
            Effect::Stop(_) if fails => return,
            Effect::Stop(attempt) | Effect::Kill(attempt) => {
                match self.host.get_mut(&attempt.task).filter(|place| place.1) {
                    Some(place) => place.1 = false,
                    None => return, // It had ended by itself.
                }
                let exit = Exit {
                    code: Some(137),
                    ..Exit::default()
                };
                (attempt, News::Exited(exit))
            }
            Effect::Remove(attempt) if fails => (attempt, News::RemoveFailed),
            Effect::Remove(attempt) => {
                let place = self.host.remove(&attempt.task);
                assert!(
                    !place.is_some_and(|(_, runs)| runs),
                    "removed while it runs"
                );
                (attempt, News::Removed)
            }
            other => panic!("{other:?} was not to be done"),
        };
        self.step(Event::Container { attempt, news });
    }
}
