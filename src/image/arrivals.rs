//! Takes an image archive apart as it streams in: small files into memory, layers onto the disk.
//!
//! Which members are layers is only known at the end, where the manifest usually is. Everything
//! that is a tar is therefore unpacked as it passes, and dropped again if no image wants it:
//! keeping the archive until the manifest comes would write every layer twice.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use crate::image::commit::Session;
use crate::image::compression::{Compression, peek};
use crate::image::digest::{Digest, Hashing};
use crate::image::header::{Kind, Member, TarError, is_header};
use crate::image::load::LoadError;
use crate::image::meter::{Guarded, Meter, Received, Stream};
use crate::image::refusal::UnpackError;
use crate::image::tarball::{Framing, Tarball};
use crate::image::unpack::unpack;

const BLOBS: &str = "blobs/sha256/";
const PEEK_BYTES: usize = 512;
const MAGIC_BYTES: usize = 4;
const LINKS_MAX: usize = 8;
/// No layer or manifest has a longer name.
const NAME_BYTES_MAX: usize = 255;
const PROGRESS_BYTES: u64 = 512 << 10;

/// How far a load is: so much of a layer has been received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The layer's name in the archive.
    pub layer: String,
    pub received_bytes: u64,
    pub total_bytes: u64,
}

/// What an archive held.
#[derive(Debug, Default)]
pub struct Arrivals {
    files: BTreeMap<String, Vec<u8>>,
    file_bytes: u64,
    links: BTreeMap<String, String>,
    layers: BTreeMap<String, Arrived>,
}

/// A member that was unpacked, or was tried to.
#[derive(Debug)]
pub struct Arrived {
    /// Of its bytes as they are in the archive.
    pub digest: Digest,
    /// The layer's diff id.
    pub layer: Result<Digest, UnpackError>,
}

impl Arrivals {
    /// Reads a whole archive, packed or not.
    pub fn receive(
        session: &mut Session<'_>,
        input: impl Read,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, LoadError> {
        let limits = session.store.limits().clone();
        let meter = Rc::new(Meter::default());
        let received = Received::new(input, meter.clone());
        let (start, input) = peek(received, MAGIC_BYTES).map_err(TarError::Read)?;
        let plain = Compression::sniff(&start).decoder(input);
        let plain = Guarded::new(plain, Stream::Archive, meter.clone(), &limits);
        let mut tar = Tarball::new(plain, (), limits.members_max, &limits);
        let mut arrivals = Self::default();
        while let Some(member) = tar.next_member()? {
            if member.path.len().max(member.link.len()) > NAME_BYTES_MAX {
                continue;
            }
            let name = name(&member.path);
            match member.kind {
                Kind::File => {
                    let contents = Contents { tar: &mut tar };
                    arrivals.file(session, &meter, &name, &member, contents, progress)?;
                }
                Kind::Symlink => {
                    let target = beside(&name, &member.link);
                    arrivals.links.insert(name, target);
                }
                _ => {}
            }
        }
        tar.finish()?;
        Ok(arrivals)
    }

    /// A small file.
    pub fn file_named(&self, name: &str) -> Option<&[u8]> {
        self.files.get(self.follow(name)).map(Vec::as_slice)
    }

    /// A layer by its name.
    pub fn layer_named(&mut self, name: &str) -> Option<&mut Arrived> {
        let name = self.follow(name).to_owned();
        self.layers.get_mut(&name)
    }

    /// A small file by digest, checked.
    pub fn blob(&self, digest: Digest) -> Option<Result<&[u8], LoadError>> {
        let bytes = self.file_named(&format!("{BLOBS}{}", digest.hex()))?;
        Some(match Digest::of(bytes) {
            found if found == digest => Ok(bytes),
            found => Err(LoadError::Digest {
                expected: digest,
                found,
            }),
        })
    }

    /// A layer by the digest of its blob.
    pub fn layer_blob(&mut self, digest: Digest) -> Option<&mut Arrived> {
        self.layer_named(&format!("{BLOBS}{}", digest.hex()))
    }

    fn follow<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name.strip_prefix("./").unwrap_or(name);
        for _ in 0..LINKS_MAX {
            match self.links.get(name) {
                Some(target) => name = target,
                None => break,
            }
        }
        name
    }

    fn file(
        &mut self,
        session: &mut Session<'_>,
        meter: &Rc<Meter>,
        name: &str,
        member: &Member,
        contents: impl Read,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), LoadError> {
        let (start, contents) = peek(contents, PEEK_BYTES).map_err(broken)?;
        if looks_like_json(&start) {
            return self.json(session, name, member, contents);
        }
        let compression = Compression::sniff(&start);
        let tar = is_header(&start) || start.iter().all(|b| *b == 0) && !start.is_empty();
        if compression == Compression::Plain && !tar {
            return self.neither(name, contents);
        }
        let contents = Reporting {
            input: contents,
            progress,
            now: Progress {
                layer: name.to_owned(),
                received_bytes: 0,
                total_bytes: member.size,
            },
            told: 0,
        };
        let arrived = layer(session, meter, name, compression, contents)?;
        self.layers.insert(name.to_owned(), arrived);
        Ok(())
    }

    /// Something else. An image that calls it a layer learns what is wrong with it.
    fn neither(&mut self, name: &str, contents: impl Read) -> Result<(), LoadError> {
        let (digest, _) = Hashing::new(contents).finish().map_err(broken)?;
        let layer = Err(UnpackError::Tar(TarError::Checksum));
        self.layers
            .insert(name.to_owned(), Arrived { digest, layer });
        Ok(())
    }

    fn json(
        &mut self,
        session: &Session<'_>,
        name: &str,
        member: &Member,
        mut contents: impl Read,
    ) -> Result<(), LoadError> {
        let limits = session.store.limits();
        // Bills of materials may be long; manifests and configs may not, and are missed later.
        if member.size > limits.json_bytes_max {
            return Ok(());
        }
        self.file_bytes += member.size;
        if self.file_bytes > limits.json_bytes_total_max {
            return Err(LoadError::TooMuchJson(limits.json_bytes_total_max));
        }
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes).map_err(broken)?;
        self.files.insert(name.to_owned(), bytes);
        Ok(())
    }
}

/// Unpacks a member, unless the store has the layer already. An error in the member itself is kept
/// for the image that wants it; one in the archive or on the disk ends the load.
fn layer(
    session: &mut Session<'_>,
    meter: &Rc<Meter>,
    name: &str,
    compression: Compression,
    contents: impl Read,
) -> Result<Arrived, LoadError> {
    let mut hashing = Hashing::new(contents);
    let claimed = name.strip_prefix(BLOBS).and_then(Digest::from_hex);
    let known = claimed.and_then(|digest| Some((digest, session.pin(digest)?)));
    if let Some((expected, known)) = known {
        let (found, _) = hashing.finish().map_err(broken)?;
        if found != expected {
            return Err(LoadError::Digest { expected, found });
        }
        return Ok(Arrived {
            digest: found,
            layer: Ok(known),
        });
    }
    let limits = session.store.limits().clone();
    let dir = session.staging.fresh();
    let plain = compression.decoder(&mut hashing);
    let plain = Guarded::new(plain, Stream::Layer, meter.clone(), &limits);
    let unpacked = unpack(plain, &dir, &limits);
    let layer = match unpacked {
        Ok(unpacked) => Ok(unpacked),
        Err(source) => {
            session.store.discard(&dir);
            if source.is_disk_full() {
                let layer = name.to_owned();
                return Err(LoadError::Layer { layer, source });
            }
            Err(source)
        }
    };
    let (digest, _) = hashing.finish().map_err(broken)?;
    if let Ok(unpacked) = &layer {
        session.staging.keep(dir, *unpacked, digest)?;
    }
    let layer = layer.map(|unpacked| unpacked.diff_id);
    Ok(Arrived { digest, layer })
}

fn looks_like_json(start: &[u8]) -> bool {
    let first = start.iter().find(|b| !b.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'[')) && !is_header(start)
}

/// A member's name without what means nothing.
fn name(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let names = text.split('/').filter(|n| !n.is_empty() && *n != ".");
    names.collect::<Vec<_>>().join("/")
}

/// Where a link in the archive leads, by its text alone.
fn beside(name: &str, target: &[u8]) -> String {
    let target = String::from_utf8_lossy(target);
    let mut names: Vec<&str> = name.split('/').collect();
    names.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(names.pop()),
            part => names.push(part),
        }
    }
    names.join("/")
}

/// An error of the archive itself that passed through a reader.
fn broken(error: io::Error) -> LoadError {
    match error.downcast::<TarError>() {
        Ok(error) => LoadError::Archive(error),
        Err(error) => LoadError::Archive(TarError::Read(error)),
    }
}

/// The contents of the present member.
struct Contents<'a, R, F> {
    tar: &'a mut Tarball<R, F>,
}

impl<R: Read, F: Framing> Read for Contents<'_, R, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tar.read_contents(buf).map_err(|error| match error {
            TarError::Read(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }
}

/// Tells from time to time how much was read through it.
struct Reporting<'a, R> {
    input: R,
    progress: &'a mut dyn FnMut(Progress),
    now: Progress,
    told: u64,
}

impl<R: Read> Read for Reporting<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.now.received_bytes += n as u64;
        let whole = self.now.received_bytes == self.now.total_bytes && n > 0;
        if whole || self.now.received_bytes - self.told >= PROGRESS_BYTES {
            self.told = self.now.received_bytes;
            (self.progress)(self.now.clone());
        }
        Ok(n)
    }
}

impl<R, F> fmt::Debug for Contents<'_, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents({:?})", self.tar)
    }
}
