//! A table of objects by id, with an index by name.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What a table can hold.
pub trait Row: PartialEq {
    type Id: Copy + Ord;
    fn id(&self) -> Self::Id;
    /// The name that is unique in the table; `None` where rows have no names of their own.
    fn name(&self) -> Option<&str>;
}

/// Objects by id and by name. Rows are shared, so reading and undoing copy pointers only.
#[derive(Clone, Debug)]
pub struct Table<R: Row> {
    rows: BTreeMap<R::Id, Arc<R>>,
    names: BTreeMap<String, R::Id>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }
}

impl<R: Row> Table<R> {
    pub fn find(&self, id: R::Id) -> Option<&Arc<R>> {
        self.rows.get(&id)
    }

    pub fn by_name(&self, name: &str) -> Option<&Arc<R>> {
        self.rows.get(self.names.get(name)?)
    }

    pub fn in_range(&self, ids: RangeInclusive<R::Id>) -> impl Iterator<Item = &Arc<R>> {
        self.rows.range(ids).map(|(_, row)| row)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<R>> + Clone {
        self.rows.values()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Sets or clears the row of `id` and returns what was there.
    pub(super) fn put(&mut self, id: R::Id, row: Option<Arc<R>>) -> Option<Arc<R>> {
        let old = match row.clone() {
            Some(row) => self.rows.insert(id, row),
            None => self.rows.remove(&id),
        };
        if let Some(name) = old.as_ref().and_then(|r| r.name())
            && self.names.get(name) == Some(&id)
        {
            self.names.remove(name);
        }
        if let Some(name) = row.as_ref().and_then(|r| r.name()) {
            self.names.insert(name.to_owned(), id);
        }
        old
    }
}
