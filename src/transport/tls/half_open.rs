//! Callers that have not greeted yet: a bounded number. When there are too many, the source that
//! has the most of them loses its oldest, so that nobody can keep the others out.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use async_channel::{Receiver, Sender};
use futures_lite::future::pending;

/// Those who wait, by the order in which they came.
#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    next: u64,
    waiting: BTreeMap<u64, Sender<Infallible>>,
    sources: BTreeMap<IpAddr, BTreeSet<u64>>,
}

/// A caller's place among those who wait, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    source: IpAddr,
    lost: Receiver<Infallible>,
    half_open: Rc<RefCell<HalfOpen>>,
}

impl HalfOpen {
    /// Gives a caller a place, and makes room for it first if there are `max` already.
    pub fn admit(half_open: &Rc<RefCell<Self>>, from: IpAddr, max: usize) -> Place {
        let source = source(from);
        let (keep, lost) = async_channel::bounded(1);
        let mut all = half_open.borrow_mut();
        while all.waiting.len() >= max && all.shed() {}
        let number = all.next;
        all.next += 1;
        all.waiting.insert(number, keep);
        all.sources.entry(source).or_default().insert(number);
        Place {
            number,
            source,
            lost,
            half_open: half_open.clone(),
        }
    }

    /// Takes a place away; whether there was one.
    fn shed(&mut self) -> bool {
        let oldest = |numbers: &BTreeSet<u64>| numbers.first().copied();
        let greediest = self.sources.iter().max_by_key(|(_, numbers)| {
            // Of two that have as many, the one that came first.
            (numbers.len(), std::cmp::Reverse(oldest(numbers)))
        });
        let doomed = greediest.and_then(|(source, numbers)| Some((*source, oldest(numbers)?)));
        if let Some((source, number)) = doomed {
            self.remove(source, number);
        }
        doomed.is_some()
    }

    fn remove(&mut self, source: IpAddr, number: u64) {
        self.waiting.remove(&number);
        if let Some(numbers) = self.sources.get_mut(&source) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.sources.remove(&source);
            }
        }
    }
}

impl Place {
    /// Returns when the place is taken away.
    pub async fn lost(&self) {
        match self.lost.recv().await {
            Err(_) => {}
            Ok(_) => pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.half_open.borrow_mut().remove(self.source, self.number);
    }
}

/// Whom an address belongs to: one host of IPv4, or a network of IPv6, which hands its hosts as
/// many addresses as they like.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    const MAX: usize = 4;

    fn admit(half_open: &Rc<RefCell<HalfOpen>>, from: &str) -> Place {
        HalfOpen::admit(half_open, from.parse().unwrap(), MAX)
    }

    fn is_lost(place: &Place) -> bool {
        block_on(poll_once(place.lost())).is_some()
    }

    #[test]
    fn the_oldest_of_one_source_goes_first() {
        let half_open = Rc::default();
        let places: Vec<_> = (0..6).map(|_| admit(&half_open, "10.0.0.1")).collect();
        let lost: Vec<_> = places.iter().map(is_lost).collect();
        assert_eq!(lost, [true, true, false, false, false, false]);
    }

    #[test]
    fn a_flood_from_one_source_does_not_push_out_another() {
        let half_open = Rc::default();
        let quiet = admit(&half_open, "10.0.0.2");
        let flood: Vec<_> = (0..100).map(|_| admit(&half_open, "10.0.0.1")).collect();
        assert!(!is_lost(&quiet));
        let late = admit(&half_open, "10.0.0.3");
        assert!(!is_lost(&late));
        assert_eq!(
            flood.iter().filter(|place| !is_lost(place)).count(),
            MAX - 2
        );
    }

    #[test]
    fn the_hosts_of_an_ipv6_network_are_one_source() {
        let half_open = Rc::default();
        let quiet = admit(&half_open, "2001:db8:0:2::1");
        let flood = (0..9).map(|n| admit(&half_open, &format!("2001:db8:0:1::{n}")));
        let flood: Vec<_> = flood.collect();
        assert!(!is_lost(&quiet));
        assert_eq!(
            flood.iter().filter(|place| !is_lost(place)).count(),
            MAX - 1
        );
        assert_eq!(
            source("::ffff:10.0.0.1".parse().unwrap()).to_string(),
            "10.0.0.1"
        );
    }

    #[test]
    fn whoever_leaves_makes_room() {
        let half_open = Rc::default();
        let places: Vec<_> = (0..MAX).map(|_| admit(&half_open, "10.0.0.1")).collect();
        drop(places);
        assert!(half_open.borrow().sources.is_empty());
        let places: Vec<_> = (0..MAX).map(|_| admit(&half_open, "10.0.0.1")).collect();
        assert!(!places.iter().any(is_lost));
    }
}
