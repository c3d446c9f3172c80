//! Devices that a container is given, by a label of it: Docker's services have no word for them.

use crate::model::spec::Labels;

/// `HOST[:CONTAINER][:rwm]`, with commas between them.
pub const LABEL: &str = "skep.devices";

const DEVICES_MAX: usize = 64;

/// A device file of the host, and where and how a container has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub host: String,
    pub container: String,
    /// Of `r`, `w` and `m`: it may be read, written, and its node be made.
    pub access: String,
}

/// A text names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("device {0:?}: expected HOST[:CONTAINER][:PERMISSIONS]")]
    Form(String),
    #[error("device {0:?}: only files below /dev are possible")]
    Path(String),
    #[error("device {0:?}: permissions are of r, w and m")]
    Access(String),
    #[error("device {0:?}: something else is at that place")]
    Twice(String),
    #[error("more than {DEVICES_MAX} devices")]
    Many,
}

impl Device {
    /// Docker's form of `--device`.
    pub fn parse(text: &str) -> Result<Self, DeviceError> {
        let form = || DeviceError::Form(text.to_owned());
        let parts: Vec<_> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, second] if second.starts_with('/') => (host, second, "rwm"),
            [host, access] => (host, host, access),
            [host, container, access] => (host, container, access),
            _ => return Err(form()),
        };
        for path in [host, container] {
            let plain = |c: char| !c.is_control() && c != ',';
            let climbs = path.split('/').any(|part| part == ".." || part == ".");
            if !path.starts_with("/dev/") || climbs || !path.chars().all(plain) {
                return Err(DeviceError::Path(text.to_owned()));
            }
        }
        let once = |c: char| "rwm".contains(c) && access.matches(c).count() == 1;
        if access.is_empty() || !access.chars().all(once) {
            return Err(DeviceError::Access(text.to_owned()));
        }
        let [host, container, access] = [host, container, access].map(str::to_owned);
        Ok(Self {
            host,
            container,
            access,
        })
    }

    /// A device at the place that it has on the host, to read and write.
    pub fn whole(path: &str) -> Self {
        Self {
            host: path.to_owned(),
            container: path.to_owned(),
            access: "rwm".to_owned(),
        }
    }

    /// All that a container's labels name.
    pub fn of_labels(labels: &Labels) -> Result<Vec<Self>, DeviceError> {
        let text = labels.get(LABEL).map_or("", String::as_str);
        let mut devices = Vec::<Self>::new();
        for text in text.split(',').filter(|text| !text.is_empty()) {
            let device = Self::parse(text)?;
            if devices.iter().any(|old| old.container == device.container) {
                return Err(DeviceError::Twice(text.to_owned()));
            }
            devices.push(device);
            if devices.len() > DEVICES_MAX {
                return Err(DeviceError::Many);
            }
        }
        Ok(devices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let got = match Device::of_labels(&Labels::from([(LABEL.to_owned(), text.to_owned())])) {
            Ok(devices) => devices
                .iter()
                .map(|d| format!("{} at {} {}", d.host, d.container, d.access))
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expect);
    }

    #[test]
    fn devices_are_named_as_docker_names_them() {
        check("/dev/ttyUSB0", "/dev/ttyUSB0 at /dev/ttyUSB0 rwm");
        check("/dev/a:/dev/b", "/dev/a at /dev/b rwm");
        check(
            "/dev/a:r,/dev/b:/dev/c:rw",
            "/dev/a at /dev/a r; /dev/b at /dev/c rw",
        );
        check("", "");
        let path = "only files below /dev are possible";
        check("ttyUSB0", &format!("device \"ttyUSB0\": {path}"));
        check("/dev/../etc", &format!("device \"/dev/../etc\": {path}"));
        check(
            "/dev/a:/etc/b",
            &format!("device \"/dev/a:/etc/b\": {path}"),
        );
        check(
            "/dev/a:rx",
            "device \"/dev/a:rx\": permissions are of r, w and m",
        );
        check(
            "/dev/a:rr",
            "device \"/dev/a:rr\": permissions are of r, w and m",
        );
        check(
            "/dev/a,/dev/b:/dev/a",
            "device \"/dev/b:/dev/a\": something else is at that place",
        );
        check(
            "/dev/a:/dev/b:r:w",
            "device \"/dev/a:/dev/b:r:w\": expected HOST[:CONTAINER][:PERMISSIONS]",
        );
    }
}
