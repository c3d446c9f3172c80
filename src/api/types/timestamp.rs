//! Moments as Docker writes them: RFC 3339.

use jiff::Timestamp;

use crate::model::time::Time;

/// Go's zero time, which Docker shows for what has not happened.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

const NS_PER_MS: i64 = 1_000_000;

/// `2026-11-23T10:00:00.25Z`.
pub fn rfc3339(time: Time) -> String {
    match moment(time) {
        Some(moment) => moment.to_string(),
        None => NEVER.into(),
    }
}

/// `2026-11-23T10:00:00.250000000Z`: with all nine digits, as in logs.
pub fn rfc3339_nano(time: Time) -> String {
    match moment(time) {
        Some(moment) => format!("{moment:.9}"),
        None => NEVER.into(),
    }
}

/// Nanoseconds since 1970.
pub fn nanoseconds(time: Time) -> i64 {
    i64::try_from(time.0)
        .unwrap_or(i64::MAX)
        .saturating_mul(NS_PER_MS)
}

/// The moment of a text in RFC 3339; `None` for Go's zero time and for what is no time.
pub fn parse(text: &str) -> Option<Time> {
    let moment: Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Time)
}

/// The moment that a query gives: seconds since 1970 with a fraction, or RFC 3339.
pub fn parse_query(text: &str) -> Option<Time> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let Ok(seconds) = seconds.parse::<u64>() else {
        return parse(text);
    };
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let ms = digits.parse::<u64>().ok()?;
    Some(Time(seconds.checked_mul(1000)?.checked_add(ms)?))
}

fn moment(time: Time) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_docker_does() {
        let time = Time(1_795_428_000_250);
        assert_eq!(rfc3339(time), "2026-11-23T10:00:00.25Z");
        assert_eq!(rfc3339_nano(time), "2026-11-23T10:00:00.250000000Z");
        assert_eq!(parse(&rfc3339(time)), Some(time));
        assert_eq!(parse(NEVER), None);
        assert_eq!(rfc3339(Time(u64::MAX)), NEVER);
    }

    #[test]
    fn queries_give_seconds_with_a_fraction_or_a_date() {
        assert_eq!(
            parse_query("1795428000.250000000"),
            Some(Time(1_795_428_000_250))
        );
        assert_eq!(parse_query("1795428000"), Some(Time(1_795_428_000_000)));
        assert_eq!(parse_query("1795428000.5"), Some(Time(1_795_428_000_500)));
        assert_eq!(
            parse_query("2026-11-23T10:00:00Z"),
            Some(Time(1_795_428_000_000))
        );
        for bad in ["", "yesterday", "99999999999999999999", "1.x"] {
            assert_eq!(parse_query(bad), None, "{bad}");
        }
    }
}
