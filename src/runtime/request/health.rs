//! The health check: the spec's over the image's, with Docker's defaults.

use crate::model::spec::container::Healthcheck;
use crate::model::time::ms_of_ns;
use crate::runtime::health::Check;
use crate::runtime::request::ImageDefaults;

const INTERVAL_NS: i64 = 30_000_000_000;
const TIMEOUT_NS: i64 = 30_000_000_000;
const START_INTERVAL_NS: i64 = 5_000_000_000;
const RETRIES: u32 = 3;
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// `None` if there is nothing to check.
pub fn plan(spec: Option<&Healthcheck>, image: &ImageDefaults) -> Option<Check> {
    let inherited = image.healthcheck.clone().unwrap_or_default();
    let given = spec.cloned().unwrap_or_default();
    let test = match given.test.is_empty() {
        true => inherited.test,
        false => given.test,
    };
    let (kind, rest) = test.split_first()?;
    let args: Vec<_> = match kind.as_str() {
        "CMD" => rest.to_vec(),
        "CMD-SHELL" if image.shell.is_empty() => SHELL
            .map(str::to_owned)
            .into_iter()
            .chain(rest.to_vec())
            .collect(),
        "CMD-SHELL" => image.shell.iter().chain(rest).cloned().collect(),
        // `NONE`, or what only an image can say and Docker passes over too.
        _ => return None,
    };
    if rest.is_empty() {
        return None;
    }
    let ms = |given: i64, inherited: i64, default: i64| {
        let mut set = [given, inherited].into_iter().filter(|ns| *ns > 0);
        ms_of_ns(set.next().unwrap_or(default))
    };
    let retries = [given.retries, inherited.retries].into_iter();
    let mut retries = retries.filter_map(|retries| u32::try_from(retries).ok());
    Some(Check {
        interval_ms: ms(given.interval_ns, inherited.interval_ns, INTERVAL_NS),
        timeout_ms: ms(given.timeout_ns, inherited.timeout_ns, TIMEOUT_NS),
        start_period_ms: ms(given.start_period_ns, inherited.start_period_ns, 0),
        start_interval_ms: ms(
            given.start_interval_ns,
            inherited.start_interval_ns,
            START_INTERVAL_NS,
        ),
        retries: retries.find(|retries| *retries > 0).unwrap_or(RETRIES),
        test,
        args,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &[&str], interval_ns: i64, retries: i64) -> Healthcheck {
        Healthcheck {
            test: test.iter().map(|&word| word.to_owned()).collect(),
            interval_ns,
            retries,
            ..Healthcheck::default()
        }
    }

    #[test]
    fn what_the_spec_leaves_out_the_image_says_and_then_docker() {
        let image = ImageDefaults {
            healthcheck: Some(check(&["CMD", "a", "b"], 2_000_000_000, 5)),
            ..ImageDefaults::default()
        };
        let merged = plan(Some(&check(&[], 0, 7)), &image).unwrap();
        assert_eq!(merged.args, ["a", "b"]);
        assert_eq!((merged.interval_ms, merged.retries), (2_000, 7));
        assert_eq!((merged.timeout_ms, merged.start_period_ms), (30_000, 0));
        assert_eq!(merged.start_interval_ms, 5_000);
        assert_eq!(plan(None, &image).unwrap().retries, 5);
        assert_eq!(plan(Some(&check(&["NONE"], 0, 0)), &image), None);
    }

    #[test]
    fn a_line_goes_to_the_images_shell() {
        let mut image = ImageDefaults::default();
        let spec = check(&["CMD-SHELL", "a | b"], 0, 0);
        let args = |image: &ImageDefaults| plan(Some(&spec), image).unwrap().args;
        assert_eq!(args(&image), ["/bin/sh", "-c", "a | b"]);
        image.shell = vec!["/bin/ash".into(), "-ec".into()];
        assert_eq!(args(&image), ["/bin/ash", "-ec", "a | b"]);
        assert_eq!(plan(None, &image), None);
    }
}
