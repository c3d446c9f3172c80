//! `/events`: what happened, as lines of JSON.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::{future, stream};

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::endpoints::volumes::has_label;
use crate::api::events::Listener;
use crate::api::failure::Failure;
use crate::api::types::event::Event;
use crate::api::types::timestamp::nanoseconds;
use crate::host::clock;
use crate::host::wait::sleep;
use crate::model::time::Time;
use crate::wire::control::Filters;

/// Docker's filters that say something about skep's events.
const KEYS: [&str; 13] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// What of the events a client wants.
struct Wanted {
    since: Option<Time>,
    until: Option<Time>,
    filters: Filters,
}

pub async fn stream(call: Call) -> Result<Answer, Failure> {
    let filters = call.query.filters()?;
    if let Some(key) = filters.0.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(Failure::bad(format!("invalid filter '{key}'")));
    }
    let wanted = Wanted {
        since: call.query.time("since")?,
        until: call.query.time("until")?,
        filters,
    };
    let mut listener = call.context.events.listen();
    if wanted.since.is_none() {
        // Only what comes.
        while listener.take().is_some() {}
    }
    let lines = stream::unfold((listener, wanted), |(mut listener, wanted)| async {
        let event = next(&mut listener, &wanted).await?;
        Some((answer::line(&*event), (listener, wanted)))
    });
    Ok(answer::stream("application/json", lines))
}

/// The next event that is wanted; none when `until` is over.
async fn next(listener: &mut Listener, wanted: &Wanted) -> Option<Rc<Event>> {
    loop {
        let event = match (listener.take(), wanted.until) {
            (Some(event), _) => event,
            (None, None) => listener.next().await,
            (None, Some(until)) => {
                let left = until.since_ms(clock::now());
                let over = async {
                    sleep(Duration::from_millis(left)).await;
                    None
                };
                if left == 0 {
                    return None;
                }
                future::or(async { Some(listener.next().await) }, over).await?
            }
        };
        if wanted
            .until
            .is_some_and(|until| event.time_nano > nanoseconds(until))
        {
            return None;
        }
        if wanted.takes(&event) {
            return Some(event);
        }
    }
}

impl Wanted {
    fn takes(&self, event: &Event) -> bool {
        let late = self
            .since
            .is_none_or(|since| event.time_nano >= nanoseconds(since));
        late && self.filters.0.iter().all(|(key, values)| {
            values.iter().any(|value| fits(event, key, value)) || values.is_empty()
        })
    }
}

fn fits(event: &Event, key: &str, value: &str) -> bool {
    let attributes = &event.actor.attributes;
    match key {
        // Docker adds details after a colon: `exec_start: sh`.
        "event" => event.action.split(':').next() == Some(value) || event.action == value,
        "label" => has_label(attributes, value),
        "scope" => event.scope == value,
        "type" => event.kind == value,
        kind => {
            let named = attributes.get("name").is_some_and(|name| name == value);
            event.kind == kind && (named || event.actor.id.starts_with(value))
        }
    }
}
