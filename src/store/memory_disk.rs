//! A disk in memory for tests and the simulator: it loses its power in the middle of a write,
//! keeps only some of what was not synced, fills up, and fails to sync.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::rng::Rng;
use crate::store::disk::{Disk, DiskFile};

/// What a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;
/// What the host writes back at once, and so what a write costs.
const PAGE_BYTES: u64 = 4096;

/// A disk that survives its users: clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Device>>);

/// What a sector holds that was being written when the power failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tear {
    /// The old bytes or the new ones.
    OldOrNew,
    /// Those, or bytes that nobody wrote.
    Garbage,
}

#[derive(Debug, Default)]
struct Device {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    /// Changes of names since the last sync of the directory, with what was there before.
    renames: Vec<Vec<(String, Option<u64>)>>,
    next_file: u64,
    capacity: Option<u64>,
    /// Changes so far, the change that the power fails in, and whether it has.
    steps: u64,
    power_cut_at: Option<u64>,
    is_off: bool,
    /// Files opened before a power cut are of no use after it.
    boots: u64,
    sync_fails: bool,
    written_bytes: u64,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What the device holds where it differs: sectors by number, and the length.
    old: BTreeMap<usize, [u8; SECTOR_BYTES]>,
    durable_length: usize,
}

impl MemoryDisk {
    /// Lets the power fail in the change of this number, counted from the first: a write, a sync,
    /// or a change of names or lengths. Everything fails from then on.
    pub fn cut_power_at(&self, step: u64) {
        self.device().power_cut_at = Some(step);
    }

    /// Cuts the power now, if it is not off, and starts again with what is left of the disk.
    pub fn restart(&self, tear: Tear, rng: &mut Rng) {
        let mut device = self.device();
        let survived = usize_below(rng, device.renames.len() + 1);
        let lost = device.renames.split_off(survived);
        device.renames.clear();
        for (name, before) in lost.into_iter().rev().flatten() {
            match before {
                Some(file) => device.names.insert(name, file),
                None => device.names.remove(&name),
            };
        }
        for content in device.files.values_mut() {
            content.lose(tear, rng);
        }
        device.boot();
    }

    /// Starts again after a kill of the process alone: nothing is lost.
    pub fn restart_process(&self) {
        self.device().boot();
    }

    /// Limits the sum of all lengths.
    pub fn fill(&self, capacity: Option<u64>) {
        self.device().capacity = capacity;
    }

    /// Lets the next sync fail, which drops what it was to make durable, or not after all.
    pub fn fail_next_sync(&self, fails: bool) {
        self.device().sync_fails = fails;
    }

    /// Changes the bytes of a file behind everybody's back.
    pub fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut device = self.device();
        if let Some(file) = device.names.get(name).copied() {
            device
                .files
                .entry(file)
                .and_modify(|content| change(&mut content.bytes));
        }
    }

    /// The number of changes so far.
    pub fn steps(&self) -> u64 {
        self.device().steps
    }

    /// The bytes that writes have cost so far, in whole pages.
    pub fn written_bytes(&self) -> u64 {
        self.device().written_bytes
    }

    /// The number of syncs so far.
    pub fn syncs(&self) -> u64 {
        self.device().syncs
    }

    /// The length of all files.
    pub fn used_bytes(&self) -> u64 {
        self.device().used_bytes()
    }

    fn device(&self) -> MutexGuard<'_, Device> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, device: &Device, file: u64) -> Box<dyn DiskFile> {
        Box::new(MemoryFile {
            disk: self.clone(),
            file,
            boot: device.boots,
        })
    }
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let device = self.device();
        device.check_power()?;
        let file = device.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&device, *file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut device = self.device();
        device.step()?;
        device.next_file += 1;
        let file = device.next_file;
        device.files.insert(file, Content::default());
        device.set_name(name, Some(file));
        device.after_step()?;
        Ok(self.handle(&device, file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut device = self.device();
        device.step()?;
        let file = *device.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let from_before = device.names.remove(from);
        let to_before = device.names.insert(to.to_owned(), file);
        let change = vec![(from.to_owned(), from_before), (to.to_owned(), to_before)];
        device.renames.push(change);
        device.after_step()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut device = self.device();
        device.step()?;
        device.set_name(name, None);
        device.after_step()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let device = self.device();
        device.check_power()?;
        Ok(device.names.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut device = self.device();
        device.step()?;
        // A power cut in a sync leaves open what it has done.
        device.after_step()?;
        device.check_sync()?;
        device.renames.clear();
        Ok(())
    }

    fn describe(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    file: u64,
    boot: u64,
}

impl MemoryFile {
    fn device(&self) -> io::Result<MutexGuard<'_, Device>> {
        let device = self.disk.device();
        if device.boots != self.boot {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(device)
    }
}

impl DiskFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        let mut device = self.device()?;
        device.check_power()?;
        Ok(device.content(self.file).bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut device = self.device()?;
        device.check_power()?;
        let start = position(offset)?;
        let range = start..start.saturating_add(buffer.len());
        let bytes = device.content(self.file).bytes.get(range);
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut device = self.device()?;
        device.step()?;
        let end = offset + bytes.len() as u64;
        let length = device.content(self.file).bytes.len() as u64;
        device.check_room(end.saturating_sub(length))?;
        let pages = end.div_ceil(PAGE_BYTES) - offset / PAGE_BYTES;
        device.written_bytes += pages * PAGE_BYTES;
        let (start, end) = (position(offset)?, position(end)?);
        let content = device.content(self.file);
        content.change(start, end);
        content.set_length(end.max(content.bytes.len()));
        content.bytes[start..end].copy_from_slice(bytes);
        device.after_step()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut device = self.device()?;
        device.step()?;
        let old = device.content(self.file).bytes.len();
        device.check_room(length.saturating_sub(old as u64))?;
        let length = position(length)?;
        let content = device.content(self.file);
        content.change(length.min(old), length.max(old));
        content.set_length(length);
        device.after_step()
    }

    fn sync(&self) -> io::Result<()> {
        let mut device = self.device()?;
        device.step()?;
        device.after_step()?;
        let checked = device.check_sync();
        let content = device.content(self.file);
        if checked.is_ok() {
            content.old.clear();
            content.durable_length = content.bytes.len();
        } else {
            content.revert();
        }
        checked
    }
}

impl Device {
    /// Counts a change; it still happens when the power fails in it, but only in memory.
    fn step(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.steps += 1;
        Ok(())
    }

    fn boot(&mut self) {
        self.boots += 1;
        self.is_off = false;
        self.power_cut_at = None;
    }

    fn after_step(&mut self) -> io::Result<()> {
        self.is_off |= self.power_cut_at == Some(self.steps);
        self.check_power()
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }

    fn check_room(&self, more: u64) -> io::Result<()> {
        if self
            .capacity
            .is_some_and(|capacity| self.used_bytes() + more > capacity)
            && more > 0
        {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn check_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if std::mem::take(&mut self.sync_fails) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }

    fn used_bytes(&self) -> u64 {
        let files = self.names.values().filter_map(|file| self.files.get(file));
        files.map(|content| content.bytes.len() as u64).sum()
    }

    fn content(&mut self, file: u64) -> &mut Content {
        self.files.entry(file).or_default()
    }

    fn set_name(&mut self, name: &str, file: Option<u64>) {
        let before = match file {
            Some(file) => self.names.insert(name.to_owned(), file),
            None => self.names.remove(name),
        };
        self.renames.push(vec![(name.to_owned(), before)]);
    }
}

impl Content {
    /// Remembers what the device holds in the sectors of a range that is about to change.
    fn change(&mut self, start: usize, end: usize) {
        for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let mut old = [0; SECTOR_BYTES];
            let from = (sector * SECTOR_BYTES).min(self.bytes.len());
            let to = (from + SECTOR_BYTES).min(self.bytes.len());
            old[..to - from].copy_from_slice(&self.bytes[from..to]);
            self.old.entry(sector).or_insert(old);
        }
    }

    /// Keeps of each unsynced sector one or the other, as after a power cut.
    fn lose(&mut self, tear: Tear, rng: &mut Rng) {
        if usize_below(rng, 2) == 0 {
            self.set_length(self.durable_length);
        }
        for (sector, old) in std::mem::take(&mut self.old) {
            match usize_below(rng, if tear == Tear::Garbage { 3 } else { 2 }) {
                0 => {}
                1 => self.put(sector, &old),
                _ => self.put(sector, &[0xa5; SECTOR_BYTES]),
            }
        }
        self.durable_length = self.bytes.len();
    }

    fn revert(&mut self) {
        self.set_length(self.durable_length);
        for (sector, old) in std::mem::take(&mut self.old) {
            self.put(sector, &old);
        }
    }

    /// Copies zeros in at once: `resize` goes byte by byte where nothing is optimised.
    fn set_length(&mut self, length: usize) {
        self.bytes.truncate(length);
        let more = vec![0; length - self.bytes.len()];
        self.bytes.extend_from_slice(&more);
    }

    fn put(&mut self, sector: usize, sector_bytes: &[u8]) {
        let from = (sector * SECTOR_BYTES).min(self.bytes.len());
        let to = (from + SECTOR_BYTES).min(self.bytes.len());
        self.bytes[from..to].copy_from_slice(&sector_bytes[..to - from]);
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn usize_below(rng: &mut Rng, limit: usize) -> usize {
    usize::try_from(rng.below(limit as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "file";

    fn written() -> (MemoryDisk, Box<dyn DiskFile>) {
        let disk = MemoryDisk::default();
        let file = disk.create(NAME).unwrap();
        disk.sync().unwrap();
        file.write_at(0, &[1; 4096]).unwrap();
        file.sync().unwrap();
        (disk, file)
    }

    fn read(disk: &MemoryDisk) -> Vec<u8> {
        let file = disk.open(NAME).unwrap();
        let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_power_cut_tears_what_was_not_synced() {
        let mut outcomes = [0; 3];
        for seed in 0..20 {
            let (disk, file) = written();
            file.write_at(0, &[2; 4096]).unwrap();
            disk.restart(Tear::OldOrNew, &mut Rng::from_seed(seed));
            assert!(file.sync().is_err(), "an old handle still works");
            let bytes = read(&disk);
            assert!(
                bytes
                    .chunks(512)
                    .all(|sector| sector == [1; 512] || sector == [2; 512])
            );
            let new = bytes.chunks(512).filter(|sector| sector[0] == 2).count();
            outcomes[usize::from(new > 0) + usize::from(new == 8)] += 1;
        }
        assert!(outcomes[1] > 10, "{outcomes:?}");
    }

    #[test]
    fn what_was_synced_survives_and_names_go_in_order() {
        for seed in 0..20 {
            let (disk, _) = written();
            disk.rename(NAME, "other").unwrap();
            disk.rename("other", "third").unwrap();
            disk.restart(Tear::Garbage, &mut Rng::from_seed(seed));
            let names = disk.list().unwrap();
            assert_eq!(names.len(), 1, "{names:?}");
            disk.rename(&names[0], NAME).unwrap();
            assert_eq!(read(&disk), [1; 4096]);
        }
    }

    #[test]
    fn a_full_disk_takes_no_more_but_changes_what_it_has() {
        let (disk, file) = written();
        disk.fill(Some(4096));
        let error = file.write_at(1, &[2; 4096]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        file.write_at(0, &[2; 4096]).unwrap();
        assert_eq!(read(&disk), [2; 4096]);
    }

    #[test]
    fn a_failed_sync_drops_what_it_was_for() {
        let (disk, file) = written();
        file.write_at(0, &[2; 8192]).unwrap();
        disk.fail_next_sync(true);
        assert!(file.sync().is_err());
        assert_eq!(read(&disk), [1; 4096]);
    }
}
