//! Log drivers and their options, as users give them.

use crate::model::spec::{Driver, Labels};

/// The drivers there are; a service that names none has the first.
pub const DRIVERS: [&str; 4] = ["ring", "none", "local", "journald"];

/// Docker's sizes of the driver `local`.
const LOCAL_BYTES: u64 = 20 << 20;
const LOCAL_FILES: u64 = 5;
const BYTES_MIN: u64 = 32 << 10;
const BYTES_MAX: u64 = 4_000_000_000;

/// A driver with its options understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logging {
    /// In memory, within the host's limits.
    Ring {
        bytes: Option<u64>,
    },
    None,
    /// On the disk.
    Local {
        bytes: u64,
    },
    /// In systemd's journal, with a tag and with these of the container's labels and variables.
    Journald {
        tag: Option<String>,
        labels: Vec<String>,
        env: Vec<String>,
    },
}

/// What a log driver cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoggingError {
    #[error("Name: {0:?}: use ring, none, local or journald")]
    Driver(String),
    #[error("Options: unknown log opt '{option}' for {driver} log driver; known are: {known}")]
    Option {
        option: String,
        driver: &'static str,
        known: &'static str,
    },
    #[error("Options: {option}: {value:?}: {expected}")]
    Value {
        option: &'static str,
        value: String,
        expected: &'static str,
    },
}

impl Logging {
    /// What a task's spec asks for.
    pub fn read(driver: Option<&Driver>) -> Result<Self, LoggingError> {
        let Some(driver) = driver else {
            return Ok(Self::Ring { bytes: None });
        };
        let options = &driver.options;
        match driver.name.as_str() {
            "" | "ring" => {
                check(options, "ring", &["max-size"], "max-size")?;
                let bytes = options.get("max-size").map(|text| size(text)).transpose()?;
                Ok(Self::Ring { bytes })
            }
            "none" => {
                check(options, "none", &[], "none")?;
                Ok(Self::None)
            }
            "local" => {
                let known = ["compress", "max-file", "max-size"];
                check(options, "local", &known, "compress, max-file, max-size")?;
                local(options)
            }
            "journald" => {
                check(
                    options,
                    "journald",
                    &["env", "labels", "tag"],
                    "env, labels, tag",
                )?;
                let list = |name| {
                    let words = options.get(name).map_or("", String::as_str).split(',');
                    let words = words.map(str::trim).filter(|word| !word.is_empty());
                    words.map(str::to_owned).collect()
                };
                Ok(Self::Journald {
                    tag: options.get("tag").filter(|tag| !tag.is_empty()).cloned(),
                    labels: list("labels"),
                    env: list("env"),
                })
            }
            other => Err(LoggingError::Driver(other.to_owned())),
        }
    }
}

fn local(options: &Labels) -> Result<Logging, LoggingError> {
    let file_bytes = options.get("max-size").map(|text| size(text)).transpose()?;
    let files = match options.get("max-file") {
        None => LOCAL_FILES,
        Some(text) => {
            let files = text
                .parse()
                .ok()
                .filter(|files| (1..=1_000).contains(files));
            files.ok_or_else(|| LoggingError::Value {
                option: "max-file",
                value: text.clone(),
                expected: "expected a number from 1 to 1000",
            })?
        }
    };
    if let Some(text) = options.get("compress").filter(|text| *text != "false") {
        return Err(LoggingError::Value {
            option: "compress",
            value: text.clone(),
            expected: "logs are not compressed; leave it out",
        });
    }
    let bytes = file_bytes.unwrap_or(LOCAL_BYTES).saturating_mul(files);
    Ok(Logging::Local {
        bytes: bytes.min(BYTES_MAX),
    })
}

fn check(
    options: &Labels,
    driver: &'static str,
    all: &[&str],
    known: &'static str,
) -> Result<(), LoggingError> {
    let unknown = options.keys().find(|name| !all.contains(&name.as_str()));
    unknown.map_or(Ok(()), |option| {
        Err(LoggingError::Option {
            option: option.clone(),
            driver,
            known,
        })
    })
}

/// Docker's sizes: `10m`, with units of 1024.
fn size(text: &str) -> Result<u64, LoggingError> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match lower.chars().last() {
        Some('k') => (&lower[..lower.len() - 1], 10),
        Some('m') => (&lower[..lower.len() - 1], 20),
        Some('g') => (&lower[..lower.len() - 1], 30),
        _ => (lower, 0),
    };
    let bytes = digits.parse::<u32>().ok().map(|n| u64::from(n) << shift);
    let fits = bytes.filter(|bytes| (BYTES_MIN..=BYTES_MAX).contains(bytes));
    fits.ok_or_else(|| LoggingError::Value {
        option: "max-size",
        value: text.to_owned(),
        expected: "expected a size from 32k to 3g",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, options: &[(&str, &str)], expect: Result<Logging, &str>) {
        let options = options.iter();
        let driver = Driver {
            name: name.to_owned(),
            options: options
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let read = Logging::read(Some(&driver)).map_err(|error| error.to_string());
        assert_eq!(read, expect.map_err(str::to_owned));
    }

    #[test]
    fn drivers_take_their_options_and_no_others() {
        assert_eq!(Logging::read(None), Ok(Logging::Ring { bytes: None }));
        check(
            "",
            &[("max-size", "64k")],
            Ok(Logging::Ring {
                bytes: Some(64 << 10),
            }),
        );
        check("none", &[], Ok(Logging::None));
        check("local", &[], Ok(Logging::Local { bytes: 100 << 20 }));
        let options = [("max-size", "1M"), ("max-file", "3"), ("compress", "false")];
        check("local", &options, Ok(Logging::Local { bytes: 3 << 20 }));
        check(
            "journald",
            &[("tag", "x"), ("labels", "a, b"), ("env", "")],
            Ok(Logging::Journald {
                tag: Some("x".into()),
                labels: vec!["a".into(), "b".into()],
                env: vec![],
            }),
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        check(
            "syslog",
            &[],
            Err("Name: \"syslog\": use ring, none, local or journald"),
        );
        let unknown = "Options: unknown log opt 'max-size' for none log driver; known are: none";
        check("none", &[("max-size", "1m")], Err(unknown));
        let size = "expected a size from 32k to 3g";
        for text in ["1k", "9g", "x", "-1m", ""] {
            let expect = format!("Options: max-size: {text:?}: {size}");
            check("local", &[("max-size", text)], Err(&expect));
        }
        let files = "Options: max-file: \"0\": expected a number from 1 to 1000";
        check("local", &[("max-file", "0")], Err(files));
        let compress = "Options: compress: \"true\": logs are not compressed; leave it out";
        check("local", &[("compress", "true")], Err(compress));
    }
}
