//! Options of the `local` volume driver: what is mounted in the place of a folder of the host.

use crate::model::spec::Labels;
use crate::model::validate::Problems;

/// `type=nfs,o=addr=10.0.0.1,device=:/data`: all that the driver knows, and what each needs beside.
const OPTIONS: [(&str, &[&str]); 3] = [
    ("device", &["type"]),
    ("o", &["device", "type"]),
    ("type", &["device"]),
];

pub(super) fn check_options(options: &Labels, problems: &mut Problems) {
    for name in options.keys() {
        let Some((_, needed)) = OPTIONS.iter().find(|(known, _)| known == name) else {
            problems.add(format!(
                "invalid option: {name:?}: the local driver has type, device and o"
            ));
            continue;
        };
        for other in needed.iter().filter(|other| !has(options, other)) {
            problems.add(format!("missing required option: {other:?}"));
        }
    }
    if let Some(word) = o(options).find(|word| is_propagation(word) || *word == "remount") {
        problems.add(format!("invalid option: \"o\": {word} is not possible"));
    }
    let zeros = options.values().any(|value| value.contains('\0'));
    problems.check(!zeros, || "invalid option: it has a zero byte".to_owned());
}

fn has(options: &Labels, name: &str) -> bool {
    options.get(name).is_some_and(|value| !value.is_empty())
}

fn o(options: &Labels) -> impl Iterator<Item = &str> {
    let words = options.get("o").map_or("", String::as_str);
    words.split(',')
}

fn is_propagation(word: &str) -> bool {
    let word = word.strip_prefix('r').unwrap_or(word);
    ["shared", "slave", "private", "unbindable"].contains(&word)
}

#[cfg(test)]
mod tests {
    use crate::model::spec::Labels;
    use crate::model::validate::volume_options;

    #[track_caller]
    fn check(options: &[(&str, &str)], expect: &[&str]) {
        let options: Labels = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(volume_options(&options), expect);
    }

    #[test]
    fn what_is_mounted_has_a_type_and_a_device() {
        check(&[], &[]);
        check(&[("type", "tmpfs"), ("device", "tmpfs")], &[]);
        let whole = [
            ("type", "nfs"),
            ("device", ":/a"),
            ("o", "addr=10.0.0.1,ro"),
        ];
        check(&whole, &[]);
        check(&whole[..1], &["missing required option: \"device\""]);
        check(
            &whole[2..],
            &[
                "missing required option: \"device\"",
                "missing required option: \"type\"",
            ],
        );
        check(
            &[("size", "1g")],
            &["invalid option: \"size\": the local driver has type, device and o"],
        );
        let shared = [("type", "none"), ("device", "/a"), ("o", "bind,rshared")];
        check(&shared, &["invalid option: \"o\": rshared is not possible"]);
    }
}
