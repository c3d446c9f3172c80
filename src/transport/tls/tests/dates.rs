//! Certificates that are out of date, and clocks that are wrong.

use crate::transport::tls::credentials::Dates;
use crate::transport::tls::dial::Caller;
use crate::transport::tls::listener::Limits;
use crate::transport::tls::tests::kit::{Ca, Life, MANAGER, NODE, Port, WORKER, keyring, run};
use crate::wire::greeting::Purpose;

#[test]
fn a_board_whose_clock_is_wrong_passes_over_the_dates_and_nothing_else() {
    run(async |executor| {
        let ca = Ca::new();
        for life in [Life::Past, Life::Future] {
            let port = Port::open(executor, &ca.issue_for(MANAGER, NODE, life));
            let refused = port.refused(&ca.issue(WORKER), Purpose::Session).await;
            assert!(refused.contains("certificate"), "{refused}");
            assert!(port.is_idle());
            let dates = Dates::new(false);
            let board = Caller::member(&keyring(&ca.issue(WORKER), &dates));
            port.call(&board, Purpose::Session).await;
            dates.set(true);
            let late = board.dial(port.address, Purpose::Session);
            assert!(late.await.is_err());
        }
        let other = Port::open(executor, &Ca::new().issue_for(MANAGER, NODE, Life::Past));
        let board = Caller::member(&keyring(&ca.issue(WORKER), &Dates::new(false)));
        let refused = board.dial(other.address, Purpose::Session);
        let refused = refused.await.unwrap_err().to_string();
        assert!(refused.contains("is not from this swarm"), "{refused}");
    });
}

#[test]
fn a_node_whose_certificate_ran_out_can_only_renew_it() {
    run(async |executor| {
        let ca = Ca::new();
        let port = Port::open(executor, &ca.issue(MANAGER));
        let node = ca.issue_for(WORKER, NODE, Life::Past);
        let refused = port.refused(&node, Purpose::Session).await;
        assert!(
            refused.contains("it can only be used to renew it"),
            "{refused}"
        );
        assert!(port.is_idle());
        let (_node, manager) = port.connect(&node, Purpose::Renew).await;
        assert_eq!(manager.chain(), node.chain);
        assert_eq!(manager.peer().unwrap().node, NODE);
        let mut stranger = Ca::new().issue_for(WORKER, NODE, Life::Past);
        stranger.roots.clone_from(&node.roots);
        let refused = port.refused(&stranger, Purpose::Renew).await;
        assert!(refused.contains("not from its swarm"), "{refused}");
    });
}

#[test]
fn a_manager_whose_clock_is_wrong_passes_over_the_dates_of_callers() {
    run(async |executor| {
        let ca = Ca::new();
        let dates = Dates::new(false);
        let port = Port::with(executor, &ca.issue(MANAGER), Limits::default(), &dates);
        let node = ca.issue_for(WORKER, NODE, Life::Future);
        port.connect(&node, Purpose::Session).await;
        dates.set(true);
        port.refused(&node, Purpose::Session).await;
    });
}
