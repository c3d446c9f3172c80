//! The files under /etc that a container does not take from its image.

use std::fmt::Write;

use crate::runtime::plan::{Network, Plan, Resolver};

const HOSTS: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// `/etc/hosts`. On the host's network the host's own names hold too.
pub fn hosts(plan: &Plan, host: &str) -> String {
    let mut text = match plan.network {
        Network::Own => HOSTS.to_owned(),
        Network::Host => host.to_owned(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for (address, names) in &plan.resolver.hosts {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{address}\t{names}");
    }
    text
}

/// `/etc/hostname`.
pub fn hostname(plan: &Plan) -> String {
    format!("{}\n", plan.hostname)
}

/// `/etc/resolv.conf`: what the spec says, each part it leaves out from the host's.
pub fn resolv_conf(plan: &Plan, host: &str) -> String {
    let Resolver {
        nameservers,
        search,
        options,
        ..
    } = &plan.resolver;
    let mut lines = Vec::new();
    let from_host =
        |keyword: &'static str| host.lines().filter(move |line| first_word(line) == keyword);
    if nameservers.is_empty() {
        lines.extend(from_host("nameserver").filter(|line| is_reachable(plan, line)));
    }
    if search.is_empty() {
        lines.extend(from_host("search"));
    }
    if options.is_empty() {
        lines.extend(from_host("options"));
    }
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text.extend(
        nameservers
            .iter()
            .map(|address| format!("nameserver {address}\n")),
    );
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

/// The host's loopback resolver does not answer in another network namespace.
fn is_reachable(plan: &Plan, line: &str) -> bool {
    let address = line.split_whitespace().nth(1).unwrap_or("");
    plan.network == Network::Host || !(address.starts_with("127.") || address == "::1")
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(network: Network, resolver: Resolver) -> Plan {
        Plan {
            network,
            resolver,
            hostname: "web".into(),
            ..Plan::default()
        }
    }

    #[test]
    fn hosts_are_the_specs_after_the_usual_ones() {
        let resolver = Resolver {
            hosts: vec![("10.0.0.9".into(), "db".into())],
            ..Resolver::default()
        };
        let own = hosts(&plan(Network::Own, resolver.clone()), "1.2.3.4\tpi");
        assert!(own.starts_with("127.0.0.1\tlocalhost\n") && own.ends_with("\n10.0.0.9\tdb\n"));
        let host = hosts(&plan(Network::Host, resolver), "1.2.3.4\tpi");
        assert_eq!(host, "1.2.3.4\tpi\n10.0.0.9\tdb\n");
    }

    #[test]
    fn resolvers_are_the_hosts_unless_the_spec_names_them() {
        let host = "# a comment\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch lan\n";
        let own = plan(Network::Own, Resolver::default());
        assert_eq!(resolv_conf(&own, host), "nameserver 9.9.9.9\nsearch lan\n");
        let shared = plan(Network::Host, Resolver::default());
        assert!(resolv_conf(&shared, host).contains("127.0.0.53"));
        let resolver = Resolver {
            nameservers: vec!["1.1.1.1".into()],
            ..Resolver::default()
        };
        let named = plan(Network::Own, resolver);
        assert_eq!(
            resolv_conf(&named, host),
            "search lan\nnameserver 1.1.1.1\n"
        );
    }
}
