//! Waiting, and work that blocks.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use async_io::Async;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::host::clock;
use crate::model::time::Time;

/// How long a clock may be set before that is noticed, where the kernel does not tell.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Waits without holding up the executor.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep(duration: Duration) {
    async_io::Timer::after(duration).await;
}

/// Waits for a time of day, which may come at once when somebody sets the clock.
pub async fn until(due: Time) {
    while due > clock::now() {
        let heard = match alarm(due) {
            Ok(alarm) => alarm.readable().await,
            Err(error) => Err(error),
        };
        if heard.is_err() {
            let left = Duration::from_millis(due.since_ms(clock::now()));
            sleep(left.min(LOOK_AGAIN)).await;
        }
    }
}

/// Becomes readable at this time of day, and whenever the clock is set before.
fn alarm(due: Time) -> io::Result<Async<OwnedFd>> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let alarm = timerfd_create(TimerfdClockId::Realtime, flags)?;
    let once = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: i64::try_from(due.0 / 1_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(due.0 % 1_000 * 1_000_000).unwrap_or(0),
        },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(&alarm, flags, &once)?;
    Async::new(alarm)
}

/// Starts what blocks on the pool of threads, at once. Dropped, it goes on and nobody hears of it.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Started<T> {
    Started(Some(blocking::unblock(work)))
}

/// Work under way on the pool of threads.
#[derive(Debug)]
pub struct Started<T>(Option<blocking::Task<T>>);

impl<T> Started<T> {
    /// Holds up this thread until the work is done.
    pub fn join(mut self) -> Option<T> {
        self.0.take().map(futures_lite::future::block_on)
    }
}

impl<T> Drop for Started<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

/// Runs work on a thread of its own and waits for it: for what changes the thread that it runs on.
pub fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, work)?;
        let panicked = |_| io::Error::other("a thread panicked");
        thread.join().map_err(panicked)
    })
}

/// Starts a thread of its own, for what goes on as long as the daemon does.
pub fn beside(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Beside> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(Beside)
}

/// A thread that was started.
#[derive(Debug)]
pub struct Beside(thread::JoinHandle<()>);

impl Beside {
    pub fn goes_on(&self) -> bool {
        !self.0.is_finished()
    }

    /// Waits for its end, however it ends.
    pub fn join(self) {
        let _ = self.0.join();
    }
}

/// Runs what blocks (files, processes) on the pool of threads and waits for its result.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    blocking::unblock(work).await
}

#[cfg(test)]
mod tests {
    use futures_lite::future;

    use super::*;
    use crate::host::clock::Stopwatch;

    #[test]
    fn a_time_of_day_is_waited_for() {
        let due = clock::now().plus_ms(50);
        future::block_on(until(due));
        assert!(clock::now() >= due);
        let watch = Stopwatch::start();
        future::block_on(until(due));
        assert!(watch.elapsed() < Duration::from_secs(5), "it is long past");
    }

    #[test]
    fn the_kernel_takes_any_time_of_day() {
        for due in [Time(1), clock::now(), Time(u64::MAX)] {
            alarm(due).unwrap();
        }
    }
}
