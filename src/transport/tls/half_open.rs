//! Callers that have not greeted yet: a bounded number. When there are too many, the source that
//! has the most of them loses its oldest, so that nobody can keep the others out. But whoever has
//! begun to speak has a moment in which it is not given up for one of its kind: if all call at
//! once, as after a restart of their manager, each greeting that is under way comes to its end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use async_channel::{Receiver, Sender};
use futures_lite::future::pending;

use crate::model::time::Time;

/// How long a caller that speaks is not in the way of one of its kind.
const SPEAKS_MS: u64 = 1_000;

/// Those who wait, by the order in which they came.
#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    sources: BTreeMap<IpAddr, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Waiting {
    speaks_since: Option<Time>,
    /// Dropped to take the place away.
    _keep: Sender<Infallible>,
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
    /// Gives a caller a place, and makes room for it first if there are `max` already; `None` if
    /// there is none for it.
    pub fn admit(
        half_open: &Rc<RefCell<Self>>,
        from: IpAddr,
        now: Time,
        max: usize,
    ) -> Option<Place> {
        let source = source(from);
        let (keep, lost) = async_channel::bounded(1);
        let mut all = half_open.borrow_mut();
        while all.waiting.len() >= max {
            let doomed = all.in_the_way_of(source, now)?;
            all.remove(doomed.0, doomed.1);
        }
        let number = all.next;
        all.next += 1;
        let waiting = Waiting {
            speaks_since: None,
            _keep: keep,
        };
        all.waiting.insert(number, waiting);
        all.sources.entry(source).or_default().insert(number);
        Some(Place {
            number,
            source,
            lost,
            half_open: half_open.clone(),
        })
    }

    /// Whose place is for a newcomer from there.
    fn in_the_way_of(&self, newcomer: IpAddr, now: Time) -> Option<(IpAddr, u64)> {
        let own = self.sources.get(&newcomer).map_or(0, BTreeSet::len);
        let most = self.sources.values().map(BTreeSet::len).max()?;
        let speaks = |number: &u64| {
            let since = self.waiting.get(number).and_then(|one| one.speaks_since);
            since.is_some_and(|since| now.since_ms(since) < SPEAKS_MS)
        };
        let may_go = |number: &&u64| own + 1 < most || !speaks(number);
        let greediest = self.sources.iter().filter(|(_, own)| own.len() == most);
        let oldest = greediest
            .filter_map(|(source, numbers)| Some((*numbers.iter().find(may_go)?, *source)));
        // Of two that have as many, the one that came first.
        oldest.min().map(|(number, source)| (source, number))
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
    /// Notes that the caller has begun to speak.
    pub fn speaks(&self, now: Time) {
        let mut all = self.half_open.borrow_mut();
        if let Some(waiting) = all.waiting.get_mut(&self.number) {
            waiting.speaks_since = Some(now);
        }
    }

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
    const NOW: Time = Time(1_000_000);

    fn admit_at(half_open: &Rc<RefCell<HalfOpen>>, from: &str, ms: u64) -> Option<Place> {
        HalfOpen::admit(half_open, from.parse().unwrap(), NOW.plus_ms(ms), MAX)
    }

    fn admit(half_open: &Rc<RefCell<HalfOpen>>, from: &str) -> Place {
        admit_at(half_open, from, 0).unwrap()
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

    /// Ten thousand agents that call a manager after its restart are one kind; each pushed out one
    /// whose handshake was all but done, and for a minute hardly any came to its end.
    #[test]
    fn who_has_begun_to_speak_is_not_given_up_for_one_of_its_kind() {
        let half_open = Rc::default();
        let source = |n: usize| format!("10.0.0.{n}");
        let places: Vec<_> = (0..MAX).map(|n| admit(&half_open, &source(n))).collect();
        [0_usize, 1, 3].iter().for_each(|n| places[*n].speaks(NOW));
        let newcomer = admit(&half_open, "10.0.0.8");
        let lost: Vec<_> = places.iter().map(is_lost).collect();
        assert_eq!(lost, [false, false, true, false], "the one that is silent");
        newcomer.speaks(NOW);
        assert!(admit_at(&half_open, "10.0.0.9", SPEAKS_MS - 1).is_none());
        assert!(admit_at(&half_open, "10.0.0.9", SPEAKS_MS).is_some());
        assert!(is_lost(&places[0]), "it had its moment");
    }

    #[test]
    fn a_flood_from_one_source_does_not_push_out_another() {
        let half_open = Rc::default();
        let quiet = admit(&half_open, "10.0.0.2");
        let flood = (0..100).filter_map(|_| {
            let place = admit_at(&half_open, "10.0.0.1", 0)?;
            place.speaks(NOW);
            Some(place)
        });
        let flood: Vec<_> = flood.collect();
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
