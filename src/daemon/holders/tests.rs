//! A manager's host that has an image and a node that lacks it, with TLS between them.

use std::cell::Cell;
use std::rc::Rc;

use futures_lite::future::zip;

use super::*;
use crate::daemon::holding::Holding;
use crate::image::registry::tests::shelf::noise;
use crate::image::tests::kit::{self as images, Scratch, docker_archive, load};
use crate::transport::tls::credentials::Dates;
use crate::transport::tls::tests::kit::{Ca, MANAGER, NODE, Port, WORKER, keyring, run};
use crate::wire::image::{Bytes, Found};

const LAYER_BYTES: usize = 300_000;

struct Story {
    port: Port,
    holders: Holders,
    here: Arc<ImageStore>,
    there: Arc<ImageStore>,
    _dirs: [Scratch; 2],
}

impl Story {
    fn new(executor: &Rc<async_executor::LocalExecutor<'static>>) -> Self {
        let dirs = [Scratch::new(), Scratch::new()];
        let (here, there) = (images::open(&dirs[0]), images::open(&dirs[1]));
        let (here, there) = (Arc::new(here), Arc::new(there));
        let layer = noise("data", LAYER_BYTES);
        load(&there, &docker_archive(&["app:1"], &[&layer])).unwrap();
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let own = keyring(&ca.issue(WORKER), &Dates::new(true));
        let holders = Holders::new(here.clone(), own, vec![port.address]);
        Self {
            port,
            holders,
            here,
            there,
            _dirs: dirs,
        }
    }

    async fn bring(&self, name: &str) -> Result<Option<Digest>, String> {
        let reference = Reference::parse(name).unwrap().or_latest();
        let brought = self.holders.bring(name, &reference).await;
        brought.map_err(|error| error.to_string().replace(&self.address(), "HOST"))
    }

    fn address(&self) -> String {
        self.port.address.to_string()
    }

    /// The next caller, as a holder sees it that the test plays.
    async fn caller(&self) -> End<FromHolder, ToHolder> {
        End::over(self.port.next().await.accept().await.unwrap())
    }

    /// Plays the holder until it has been asked for the layer; from where.
    async fn until_asked(&self, caller: &End<FromHolder, ToHolder>) -> u64 {
        let Some(ToHolder::Find { .. }) = caller.receive().await.unwrap() else {
            panic!("it looks for the image first");
        };
        let (offer, _) = self.there.offer("app:1").unwrap();
        let found = Found {
            config: Bytes(offer.config),
            layers: offer.layers,
        };
        caller.send(&FromHolder::Found(found)).await.unwrap();
        match caller.receive().await.unwrap() {
            Some(ToHolder::Send { from, .. }) => from,
            other => panic!("{other:?}"),
        }
    }

    fn tar(&self) -> Vec<u8> {
        let (_, layers) = self.there.offer("app:1").unwrap();
        let mut tar = Vec::new();
        self.there.send_layer(layers[0], 0, &mut tar).unwrap();
        tar
    }
}

#[test]
fn a_node_gets_the_image_of_its_task_from_the_manager_and_no_other() {
    if !images::is_root() {
        return;
    }
    run(async |executor| {
        let story = Story::new(executor);
        let holding = Holding::new(story.there.clone());
        let asked = Cell::new(0);
        let may_have = async |node, name: &str| {
            asked.set(asked.get() + 1);
            assert_eq!(node, NODE);
            name == "app:1"
        };
        let told = async {
            assert_eq!(story.bring("app:2").await, Ok(None));
            let id = story.there.resolve("app:1").unwrap().id;
            let alias = format!("app@{id}");
            assert_eq!(story.bring(&alias).await, Ok(None), "not by another name");
            assert_eq!(story.bring("app:1").await, Ok(Some(id)));
            let image = story.here.resolve("app:1").unwrap();
            let bytes = std::fs::read(image.layers[0].dir.join("data")).unwrap();
            assert_eq!(bytes.len(), LAYER_BYTES);
            assert_eq!(asked.get(), 3);
        };
        let serve = async {
            loop {
                let incoming = story.port.next().await;
                holding.serve(incoming, may_have).await.unwrap();
            }
        };
        or(told, serve).await;
    });
}

#[test]
fn a_holder_that_hangs_up_is_called_again_and_goes_on_where_it_was() {
    if !images::is_root() {
        return;
    }
    run(async |executor| {
        let story = Story::new(executor);
        let tar = story.tar();
        let play = async {
            let caller = story.caller().await;
            assert_eq!(story.until_asked(&caller).await, 0);
            caller.send(&FromHolder::Wait).await.unwrap();
            let piece = FromHolder::Piece(Bytes(tar[..100_000].to_vec()));
            caller.send(&piece).await.unwrap();
            caller.finish().await;
            let caller = story.caller().await;
            assert_eq!(story.until_asked(&caller).await, 100_000);
            let reason = "the card cannot be read".to_owned();
            caller.send(&FromHolder::Failed { reason }).await.unwrap();
            let caller = story.caller().await;
            assert_eq!(story.until_asked(&caller).await, 100_000);
            let rest = FromHolder::Piece(Bytes(tar[100_000..].to_vec()));
            caller.send(&rest).await.unwrap();
            caller.send(&FromHolder::End).await.unwrap();
        };
        let (brought, ()) = zip(story.bring("app:1"), play).await;
        let id = story.there.resolve("app:1").unwrap().id;
        assert_eq!(brought, Ok(Some(id)));
    });
}

#[test]
fn a_holder_that_sends_other_bytes_is_not_asked_again_for_an_hour() {
    if !images::is_root() {
        return;
    }
    run(async |executor| {
        let story = Story::new(executor);
        let mut tar = story.tar();
        tar[150_000] ^= 1;
        let play = async {
            let caller = story.caller().await;
            story.until_asked(&caller).await;
            caller.send(&FromHolder::Piece(Bytes(tar))).await.unwrap();
            caller.send(&FromHolder::End).await.unwrap();
        };
        let (brought, ()) = zip(story.bring("app:1"), play).await;
        let error = brought.unwrap_err();
        assert!(
            error.starts_with("from HOST: digest does not match: sha256:"),
            "{error}"
        );
        assert_eq!(story.bring("app:1").await, Ok(None));
        assert!(story.port.is_idle(), "nobody has called since");
    });
}

#[test]
fn a_layer_is_sent_to_nobody_who_was_not_offered_it() {
    if !images::is_root() {
        return;
    }
    run(async |executor| {
        let story = Story::new(executor);
        let holding = Holding::new(story.there.clone());
        let layer = story.there.offer("app:1").unwrap().1[0];
        let call = async {
            let caller = Caller::member(&story.holders.keyring);
            let caller = caller.dial(story.port.address, Purpose::Image).await;
            let end = End::<ToHolder, FromHolder>::over(caller.unwrap());
            let (layer, from) = (layer.into(), 0);
            end.send(&ToHolder::Send { layer, from }).await.unwrap();
            assert_eq!(end.receive().await.unwrap(), None);
        };
        let serve = async {
            let incoming = story.port.next().await;
            let unserved = holding.serve(incoming, async |_, _| true).await;
            let error = unserved.unwrap_err().to_string();
            assert_eq!(
                error,
                "it asked for a layer of no image that it was told of"
            );
        };
        zip(call, serve).await;
    });
}
