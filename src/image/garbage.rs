//! Images that tasks have brought here and that none of them uses any more: they go when the disk
//! is filling, those first that were used longest ago. What somebody has loaded, pulled or made by
//! hand is never garbage: it may be nowhere else.
//!
//! ```text
//! DIR/uses   a line for each image that a task brought: its id, and when one last used it
//! ```
//!
//! The file is written when a task uses an image for the first time in an hour. Whoever loses it
//! keeps everything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::image::digest::Digest;
use crate::image::disk::{self, DiskError};
use crate::image::removal::{InUse, Pruned, RemoveError};
use crate::image::store::ImageStore;
use crate::model::time::Time;

const FILE: &str = "uses";
const BYTES_MAX: u64 = 1 << 20;
/// How exactly the last use is known.
const NOTED_EVERY_MS: u64 = 3_600_000;
/// What was used so lately stays: a task may be about to start with it.
const GRACE_MS: u64 = 600_000;

/// How full the disk may be, in percent of what there is for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Images go from here on; never if it is 100.
    pub high: u8,
    /// Enough have gone here.
    pub low: u8,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { high: 85, low: 80 }
    }
}

impl Thresholds {
    /// Whether images shall go from the disk that these are on.
    pub fn are_reached(self, images: &ImageStore) -> bool {
        self.high < 100 && percent_full(images) >= self.high
    }
}

/// When tasks last used the images that they brought.
#[derive(Debug)]
pub struct Uses {
    path: PathBuf,
    lasts: Mutex<BTreeMap<Digest, Time>>,
}

impl Uses {
    /// What is known of the images of a store.
    pub fn of(images: &ImageStore) -> Self {
        let path = images.dir().join(FILE);
        let text = disk::read_bounded(&path, BYTES_MAX).unwrap_or_default();
        let lasts = parse(&String::from_utf8_lossy(&text));
        Self {
            path,
            lasts: Mutex::new(lasts),
        }
    }

    /// A task uses an image, which it brought if `is_new`.
    pub fn used(&self, image: Digest, is_new: bool, now: Time) -> Result<(), DiskError> {
        let mut lasts = self.lasts();
        let before = lasts.get(&image).copied();
        let is_known = match before {
            None if !is_new => return Ok(()),
            None => false,
            // A clock that was set back does not stop it.
            Some(before) => before <= now && now.since_ms(before) < NOTED_EVERY_MS,
        };
        if is_known {
            return Ok(());
        }
        lasts.insert(image, now);
        self.write(&lasts)
    }

    /// Somebody wants to have it here.
    pub fn keep(&self, image: Digest) -> Result<(), DiskError> {
        let mut lasts = self.lasts();
        match lasts.remove(&image) {
            Some(_) => self.write(&lasts),
            None => Ok(()),
        }
    }

    /// Removes images until the disk is as empty as it shall be.
    pub fn collect(
        &self,
        images: &ImageStore,
        thresholds: Thresholds,
        in_use: &InUse,
        now: Time,
    ) -> Result<Pruned, RemoveError> {
        let full = || percent_full(images);
        self.collect_while(&full, images, thresholds, in_use, now)
    }

    fn collect_while(
        &self,
        full: &dyn Fn() -> u8,
        images: &ImageStore,
        thresholds: Thresholds,
        in_use: &InUse,
        now: Time,
    ) -> Result<Pruned, RemoveError> {
        let mut all = Pruned::default();
        if thresholds.high >= 100 || full() < thresholds.high {
            return Ok(all);
        }
        let mut lasts = self.lasts();
        lasts.retain(|id, _| images.state().index.images.contains_key(id));
        for id in garbage(&lasts, in_use, now) {
            if full() <= thresholds.low {
                break;
            }
            let pruned = images.prune(&|image| image.id == id, in_use)?;
            all.removed.extend(pruned.removed);
            all.reclaimed_bytes += pruned.reclaimed_bytes;
            lasts.remove(&id);
        }
        self.write(&lasts)?;
        Ok(all)
    }

    fn lasts(&self) -> MutexGuard<'_, BTreeMap<Digest, Time>> {
        self.lasts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, lasts: &BTreeMap<Digest, Time>) -> Result<(), DiskError> {
        let lines = lasts.iter().map(|(id, last)| format!("{id} {}\n", last.0));
        let new = self.path.with_extension("new");
        disk::write(&new, lines.collect::<String>().as_bytes())?;
        disk::rename(&new, &self.path)
    }
}

fn parse(text: &str) -> BTreeMap<Digest, Time> {
    let lines = text.lines().filter_map(|line| {
        let (id, last) = line.split_once(' ')?;
        Some((id.parse().ok()?, Time(last.parse().ok()?)))
    });
    lines.collect()
}

/// What may go, in order.
fn garbage(lasts: &BTreeMap<Digest, Time>, in_use: &InUse, now: Time) -> Vec<Digest> {
    let old = lasts.iter().filter(|(id, last)| {
        let is_old = **last <= now && now.since_ms(**last) >= GRACE_MS;
        is_old && !in_use.contains_key(id)
    });
    let mut old: Vec<_> = old.map(|(id, last)| (*last, *id)).collect();
    old.sort();
    old.into_iter().map(|(_, id)| id).collect()
}

/// How full the disk of the images is; 0 if that cannot be known.
fn percent_full(images: &ImageStore) -> u8 {
    let Ok(system) = rustix::fs::statvfs(images.dir()) else {
        return 0;
    };
    let used = system.f_blocks.saturating_sub(system.f_bfree);
    // As df has it: what is for root only does not count as free.
    let all = used.saturating_add(system.f_bavail);
    let percent = used.saturating_mul(100).checked_div(all).unwrap_or(0);
    u8::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::kit::{self, Scratch, docker_archive, in_words};

    fn digest(number: u8) -> Digest {
        Digest::of(&[number])
    }

    fn lasts(all: &[(u8, u64)]) -> BTreeMap<Digest, Time> {
        let all = all
            .iter()
            .map(|(number, minute)| (digest(*number), Time(minute * 60_000)));
        all.collect()
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_what_is_used_stays() {
        let all = lasts(&[(1, 30), (2, 10), (3, 20), (4, 95), (5, 5), (6, 500)]);
        let in_use = [(digest(5), "web.1".to_owned())].into();
        let now = Time(100 * 60_000);
        let order = garbage(&all, &in_use, now);
        assert_eq!(order, [digest(2), digest(3), digest(1)]);
    }

    #[test]
    fn images_go_until_the_disk_is_as_empty_as_it_shall_be() {
        if !kit::is_root() {
            return;
        }
        let scratch = Scratch::new();
        let store = kit::open(&scratch);
        let load = |name: &str| {
            let layer = in_words(&format!("file {name}"));
            let archive = docker_archive(&[&format!("{name}:1")], &[&layer]);
            kit::load(&store, &archive).unwrap().remove(0).id
        };
        let [a, b, c, d] = ["a", "b", "c", "d"].map(load);
        let uses = Uses::of(&store);
        let minute = |number: u64| Time(number * 60_000);
        for (image, at) in [(a, 3), (b, 1), (c, 2)] {
            uses.used(image, true, minute(at)).unwrap();
        }
        // Somebody has loaded it, and tasks use it too.
        uses.used(d, false, minute(0)).unwrap();
        let full = || 70 + 5 * u8::try_from(store.list().len()).unwrap();
        let collect = |now: Time| {
            let uses = Uses::of(&store);
            let (limits, none) = (Thresholds::default(), InUse::new());
            let all = uses
                .collect_while(&full, &store, limits, &none, now)
                .unwrap();
            (all.removed.len(), store.list().len())
        };
        assert_eq!(collect(minute(5)).1, 4, "a task may be about to start");
        let (removed, left) = collect(minute(60));
        assert!(removed > 0 && left == 2, "{removed} {left}");
        let ids = || {
            store
                .list()
                .iter()
                .map(|image| image.id)
                .collect::<Vec<_>>()
        };
        assert!(ids().contains(&a) && ids().contains(&d));
        assert_eq!(collect(minute(60)), (0, 2), "it is empty enough");
        Uses::of(&store).keep(a).unwrap();
        load("e");
        assert_eq!(collect(minute(99)).1, 3, "what is left is somebody's");
    }

    #[test]
    fn the_file_is_read_as_far_as_it_can_be() {
        let text = format!("{} 7\nrubbish\n{} x\n", digest(1), digest(2));
        assert_eq!(parse(&text), [(digest(1), Time(7))].into());
        assert_eq!(parse(""), BTreeMap::new());
    }
}
