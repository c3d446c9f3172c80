//! Networks.

use std::collections::BTreeMap;

use crate::api::types::Labels;

docker! {
    /// Docker's `Network`.
    pub struct Network {
        name "Name": String;
        id "Id": String;
        created "Created": String;
        scope "Scope": String;
        driver "Driver": String;
        enable_ipv4 "EnableIPv4": bool;
        enable_ipv6 "EnableIPv6": bool;
        ipam "IPAM": Ipam;
        internal "Internal": bool;
        attachable "Attachable": bool;
        ingress "Ingress": bool;
        config_from "ConfigFrom": ConfigFrom;
        config_only "ConfigOnly": bool;
        containers "Containers": Option<BTreeMap<String, EndpointResource>>;
        options "Options": Option<Labels>;
        labels "Labels": Option<Labels>;
    }

    /// Docker's `NetworkCreateRequest`.
    pub struct NetworkCreate {
        name "Name": String;
        driver "Driver": String;
        scope "Scope": String;
        enable_ipv4 "EnableIPv4" omitempty: Option<bool>;
        enable_ipv6 "EnableIPv6" omitempty: Option<bool>;
        check_duplicate "CheckDuplicate" omitempty: bool;
        ipam "IPAM": Option<Ipam>;
        internal "Internal": bool;
        attachable "Attachable": bool;
        ingress "Ingress": bool;
        config_only "ConfigOnly": bool;
        config_from "ConfigFrom": Option<ConfigFrom>;
        options "Options": Option<Labels>;
        labels "Labels": Option<Labels>;
    }

    /// What a creation answers; unlike others it has a small `d`.
    pub struct NetworkCreated {
        id "Id": String;
        warning "Warning": String;
    }

    /// Docker's `Ipam`.
    pub struct Ipam {
        driver "Driver": String;
        options "Options": Option<Labels>;
        config "Config": Option<Vec<IpamConfig>>;
    }

    /// Docker's `IpamConfig`.
    pub struct IpamConfig {
        subnet "Subnet" omitempty: String;
        ip_range "IPRange" omitempty: String;
        gateway "Gateway" omitempty: String;
        auxiliary_addresses "AuxiliaryAddresses" omitempty: Labels;
    }

    /// Docker's `ConfigFrom`.
    pub struct ConfigFrom {
        network "Network": String;
    }

    /// Docker's `EndpointResource`.
    pub struct EndpointResource {
        name "Name": String;
        endpoint_id "EndpointID": String;
        mac_address "MacAddress": String;
        ipv4_address "IPv4Address": String;
        ipv6_address "IPv6Address": String;
    }
}
