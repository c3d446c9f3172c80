//! Moments as `--since` and `--until` take them: a date, a Unix time, or how long ago.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::cli::failure::Failure;
use crate::cli::units;
use crate::model::time::Time;

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_SECOND: i128 = 1_000_000_000;

/// The moment as the API takes it: seconds since 1970, with a fraction if there is one.
pub fn parse(text: &str, now: Time) -> Result<String, Failure> {
    let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if number && text.parse::<f64>().is_ok() {
        return Ok(text.to_owned());
    }
    if let Ok(ago) = units::parse_duration(text) {
        let ms = i64::try_from(now.0)
            .unwrap_or(i64::MAX)
            .saturating_sub(ago / NS_PER_MS);
        return Ok(format!(
            "{}.{:03}000000",
            ms.div_euclid(1000),
            ms.rem_euclid(1000)
        ));
    }
    let utc = |moment: DateTime| {
        moment
            .to_zoned(TimeZone::UTC)
            .map(|zoned| zoned.timestamp())
    };
    let moment = text.parse::<Timestamp>();
    let moment = moment.or_else(|_| text.parse::<DateTime>().and_then(utc));
    let moment = moment.or_else(|_| {
        text.parse::<Date>()
            .and_then(|d| utc(d.to_datetime(Default::default())))
    });
    let ns = moment.map_err(|_| invalid(text))?.as_nanosecond();
    Ok(format!(
        "{}.{:09}",
        ns.div_euclid(NS_PER_SECOND),
        ns.rem_euclid(NS_PER_SECOND)
    ))
}

fn invalid(text: &str) -> Failure {
    let why = "use a date like 2013-01-02T13:23:37Z, a Unix time, or a time ago like 42m";
    Failure::Value {
        what: "time",
        value: text.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form() {
        let now = Time(1_700_000_000_500);
        let check = |text, expect: &str| assert_eq!(parse(text, now).ok().as_deref(), Some(expect));
        check("1700000000", "1700000000");
        check("1700000000.25", "1700000000.25");
        check("10s", "1699999990.500000000");
        check("0s", "1700000000.500000000");
        check("2023-11-14T22:13:20Z", "1700000000.000000000");
        check("2023-11-14T23:13:20.5+01:00", "1700000000.500000000");
        check("2023-11-14T22:13:20", "1700000000.000000000");
        check("2023-11-14", "1699920000.000000000");
        assert!(parse("yesterday", now).is_err());
    }
}
