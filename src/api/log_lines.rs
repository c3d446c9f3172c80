//! Lines of logs as they come: of one container, of several as one in the order of time, and of
//! this host's containers together with those that are started later.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Waking, Poll};

use futures_lite::{Stream, stream};

use crate::api::answer::Broken;
use crate::api::containers::TASK_ID;
use crate::api::context::Context;
use crate::api::events::Listener;
use crate::api::failure::Failure;
use crate::model::id::TaskId;
use crate::runtime::listing::Listed;
use crate::runtime::log::Stream as Origin;
use crate::runtime::log::reader::Wanted;
use crate::runtime::plan::LogPlan;
use crate::wire::log::LogLine;

/// Lines as they come.
pub type Lines = Pin<Box<dyn Stream<Item = Result<LogLine, Broken>>>>;

/// One container's lines.
pub fn of_container(
    context: &Context,
    container: &Listed,
    wanted: Wanted,
) -> Result<Lines, Failure> {
    if container.plan.log == LogPlan::None {
        return Ok(Box::pin(stream::empty()));
    }
    let task = container.plan.labels.get(TASK_ID);
    let task = task.and_then(|id| id.parse().ok()).unwrap_or(TaskId(0));
    let reader = context.host.runtime.logs(&container.plan.id, wanted);
    let reader = reader.map_err(Failure::internal)?;
    let lines = stream::unfold(reader, move |mut reader| async move {
        let record = reader.next().await.transpose()?;
        let line = record.map(|record| LogLine {
            task,
            at: record.at,
            is_error: record.stream == Origin::Stderr,
            data: record.data,
        });
        Some((line.map_err(|error| Broken(error.to_string())), reader))
    });
    Ok(Box::pin(lines))
}

/// Several logs as one; each has a name.
pub struct Sources<K> {
    sources: Vec<Source<K>>,
    broken: Vec<(K, Broken)>,
}

struct Source<K> {
    name: K,
    lines: Lines,
    head: Option<LogLine>,
}

/// A line and where it is from, or the end of a source before its end.
pub type Item<K> = (K, Result<LogLine, Broken>);

impl<K> Default for Sources<K> {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            broken: Vec::new(),
        }
    }
}

impl<K: Copy + PartialEq> Sources<K> {
    pub fn add(&mut self, name: K, lines: Lines) {
        let head = None;
        self.sources.push(Source { name, lines, head });
    }

    pub fn remove(&mut self, name: K) {
        self.sources.retain(|source| source.name != name);
    }

    /// The oldest of what the logs have next; none when all have ended. Strictly, it waits until
    /// each that goes on has said what it has next.
    pub fn poll_oldest(
        &mut self,
        waking: &mut Waking<'_>,
        strictly: bool,
    ) -> Poll<Option<Item<K>>> {
        let (broken, mut waits) = (&mut self.broken, false);
        self.sources
            .retain_mut(|source| match source.poll_head(waking) {
                Poll::Ready(Some(Err(error))) => {
                    broken.push((source.name, error));
                    false
                }
                Poll::Ready(None) => false,
                Poll::Ready(Some(Ok(()))) => true,
                Poll::Pending => {
                    waits = true;
                    true
                }
            });
        if let Some((name, error)) = self.broken.pop() {
            return Poll::Ready(Some((name, Err(error))));
        }
        if waits && strictly {
            return Poll::Pending;
        }
        let heads = self
            .sources
            .iter_mut()
            .filter(|source| source.head.is_some());
        let oldest = heads.min_by_key(|source| source.head.as_ref().map(|line| line.at));
        match oldest.and_then(|source| Some((source.name, source.head.take()?))) {
            Some((name, line)) => Poll::Ready(Some((name, Ok(line)))),
            None if self.sources.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<K> Source<K> {
    fn poll_head(&mut self, waking: &mut Waking<'_>) -> Poll<Option<Result<(), Broken>>> {
        if self.head.is_none() {
            match self.lines.as_mut().poll_next(waking) {
                Poll::Ready(Some(Ok(line))) => self.head = Some(line),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Some(Ok(())))
    }
}

/// Which containers' lines are wanted: those with a label.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub label: &'static str,
    pub value: String,
}

/// The lines of this host's containers that are chosen, in the order of time. Followed, it goes on
/// with those that are started later.
pub struct Local {
    sources: Sources<()>,
    /// Says when containers may have been started; `None` if nothing is awaited.
    starts: Option<Pin<Box<dyn Stream<Item = ()>>>>,
    /// The ids of containers whose logs are, or were, part of it.
    joined: Vec<String>,
    context: Rc<Context>,
    chosen: Chosen,
    wanted: Wanted,
}

impl Local {
    pub fn open(context: Rc<Context>, chosen: Chosen, wanted: Wanted) -> Result<Self, Failure> {
        let listener = wanted.follow.then(|| context.events.listen());
        let mut local = Self {
            sources: Sources::default(),
            starts: listener.map(starts),
            joined: Vec::new(),
            context,
            chosen,
            wanted,
        };
        local.join()?;
        Ok(local)
    }

    /// Opens the logs of containers that are not part of it yet.
    fn join(&mut self) -> Result<(), Failure> {
        let containers = self.context.host.runtime.list()?;
        self.joined
            .retain(|id| containers.iter().any(|c| c.plan.id == *id));
        for container in containers {
            let value = container.plan.labels.get(self.chosen.label);
            if self.joined.contains(&container.plan.id) || value != Some(&self.chosen.value) {
                continue;
            }
            let lines = of_container(&self.context, &container, self.wanted.clone())?;
            self.joined.push(container.plan.id);
            self.sources.add((), lines);
        }
        Ok(())
    }
}

impl Stream for Local {
    type Item = Result<LogLine, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, waking: &mut Waking<'_>) -> Poll<Option<Self::Item>> {
        while let Some(starts) = &mut self.starts {
            match starts.as_mut().poll_next(waking) {
                // A container that is gone again has no log to show.
                Poll::Ready(Some(())) => drop(self.join()),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        match self.sources.poll_oldest(waking, false) {
            Poll::Ready(None) if self.starts.is_some() => Poll::Pending,
            polled => polled.map(|item| item.map(|(_, line)| line)),
        }
    }
}

/// Yields whenever a container was started.
fn starts(listener: Listener) -> Pin<Box<dyn Stream<Item = ()>>> {
    let started = stream::unfold(listener, |mut listener| async {
        loop {
            let event = listener.next().await;
            if event.kind == "container" && event.action == "start" {
                return Some(((), listener));
            }
        }
    });
    Box::pin(started)
}

#[cfg(test)]
mod tests {
    use futures_lite::{StreamExt, future};

    use super::*;
    use crate::model::time::Time;

    fn line(at: u64) -> Result<LogLine, Broken> {
        Ok(LogLine {
            task: TaskId(1),
            at: Time(at),
            is_error: false,
            data: Vec::new(),
        })
    }

    fn merged(strictly: bool, logs: Vec<Lines>) -> String {
        let mut sources = Sources::default();
        let logs = logs.into_iter().enumerate();
        logs.for_each(|(number, lines)| sources.add(number, lines));
        let merged = stream::poll_fn(|waking| sources.poll_oldest(waking, strictly));
        let items: Vec<_> = future::block_on(merged.collect());
        let words = items.into_iter().map(|(name, line)| match line {
            Ok(line) => line.at.0.to_string(),
            Err(error) => format!("{name}: {}", error.0),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn of(times: &[u64]) -> Lines {
        Box::pin(stream::iter(
            times.iter().map(|at| line(*at)).collect::<Vec<_>>(),
        ))
    }

    /// The same from a node that takes its time.
    fn late(times: &[u64]) -> Lines {
        let yielded = stream::once_future(future::yield_now());
        let mut lines = of(times);
        let mut yielded = Box::pin(yielded);
        Box::pin(stream::poll_fn(move |waking| {
            match yielded.as_mut().poll_next(waking) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(_) => lines.as_mut().poll_next(waking),
            }
        }))
    }

    #[test]
    fn several_logs_come_in_the_order_of_time() {
        let logs = vec![of(&[1, 4, 9]), of(&[]), of(&[2, 3, 10])];
        assert_eq!(merged(false, logs), "1 2 3 4 9 10");
    }

    #[test]
    fn what_is_on_its_way_is_waited_for_only_if_the_order_counts() {
        let logs = || vec![of(&[2, 4]), late(&[1, 3])];
        assert_eq!(merged(false, logs()), "2 1 3 4");
        assert_eq!(merged(true, logs()), "1 2 3 4");
    }

    #[test]
    fn a_log_that_breaks_is_named_and_the_others_go_on() {
        let broken = || Box::pin(stream::iter([line(1), Err(Broken("gone".into()))]));
        let logs: Vec<Lines> = vec![of(&[2]), broken(), broken()];
        assert_eq!(merged(true, logs), "1 1: gone 1 2: gone 2");
    }
}
