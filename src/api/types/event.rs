//! Events.

use crate::api::types::Labels;

docker! {
    /// Docker's `Event`.
    pub struct Event {
        status "status" omitempty: String;
        id "id" omitempty: String;
        from "from" omitempty: String;
        kind "Type": String;
        action "Action": String;
        actor "Actor": Actor;
        scope "scope" omitempty: String;
        /// Seconds since 1970.
        time "time" omitempty: i64;
        time_nano "timeNano" omitempty: i64;
    }

    /// Docker's `Actor`.
    pub struct Actor {
        id "ID": String;
        attributes "Attributes": Labels;
    }
}
