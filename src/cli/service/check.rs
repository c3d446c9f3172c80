//! Values of flags that are checked before anything is sent.

use std::net::IpAddr;

/// Whether it is an address.
pub fn check_ip(text: &str) -> Result<(), String> {
    let wrong = |_| format!("IP address is not correctly formatted: {text}");
    text.parse::<IpAddr>().map(drop).map_err(wrong)
}

/// Whether an environment variable has a name.
pub fn check_env(text: &str) -> Result<(), String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(format!("invalid environment variable: {text}")),
        false => Ok(()),
    }
}

/// Whether a label has a name.
pub fn check_label(text: &str) -> Result<(), String> {
    match text.split('=').next().unwrap_or_default().trim().is_empty() {
        true => Err(format!("invalid label '{text}': empty name")),
        false => Ok(()),
    }
}

/// Whether it is a host and its address.
pub fn check_host(text: &str) -> Result<(), String> {
    match text.split_once([':', '=']) {
        Some((name, ip)) if !name.is_empty() => match ip.trim_matches(['[', ']']) {
            "host-gateway" => Ok(()),
            ip if ip.parse::<IpAddr>().is_ok() => Ok(()),
            ip => Err(format!("invalid IP address in add-host: {ip:?}")),
        },
        _ => Err(format!("bad format for add-host: {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_no_name_or_no_host_is_refused() {
        assert!(check_ip("1.2.3").is_err() && check_ip("::1").is_ok());
        assert!(check_env("=x").is_err() && check_env("A").is_ok());
        assert!(check_label("=x").is_err() && check_label("a=").is_ok());
        assert!(check_host("h").is_err() && check_host("h:1.2.3.4").is_ok());
        assert!(check_host("h:1.2").is_err() && check_host("h:[::1]").is_ok());
    }
}
