//! The packet rules of others on this host. What is not skep's is never touched: it is only said
//! which of it may drop what skep needs, and how its owner is told to let that pass.

use crate::network::netlink::nftables::chains::{self, Chain};
use crate::network::netlink::nftables::{FORWARD, INPUT};
use crate::network::netlink::{NetlinkError, Socket};
use crate::network::rules::{LINKS, TUNNELS};

/// What may keep packets from getting through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub what: String,
    pub mend: String,
}

/// What a host must let in.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// The port of managers, where there is one.
    pub manager_port: Option<u16>,
    pub tunnel_port: u16,
}

/// Looks for obstacles in this network namespace.
pub fn obstacles(needs: Needs) -> Result<Vec<Obstacle>, NetlinkError> {
    let chains = chains::all(&mut Socket::netfilter()?)?;
    // Tables of the older kind are another part of the kernel, which tells their names only.
    let legacy = std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    Ok(judge(&chains, &legacy, needs))
}

/// What of these chains, and of these tables of the older kind, may be in the way.
fn judge(chains: &[Chain], legacy: &str, needs: Needs) -> Vec<Obstacle> {
    let is_foreign = |chain: &&Chain| chain.table != "skep" && !chain.table.starts_with("skep-");
    let foreign: Vec<_> = chains.iter().filter(is_foreign).collect();
    let firewalld = foreign.iter().any(|chain| chain.table == "firewalld");
    let mut found = Vec::new();
    if firewalld {
        found.push(Obstacle {
            what: "firewalld rejects what it was not told of".into(),
            mend: firewalld_commands(needs),
        });
    }
    let drops = foreign.iter().filter(|chain| chain.drops);
    for chain in drops.filter(|chain| chain.table != "firewalld") {
        if chain.is_at(FORWARD) {
            found.push(Obstacle {
                what: format!("chain {} drops what tasks send and get", chain.path()),
                mend: forward_commands(chain, &foreign),
            });
        } else if chain.is_at(INPUT) {
            found.push(Obstacle {
                what: format!(
                    "chain {} drops what comes in, unless a rule of it lets it",
                    chain.path()
                ),
                mend: input_commands(needs, &foreign),
            });
        }
    }
    if legacy.lines().any(|table| table == "filter") {
        found.push(Obstacle {
            what: "iptables-legacy has rules, which cannot be read from here".into(),
            mend: "see that \"iptables-legacy -S\" lets FORWARD and these ports pass".into(),
        });
    }
    found
}

/// The ports as `ufw` and `firewall-cmd` write them.
fn ports(needs: Needs) -> Vec<String> {
    let tcp = needs.manager_port.map(|port| format!("{port}/tcp"));
    tcp.into_iter()
        .chain([format!("{}/udp", needs.tunnel_port)])
        .collect()
}

fn firewalld_commands(needs: Needs) -> String {
    let ports = ports(needs);
    let adds = ports.iter().map(|port| format!(" --add-port={port}"));
    let adds: String = adds.collect();
    format!(
        "firewall-cmd --permanent{adds} && firewall-cmd --permanent --zone=trusted \
         --add-interface={LINKS}+ --add-interface={TUNNELS}+ && firewall-cmd --reload"
    )
}

fn input_commands(needs: Needs, chains: &[&Chain]) -> String {
    let is_ufw = chains.iter().any(|chain| chain.name.starts_with("ufw-"));
    let ports = ports(needs);
    let allow = |port: &String| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "udp"));
        match is_ufw {
            true => format!("ufw allow {port}"),
            false => format!("iptables -I INPUT -p {protocol} --dport {number} -j ACCEPT"),
        }
    };
    let commands: Vec<_> = ports.iter().map(allow).collect();
    format!("unless it lets them already: {}", commands.join(" && "))
}

fn forward_commands(chain: &Chain, chains: &[&Chain]) -> String {
    let is_dockers = |other: &&Chain| {
        let is_beside = (other.family, &other.table) == (chain.family, &chain.table);
        is_beside && other.name == "DOCKER-USER"
    };
    let is_docker = chains.iter().any(is_dockers);
    let name = if is_docker { "DOCKER-USER" } else { "FORWARD" };
    let links = [LINKS, TUNNELS].map(|link| {
        format!(
            "iptables -I {name} -i {link}+ -j ACCEPT && iptables -I {name} -o {link}+ -j ACCEPT"
        )
    });
    format!("unless it lets them already: {}", links.join(" && "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::namespace::Namespace;
    use crate::network::netlink::nftables::Hook;
    use crate::network::netlink::nftables::chains::foreign;

    const NEEDS: Needs = Needs {
        manager_port: Some(2377),
        tunnel_port: 4789,
    };

    fn chain(table: &str, name: &str, hook: u32, drops: bool) -> Chain {
        Chain {
            family: "ip",
            table: table.into(),
            name: name.into(),
            hook: Some(hook),
            drops,
        }
    }

    #[track_caller]
    fn check(chains: &[Chain], legacy: &str, expect: &[&str]) {
        let found = judge(chains, legacy, NEEDS);
        let said: Vec<_> = found.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(said.len(), expect.len(), "{said:?}");
        for (said, expect) in said.iter().zip(expect) {
            assert!(said.contains(expect), "{said:?}");
        }
    }

    #[test]
    fn what_drops_is_named_and_what_lets_pass_or_is_skeps_own_is_not() {
        check(&[], "", &[]);
        check(&[chain("filter", "FORWARD", FORWARD, false)], "", &[]);
        check(&[chain("skep", "forward", FORWARD, true)], "", &[]);
        check(&[chain("skep-0a1b2c3d", "input", INPUT, true)], "", &[]);
        check(
            &[
                chain("filter", "FORWARD", FORWARD, true),
                chain("filter", "INPUT", INPUT, true),
            ],
            "nat\n",
            &["ip filter FORWARD", "ip filter INPUT"],
        );
        let wall = chain("firewalld", "filter_INPUT", INPUT, false);
        check(&[wall], "filter\n", &["firewalld", "iptables-legacy"]);
        let mut other = chain("filter", "FORWARD", FORWARD, true);
        other.family = "ip6";
        check(&[other], "", &[]);
    }

    #[test]
    fn its_owner_is_told_the_commands() {
        let wall = chain("firewalld", "filter_INPUT", INPUT, false);
        let mend = &judge(&[wall], "", NEEDS)[0].mend;
        assert!(
            mend.contains("--add-port=2377/tcp --add-port=4789/udp"),
            "{mend}"
        );
        let worker = Needs {
            manager_port: None,
            ..NEEDS
        };
        let input = chain("filter", "INPUT", INPUT, true);
        let mend = &judge(std::slice::from_ref(&input), "", worker)[0].mend;
        assert!(mend.contains("4789") && !mend.contains("2377"), "{mend}");
        let of = |name: &str| Chain {
            hook: None,
            ..chain("filter", name, INPUT, false)
        };
        let mend = &judge(&[input, of("ufw-user-input")], "", NEEDS)[0].mend;
        assert!(
            mend.contains("ufw allow 2377/tcp && ufw allow 4789/udp"),
            "{mend}"
        );
        let forward = chain("filter", "FORWARD", FORWARD, true);
        let mend = &judge(&[forward, of("DOCKER-USER")], "", NEEDS)[0].mend;
        assert!(mend.contains("iptables -I DOCKER-USER -i sk+"), "{mend}");
    }

    #[test]
    fn the_kernel_tells_of_chains_that_others_have_made() {
        let Ok(namespace) = Namespace::create() else {
            eprintln!("skipped: no network namespace can be made here");
            return;
        };
        let found = namespace.within(|| {
            let hook = Hook {
                kind: "filter",
                number: FORWARD,
                priority: 0,
            };
            let batch = foreign("filter", "FORWARD", hook, true);
            Socket::netfilter()?.commit(&batch)?;
            obstacles(NEEDS)
        });
        match found.expect("a thread") {
            Ok(found) => assert_eq!(found.len(), 1, "{found:?}"),
            Err(error) => eprintln!("skipped: this kernel has no packet rules: {error}"),
        }
    }
}
