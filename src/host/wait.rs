//! Waiting, and work that blocks.

use std::io;
use std::thread;
use std::time::Duration;

/// Waits without holding up the executor.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep(duration: Duration) {
    async_io::Timer::after(duration).await;
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
