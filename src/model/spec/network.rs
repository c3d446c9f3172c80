//! A network as the user asks for it.

use serde::{Deserialize, Serialize};

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
