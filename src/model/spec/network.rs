//! A network as the user asks for it.

use serde::{Deserialize, Serialize};

use crate::model::id::NetworkId;
use crate::model::spec::task::NetworkAttachment;
use crate::model::spec::{Driver, Labels};

/// Docker's network create options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub name: String,
    pub labels: Labels,
    pub driver: Driver,
    pub ipv6: bool,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub ipam: Option<Ipam>,
}

impl NetworkSpec {
    /// The driver; what names none spans the swarm.
    pub fn driver_name(&self) -> &str {
        match self.driver.name.as_str() {
            "" => OVERLAY,
            name => name,
        }
    }
}

/// Address management.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ipam {
    pub driver: Driver,
    pub pools: Vec<IpamPool>,
}

/// One subnet of a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IpamPool {
    pub subnet: String,
    pub ip_range: String,
    pub gateway: String,
    pub auxiliary: Labels,
}

/// The driver of networks that span the swarm; the only one that networks can be made with.
pub const OVERLAY: &str = "overlay";

/// The networks that every swarm has from the start: their ids are the same everywhere, so that an
/// agent knows them without asking.
pub const HOST: (NetworkId, &str) = (NetworkId(0x59ab_1e0c_d3f0_4a77_8f21_60b5_c4e9_0001), "host");
/// No network but loopback.
pub const NONE: (NetworkId, &str) = (NetworkId(0x6c1d_37a2_9be4_4f05_8a3c_12d7_e860_0002), "none");
/// Docker's default network of a host.
pub const BRIDGE: (NetworkId, &str) = (
    NetworkId(0x2f84_c05b_61d9_4e3a_97b0_5ce2_38af_0003),
    "bridge",
);
/// The network that published ports are reached through.
pub const INGRESS: (NetworkId, &str) = (
    NetworkId(0x4b17_e92d_08ac_4c61_b5d3_7f46_9e0b_0004),
    "ingress",
);

impl NetworkAttachment {
    /// Whether the task has no network but loopback.
    pub fn is_none(&self) -> bool {
        self.is_to(NONE.0, NONE.1)
    }

    /// Whether the task shares the host's network.
    pub fn is_host(&self) -> bool {
        self.is_to(HOST.0, HOST.1)
    }

    /// Whether it is this network that the task joins.
    pub fn is_to(&self, id: NetworkId, name: &str) -> bool {
        self.target == name || self.target == id.to_string()
    }
}
