//! How this host gets an image that it lacks from another host of the swarm: from one where a
//! manager is. Nothing but the fleet's own connections is used, so it works with no registry.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{or, pending};

use crate::host::clock::Stopwatch;
use crate::host::wait::{blocking, sleep};
use crate::image::digest::Digest;
use crate::image::offer::{LayerAsk, Offer, TakeError};
use crate::image::reference::Reference;
use crate::image::registry::failure::{RegistryError, printable};
use crate::image::registry::pace::Cancel;
use crate::image::store::ImageStore;
use crate::transport::end::{End, ReceiveError, SendError};
use crate::transport::tls::credentials::Keyring;
use crate::transport::tls::dial::{Caller, DialError};
use crate::wire::greeting::Purpose;
use crate::wire::image::{FromHolder, ToHolder};

/// How long a holder may be silent.
const SAID_WITHIN: Duration = Duration::from_secs(30);
/// How long one that sent what it had not offered is left alone.
const DISTRUST: Duration = Duration::from_secs(3600);

/// The hosts that may have images.
#[derive(Debug)]
pub struct Holders {
    images: Arc<ImageStore>,
    keyring: Keyring,
    managers: RefCell<Vec<SocketAddr>>,
    distrusted: RefCell<BTreeMap<SocketAddr, Stopwatch>>,
}

/// Why a holder has not said what was waited for.
#[derive(Debug, thiserror::Error)]
enum Unsaid {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("it hung up")]
    HungUp,
    #[error("it was silent for {} s", SAID_WITHIN.as_secs())]
    Silent,
    #[error("{0}")]
    Failed(String),
    #[error("it said something else")]
    Other,
}

/// A holder that is asked for an image, over one connection after the other.
struct Holder<'a> {
    holders: &'a Holders,
    address: SocketAddr,
    name: &'a str,
    end: Option<End<ToHolder, FromHolder>>,
}

/// Brings the image that a task names, if this host can ask others and one has it; its id.
pub async fn bring(
    holders: &Option<Rc<Holders>>,
    name: &str,
    reference: &Reference,
) -> Result<Option<Digest>, TakeError> {
    match holders {
        Some(holders) => holders.bring(name, reference).await,
        None => Ok(None),
    }
}

impl Holders {
    pub fn new(images: Arc<ImageStore>, keyring: Keyring, managers: Vec<SocketAddr>) -> Self {
        Self {
            images,
            keyring,
            managers: RefCell::new(managers),
            distrusted: RefCell::default(),
        }
    }

    /// Knows these hosts from now on.
    pub fn learn(&self, managers: Vec<SocketAddr>) {
        self.managers.replace(managers);
    }

    /// Brings the image that a task names, if one of the hosts has it; its id.
    async fn bring(&self, name: &str, reference: &Reference) -> Result<Option<Digest>, TakeError> {
        let mut failure = None;
        for address in self.trusted() {
            let mut holder = Holder {
                holders: self,
                address,
                name,
                end: None,
            };
            let offer = match holder.find().await {
                Ok(Some(offer)) => offer,
                Ok(None) => continue,
                Err(error) => {
                    tracing::info!("{address} was asked for image {name} in vain: {error}");
                    continue;
                }
            };
            match holder.take(reference.clone(), offer).await {
                Ok(id) => {
                    tracing::info!("image {name} came from {address}");
                    return Ok(Some(id));
                }
                Err(error) => {
                    tracing::warn!("image {name}: {error}");
                    if error.is_deceit() {
                        let mut distrusted = self.distrusted.borrow_mut();
                        distrusted.insert(address, Stopwatch::start());
                    }
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(None), Err)
    }

    fn trusted(&self) -> Vec<SocketAddr> {
        let mut distrusted = self.distrusted.borrow_mut();
        distrusted.retain(|_, since| since.elapsed() < DISTRUST);
        let managers = self.managers.borrow();
        let trusted = managers.iter().filter(|at| !distrusted.contains_key(*at));
        trusted.copied().collect()
    }
}

impl Holder<'_> {
    /// Asks on a new connection whether it has the image.
    async fn find(&mut self) -> Result<Option<Offer>, Unsaid> {
        let caller = Caller::member(&self.holders.keyring);
        let connection = caller.dial(self.address, Purpose::Image).await?;
        let end = End::over(connection);
        let name = self.name.to_owned();
        end.send(&ToHolder::Find { name }).await?;
        let found = match said(&end).await? {
            FromHolder::Unknown => None,
            FromHolder::Found(found) => Some(Offer {
                holder: self.address.to_string(),
                config: found.config.0,
                layers: found.layers,
            }),
            _ => return Err(Unsaid::Other),
        };
        self.end = Some(end);
        Ok(found)
    }

    /// Takes what was found. Dropped, it ends soon after.
    async fn take(&mut self, reference: Reference, offer: Offer) -> Result<Digest, TakeError> {
        let (asks_out, asks) = async_channel::bounded(1);
        let images = self.holders.images.clone();
        let (_wanted, cancel) = Cancel::new();
        let taking = blocking(move || images.take(&reference, offer, &asks_out, &cancel));
        let feeding = async {
            while let Ok(ask) = asks.recv().await {
                self.feed(&ask).await;
            }
            pending().await
        };
        or(taking, feeding).await
    }

    /// Brings a layer, or says why it does not come to its end.
    async fn feed(&mut self, ask: &LayerAsk) {
        if let Err(unsaid) = self.pieces(ask).await {
            self.end = None;
            let cut = RegistryError::Unreachable {
                host: self.address.to_string(),
                reason: printable(&unsaid.to_string()),
            };
            // Whoever asked may have given up.
            let _ = ask.pieces.send(Err(cut)).await;
        }
    }

    async fn pieces(&mut self, ask: &LayerAsk) -> Result<(), Unsaid> {
        if self.end.is_none() && self.find().await?.is_none() {
            return Err(Unsaid::Failed("it does not have it any more".to_owned()));
        }
        let end = self.end.as_ref().ok_or(Unsaid::HungUp)?;
        let send = ToHolder::Send {
            layer: ask.layer.into(),
            from: ask.from,
        };
        end.send(&send).await?;
        loop {
            match said(end).await? {
                FromHolder::Wait => {}
                FromHolder::Piece(piece) => {
                    if ask.pieces.send(Ok(piece.0)).await.is_err() {
                        // The rest of it is on its way and nobody wants it.
                        return Err(Unsaid::HungUp);
                    }
                }
                FromHolder::End => return Ok(()),
                FromHolder::Failed { reason } => return Err(Unsaid::Failed(reason)),
                FromHolder::Unknown | FromHolder::Found(_) => return Err(Unsaid::Other),
            }
        }
    }
}

async fn said(end: &End<ToHolder, FromHolder>) -> Result<FromHolder, Unsaid> {
    let silent = async {
        sleep(SAID_WITHIN).await;
        Err(Unsaid::Silent)
    };
    let said = async { end.receive().await?.ok_or(Unsaid::HungUp) };
    or(said, silent).await
}

#[cfg(test)]
mod tests;
