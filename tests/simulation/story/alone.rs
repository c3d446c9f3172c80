//! Stories of nodes whose managers are gone, for minutes or for a moment.

use std::collections::BTreeSet;

use skep::agent::alone::{ALONE_AT_START_MS, ALONE_MS};
use skep::model::id::TaskId;
use skep::model::object::{Node, NodeState, TaskState};
use skep::model::spec::service::{ServiceMode, ServiceSpec};
use skep::wire::control::Request;

use crate::story::{DEPLOY_MS, ELECT_MS, Story};

const REPLICAS: usize = 5;
/// The first restart comes at once and the second soon, and every order takes a while.
const AGAIN_MS: u64 = 5_000;

impl Story {
    /// All managers are gone for minutes, and containers crash again and again; in the end the
    /// power of every host is cut. They run again where they ran; the managers that come back count
    /// it, and replace nothing.
    pub fn tell_of_nodes_alone(mut self) {
        self.heal();
        self.expect("a manager leads", ELECT_MS, |story| {
            story.world.leader().is_some()
        });
        self.open_all();
        let mut spec = ServiceSpec {
            name: "service".into(),
            mode: ServiceMode::Replicated {
                replicas: Some(REPLICAS as u64),
            },
            ..ServiceSpec::default()
        };
        // It names no secrets: those are in memory only.
        spec.task.container.image = "image:0".into();
        self.number(&mut spec);
        self.world.ask(Request::CreateService(spec));
        self.expect("it runs", DEPLOY_MS, Self::is_as_wanted);
        let before = self.tasks();
        for seat in 0..self.world.seats.len() {
            self.world.kill_manager(seat, true);
        }
        self.world.run(AGAIN_MS);
        self.world.crash_all();
        self.world.run(ALONE_MS - 2 * AGAIN_MS);
        assert_eq!(
            self.running(),
            0,
            "who waits for a manager runs nothing again"
        );
        self.world.run(3 * AGAIN_MS);
        assert_eq!(self.running(), REPLICAS);
        self.world.crash_all();
        self.world.run(AGAIN_MS);
        assert_eq!(self.running(), REPLICAS);
        for host in 0..self.world.hosts.len() {
            self.world.kill_daemon(host);
            self.world.hosts[host].reboot();
            self.world.start_daemon(host);
        }
        self.world.run(ALONE_AT_START_MS + AGAIN_MS);
        assert_eq!(
            self.running(),
            REPLICAS,
            "whoever was switched off remembers"
        );
        self.heal();
        self.expect("a manager leads", ELECT_MS, |story| {
            story.world.leader().is_some()
        });
        self.world.run(DEPLOY_MS);
        assert_eq!(self.tasks(), before);
        let state = self.world.state().unwrap();
        for task in state.tasks().iter() {
            assert_eq!(task.status.state, TaskState::Running);
            assert_eq!(task.restart.attempts, 3);
        }
    }

    /// The leader dies again and again, and nothing else: nobody is called down for it.
    pub fn tell_of_leaders_that_die(mut self) {
        self.heal();
        let managers = self.world.seats.iter().filter(|s| s.raft_id.is_some());
        if managers.count() < 3 {
            return;
        }
        for _ in 0..5 {
            self.expect("all nodes are ready", DEPLOY_MS, Self::are_ready);
            let leader = self.world.leader().expect("it leads");
            self.world.kill_manager(leader, false);
            for _ in 0..40 {
                self.world.run(500);
                let down = self.nodes(|node| node.status.state == NodeState::Down);
                assert_eq!(down, 0, "a node is called down that lives");
            }
            self.world.start_manager(leader);
        }
    }

    /// All managers are off for a while, and back: their nodes find them in time.
    pub fn tell_of_managers_that_come_back(mut self) {
        self.heal();
        self.expect("all nodes are ready", DEPLOY_MS, Self::are_ready);
        for seat in 0..self.world.seats.len() {
            self.world.kill_manager(seat, true);
        }
        self.world.run(60_000);
        self.heal();
        for _ in 0..80 {
            self.world.run(500);
            let down = self.nodes(|node| node.status.state == NodeState::Down);
            assert_eq!(down, 0, "a node is called down that lives");
        }
        assert!(self.are_ready());
    }

    /// Daemons die while managers vote, and are back before the vote is over.
    pub fn tell_of_voters_that_die(mut self) {
        self.heal();
        self.world.faults.latency_ms = 100;
        for _ in 0..400 {
            let seat = self.draw(self.world.seats.len());
            if self.world.seats[seat].manager.is_some() {
                self.world.kill_manager(seat, true);
                self.world.start_manager(seat);
            }
            let ms = self.dice.below(400);
            self.world.run(ms);
        }
    }

    fn are_ready(&self) -> bool {
        let ready = self.nodes(|node| node.status.state == NodeState::Ready);
        self.world.leader().is_some() && ready == self.world.hosts.len()
    }

    fn nodes(&self, is_meant: impl Fn(&Node) -> bool) -> usize {
        let state = self.world.state().unwrap();
        state.nodes().iter().filter(|node| is_meant(node)).count()
    }

    fn tasks(&self) -> BTreeSet<TaskId> {
        let tasks = self.world.state().unwrap().tasks();
        tasks.iter().map(|task| task.id).collect()
    }

    fn running(&self) -> usize {
        let hosts = self.world.hosts.iter();
        hosts.map(|host| host.running().count()).sum()
    }
}
