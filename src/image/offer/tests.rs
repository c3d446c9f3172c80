use std::sync::{Arc, Mutex};

use super::*;
use crate::host::wait;
use crate::image::registry::tests::shelf::noise;
use crate::image::tests::kit::{self, EMPTY, Scratch, docker_archive, in_words, listing, load};

/// A host with an image, and one without.
struct Pair {
    _dirs: [Scratch; 2],
    holder: Arc<ImageStore>,
    taker: ImageStore,
}

impl Pair {
    fn new(archive: &[u8]) -> Self {
        let dirs = [Scratch::new(), Scratch::new()];
        let holder = kit::open(&dirs[0]);
        load(&holder, archive).unwrap();
        Self {
            holder: Arc::new(holder),
            taker: kit::open(&dirs[1]),
            _dirs: dirs,
        }
    }

    fn offer(&self, name: &str) -> Offer {
        let (mut offer, _) = self.holder.offer(name).unwrap();
        "holder".clone_into(&mut offer.holder);
        offer
    }

    /// Takes an image; its layers come in such pieces. Which layers were asked for, and from where.
    fn take(
        &self,
        name: &str,
        offer: Offer,
        pieces: impl Fn(&LayerAsk, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
    ) -> (Result<Digest, TakeError>, Vec<(Digest, u64)>) {
        let (asks_out, asks) = async_channel::bounded::<LayerAsk>(1);
        let log = Arc::new(Mutex::new(Vec::new()));
        let (holder, asked) = (self.holder.clone(), log.clone());
        let serving = wait::start(move || {
            while let Ok(ask) = asks.recv_blocking() {
                asked.lock().unwrap().push((ask.layer, ask.from));
                let mut tar = Vec::new();
                holder.send_layer(ask.layer, ask.from, &mut tar).unwrap();
                for piece in pieces(&ask, tar) {
                    let _ = ask.pieces.send_blocking(Ok(piece));
                }
                let host = "holder".to_owned();
                let reason = "it hung up".to_owned();
                let cut = RegistryError::Unreachable { host, reason };
                let _ = ask.pieces.send_blocking(Err(cut));
            }
        });
        let (_wanted, cancel) = Cancel::new();
        let reference = Reference::parse(name).unwrap();
        let taken = self.taker.take(&reference, offer, &asks_out, &cancel);
        drop(asks_out);
        serving.join();
        let asked = log.lock().unwrap().clone();
        (taken, asked)
    }
}

fn whole(_: &LayerAsk, tar: Vec<u8>) -> Vec<Vec<u8>> {
    tar.chunks(5000).map(<[u8]>::to_vec).collect()
}

#[test]
fn an_image_goes_from_host_to_host_and_only_what_is_missing_is_sent() {
    if !kit::is_root() {
        return;
    }
    let (base, top) = (in_words("dir a; file a/b; link c a/b"), in_words("file d"));
    let pair = Pair::new(&docker_archive(&["app:1"], &[&base, &top]));
    let offer = pair.offer("app:1");
    let id = Digest::of(&offer.config);
    let (taken, asked) = pair.take(&format!("app:1@{id}"), offer.clone(), whole);
    assert_eq!(taken.unwrap(), id);
    assert_eq!(
        asked,
        [(Digest::of(&base), 0), (Digest::of(&top), 0)],
        "lowest first"
    );
    let image = pair.taker.resolve(&format!("app:1@{id}")).unwrap();
    assert_eq!(image, {
        let mut same = pair.holder.resolve("app:1").unwrap();
        let layers = image.layers.iter().map(|l| l.dir.clone());
        same.layers
            .iter_mut()
            .zip(layers)
            .for_each(|(l, dir)| l.dir = dir);
        same
    });
    assert_eq!(
        std::fs::read(image.layers[1].dir.join("d")).unwrap(),
        b"d",
        "its contents came too"
    );
    let (again, asked) = pair.take("app:1", offer, whole);
    assert_eq!((again.unwrap(), asked), (id, Vec::new()));
}

#[test]
fn a_cut_costs_only_what_was_in_flight() {
    if !kit::is_root() {
        return;
    }
    let layer = noise("data", 200_000);
    let pair = Pair::new(&docker_archive(&["app:1"], &[&layer]));
    let cut = |_: &LayerAsk, tar: Vec<u8>| whole_of(tar, 60_000);
    let (taken, asked) = pair.take("app:1", pair.offer("app:1"), cut);
    taken.unwrap();
    let starts: Vec<u64> = asked.iter().map(|(_, from)| *from).collect();
    assert_eq!(starts, [0, 60_000, 120_000, 180_000]);
}

/// The first bytes of a tar, as one piece.
fn whole_of(mut tar: Vec<u8>, bytes: usize) -> Vec<Vec<u8>> {
    tar.truncate(bytes);
    vec![tar]
}

#[track_caller]
fn check_refused(
    change: impl Fn(&mut Offer),
    pieces: impl Fn(&LayerAsk, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
    expect: &str,
    is_deceit: bool,
) {
    let layer = noise("data", 20_000);
    let pair = Pair::new(&docker_archive(&["app:1"], &[&layer]));
    let mut offer = pair.offer("app:1");
    change(&mut offer);
    let error = pair.take("app:1", offer, pieces).0.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(expect), "{text}");
    assert_eq!(error.is_deceit(), is_deceit, "{text}");
    assert_eq!(listing(pair.taker.dir()), EMPTY);
}

#[test]
fn what_is_not_the_image_is_refused_and_nothing_is_left() {
    if !kit::is_root() {
        return;
    }
    let wrong = |_: &LayerAsk, mut tar: Vec<u8>| {
        let middle = tar.len() / 2;
        tar[middle] ^= 1;
        vec![tar]
    };
    let expect = "from holder: digest does not match: sha256:";
    check_refused(|_| {}, wrong, expect, true);
    let longer = |_: &LayerAsk, mut tar: Vec<u8>| {
        tar.push(0);
        vec![tar]
    };
    let expect = "holder sent 22";
    check_refused(|_| {}, longer, expect, true);
    check_refused(
        |_| {},
        |_: &LayerAsk, _| vec![Vec::new()],
        "holder sent 0 bytes where",
        true,
    );
    check_refused(
        |offer| offer.layers.push(1),
        whole,
        "from holder: the manifest has 2 layers, the config 1",
        true,
    );
    check_refused(
        |offer| offer.layers[0] = 1 << 50,
        whole,
        "from holder: a layer of 1125899906842624 bytes is larger than",
        true,
    );
    check_refused(
        |offer| offer.config = b"{".to_vec(),
        whole,
        "from holder: ",
        true,
    );
}

#[test]
fn an_image_for_another_platform_is_left_where_it_is() {
    if !kit::is_root() {
        return;
    }
    let layer = in_words("file a");
    let pair = Pair::new(&docker_archive(&["app:1"], &[&layer]));
    let mut offer = pair.offer("app:1");
    let offer_for = |platform: &str, offer: &mut Offer| {
        offer.config = kit::config(&[&layer], platform);
    };
    offer_for("linux/arm64", &mut offer);
    let error = pair.take("app:1", offer.clone(), whole).0.unwrap_err();
    assert_eq!(error.to_string(), "holder has it for linux/arm64 only");
    // A second choice will do, unless a registry may have a better one.
    offer_for("linux/386", &mut offer);
    let manifest = format!("app@{}", Digest::of(b"manifest"));
    let error = pair.take(&manifest, offer.clone(), whole).0.unwrap_err();
    assert_eq!(error.to_string(), "holder has it for linux/386 only");
    let id = Digest::of(&offer.config);
    let pinned = format!("app:1@{id}");
    assert_eq!(pair.take(&pinned, offer, whole).0.unwrap(), id);
}

#[test]
fn names_are_those_that_tasks_ask_for() {
    if !kit::is_root() {
        return;
    }
    let layer = in_words("file a");
    let pair = Pair::new(&docker_archive(&["app:1"], &[&layer]));
    let offer = || pair.offer("app:1");
    let id = Digest::of(&offer().config);
    let manifest = Digest::of(b"manifest");
    let names = |name: &str| {
        pair.take(name, offer(), whole).0.unwrap();
        let image = pair.taker.resolve(name).unwrap();
        let names = image.tags.iter().chain(&image.digests);
        names.map(Reference::familiar).collect::<Vec<_>>()
    };
    assert_eq!(names(&format!("app@{id}")), [""; 0]);
    let pinned = format!("app@{manifest}");
    assert_eq!(names(&format!("app:1@{manifest}")).concat(), pinned);
    assert_eq!(names(&format!("app:1@{id}")), ["app:1".into(), pinned]);
}
