//! What goes wrong in a story, and how often.

use skep::host::rng::Rng;
use skep::model::spec::node::{Availability, Role};
use skep::raft::record::ConfState;
use skep::wire::control::Request;

use crate::story::{Story, ZONE};
use crate::world::Faults;

/// By then a manager that is gone is missed.
const SETTLE_MS: u64 = 10_000;
/// Nodes that stay.
const NODES_MIN: usize = 2;
/// The most that a clock is off.
const OFF_MS: u64 = 5_000;

/// In a thousand, for each turn of the story.
pub struct Troubles {
    cut: u64,
    kill: u64,
    pause: u64,
    reboot: u64,
    isolate: u64,
    drain: u64,
    kill_manager: u64,
    power_cut: u64,
    stop_manager: u64,
    split: u64,
    fill_disk: u64,
    fail_sync: u64,
    lose_disk: u64,
    reshape: u64,
    set_clock: u64,
    go_alone: u64,
    remove_node: u64,
}

impl Troubles {
    /// Half of them, each as often as the seed says.
    pub fn draw(dice: &mut Rng, faults: &mut Faults) -> Self {
        let mut rate = |most: u64| match dice.below(2) {
            0 => 0,
            _ => dice.below(most),
        };
        *faults = Faults {
            crash: rate(800),
            order: rate(300),
            stall: rate(200),
            loss: rate(200),
            echo: rate(200),
            damage: rate(500),
            latency_ms: 10 + rate(400),
        };
        Self {
            cut: rate(200),
            kill: rate(200),
            pause: rate(100),
            reboot: rate(100),
            isolate: rate(100),
            drain: rate(200),
            kill_manager: rate(400),
            power_cut: rate(1_000),
            stop_manager: rate(100),
            split: rate(300),
            fill_disk: rate(100),
            fail_sync: rate(50),
            lose_disk: rate(100),
            reshape: rate(200),
            set_clock: rate(100),
            go_alone: rate(60),
            remove_node: rate(20),
        }
    }
}

impl Story {
    /// Something goes wrong, perhaps, and some of what went wrong is put right.
    pub(super) fn disturb(&mut self) {
        let host = self.draw(self.world.hosts.len());
        self.disturb_host(host);
        let seat = self.draw(self.world.seats.len());
        self.disturb_manager(seat);
        self.disturb_disk(seat);
        // What is off comes back, sooner or later.
        if self.world.hosts[host].agent.is_none() && self.dice.below(2) == 0 {
            self.world.start_daemon(host);
        }
        for seat in 0..self.world.seats.len() {
            if self.world.seats[seat].is_off() && self.dice.below(2) == 0 {
                self.world.start_manager(seat);
            }
            if self.dice.below(4) == 0 {
                self.world.seats[seat].fill_disk(false);
            }
        }
        if self.dice.below(3) == 0 {
            self.world.net.cut.clear();
        }
    }

    fn disturb_host(&mut self, host: usize) {
        if self.happens(self.troubles.cut) {
            self.world.cut(host);
        }
        if self.happens(self.troubles.kill) {
            self.world.kill_daemon(host);
        }
        if self.happens(self.troubles.pause) {
            self.world.pause_daemon(host);
        }
        if self.happens(self.troubles.reboot) {
            self.world.kill_daemon(host);
            self.world.hosts[host].reboot();
        }
        if self.happens(self.troubles.isolate) {
            let ms = self.dice.below(90_000);
            self.world.hosts[host].isolated_until = self.world.now.plus_ms(ms);
            self.world.cut(host);
        }
        if self.happens(self.troubles.drain) {
            let wishes = [
                Availability::Active,
                Availability::Pause,
                Availability::Drain,
            ];
            let wish = self.draw(wishes.len());
            let zone = ["", ZONE][self.draw(2)];
            self.make(host, wishes[wish], zone);
        }
        if self.happens(self.troubles.reshape) {
            let role = match self.dice.below(2) {
                1 if self.is_settled() => Role::Worker,
                _ => Role::Manager,
            };
            if role == Role::Worker {
                self.shaken = self.world.now;
            }
            self.respec(host, |spec| spec.role = role);
        }
        // Its daemon knows nothing of it, and comes back for ever.
        if self.happens(self.troubles.remove_node) && self.members().count() > NODES_MIN {
            let node = self.world.hosts[host].node.to_string();
            self.world.ask(Request::RemoveNode { node, force: true });
        }
        if self.happens(self.troubles.set_clock) {
            let ahead = i64::try_from(self.dice.below(2 * OFF_MS)).unwrap();
            let middle = i64::try_from(OFF_MS).unwrap();
            self.world.set_clock(host, ahead - middle);
        }
    }

    fn disturb_manager(&mut self, seat: usize) {
        // The leader is the one that it hurts most.
        let is_leader = self.dice.below(2) == 0;
        let seat = self.world.leader().filter(|_| is_leader).unwrap_or(seat);
        if self.world.seats[seat].manager.is_some() {
            if self.happens(self.troubles.kill_manager) {
                let with_power = self.happens(self.troubles.power_cut);
                self.world.kill_manager(seat, with_power);
            } else if self.happens(self.troubles.stop_manager) {
                self.world.stop_manager(seat);
            }
        }
        if self.happens(self.troubles.split) {
            self.world.split();
        }
        if self.happens(self.troubles.go_alone)
            && let Some(survivor) = self.knows_all()
        {
            self.world.go_alone(survivor);
        }
    }

    fn disturb_disk(&mut self, seat: usize) {
        if self.happens(self.troubles.fill_disk) {
            self.world.seats[seat].fill_disk(true);
        }
        if self.happens(self.troubles.fail_sync) {
            self.world.seats[seat].fail_next_sync(true);
        }
        if self.happens(self.troubles.lose_disk) && self.is_settled() && self.may_lose_disk(seat) {
            self.shaken = self.world.now;
            self.world.lose_disk(seat);
        }
    }

    /// Whether no manager has been lost or demoted lately. A leader that lets one go counts on
    /// those that it has just heard of: if one of them is lost for good in that moment, three
    /// managers are one, and no rule could have known (seed 171).
    fn is_settled(&self) -> bool {
        self.world.now >= self.shaken.plus_ms(SETTLE_MS)
    }

    /// The leader of three managers or more, if its disk has all that was ever committed.
    fn knows_all(&self) -> Option<usize> {
        let leader = self.world.leader()?;
        let seat = &self.world.seats[leader];
        let manager = seat.manager.as_ref()?;
        let knows_most = self.world.state()?.index() == manager.state().index();
        let is_whole = seat.is_quiet() && knows_most;
        (manager.raft().conf_state().voters.len() > 2 && is_whole).then_some(leader)
    }

    /// Whether no other disk is missing: the others have all that this one has.
    fn may_lose_disk(&self, seat: usize) -> bool {
        let leader = self.world.leader().map(|seat| &self.world.seats[seat]);
        let Some(leader) = leader.and_then(|seat| seat.manager.as_ref()) else {
            return false;
        };
        let ConfState {
            voters, learners, ..
        } = leader.raft().conf_state();
        let own = self.world.seats[seat].raft_id;
        let is_voter = own.is_some_and(|own| voters.contains(&own));
        let index = leader.state().index();
        let has_all = |id: &u64| {
            let mut seats = self.world.seats.iter();
            let seat = seats.find(|seat| seat.raft_id == Some(*id));
            let manager = seat.and_then(|seat| seat.manager.as_ref());
            manager.is_some_and(|manager| manager.state().index() == index)
        };
        let others = voters.len() - usize::from(is_voter);
        let mut members = leader.state().managers();
        let nobody_goes = members.all(|node| node.spec.role == Role::Manager);
        let has_quorum = others >= 2 && learners.is_empty() && nobody_goes;
        has_quorum && is_voter && voters.iter().all(has_all)
    }

    /// Nothing goes wrong any more, and what is off comes back.
    pub(super) fn heal(&mut self) {
        self.world.is_healed = true;
        self.world.faults = Faults {
            latency_ms: 10,
            ..Faults::default()
        };
        self.world.net.cut.clear();
        for seat in 0..self.world.seats.len() {
            self.world.seats[seat].fill_disk(false);
            self.world.seats[seat].fail_next_sync(false);
            if self.world.seats[seat].is_off() {
                self.world.start_manager(seat);
            }
        }
        for host in 0..self.world.hosts.len() {
            self.world.hosts[host].isolated_until = self.world.now;
            if self.world.hosts[host].agent.is_none() {
                self.world.start_daemon(host);
            }
        }
    }
}
