//! Which nodes a group of tasks may go to, and the words for why it may not.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::constraint::{Attribute, Constraint, architecture};
use crate::model::load::{NodeLoad, generic_counts};
use crate::model::object::{Node, NodeState};
use crate::model::spec::node::{Availability, Platform};
use crate::model::spec::service::PortConfig;
use crate::model::spec::task::{GenericResource, Placement, Preference, Reservations, TaskSpec};

/// What the tasks of one spec ask of a node.
#[derive(Debug)]
pub struct Group {
    wanted: Reservations,
    constraints: Vec<Constraint>,
    /// What of a node the tasks are spread over.
    preferences: Vec<Attribute>,
    platforms: Vec<Platform>,
    /// 0 is no limit.
    max_replicas: u64,
    /// Ports of the node itself.
    ports: Vec<PortConfig>,
}

/// A node as a round of placing sees it.
#[derive(Debug)]
pub struct Site {
    node: Arc<Node>,
    pub load: NodeLoad,
    /// Tasks of the group's service.
    pub of_service: u32,
}

impl Site {
    pub fn of(node: &Arc<Node>, load: NodeLoad, of_service: u32) -> Self {
        Self {
            node: node.clone(),
            load,
            of_service,
        }
    }

    pub fn node(&self) -> &Node {
        &self.node
    }
}

/// Why a node does not take a task, in the order in which it is asked: what lasts comes first, so
/// that the words for a task change only with what concerns it, not with what fills other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    NotReady,
    Constraints,
    Platform,
    MaxReplicas,
    Ports,
    Resources,
}

impl Group {
    pub fn of(spec: &TaskSpec, ports: &[PortConfig]) -> Self {
        let placement = spec.placement.as_ref();
        let wanted = spec.resources.as_ref().and_then(|r| r.reservations.clone());
        let constraints = placement.map_or(&[][..], |p| &p.constraints);
        // A constraint that does not parse was refused with its service.
        let constraints = constraints
            .iter()
            .filter_map(|text| Constraint::parse(text).ok());
        Self {
            wanted: wanted.unwrap_or_default(),
            constraints: constraints.collect(),
            preferences: placement.map_or_else(Vec::new, attributes),
            platforms: placement.map_or_else(Vec::new, |p| p.platforms.clone()),
            max_replicas: placement.map_or(0, |p| p.max_replicas),
            ports: ports.to_vec(),
        }
    }

    /// Why the node does not take one more task of the group, if it does not.
    pub fn refuses(&self, site: &Site) -> Option<Reason> {
        let Site {
            node,
            load,
            of_service,
        } = site;
        let full = self.max_replicas > 0 && u64::from(*of_service) >= self.max_replicas;
        if !is_ready(node) {
            Some(Reason::NotReady)
        } else if !self
            .constraints
            .iter()
            .all(|constraint| constraint.allows(node))
        {
            Some(Reason::Constraints)
        } else if !self.runs_on(&node.description.platform) {
            Some(Reason::Platform)
        } else if full {
            Some(Reason::MaxReplicas)
        } else if self.finds_ports_taken(load) {
            Some(Reason::Ports)
        } else {
            (!self.fits(node, load)).then_some(Reason::Resources)
        }
    }

    pub fn has_preferences(&self) -> bool {
        !self.preferences.is_empty()
    }

    /// What the node has of what the tasks are spread over.
    pub fn values(&self, node: &Node) -> Vec<String> {
        let values = self.preferences.iter();
        values.map(|attribute| attribute.of(node)).collect()
    }

    /// Counts one more task of the group on the node, and says what of it the task is given.
    pub fn take(&self, site: &mut Site) -> Vec<GenericResource> {
        let generic = self.pick(&site.node, &site.load).unwrap_or_default();
        site.load.give(&generic, 1);
        site.load.reserve(&self.wanted, 1);
        site.load.take_ports(&self.ports, 1);
        site.load.tasks += 1;
        site.of_service += 1;
        generic
    }

    fn finds_ports_taken(&self, load: &NodeLoad) -> bool {
        let mut ports = self.ports.iter();
        ports.any(|port| {
            load.ports
                .contains_key(&(port.protocol, port.published_port))
        })
    }

    fn fits(&self, node: &Node, load: &NodeLoad) -> bool {
        let has = &node.description.resources;
        let wanted = &self.wanted;
        fits(wanted.nano_cpus, load.nano_cpus, has.nano_cpus)
            && fits(wanted.memory_bytes, load.memory_bytes, has.memory_bytes)
            && self.pick(node, load).is_some()
    }

    /// The generic resources that one more task gets of the node: of those that have names the
    /// first that are free. `None` if it has not enough of a kind.
    fn pick(&self, node: &Node, load: &NodeLoad) -> Option<Vec<GenericResource>> {
        let mut picked = Vec::new();
        if self.wanted.generic.is_empty() {
            return Some(picked);
        }
        let has = &node.description.resources.generic;
        let total = generic_counts(has);
        for (kind, count) in generic_counts(&self.wanted.generic) {
            let used = load.generic.get(kind).copied().unwrap_or(0);
            if !fits(count, used, total.get(kind).copied().unwrap_or(0)) {
                return None;
            }
            let of_kind = has.iter().filter(|own| match own {
                GenericResource::Named { kind: own, .. } => own == kind,
                GenericResource::Discrete { .. } => false,
            });
            let kind = kind.to_owned();
            if of_kind.clone().next().is_none() {
                picked.push(GenericResource::Discrete { kind, value: count });
                continue;
            }
            let wanted = usize::try_from(count).unwrap_or(usize::MAX);
            let before = picked.len();
            let free = of_kind.filter(|own| match own {
                GenericResource::Named { kind, value } => {
                    !load.named.contains(&(kind.clone(), value.clone()))
                }
                GenericResource::Discrete { .. } => false,
            });
            picked.extend(free.take(wanted).cloned());
            // What tasks have of an earlier description of the node does not count here.
            if picked.len() - before < wanted {
                return None;
            }
        }
        Some(picked)
    }

    fn runs_on(&self, own: &Platform) -> bool {
        let same = |wanted: &str, own: &str| {
            wanted.is_empty() || architecture(wanted) == architecture(own)
        };
        let fits = |wanted: &Platform| {
            same(&wanted.architecture, &own.architecture) && same(&wanted.os, &own.os)
        };
        self.platforms.is_empty() || self.platforms.iter().any(fits)
    }
}

/// What is not asked for never keeps a task away, even from a node that is over-full.
fn fits(wanted: i64, used: i64, total: i64) -> bool {
    wanted == 0 || used.saturating_add(wanted) <= total
}

fn attributes(placement: &Placement) -> Vec<Attribute> {
    let preferences = placement.preferences.iter();
    // A preference that does not parse was refused with its service.
    let parsed = preferences.filter_map(|Preference::Spread(by)| Attribute::parse(by));
    parsed.collect()
}

fn is_ready(node: &Node) -> bool {
    node.status.state == NodeState::Ready && node.spec.availability == Availability::Active
}

/// How many nodes refused a group, and why.
#[derive(Debug, Default)]
pub struct Refused(BTreeMap<Reason, usize>);

impl Refused {
    pub fn add(&mut self, reason: Reason) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// The sentence that users see, in Swarm's words, the commonest reason first.
    pub fn explain(&self) -> String {
        let mut counts: Vec<_> = self.0.iter().collect();
        counts.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), **reason));
        let words: Vec<_> = counts.into_iter().map(|(r, n)| r.words(*n)).collect();
        match words.is_empty() {
            true => "no suitable node".to_owned(),
            false => format!("no suitable node ({})", words.join("; ")),
        }
    }
}

impl Reason {
    fn words(self, nodes: usize) -> String {
        let s = if nodes == 1 { "" } else { "s" };
        match self {
            Self::NotReady => format!("{nodes} node{s} not available for new tasks"),
            Self::Resources => format!("insufficient resources on {nodes} node{s}"),
            Self::Constraints => {
                format!("scheduling constraints not satisfied on {nodes} node{s}")
            }
            Self::Platform => format!("unsupported platform on {nodes} node{s}"),
            Self::Ports => format!("host-mode port already in use on {nodes} node{s}"),
            Self::MaxReplicas => "max replicas per node limit exceed".to_owned(),
        }
    }
}
