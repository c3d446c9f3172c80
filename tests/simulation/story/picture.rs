//! What there is, in words.

use crate::story::Story;

impl Story {
    /// What there is, for whoever has to find out why a story fails.
    pub(super) fn picture(&self) -> String {
        let Some(state) = self.world.state() else {
            return "no manager runs".to_owned();
        };
        let nodes = state.nodes().iter().map(|node| {
            let availability = node.spec.availability;
            let (role, member) = (node.spec.role, node.manager.as_ref());
            let (id, is, member) = (node.id, node.status.state, member.map(|m| m.raft_id));
            format!("{id}: {is:?} {availability:?} {role:?} {member:?}")
        });
        let services = state.services().iter();
        let services = services.map(|s| format!("{}: {:?}", s.spec.name, s.replicas()));
        let tasks = state.tasks().iter().map(|task| {
            let (wish, is) = (task.desired_state.name(), task.status.state.name());
            let (name, error) = (task.name(), &task.status.error);
            let ago_ms = self.world.now.since_ms(task.status.at);
            format!(
                "{name} {} on {:?}: {wish}/{is} {ago_ms} ms ago {error}",
                task.id, task.node
            )
        });
        let containers = self.world.hosts.iter().flat_map(|host| {
            host.containers
                .values()
                .map(move |there| format!("{}: {there}", host.node))
        });
        let managers = self.world.seats.iter().map(|seat| {
            let index = seat.manager.as_ref().map(|m| m.state().index());
            let members = seat.raft().map(|raft| raft.conf_state());
            let (id, raft) = (seat.raft_id, seat.raft());
            format!("manager {id:?}: {index:?} {raft:?} {members:?}")
        });
        let hosts = self.world.hosts.iter().map(|host| {
            let (node, session, roster) = (host.node, host.session, &host.roster);
            let life = host.agent.as_ref().map(|_| host.life);
            format!("host {node}: daemon {life:?}, {session:?}, {roster:?}")
        });
        let lines: Vec<_> = managers
            .chain(hosts)
            .chain(nodes)
            .chain(services)
            .chain(tasks)
            .chain(containers)
            .collect();
        lines.join("\n")
    }
}
