//! Whether a daemon that is told to end ends alone, or with its whole host: then its tasks are
//! wanted elsewhere at once.

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_lite::future::or;

use crate::host::wait::{blocking, sleep};

/// How long systemd may take to answer; it has other things to do just then.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Whether systemd, if it has started this daemon, is stopping the host.
pub async fn is_host_stopping() -> bool {
    if env::var_os("INVOCATION_ID").is_none() {
        return false;
    }
    let asked = blocking(|| {
        let mut command = Command::new("systemctl");
        command.arg("is-system-running");
        command.stdin(Stdio::null()).stderr(Stdio::null()).output()
    });
    let answered = async {
        asked
            .await
            .is_ok_and(|answer| answer.stdout == b"stopping\n")
    };
    let late = async {
        sleep(ANSWER_WITHIN).await;
        false
    };
    or(answered, late).await
}
