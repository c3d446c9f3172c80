use super::*;

/// A story's beginning up to a started `web.1` that has a health check.
const STARTS: &str = "assigned web.1 running; prepared; started to be checked; ";
const STARTED: &str = "+prepare, accepted, preparing; +start, ready, starting; -; ";

#[track_caller]
fn check_checked(story: &str, expect: &str) {
    check(&format!("{STARTS}{story}"), &format!("{STARTED}{expect}"));
}

#[test]
fn a_task_with_a_health_check_runs_once_it_is_healthy() {
    check_checked("is healthy; is healthy", "running; -");
    check_checked("exits 1; is healthy", "failed (task: non-zero exit (1)); -");
}

#[test]
fn an_unhealthy_container_is_stopped_and_its_task_fails_whatever_the_exit_code() {
    check_checked(
        "is unhealthy; after 10s; exits 137",
        "+stop; +kill; failed (task: non-zero exit (137): unhealthy container)",
    );
    check_checked(
        "is healthy; is unhealthy; exits 0",
        "running; +stop; failed (task: unhealthy container)",
    );
    check_checked(
        "is unhealthy; desired shutdown; is healthy; exits 0",
        "+stop; -; -; failed (task: unhealthy container)",
    );
}

#[test]
fn a_container_that_shall_stop_anyway_is_not_judged() {
    check_checked(
        "desired shutdown; is unhealthy; exits 143",
        "+stop; -; shutdown",
    );
}

#[test]
fn a_daemon_that_comes_back_knows_how_well_its_containers_are() {
    check_checked(
        "restarted, running and starting; connected; full web.1 running/starting; is healthy",
        "-; hello; -; running",
    );
    check_checked(
        "restarted, running and healthy; connected; full web.1 running/starting",
        "-; hello; running",
    );
    check_checked(
        "restarted, running and unhealthy; connected; full web.1 running/running; exits 1",
        "-; hello; +stop; failed (task: non-zero exit (1): unhealthy container)",
    );
    check_checked(
        "restarted, stopping since 1s and unhealthy; connected; full web.1 running/running; \
         exits 0",
        "-; hello; -; failed (task: unhealthy container)",
    );
}
