use super::*;
use crate::cli::COMMANDS;

fn find(name: &str) -> &'static Command {
    let found = COMMANDS.iter().find(|c| c.names.contains(&name));
    found.unwrap_or_else(|| panic!("no command {name}"))
}

#[track_caller]
fn check(name: &str, expect: &str) {
    assert_eq!(command("skep", find(name), name), expect);
}

#[test]
fn options_are_sorted_aligned_and_wrapped_as_dockers() {
    check("service create", include_str!("service_create.txt"));
    check("service update", include_str!("service_update.txt"));
    check("service ls", include_str!("service_ls.txt"));
    check("node ps", include_str!("node_ps.txt"));
}

#[test]
fn an_alias_shows_the_preferred_name_of_its_group() {
    check("service list", include_str!("service_ls.txt"));
}

#[test]
fn a_group_lists_its_commands() {
    let text = group("skep", "node", "Manage Swarm nodes");
    assert_eq!(
        text,
        "Usage:  skep node COMMAND\n\nManage Swarm nodes\n\nCommands:\n  \
         demote      Demote one or more nodes from manager in the swarm\n  \
         doctor      Check nodes, and say what mends them\n  \
         inspect     Display detailed information on one or more nodes\n  \
         ls          List nodes in the swarm\n  \
         promote     Promote one or more nodes to manager in the swarm\n  \
         ps          List tasks running on one or more nodes, defaults to current node\n  \
         rm          Remove one or more nodes from the swarm\n  \
         update      Update a node\n\n\
         Run 'skep node COMMAND --help' for more information on a command.\n"
    );
}

#[test]
fn every_table_is_in_order_and_names_nothing_twice() {
    let mut names: Vec<&str> = COMMANDS
        .iter()
        .flat_map(|c| c.names.iter().copied())
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two commands of one name");
    for command in COMMANDS {
        let longs: Vec<&str> = command.flags.iter().map(|f| f.long).collect();
        assert!(
            longs.is_sorted(),
            "{:?}: flags are not sorted",
            command.names
        );
        let mut shorts: Vec<char> = command.flags.iter().filter_map(|f| f.short).collect();
        let count = shorts.len();
        shorts.sort_unstable();
        shorts.dedup();
        assert_eq!(
            shorts.len(),
            count,
            "{:?}: two flags of one letter",
            command.names
        );
        assert!(
            !command.about.is_empty(),
            "{:?}: no word about it",
            command.names
        );
    }
}

#[test]
fn every_command_is_in_a_group_that_the_help_shows() {
    for name in COMMANDS.iter().flat_map(|c| c.names.iter()) {
        let group = name.split_once(' ').map(|(group, _)| group);
        let shown = group.is_none_or(|group| GROUPS.iter().any(|(known, _)| *known == group));
        assert!(shown, "{name}");
    }
}
