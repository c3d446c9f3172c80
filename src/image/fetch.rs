//! Fetches layers, several at once, and unpacks each while it comes.

use std::io::{self, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use async_channel::{Receiver, Sender};

use crate::host::wait;
use crate::image::commit::Session;
use crate::image::compression::{Compression, peek};
use crate::image::digest::{Digest, Hashing};
use crate::image::limits::Limits;
use crate::image::meter::{Guarded, Meter, Received, Stream};
use crate::image::pull::{PullError, Step};
use crate::image::refusal::UnpackError;
use crate::image::registry::blob::Blob;
use crate::image::registry::pace::{Cancel, Wanted};
use crate::image::registry::repository::Repository;
use crate::image::unpack::{Unpacked, unpack};

/// Layers that come at once. As Docker's.
const LAYERS_AT_ONCE: usize = 3;
/// How often a layer tells how far it is.
const PROGRESS_BYTES: u64 = 256 << 10;
const NEWS_QUEUED: usize = 64;
const MAGIC_BYTES: usize = 4;
/// What of a layer that does not unpack is still read, to see whether it is what it claims to be.
const DRAIN_BYTES_MAX: u64 = 64 << 20;

/// A layer to fetch.
#[derive(Debug)]
pub struct Job {
    pub digest: Digest,
    pub bytes: u64,
    pub diff_id: Digest,
    /// Where it is unpacked to.
    pub dir: PathBuf,
}

/// What a worker tells.
enum News {
    Received(Digest, u64, u64),
    Done(Job, Result<Unpacked, PullError>),
}

/// Fetches layers on several threads. After the first failure the others end.
pub fn fetch(
    session: &mut Session<'_>,
    repository: &Arc<Repository>,
    jobs: Vec<Job>,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Step),
) -> Result<(), PullError> {
    let (queue, waiting) = async_channel::unbounded();
    let workers = jobs.len().min(LAYERS_AT_ONCE);
    for job in jobs {
        // Not bounded, and its other end is right here.
        drop(queue.try_send(job));
    }
    queue.close();
    let (news, heard) = async_channel::bounded(NEWS_QUEUED);
    let (wanted, part) = cancel.part();
    let workers: Vec<_> = (0..workers)
        .map(|_| {
            let worker = Worker {
                repository: repository.clone(),
                limits: session.store.limits().clone(),
                cancel: part.clone(),
                news: news.clone(),
            };
            let waiting = waiting.clone();
            wait::start(move || worker.work(&waiting))
        })
        .collect();
    drop(news);
    let outcome = listen(session, &heard, wanted, tell);
    // They write where the session cleans up.
    for worker in workers {
        worker.join();
    }
    outcome?;
    Ok(cancel.check()?)
}

/// Takes in what the workers tell until they have ended.
fn listen(
    session: &mut Session<'_>,
    heard: &Receiver<News>,
    wanted: Wanted,
    tell: &mut dyn FnMut(Step),
) -> Result<(), PullError> {
    let (mut outcome, mut wanted) = (Ok(()), Some(wanted));
    while let Ok(news) = heard.recv_blocking() {
        match news {
            News::Received(layer, received, total) if outcome.is_ok() => tell(Step::Arriving {
                layer,
                received,
                total,
            }),
            News::Received(..) => {}
            News::Done(job, Ok(unpacked)) if outcome.is_ok() => {
                outcome = session
                    .staging
                    .keep(job.dir, unpacked, job.digest)
                    .map_err(PullError::from);
                tell(Step::Arrived(job.digest));
            }
            News::Done(_, Ok(_)) => {}
            News::Done(_, Err(error)) if outcome.is_ok() => outcome = Err(error),
            // The end of the others is no news.
            News::Done(_, Err(_)) => {}
        }
        if outcome.is_err() {
            wanted = None;
        }
    }
    drop(wanted);
    outcome
}

/// Fetches one layer after the other.
struct Worker {
    repository: Arc<Repository>,
    limits: Limits,
    cancel: Cancel,
    news: Sender<News>,
}

impl Worker {
    fn work(&self, waiting: &Receiver<Job>) {
        while self.cancel.check().is_ok()
            && let Ok(job) = waiting.try_recv()
        {
            let done = self.layer(&job);
            drop(self.news.send_blocking(News::Done(job, done)));
        }
    }

    /// Unpacks a layer as it comes, and checks that it is the one.
    fn layer(&self, job: &Job) -> Result<Unpacked, PullError> {
        let mut blob = Blob::new(&self.repository, job.digest, job.bytes, &self.cancel);
        let unpacked = self.unpack(&mut blob, job);
        blob.failure()
            .map_or(unpacked, |failure| Err(failure.into()))
    }

    fn unpack(&self, blob: &mut Blob<'_>, job: &Job) -> Result<Unpacked, PullError> {
        let layer = |source| PullError::Layer {
            layer: job.digest,
            source,
        };
        let mut hashing = Hashing::new(Telling {
            blob,
            worker: self,
            job,
            told: 0,
        });
        let meter = Rc::new(Meter::default());
        let received = Received::new(&mut hashing, meter.clone());
        let unpacked = peek(received, MAGIC_BYTES)
            .map_err(|error| UnpackError::Tar(error.into()))
            .and_then(|(start, input)| {
                let plain = Compression::sniff(&start).decoder(input);
                let plain = Guarded::new(plain, Stream::Layer, meter.clone(), &self.limits);
                unpack(plain, &job.dir, &self.limits)
            });
        let left = job.bytes.saturating_sub(meter.received());
        let unpacked = match unpacked {
            Err(source) if source.is_disk_full() || left > DRAIN_BYTES_MAX => {
                return Err(layer(source));
            }
            other => other,
        };
        // What does not unpack may not be what was announced, which tells more.
        let found = hashing
            .finish()
            .map_err(|error| layer(UnpackError::Tar(error.into())))?
            .0;
        if found != job.digest {
            let expected = job.digest;
            return Err(PullError::Digest { expected, found });
        }
        let unpacked = unpacked.map_err(layer)?;
        if unpacked.diff_id != job.diff_id {
            let (expected, found) = (job.diff_id, unpacked.diff_id);
            return Err(PullError::Digest { expected, found });
        }
        Ok(unpacked)
    }
}

/// Tells from time to time how much of a layer has come.
struct Telling<'a, 'b> {
    blob: &'a mut Blob<'b>,
    worker: &'a Worker,
    job: &'a Job,
    told: u64,
}

impl Read for Telling<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.blob.read(into)?;
        let (received, total) = (self.blob.received(), self.job.bytes);
        if n > 0 && (received == total || received - self.told >= PROGRESS_BYTES) {
            self.told = received;
            let news = News::Received(self.job.digest, received, total);
            // Whoever listens does so to the end.
            drop(self.worker.news.send_blocking(news));
        }
        Ok(n)
    }
}
