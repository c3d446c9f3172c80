//! An image on its way from one host of the swarm to another: what the one offers of it, and how
//! the other takes that in. Layers travel as the tars that their diff ids were taken of, from any
//! byte on, so that a cut costs only what was in flight.

use std::fmt;
use std::io::{self, Cursor, Read, Write};

use async_channel::{Receiver, Sender};

use crate::image::commit::{NewImage, Session};
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::frames::replay;
use crate::image::platform::Platform;
use crate::image::pull::PullError;
use crate::image::reference::Reference;
use crate::image::registry::failure::RegistryError;
use crate::image::registry::pace::{Cancel, Pace};
use crate::image::save::SaveError;
use crate::image::store::{ImageStore, ResolveError};
use crate::image::unpack::unpack;

/// Pieces of a layer that wait to be unpacked.
const PIECES_QUEUED: usize = 4;

/// An image that a host has.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who has it, for users.
    pub holder: String,
    pub config: Vec<u8>,
    /// How long the tar of each layer is, lowest first.
    pub layers: Vec<u64>,
}

/// Asks the holder of an image for a layer, from a byte on.
#[derive(Debug)]
pub struct LayerAsk {
    pub layer: Digest,
    pub from: u64,
    /// Where its pieces go, or why there are no more.
    pub pieces: Sender<Result<Vec<u8>, RegistryError>>,
}

/// Why an image that another host has is not here.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    #[error("{holder} has it for {platform} only")]
    Platform { holder: String, platform: Platform },
    #[error("{}", taking(holder, source))]
    Taking {
        holder: String,
        source: Box<PullError>,
    },
}

impl TakeError {
    /// Whether what came was not what was offered.
    pub fn is_deceit(&self) -> bool {
        match self {
            Self::Platform { .. } => false,
            Self::Taking { source, .. } => match &**source {
                PullError::Registry(error) => matches!(error, RegistryError::Nonsense { .. }),
                PullError::Disk(_) => false,
                PullError::Layer { source, .. } => !source.is_disk_full(),
                _ => true,
            },
        }
    }

    /// Whether it may succeed later, though nothing changes in what was asked for.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Platform { .. } => false,
            Self::Taking { source, .. } => source.is_passing(),
        }
    }
}

impl ImageStore {
    /// What this host has under a name.
    pub fn offer(&self, name: &str) -> Result<(Offer, Vec<Digest>), ResolveError> {
        let image = self.resolve(name)?;
        let config = self.config_bytes(image.id)?;
        let state = self.state();
        let ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let layers = ids.iter().map(|id| state.index.layers.get(id));
        let offer = Offer {
            holder: String::new(),
            config,
            layers: layers
                .map(|layer| layer.map_or(0, |l| l.tar_bytes))
                .collect(),
        };
        Ok((offer, ids))
    }

    /// Writes the tar of a layer, from a byte on.
    pub fn send_layer(
        &self,
        layer: Digest,
        from: u64,
        out: &mut dyn Write,
    ) -> Result<(), SaveError> {
        let mut session = Session::begin(self)?;
        session.pin(layer).ok_or(SaveError::Changed(layer))?;
        let mut out = Skipping { left: from, out };
        replay(&self.layer_path(layer), &mut out)
            .map_err(|source| SaveError::Layer { layer, source })
    }

    /// Takes in an image that another host has, for a task that names it so. Its layers are asked
    /// for one after the other, but for those that are here.
    pub fn take(
        &self,
        reference: &Reference,
        offer: Offer,
        asks: &Sender<LayerAsk>,
        cancel: &Cancel,
    ) -> Result<Digest, TakeError> {
        let holder = offer.holder.clone();
        let taken = match self.other_platform(reference, &offer) {
            Ok(None) => self.take_layers(reference, offer, asks, cancel),
            Ok(Some(platform)) => return Err(TakeError::Platform { holder, platform }),
            Err(error) => Err(error),
        };
        taken.map_err(|source| TakeError::Taking {
            holder,
            source: Box::new(source),
        })
    }

    /// What an offer is for, if this host should rather not run it. Of an image from a registry
    /// there may be a better build there.
    fn other_platform(
        &self,
        reference: &Reference,
        offer: &Offer,
    ) -> Result<Option<Platform>, PullError> {
        let (config, _) = ImageConfig::decode(&offer.config, self.limits().layers_max)?;
        let platform = config.platform();
        let is_chosen = reference.digest.is_some() && !is_id(reference, Digest::of(&offer.config));
        let suits = match self.platform().rank(&platform) {
            Some(rank) => rank == 0 || !is_chosen,
            None => false,
        };
        Ok((!suits).then_some(platform))
    }

    fn take_layers(
        &self,
        reference: &Reference,
        offer: Offer,
        asks: &Sender<LayerAsk>,
        cancel: &Cancel,
    ) -> Result<Digest, PullError> {
        let (_, diff_ids) = ImageConfig::decode(&offer.config, self.limits().layers_max)?;
        if offer.layers.len() != diff_ids.len() {
            let (layers, diff_ids) = (offer.layers.len(), diff_ids.len());
            return Err(PullError::LayerCount { layers, diff_ids });
        }
        let mut session = Session::begin(self)?;
        for (diff_id, bytes) in diff_ids.iter().zip(offer.layers) {
            let (layer, max) = (*diff_id, self.limits().layer_bytes_max);
            if bytes > max {
                let what = "a layer";
                return Err(PullError::TooLarge { what, bytes, max });
            }
            let is_here = session.staging.layers().contains_key(&layer);
            if is_here || session.pin(layer).is_some() {
                continue;
            }
            let stream = LayerStream::new(&offer.holder, layer, bytes, asks, cancel);
            self.take_layer(&mut session, stream)?;
        }
        let id = Digest::of(&offer.config);
        let image = NewImage {
            config: offer.config,
            layers: diff_ids,
            names: self.names_for(reference, id),
        };
        session.commit(vec![image], None)?;
        Ok(id)
    }

    fn take_layer(
        &self,
        session: &mut Session<'_>,
        mut stream: LayerStream<'_>,
    ) -> Result<(), PullError> {
        let (layer, dir) = (stream.layer, session.staging.fresh());
        let unpacked = unpack(&mut stream, &dir, self.limits());
        if let Some(failure) = stream.failure.take() {
            return Err(failure.into());
        }
        let unpacked = unpacked.map_err(|source| PullError::Layer { layer, source })?;
        if unpacked.diff_id != layer {
            let (expected, found) = (layer, unpacked.diff_id);
            return Err(PullError::Digest { expected, found });
        }
        Ok(session.staging.keep(dir, unpacked, layer)?)
    }

    /// The names that an image gets here. One that is named by its id gets the tag beside it, if no
    /// other image has that here.
    fn names_for(&self, reference: &Reference, id: Digest) -> Vec<Reference> {
        if reference.digest.is_some() && !is_id(reference, id) {
            let pinned = Reference {
                tag: None,
                ..reference.clone()
            };
            return vec![pinned];
        }
        let tagged = Reference {
            digest: None,
            ..reference.clone()
        };
        let state = self.state();
        let taken = state.index.references.contains_key(&tagged.to_string());
        match tagged.tag.is_some() && !taken {
            true => vec![tagged],
            false => Vec::new(),
        }
    }
}

/// What went wrong, and with whom.
fn taking(holder: &str, source: &PullError) -> String {
    match source {
        PullError::Registry(error) => error.to_string(),
        other => format!("from {holder}: {other}"),
    }
}

/// Whether a reference names an image by its id.
fn is_id(reference: &Reference, id: Digest) -> bool {
    reference.digest.as_ref().and_then(|d| d.parse().ok()) == Some(id)
}

/// Passes on what comes after so many bytes.
struct Skipping<'a> {
    left: u64,
    out: &'a mut dyn Write,
}

impl Write for Skipping<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = usize::try_from(self.left).unwrap_or(usize::MAX);
        let skipped = skipped.min(bytes.len());
        self.left -= skipped as u64;
        if skipped < bytes.len() {
            self.out.write_all(&bytes[skipped..])?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a layer of a known length; after a cut it goes on where it was.
struct LayerStream<'a> {
    holder: &'a str,
    layer: Digest,
    bytes: u64,
    received: u64,
    asks: &'a Sender<LayerAsk>,
    pieces: Option<Receiver<Result<Vec<u8>, RegistryError>>>,
    piece: Cursor<Vec<u8>>,
    pace: Pace,
    cancel: &'a Cancel,
    failure: Option<RegistryError>,
}

impl<'a> LayerStream<'a> {
    fn new(
        holder: &'a str,
        layer: Digest,
        bytes: u64,
        asks: &'a Sender<LayerAsk>,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            holder,
            layer,
            bytes,
            received: 0,
            asks,
            pieces: None,
            piece: Cursor::default(),
            pace: Pace::new(cancel.clone()),
            cancel,
            failure: None,
        }
    }

    fn try_read(&mut self, into: &mut [u8]) -> Result<usize, RegistryError> {
        loop {
            self.cancel.check()?;
            // Memory does not fail.
            let n = self.piece.read(into).unwrap_or(0);
            if n > 0 || self.received == self.bytes {
                return Ok(n);
            }
            match self.next_piece() {
                Ok(piece) => {
                    self.pace.reset();
                    self.received += piece.len() as u64;
                    self.piece = Cursor::new(piece);
                }
                Err(error) => self.pace.wait(error)?,
            }
        }
    }

    fn next_piece(&mut self) -> Result<Vec<u8>, RegistryError> {
        let pieces = match self.pieces.take() {
            Some(pieces) => pieces,
            None => {
                let (out, pieces) = async_channel::bounded(PIECES_QUEUED);
                let ask = LayerAsk {
                    layer: self.layer,
                    from: self.received,
                    pieces: out,
                };
                let asked = self.asks.send_blocking(ask);
                asked.map_err(|_| RegistryError::Cancelled)?;
                pieces
            }
        };
        let piece = pieces.recv_blocking();
        let piece = piece.map_err(|_| RegistryError::Cancelled)??;
        let left = self.bytes - self.received;
        if piece.is_empty() || piece.len() as u64 > left {
            let what = format!("{} bytes where {left} of a layer were left", piece.len());
            let host = self.holder.to_owned();
            return Err(RegistryError::Nonsense { host, what });
        }
        self.pieces = Some(pieces);
        Ok(piece)
    }
}

impl Read for LayerStream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        self.try_read(into).map_err(|error| {
            self.failure = Some(error.clone());
            io::Error::other(error)
        })
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offer of {} with layers {:?}", self.holder, self.layers)
    }
}

#[cfg(test)]
mod tests;
