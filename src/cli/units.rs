//! Numbers as people write and read them: sizes, durations, ages and CPUs, in docker's words.

/// Reads a size with docker's suffixes, powers of 1024: `64m`, `1.5g`, `10KiB`.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
        .ok_or_else(invalid)?;
    let (number, suffix) = text.split_at(end + 1);
    let number: f64 = number
        .trim_end_matches(' ')
        .parse()
        .map_err(|_| invalid())?;
    if !number.is_finite() || number < 0.0 {
        return Err(invalid());
    }
    let power = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        other => return Err(format!("invalid suffix: '{other}'")),
    };
    whole(number * 1024_f64.powi(power)).ok_or_else(invalid)
}

/// Reads a number of CPUs as billionths: `1.5` is 1,500,000,000.
pub fn parse_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if text.len() > 20 || !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let padded = format!("0{whole}{fraction}{}", "0".repeat(9 - fraction.len()));
    padded.parse().map_err(|_| invalid())
}

/// Reads a duration as Go does, as nanoseconds: `1h2m3.5s`, `300ms`, `0`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * scale;
        rest = tail;
    }
    whole((sign * total).round()).ok_or_else(invalid)
}

/// Reads a switch's value as Go does.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(syntax("ParseBool", text)),
    }
}

/// Reads a number without a sign.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if !text.starts_with('+') => Ok(number),
        _ => Err(syntax("ParseUint", text)),
    }
}

/// Reads a number with a sign.
pub fn parse_int(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| syntax("ParseInt", text))
}

/// Reads a number with a fraction.
pub fn parse_float(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| syntax("ParseFloat", text))
}

/// A span in round words: `2 hours`, `About a minute`.
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., 0..48) => format!("{hours} hours"),
        (.., 48..336) => format!("{} days", hours / 24),
        (.., 336..1440) => format!("{} weeks", hours / 24 / 7),
        (.., 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A size in powers of 1000 with as many digits: `13.3kB`, `4.26MB`.
#[expect(clippy::cast_precision_loss, reason = "only a few digits are shown")]
pub fn size(bytes: u64, digits: usize) -> String {
    scaled(
        bytes as f64,
        1000.0,
        &["B", "kB", "MB", "GB", "TB", "PB", "EB"],
        digits,
    )
}

/// A size in powers of 1024: `9.54MiB`.
#[expect(clippy::cast_precision_loss, reason = "only a few digits are shown")]
pub fn size_binary(bytes: u64) -> String {
    scaled(
        bytes as f64,
        1024.0,
        &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
        4,
    )
}

/// A duration as Go prints it: `2m30s`, `1h0m0s`, `500ms`.
pub fn duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let fraction = |scale: u64, unit: &str| {
        let digits = scale.ilog10() as usize;
        let text = format!("{}.{:0digits$}", ns / scale, ns % scale);
        format!(
            "{sign}{}{unit}",
            text.trim_end_matches('0').trim_end_matches('.')
        )
    };
    match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{ns}ns"),
        1_000..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        _ => {
            let seconds = ns / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let below = format!("{}.{:09}", seconds % 60, ns % 1_000_000_000);
            let below = below.trim_end_matches('0').trim_end_matches('.');
            match (hours, minutes) {
                (0, 0) => format!("{sign}{below}s"),
                (0, _) => format!("{sign}{minutes}m{below}s"),
                _ => format!("{sign}{hours}h{minutes}m{below}s"),
            }
        }
    }
}

/// A number with at most so many significant digits, as C's `%g` prints it.
pub fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 || !number.is_finite() {
        return "0".to_owned();
    }
    let rounded = format!("{number:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let shown = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= shown {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let places = usize::try_from(shown - 1 - exponent).unwrap_or_default();
    trim(&format!("{number:.places$}"))
}

fn scaled(mut number: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while number >= base {
        let Some(next) = units.next() else { break };
        number /= base;
        unit = next;
    }
    format!("{}{unit}", significant(number, digits))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
#[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < i64::MAX as f64).then_some(number as i64)
}

fn syntax(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: invalid syntax")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_dockers_suffixes() {
        let check = |text, expect| assert_eq!(parse_bytes(text), Ok(expect), "{text}");
        check("64m", 64 << 20);
        check("1g", 1 << 30);
        check("1.5GB", 3 << 29);
        check("10KiB", 10 << 10);
        check("12 kb", 12 << 10);
        check("100", 100);
        check("7b", 7);
        let refuses = |text, why: &str| assert_eq!(parse_bytes(text), Err(why.to_owned()));
        refuses("abc", "invalid size: 'abc'");
        refuses("1x", "invalid suffix: 'x'");
        refuses("-1m", "invalid size: '-1m'");
        refuses("99999999p", "invalid size: '99999999p'");
    }

    #[test]
    fn cpus_are_billionths() {
        let check = |text, expect| assert_eq!(parse_cpus(text), Ok(expect), "{text}");
        check("1", 1_000_000_000);
        check("0.5", 500_000_000);
        check(".25", 250_000_000);
        check("1.", 1_000_000_000);
        check("0.000000001", 1);
        let refuses = |text| assert!(parse_cpus(text).is_err(), "{text}");
        ["", ".", "a", "-1", "1e3", "0.0000000001"]
            .iter()
            .for_each(|text| refuses(text));
    }

    #[test]
    fn durations_are_read_and_printed_as_go_does() {
        let check = |text, ns, shown: &str| {
            assert_eq!(parse_duration(text), Ok(ns), "{text}");
            assert_eq!(duration(ns), shown, "{text}");
        };
        check("0", 0, "0s");
        check("5s", 5_000_000_000, "5s");
        check("2m30s", 150_000_000_000, "2m30s");
        check("60m", 3_600_000_000_000, "1h0m0s");
        check("500ms", 500_000_000, "500ms");
        check("1.5s", 1_500_000_000, "1.5s");
        check("3us", 3_000, "3µs");
        check("-7ns", -7, "-7ns");
        let refuses = |text| assert!(parse_duration(text).is_err(), "{text}");
        ["", "abc", "5", "1x", "s", "1..2s", "9999999999h"]
            .iter()
            .for_each(|text| refuses(text));
    }

    #[test]
    fn spans_are_told_in_round_words() {
        let check = |seconds: u64, expect| assert_eq!(span(seconds * 1000), expect);
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "About a minute");
        check(119, "About a minute");
        check(150, "2 minutes");
        check(3599, "59 minutes");
        check(3600, "About an hour");
        check(5400, "2 hours");
        check(47 * 3600, "47 hours");
        check(48 * 3600, "2 days");
        check(15 * 86400, "2 weeks");
        check(70 * 86400, "2 months");
        check(800 * 86400, "2 years");
    }

    #[test]
    fn sizes_are_printed_with_few_digits() {
        assert_eq!(size(0, 4), "0B");
        assert_eq!(size(4_261_550, 3), "4.26MB");
        assert_eq!(size(13_256, 3), "13.3kB");
        assert_eq!(size(1_000_000, 3), "1MB");
        assert_eq!(size(999_900, 3), "1e+03kB");
        assert_eq!(size_binary(10_000_000), "9.537MiB");
        assert_eq!(size_binary(1 << 30), "1GiB");
    }

    #[test]
    fn switches_and_numbers_are_read_as_go_does() {
        assert_eq!(parse_bool("T"), Ok(true));
        assert!(parse_bool("yes").is_err());
        assert_eq!(parse_uint("3"), Ok(3));
        assert!(parse_uint("+3").is_err());
        assert!(parse_uint("-3").is_err());
        assert_eq!(parse_int("-3"), Ok(-3));
        assert_eq!(parse_float("0.5"), Ok(0.5));
    }
}
