//! The time of day.

use crate::api::context::Finding;
use crate::daemon::doctor::{ok, warn};
use crate::host::clock::{self, is_synchronized};

const CHECK: &str = "clock";

pub fn examine() -> Finding {
    if !clock::is_set(clock::now()) {
        let found = "not set: certificates are taken without their dates until it is";
        return warn(
            CHECK,
            found,
            "timedatectl set-ntp true, or a clock with a battery",
        );
    }
    match is_synchronized() {
        Some(false) => warn(
            CHECK,
            "set, but nothing keeps it right",
            "timedatectl set-ntp true, or install chrony",
        ),
        Some(true) => ok(CHECK, "synchronized"),
        None => ok(CHECK, "set"),
    }
}
