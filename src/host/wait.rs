//! Waiting, and work that blocks.

use std::time::Duration;

/// Waits without holding up the executor.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep(duration: Duration) {
    async_io::Timer::after(duration).await;
}

/// Runs what blocks (files, processes) on the pool of threads and waits for its result.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    blocking::unblock(work).await
}
