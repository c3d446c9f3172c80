//! The version of the API that a path asks for.

use crate::api::failure::Failure;

/// What this daemon speaks.
pub const NEWEST: ApiVersion = ApiVersion(1, 47);
/// What it still understands.
pub const OLDEST: ApiVersion = ApiVersion(1, 24);

/// A version of Docker's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u32, pub u32);

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Takes `/v1.41` off a path; a path without a version asks for the newest.
pub fn split(path: &str) -> Result<(ApiVersion, &str), Failure> {
    let Some((version, rest)) = prefix(path) else {
        return Ok((NEWEST, path));
    };
    if version < OLDEST {
        return Err(Failure::bad(format!(
            "client version {version} is too old. Minimum supported API version is {OLDEST}, \
             please upgrade your client to a newer version"
        )));
    }
    if version > NEWEST {
        return Err(Failure::bad(format!(
            "client version {version} is too new. Maximum supported API version is {NEWEST}"
        )));
    }
    Ok((version, rest))
}

fn prefix(path: &str) -> Option<(ApiVersion, &str)> {
    let (first, rest) = path.strip_prefix("/v")?.split_once('/')?;
    let (major, minor) = first.split_once('.')?;
    let version = ApiVersion(major.parse().ok()?, minor.parse().ok()?);
    Some((version, path.get(path.len() - rest.len() - 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Result<(ApiVersion, &str), &str>) {
        assert_eq!(
            split(path).map_err(|f| f.message),
            expect.map_err(str::to_owned),
            "{path}"
        );
    }

    #[test]
    fn versions_are_taken_off_and_checked() {
        check("/_ping", Ok((NEWEST, "/_ping")));
        check("/v1.24/info", Ok((OLDEST, "/info")));
        check(
            "/v1.41/images/a/b/json",
            Ok((ApiVersion(1, 41), "/images/a/b/json")),
        );
        check("/volumes", Ok((NEWEST, "/volumes")));
        check("/v1.x/info", Ok((NEWEST, "/v1.x/info")));
        check(
            "/v1.23/info",
            Err(
                "client version 1.23 is too old. Minimum supported API version is 1.24, \
                 please upgrade your client to a newer version",
            ),
        );
        check(
            "/v1.48/info",
            Err("client version 1.48 is too new. Maximum supported API version is 1.47"),
        );
    }
}
