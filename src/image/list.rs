//! JSON lists from outside, of a bounded length.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Far more than any image has of anything; a file of `{},{},{},…` would else become a hundred
/// times its size in memory.
const LENGTH_MAX: usize = 4096;

/// A list, where `null` is an empty one.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    d.deserialize_any(List(PhantomData))
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            if list.len() == LENGTH_MAX {
                return Err(A::Error::custom(format!(
                    "more than {LENGTH_MAX} items in a list"
                )));
            }
            list.push(item);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        list(&mut json).map_err(|e| e.to_string())
    }

    #[test]
    fn a_list_has_a_bounded_length() {
        assert_eq!(read("[1,2]"), Ok(vec![1, 2]));
        assert_eq!(read("null"), Ok(Vec::new()));
        let most = format!("[{}1]", "1,".repeat(LENGTH_MAX - 1));
        assert_eq!(read(&most).map(|l| l.len()), Ok(LENGTH_MAX));
        let more = format!("[{}1]", "1,".repeat(LENGTH_MAX));
        assert_eq!(
            read(&more),
            Err("more than 4096 items in a list at line 1 column 8195".into())
        );
        assert!(read("3").is_err());
    }
}
