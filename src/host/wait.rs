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

/// Runs what blocks (files, processes) on the pool of threads and waits for its result.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    blocking::unblock(work).await
}
