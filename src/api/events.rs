//! What happened lately, and who waits for more. Memory is bounded: a listener that falls behind
//! misses what has left the ring.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use async_channel::{Receiver, Sender, TrySendError};

use crate::api::types::Labels;
use crate::api::types::event::{Actor, Event};
use crate::api::types::timestamp::nanoseconds;
use crate::model::time::Time;
use crate::runtime::plan::Plan;
use crate::wire::control::ObjectEvent;

/// As many as Docker keeps.
const EVENTS_MAX: usize = 256;

/// The recent events of the host and of its swarm.
#[derive(Debug, Default)]
pub struct Events {
    ring: RefCell<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the oldest event that is kept.
    first: u64,
    kept: VecDeque<Rc<Event>>,
    listeners: Vec<Sender<()>>,
}

/// Reads events one after another.
#[derive(Debug)]
pub struct Listener {
    events: Rc<Events>,
    next: u64,
    woken: Receiver<()>,
}

impl Events {
    /// Something happened to an object of the swarm.
    pub fn publish_object(&self, event: ObjectEvent) {
        let mut attributes = event.attributes;
        if !event.name.is_empty() {
            attributes.insert("name".into(), event.name);
        }
        let (kind, action) = (event.kind.name(), event.action.name());
        self.publish("swarm", event.at, kind, action, (event.id, attributes));
    }

    /// Something happened on this host: to a container, an image, a volume.
    pub fn publish_local(&self, at: Time, kind: &str, action: &str, actor: (String, Labels)) {
        self.publish("local", at, kind, action, actor);
    }

    /// Something happened to a container of this host.
    pub fn publish_container(&self, at: Time, action: &str, plan: &Plan, more: &[(&str, String)]) {
        let named = [("image", &plan.origin.image), ("name", &plan.origin.name)];
        let mut attributes = plan.labels.clone();
        attributes.extend(named.map(|(key, value)| (key.to_owned(), value.clone())));
        let more = more.iter();
        attributes.extend(more.map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.publish_local(at, "container", action, (plan.id.clone(), attributes));
    }

    /// Reads from the oldest event that is kept.
    pub fn listen(self: &Rc<Self>) -> Listener {
        let (waker, woken) = async_channel::bounded(1);
        let mut ring = self.ring.borrow_mut();
        ring.listeners.push(waker);
        Listener {
            events: self.clone(),
            next: ring.first,
            woken,
        }
    }

    /// How many events there have been.
    pub fn count(&self) -> u64 {
        let ring = self.ring.borrow();
        ring.first + ring.kept.len() as u64
    }

    /// How many listeners there are.
    pub fn listeners(&self) -> usize {
        let ring = self.ring.borrow();
        ring.listeners
            .iter()
            .filter(|listener| !listener.is_closed())
            .count()
    }

    fn publish(&self, scope: &str, at: Time, kind: &str, action: &str, actor: (String, Labels)) {
        let (id, attributes) = actor;
        // Docker keeps these older fields for containers and images only.
        let (old_status, old_id) = match kind {
            "container" | "image" => (action, id.as_str()),
            _ => ("", ""),
        };
        let event = Event {
            status: old_status.into(),
            id: old_id.into(),
            from: attributes.get("image").cloned().unwrap_or_default(),
            kind: kind.into(),
            action: action.into(),
            actor: Actor { id, attributes },
            scope: scope.into(),
            time: nanoseconds(at) / 1_000_000_000,
            time_nano: nanoseconds(at),
        };
        let mut ring = self.ring.borrow_mut();
        if ring.kept.len() == EVENTS_MAX {
            ring.kept.pop_front();
            ring.first += 1;
        }
        ring.kept.push_back(Rc::new(event));
        ring.listeners
            .retain(|listener| !matches!(listener.try_send(()), Err(TrySendError::Closed(()))));
    }
}

impl Listener {
    /// The next event; waits for one.
    pub async fn next(&mut self) -> Rc<Event> {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            // The sender is in the ring, which this listener holds: it is never closed.
            let _ = self.woken.recv().await;
        }
    }

    /// The next event that has happened already.
    pub fn take(&mut self) -> Option<Rc<Event>> {
        let ring = self.events.ring.borrow();
        self.next = self.next.max(ring.first);
        let event = ring
            .kept
            .get(usize::try_from(self.next - ring.first).ok()?)?;
        self.next += 1;
        Some(event.clone())
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future;

    use super::*;

    fn publish(events: &Events, id: u64) {
        let actor = (id.to_string(), Labels::new());
        events.publish_local(Time(id), "container", "start", actor);
    }

    #[test]
    fn a_listener_reads_what_was_and_what_comes() {
        let events = Rc::new(Events::default());
        publish(&events, 1);
        let mut listener = events.listen();
        publish(&events, 2);
        assert_eq!(future::block_on(listener.next()).actor.id, "1");
        assert_eq!(future::block_on(listener.next()).actor.id, "2");
        assert!(listener.take().is_none());
        let late = future::block_on(future::zip(listener.next(), async { publish(&events, 3) }));
        assert_eq!(late.0.actor.id, "3");
    }

    #[test]
    fn what_happens_to_containers_carries_their_labels_and_names() {
        let events = Rc::new(Events::default());
        let mut plan = Plan {
            id: "c0".repeat(32),
            ..Plan::default()
        };
        plan.labels.insert("a".into(), "b".into());
        plan.origin.name = "web.1".into();
        plan.origin.image = "hello".into();
        let more = [("exitCode", "3".to_owned())];
        events.publish_container(Time(1), "die", &plan, &more);
        let event = events.listen().take().unwrap();
        let attribute = |key: &str| event.actor.attributes[key].as_str();
        assert_eq!(
            (event.status.as_str(), event.from.as_str()),
            ("die", "hello")
        );
        assert_eq!(
            [attribute("a"), attribute("name"), attribute("exitCode")],
            ["b", "web.1", "3"]
        );
    }

    #[test]
    fn memory_is_bounded_and_who_falls_behind_goes_on_with_the_oldest() {
        let events = Rc::new(Events::default());
        let mut listener = events.listen();
        for id in 0..1000 {
            publish(&events, id);
        }
        assert_eq!(
            listener.take().unwrap().actor.id,
            (1000 - EVENTS_MAX).to_string()
        );
        assert_eq!(events.ring.borrow().kept.len(), EVENTS_MAX);
        drop(listener);
        publish(&events, 1000);
        assert_eq!(events.listeners(), 0);
        assert!(events.ring.borrow().listeners.is_empty());
    }
}
