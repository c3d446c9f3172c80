//! Which of several builds of an image this host runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and a processor, in the words of image manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, `386`, …
    pub architecture: String,
    /// `v6`, `v7`, `v8`; empty where there is but one.
    pub variant: String,
}

impl Platform {
    /// What this binary was built for, which is what it runs on.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            other => (other, ""),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }

    /// How well a build for `other` suits this host: lower is better, `None` does not run.
    pub fn rank(&self, other: &Self) -> Option<u32> {
        if other.os != self.os {
            return None;
        }
        // An old or hand-made image that does not say is taken at its word by whoever loads it.
        if other.architecture.is_empty() {
            return Some(200);
        }
        let (mine, theirs) = (self.level(), other.level());
        match (self.architecture.as_str(), other.architecture.as_str()) {
            ("arm64", "arm64") | ("arm", "arm") => mine.checked_sub(theirs),
            // 32-bit programs run on nearly every 64-bit core, as a second choice.
            ("arm64", "arm") => 8u32.checked_sub(theirs).map(|r| r + 100),
            ("amd64", "amd64") => (theirs <= mine).then_some(0),
            ("amd64", "386") => Some(100),
            (a, b) => (a == b && self.variant == other.variant).then_some(0),
        }
    }

    /// The number of the variant, with what an absent one means.
    fn level(&self) -> u32 {
        let number = self.variant.strip_prefix('v').and_then(|v| v.parse().ok());
        match (self.architecture.as_str(), self.variant.as_str()) {
            ("arm64", "") => 8,
            ("arm", "") => 7,
            ("amd64", "") => 1,
            _ => number.unwrap_or(u32::MAX),
        }
    }
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform: give OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")]
pub struct PlatformError(String);

impl FromStr for Platform {
    type Err = PlatformError;

    /// `linux/arm/v7`; an architecture alone is one of Linux.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric());
        let mut parts: Vec<&str> = text.split('/').collect();
        if parts.len() == 1 {
            parts.insert(0, "linux");
        }
        match parts[..] {
            [os, architecture, ref rest @ ..]
                if rest.len() < 2 && parts.iter().all(|p| word(p)) =>
            {
                Ok(Self {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant: rest.first().copied().unwrap_or_default().to_owned(),
                })
            }
            _ => Err(PlatformError(text.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Platform {
            os: part(),
            architecture: part(),
            variant: part(),
        }
    }

    #[track_caller]
    fn check(host: &str, builds: &[&str], expect: Option<&str>) {
        let host = platform(host);
        let ranked = builds
            .iter()
            .filter_map(|b| Some((host.rank(&platform(b))?, *b)));
        let best = ranked.min_by_key(|(rank, _)| *rank).map(|(_, build)| build);
        assert_eq!(best, expect, "{host} of {builds:?}");
    }

    #[test]
    fn platforms_are_read_as_users_write_them() {
        for text in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        assert_eq!(
            "arm64".parse::<Platform>().unwrap().to_string(),
            "linux/arm64"
        );
        for wrong in ["", "/", "linux/", "a/b/c/d", "linux/a b", "linux//v7"] {
            assert!(wrong.parse::<Platform>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_nearest_build_that_runs_is_chosen() {
        let arms = [
            "linux/amd64",
            "linux/arm/v5",
            "linux/arm/v7",
            "linux/arm/v6",
            "linux/arm64",
        ];
        check("linux/arm64/v8", &arms, Some("linux/arm64"));
        check("linux/arm64/v8", &arms[..4], Some("linux/arm/v7"));
        check(
            "linux/arm64/v8",
            &["linux/arm64/v9", "linux/arm64/v8"],
            Some("linux/arm64/v8"),
        );
        check("linux/arm/v6", &arms, Some("linux/arm/v6"));
        check(
            "linux/arm/v7",
            &["linux/arm/v8", "linux/arm"],
            Some("linux/arm"),
        );
        check(
            "linux/amd64",
            &["linux/386", "linux/amd64"],
            Some("linux/amd64"),
        );
        check("linux/amd64", &["linux/386"], Some("linux/386"));
        check(
            "linux/amd64",
            &["linux/amd64/v3", "linux/amd64/v1"],
            Some("linux/amd64/v1"),
        );
        check(
            "linux/amd64",
            &["windows/amd64", "linux/arm64", "unknown/unknown"],
            None,
        );
        check("linux/amd64", &["linux/arm64", "linux"], Some("linux"));
        check("linux/riscv64", &["linux/riscv64"], Some("linux/riscv64"));
    }
}
