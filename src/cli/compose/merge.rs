//! Several files as one: what a later one says counts, and lists grow.

use serde_json::{Map, Value};

use crate::cli::answer::{text, uint};

/// Puts the long form of a later file over that of the earlier ones.
pub fn merge(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (section, later) in over {
        let (Value::Object(later), Some(Value::Object(earlier))) = (&later, base.get_mut(&section))
        else {
            base.insert(section, later);
            continue;
        };
        for (name, thing) in later {
            match earlier.get_mut(name) {
                Some(before) if section == "services" => service(before, thing),
                _ => drop(earlier.insert(name.clone(), thing.clone())),
            }
        }
    }
}

fn service(base: &mut Value, over: &Value) {
    let (Value::Object(base), Value::Object(over)) = (base, over) else {
        return;
    };
    for (name, later) in over {
        let Some(earlier) = base.get_mut(name) else {
            base.insert(name.clone(), later.clone());
            continue;
        };
        match name.as_str() {
            // Words belong together.
            "command" | "entrypoint" => *earlier = later.clone(),
            "healthcheck" => {
                if !later["test"].is_null() {
                    earlier["test"].take();
                }
                grow(earlier, later);
            }
            // Options are for one driver.
            "logging"
                if text(later, "/driver") != text(earlier, "/driver")
                    && !text(later, "/driver").is_empty() =>
            {
                *earlier = later.clone();
            }
            "ports" => keyed(earlier, later, |port| (uint(port, "/published"), "")),
            "volumes" => keyed(earlier, later, |mount| (1, text(mount, "/target"))),
            "secrets" | "configs" => keyed(earlier, later, |file| (1, text(file, "/source"))),
            // A limit is one number, or two.
            "ulimits" => {
                for (name, limit) in later.as_object().into_iter().flatten() {
                    earlier[name] = limit.clone();
                }
            }
            _ => grow(earlier, later),
        }
    }
}

/// Mappings are joined, lists grow, and anything else is replaced.
fn grow(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, later) in over {
                match base.get_mut(name) {
                    Some(earlier) => grow(earlier, later),
                    None => drop(base.insert(name.clone(), later.clone())),
                }
            }
        }
        (Value::Array(base), Value::Array(over)) => base.extend(over.iter().cloned()),
        (_, Value::Null) => {}
        (base, over) => *base = over.clone(),
    }
}

/// Lists whose items have a key, by which they are sorted then: a later one replaces the earlier
/// ones of its key. What has none, as a port that the swarm chooses, is added.
fn keyed(base: &mut Value, over: &Value, key: for<'a> fn(&'a Value) -> (u64, &'a str)) {
    let (Value::Array(base), Value::Array(over)) = (base, over) else {
        return;
    };
    base.retain(|old| key(old) == (0, "") || !over.iter().any(|new| key(new) == key(old)));
    base.extend(over.iter().cloned());
    base.sort_by(|a, b| key(a).cmp(&key(b)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(base: Value, over: Value, expect: Value) {
        let whole = |service: Value| match json!({"services": {"web": service}}) {
            Value::Object(map) => map,
            _ => unreachable!(),
        };
        let mut merged = whole(base);
        merge(&mut merged, whole(over));
        assert_eq!(merged["services"]["web"], expect);
    }

    #[test]
    fn later_files_change_services() {
        check(
            json!({"image": "a", "tty": true}),
            json!({"image": "b"}),
            json!({"image": "b", "tty": true}),
        );
        check(
            json!({"command": ["a", "b"]}),
            json!({"command": ["c"]}),
            json!({"command": ["c"]}),
        );
        check(
            json!({"dns": ["a"], "environment": {"A": "1", "B": "2"}}),
            json!({"dns": ["b"], "environment": {"B": "3"}}),
            json!({"dns": ["a", "b"], "environment": {"A": "1", "B": "3"}}),
        );
        check(
            json!({"deploy": {"labels": {"a": "b"}, "replicas": 1}}),
            json!({"deploy": {"replicas": 2}}),
            json!({"deploy": {"labels": {"a": "b"}, "replicas": 2}}),
        );
        check(
            json!({"healthcheck": {"test": ["a"], "retries": 1}}),
            json!({"healthcheck": {"test": ["b"]}}),
            json!({"healthcheck": {"test": ["b"], "retries": 1}}),
        );
        check(
            json!({"ulimits": {"nofile": {"soft": 1, "hard": 2}, "nproc": 1}}),
            json!({"ulimits": {"nofile": 3}}),
            json!({"ulimits": {"nofile": 3, "nproc": 1}}),
        );
    }

    #[test]
    fn ports_mounts_and_files_are_replaced_by_their_key() {
        check(
            json!({"ports": [{"published": 1, "target": 2}, {"target": 3}]}),
            json!({"ports": [{"published": 1, "target": 4}, {"target": 5}]}),
            json!({"ports": [{"target": 3}, {"target": 5}, {"published": 1, "target": 4}]}),
        );
        check(
            json!({"volumes": [{"source": "a", "target": "/x"}]}),
            json!({"volumes": [{"source": "b", "target": "/x"}]}),
            json!({"volumes": [{"source": "b", "target": "/x"}]}),
        );
        check(
            json!({"secrets": [{"source": "a", "target": "t"}, {"source": "b"}]}),
            json!({"secrets": [{"source": "a"}]}),
            json!({"secrets": [{"source": "a"}, {"source": "b"}]}),
        );
    }

    #[test]
    fn log_options_are_joined_for_one_driver_only() {
        let base = json!({"logging": {"driver": "local", "options": {"a": "b"}}});
        let more = json!({"logging": {"driver": "local", "options": {"c": "d"}}});
        check(
            base.clone(),
            more.clone(),
            json!({"logging": {"driver": "local", "options": {"a": "b", "c": "d"}}}),
        );
        let none = json!({"logging": {"driver": "none"}});
        check(base, none.clone(), none);
    }

    #[test]
    fn other_things_are_replaced_whole() {
        let Value::Object(mut base) = json!({"networks": {"a": {"driver": "x"}, "b": {}}}) else {
            unreachable!();
        };
        let Value::Object(over) = json!({"networks": {"a": {"labels": {}}}, "volumes": {"v": {}}})
        else {
            unreachable!();
        };
        merge(&mut base, over);
        let expect = json!({"networks": {"a": {"labels": {}}, "b": {}}, "volumes": {"v": {}}});
        assert_eq!(Value::Object(base), expect);
    }
}
