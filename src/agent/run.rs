//! Runs an agent: brings it its events and carries out its effects. Decides nothing but when to
//! dial again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_executor::LocalExecutor;
use futures_lite::future::{or, pending};

use crate::agent::containers::{Attempt, Condition, ContainerId, Containers, Exit, Found, Record};
use crate::agent::task::News;
use crate::agent::{Agent, Effect, Event, Farewell};
use crate::host::clock;
use crate::host::rng::Rng;
use crate::host::wait::sleep;
use crate::model::time::Time;
use crate::transport::Dial;
use crate::transport::end::{End, ReceiveError};
use crate::wire::dependency::Dependency;
use crate::wire::session::{REDIAL_MS_MAX, ToAgent, ToManager};

/// Containers that are prepared, started or removed at the same time.
const AT_ONCE: usize = 8;

/// News of containers that wait to be taken in before those who bring more must wait.
const NEWS_QUEUED: usize = 64;

/// How long to wait before dialling again, at first: doubled each time, up to [`REDIAL_MS_MAX`].
const REDIAL_MS_MIN: u64 = 100;

/// Runs `agent` until a farewell has been carried out; if nobody can say one any more, the daemon
/// is taken to stop. Fails if it cannot find out what an earlier daemon left.
pub async fn run<C: Containers, D: Dial>(
    agent: Agent,
    rng: Rng,
    containers: &C,
    dialer: &D,
    farewells: &Receiver<Farewell>,
) -> Result<(), C::Error> {
    let executor = LocalExecutor::new();
    // Not bounded: the agent asks for one thing at a time for each of its tasks.
    let (jobs, queue) = async_channel::unbounded();
    let (news_out, news_in) = async_channel::bounded(NEWS_QUEUED);
    for _ in 0..AT_ONCE {
        executor
            .spawn(work(queue.clone(), news_out.clone()))
            .detach();
    }
    let mut runner = Runner {
        agent,
        rng,
        containers,
        dialer,
        farewells,
        link: Link::Down(Box::pin(dial(dialer, Duration::ZERO))),
        redial_ms: REDIAL_MS_MIN,
        obstacle: String::new(),
        leaving: false,
        executor: &executor,
        jobs,
        preparing: BTreeMap::new(),
        news_out,
        news_in,
    };
    executor.run(runner.run()).await
}

struct Runner<'r, 'a, C, D> {
    agent: Agent,
    rng: Rng,
    containers: &'a C,
    dialer: &'r D,
    farewells: &'r Receiver<Farewell>,
    link: Link<'r>,
    redial_ms: u64,
    /// Why the last dial failed; a reason that stays the same is told once.
    obstacle: String,
    leaving: bool,
    executor: &'r LocalExecutor<'a>,
    jobs: Sender<Job<'a>>,
    preparing: BTreeMap<ContainerId, Preparing>,
    news_out: Sender<Event>,
    news_in: Receiver<Event>,
}

/// The session with a manager, or the wait for the next.
enum Link<'r> {
    Up(End<ToManager, ToAgent>),
    Down(Pin<Box<dyn Future<Output = Dialled> + 'r>>),
}

/// A new session, or why there is none.
type Dialled = Result<End<ToManager, ToAgent>, String>;

/// What takes its turn among the few that are done at once.
struct Job<'a> {
    attempt: Attempt,
    outcome: Pin<Box<dyn Future<Output = News> + 'a>>,
}

/// A preparation under way, or one whose news are.
struct Preparing {
    /// Dropped to end it.
    _go_on: Sender<Infallible>,
    /// Closed when it is over.
    over: Receiver<Infallible>,
}

/// What the agent is woken by.
enum Input {
    Event(Event),
    Dialled(Dialled),
    Lost,
}

impl<'a, C: Containers, D: Dial> Runner<'_, 'a, C, D> {
    async fn run(&mut self) -> Result<(), C::Error> {
        let left = self.containers.adopt().await?;
        left.found.iter().for_each(|found| self.watch_found(found));
        let mut event = Event::Adopted(left);
        while self.step(event) {
            event = self.next().await;
        }
        let over = Link::Down(Box::pin(pending()));
        if let Link::Up(end) = std::mem::replace(&mut self.link, over) {
            // The farewell is the last that was sent.
            end.finish().await;
        }
        Ok(())
    }

    /// Takes in one event and sets everything going that follows; false when nothing more will.
    fn step(&mut self, event: Event) -> bool {
        match &event {
            Event::Container {
                attempt,
                news: News::Started(_),
            } => self.watch(*attempt),
            Event::Container {
                attempt,
                news: News::Prepared | News::PrepareFailed { .. },
            } => drop(self.preparing.remove(&attempt.container)),
            _ => {}
        }
        let effects = self.agent.step(clock::now(), &mut self.rng, event);
        let done = effects.contains(&Effect::Done);
        effects
            .into_iter()
            .for_each(|effect| self.carry_out(effect));
        !done
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(message) => self.send(&message),
            Effect::HangUp => self.wait_to_redial(),
            Effect::Reach(news) => self.containers.reach(news),
            Effect::Keep(changes) => self.containers.keep(changes),
            Effect::Prepare(record, dependencies) => self.prepare(record, dependencies),
            Effect::Learn(roster) => self.dialer.learn(roster),
            Effect::Answer(summons) => self.dialer.answer(summons),
            Effect::Start(attempt) => self.queue(attempt, start(self.containers, attempt)),
            Effect::Remove(attempt) => self.remove(attempt),
            Effect::Stop(attempt) => {
                let containers = self.containers;
                let stop = async move { warn_of(&containers.stop(attempt).await) };
                self.executor.spawn(stop).detach();
            }
            Effect::Kill(attempt) => {
                let containers = self.containers;
                let kill = async move { warn_of(&containers.kill(attempt).await) };
                self.executor.spawn(kill).detach();
            }
            Effect::Done => {}
        }
    }

    fn prepare(&mut self, record: Record, dependencies: Vec<Arc<Dependency>>) {
        let attempt = record.attempt;
        let (_go_on, ended) = async_channel::bounded(1);
        let (under_way, over) = async_channel::bounded(1);
        let preparing = Preparing { _go_on, over };
        self.preparing.insert(attempt.container, preparing);
        let prepared = prepare(self.containers, record, dependencies);
        self.queue(attempt, async move {
            let _under_way = under_way;
            or(cancelled(ended), prepared).await
        });
    }

    /// Removes a container, once its preparation is over, which this ends.
    fn remove(&mut self, attempt: Attempt) {
        let containers = self.containers;
        let preparing = self.preparing.remove(&attempt.container);
        let over = preparing.map(|preparing| preparing.over);
        self.queue(attempt, async move {
            if let Some(over) = over {
                // Nothing is ever sent: the channel closes.
                let _ = over.recv().await;
            }
            remove(containers, attempt).await
        });
    }

    fn queue(&self, attempt: Attempt, outcome: impl Future<Output = News> + 'a) {
        let outcome = Box::pin(outcome);
        // The queue is not bounded, and open as long as its workers are there.
        drop(self.jobs.try_send(Job { attempt, outcome }));
    }

    fn send(&self, message: &ToManager) {
        if let Link::Up(end) = &self.link
            && let Err(error) = end.try_send(message)
        {
            tracing::warn!("cannot send to the manager: {error}");
            // Whoever receives sees the end of the session.
            end.close();
        }
    }

    fn watch_found(&self, found: &Found) {
        if let Condition::Running { .. } = found.condition {
            self.watch(found.record.attempt);
        }
    }

    fn watch(&self, attempt: Attempt) {
        let (containers, news) = (self.containers, self.news_out.clone());
        let watch = async move {
            let exit = or(
                containers.wait(attempt),
                heed(containers, attempt, news.clone()),
            );
            tell(&news, attempt, News::Exited(exit.await)).await;
        };
        self.executor.spawn(watch).detach();
    }

    async fn next(&mut self) -> Event {
        loop {
            match self.input().await {
                Input::Event(event) => return event,
                Input::Lost => {
                    self.wait_to_redial();
                    return Event::Disconnected;
                }
                Input::Dialled(Ok(end)) => {
                    self.link = Link::Up(end);
                    self.obstacle.clear();
                    return Event::Connected;
                }
                Input::Dialled(Err(obstacle)) => {
                    if self.obstacle != obstacle {
                        tracing::warn!("cannot reach a manager: {obstacle}");
                        self.obstacle = obstacle;
                    }
                    self.wait_to_redial();
                }
            }
        }
    }

    async fn input(&mut self) -> Input {
        let farewell = farewell(self.farewells, &mut self.leaving);
        let news = async { self.news_in.recv().await.map_or(Event::Tick, |news| news) };
        let certified = async { Event::Certified(self.dialer.certified().await) };
        let link = listen(&mut self.link, &mut self.redial_ms);
        let timer = wake(self.agent.due());
        or(
            async { Input::Event(or(or(farewell, certified), news).await) },
            or(link, async { Input::Event(timer.await) }),
        )
        .await
    }

    fn wait_to_redial(&mut self) {
        // Between half of it and all: agents that lost their manager together come one by one.
        let half_ms = self.redial_ms / 2;
        let wait = Duration::from_millis(half_ms + self.rng.below(half_ms + 1));
        self.redial_ms = (self.redial_ms * 2).min(REDIAL_MS_MAX);
        self.link = Link::Down(Box::pin(dial(self.dialer, wait)));
    }
}

/// The next farewell; once the node leaves there is time to end what runs.
async fn farewell(farewells: &Receiver<Farewell>, leaving: &mut bool) -> Event {
    match farewells.recv().await {
        Ok(farewell) => {
            *leaving |= farewell == Farewell::Leave;
            Event::Farewell(farewell)
        }
        Err(_) if *leaving => pending().await,
        Err(_) => Event::Farewell(Farewell::BackSoon),
    }
}

async fn dial(dialer: &impl Dial, wait: Duration) -> Dialled {
    if !wait.is_zero() {
        sleep(wait).await;
    }
    dialer.dial().await.map_err(|error| error.to_string())
}

async fn listen(link: &mut Link<'_>, redial_ms: &mut u64) -> Input {
    let end = match link {
        Link::Up(end) => end,
        Link::Down(dialled) => return Input::Dialled(dialled.await),
    };
    match end.receive().await {
        Ok(Some(message)) => {
            if matches!(message, ToAgent::Welcome { .. }) {
                *redial_ms = REDIAL_MS_MIN;
            }
            Input::Event(Event::Message(message))
        }
        Ok(None) => Input::Lost,
        Err(ReceiveError::Frame(error)) => {
            tracing::warn!("the manager sent what is no message: {error}");
            Input::Lost
        }
        Err(ReceiveError::Connection(error)) => {
            tracing::warn!("the session with the manager broke: {error}");
            Input::Lost
        }
    }
}

async fn wake(due: Option<Time>) -> Event {
    match due {
        Some(due) => sleep(Duration::from_millis(due.since_ms(clock::now()))).await,
        None => pending().await,
    }
    Event::Tick
}

/// Does one job after another.
async fn work(jobs: Receiver<Job<'_>>, news: Sender<Event>) {
    while let Ok(job) = jobs.recv().await {
        tell(&news, job.attempt, job.outcome.await).await;
    }
}

async fn prepare<C: Containers>(
    containers: &C,
    record: Record,
    dependencies: Vec<Arc<Dependency>>,
) -> News {
    let prepared = containers.prepare(record, dependencies).await;
    let failed = |error: C::Error| News::PrepareFailed {
        reason: error.to_string(),
        passing: C::is_passing(&error),
    };
    prepared.map_or_else(failed, |()| News::Prepared)
}

/// What becomes of a preparation that nobody wants any more.
async fn cancelled(ended: Receiver<Infallible>) -> News {
    // Nothing is ever sent: the channel closes.
    let _ = ended.recv().await;
    News::PrepareFailed {
        reason: "cancelled".to_owned(),
        passing: true,
    }
}

/// Tells of the container's health for as long as it runs.
async fn heed<C: Containers>(containers: &C, attempt: Attempt, news: Sender<Event>) -> Exit {
    loop {
        let health = containers.health(attempt).await;
        tell(&news, attempt, News::Health(health)).await;
    }
}

async fn start<C: Containers>(containers: &C, attempt: Attempt) -> News {
    let started = containers.start(attempt).await;
    let failed = |error: C::Error| News::StartFailed {
        reason: error.to_string(),
    };
    started.map_or_else(failed, News::Started)
}

async fn remove<C: Containers>(containers: &C, attempt: Attempt) -> News {
    let removed = containers.remove(attempt).await;
    warn_of(&removed);
    removed.map_or(News::RemoveFailed, |()| News::Removed)
}

fn warn_of<E: fmt::Display>(outcome: &Result<(), E>) {
    if let Err(error) = outcome {
        tracing::warn!("{error}");
    }
}

/// Brings news to the agent, which is there as long as its jobs are.
async fn tell(news_out: &Sender<Event>, attempt: Attempt, news: News) {
    drop(news_out.send(Event::Container { attempt, news }).await);
}

#[cfg(test)]
pub(crate) mod tests;
