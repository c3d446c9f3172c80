//! Runs a container's health check, again and again.

use std::cell::RefCell;
use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use futures_lite::{AsyncReadExt, future};

use crate::host::clock;
use crate::host::wait::sleep;
use crate::runtime::containers::{Runtime, RuntimeError};
use crate::runtime::exec::{Ended, Streams};
use crate::runtime::health::{Check, Health, HealthStatus, OUTPUT_BYTES, Probe};
use crate::runtime::shim::tenant::ExecRequest;

/// What runs the command may itself hang, and is then not waited for.
const MARGIN: Duration = Duration::from_secs(5);

/// The code of a probe that was not run to its end.
const NOT_RUN: i32 = -1;

impl Runtime {
    /// What a container's health check has found so far; `None` if it has none.
    pub fn health(&self, id: &str) -> Result<Option<Health>, RuntimeError> {
        let attempt = self.attempt(id)?;
        let found = attempt.health()?;
        let checked = attempt.bundle()?.plan.check.is_some();
        Ok(found.or_else(|| checked.then(Health::default)))
    }

    /// Checks a running container until its health is another than it was; for ever if it has no
    /// check.
    pub async fn health_change(&self, id: &str) -> Result<HealthStatus, RuntimeError> {
        let attempt = self.attempt(id)?;
        let Some(check) = attempt.bundle()?.plan.check else {
            return future::pending().await;
        };
        let running = attempt.running()?;
        let running = running.ok_or_else(|| RuntimeError::NotRunning(id.to_owned()))?;
        let mut health = attempt.health()?.unwrap_or_default();
        loop {
            let wait_ms = health.wait_ms(&check, running.started, clock::now());
            sleep(Duration::from_millis(wait_ms)).await;
            let probe = self.probe(id, &check).await;
            let init = attempt.running()?.and_then(|running| running.init);
            if !init.is_some_and(|init| init.is_there()) {
                // It ended meanwhile, which is for `wait` to tell.
                return future::pending().await;
            }
            let changed = health.take(&check, running.started, probe);
            if let Err(error) = attempt.write_health(&health) {
                // What was found counts all the same; a restarted daemon begins with what it has.
                tracing::warn!("the health of container {id} is not kept: {error}");
            }
            if changed {
                return Ok(health.status);
            }
        }
    }

    async fn probe(&self, id: &str, check: &Check) -> Probe {
        let began = clock::now();
        let output = Output::default();
        let late = async {
            sleep(Duration::from_millis(check.timeout_ms).saturating_add(MARGIN)).await;
            Ok(Ended::TimedOut)
        };
        let ended = future::or(self.run_check(id, check, &output), late).await;
        let said = output.text();
        let (code, output) = match ended {
            Ok(Ended::Exited(code)) => (code, said),
            Ok(Ended::TimedOut) => {
                let limit = Duration::from_millis(check.timeout_ms);
                let colon = if said.is_empty() { "" } else { ": " };
                let text = format!("Health check exceeded timeout ({limit:?}){colon}{said}");
                (NOT_RUN, text)
            }
            Err(error) => (NOT_RUN, error.to_string()),
        };
        Probe {
            began,
            ended: clock::now(),
            code,
            output,
        }
    }

    async fn run_check(
        &self,
        id: &str,
        check: &Check,
        output: &Output,
    ) -> Result<Ended, RuntimeError> {
        let request = ExecRequest {
            args: check.args.clone(),
            timeout_ms: Some(check.timeout_ms),
            ..ExecRequest::default()
        };
        let session = self.exec(id, request).await?;
        // What it wrote before its end is read before its end is seen. What it left running may
        // hold the pipes open and is not waited for.
        future::or(output.read(session.streams.clone()), session.end()).await
    }
}

/// The beginning of what a probe writes.
#[derive(Debug, Default)]
struct Output(RefCell<Vec<u8>>);

impl Output {
    /// Reads for as long as it is polled.
    fn read<T>(&self, streams: Streams) -> impl Future<Output = T> {
        let ends = match streams {
            Streams::Terminal(master) => vec![master],
            Streams::Pipes { stdout, stderr, .. } => vec![stdout, stderr],
        };
        let mut ends = ends.into_iter();
        let (first, second) = (ends.next(), ends.next());
        async move {
            future::zip(self.read_end(first), self.read_end(second)).await;
            future::pending().await
        }
    }

    async fn read_end(&self, end: Option<Arc<Async<File>>>) {
        let Some(end) = end else {
            return;
        };
        let mut bytes = [0; OUTPUT_BYTES];
        while let Ok(length @ 1..) = (&*end).read(&mut bytes).await {
            let mut kept = self.0.borrow_mut();
            // One byte more tells that there was more.
            let room = (OUTPUT_BYTES + 1).saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..length.min(room)]);
        }
    }

    fn text(&self) -> String {
        let kept = self.0.borrow();
        let text = String::from_utf8_lossy(&kept[..kept.len().min(OUTPUT_BYTES)]).into_owned();
        match kept.len() > OUTPUT_BYTES {
            true => format!("{text}..."),
            false => text,
        }
    }
}
