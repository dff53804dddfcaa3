//! A table in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::ports::{Cursor, Key, Page, Row, Rows, RowsError, Silence, When};

/// One replica's door to a table in memory. Clones share the table, and each
/// clone made by [`MemoryRows::replica`] can be cut off by itself.
#[derive(Debug, Clone, Default)]
pub struct MemoryRows {
    rows: Arc<Mutex<BTreeMap<Key, Row>>>,
    cut: Arc<AtomicBool>,
}

impl MemoryRows {
    /// Another door to the same table, with an outage of its own.
    #[must_use]
    pub fn replica(&self) -> Self {
        Self { rows: Arc::clone(&self.rows), cut: Arc::default() }
    }

    /// Every row, in the order of keys, whatever is cut: what a test compares tables by.
    pub fn all(&self) -> Vec<Row> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Makes every call through this door fail, or work again.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    fn rows(&self) -> Result<MutexGuard<'_, BTreeMap<Key, Row>>, RowsError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(RowsError::NoAnswer {
                table: "memory".to_owned(),
                how: Silence::NoConnection,
                source: "the replica is cut off".into(),
            });
        }
        Ok(self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Rows for MemoryRows {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        Ok(self.rows()?.get(key).cloned())
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        let mut rows = self.rows()?;
        let held = rows.get(&row.key).map(|r| r.version);
        let holds = match when {
            When::Always => true,
            When::Absent => held.is_none(),
            When::Version(version) => held == Some(version),
        };
        if !holds {
            return Err(RowsError::Conflict);
        }
        rows.insert(row.key.clone(), row.clone());
        Ok(())
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let rows = self.rows()?;
        let mut found: Vec<&Row> = rows.values().filter(|r| r.key.partition == partition).collect();
        if newest_first {
            found.reverse();
        }
        let seen = |r: &Row| match from {
            None => false,
            Some(c) if newest_first => r.key >= c.key,
            Some(c) => r.key <= c.key,
        };
        Ok(page(found.into_iter().filter(|r| !seen(r)), limit))
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let rows = self.rows()?;
        let mut found: Vec<(&Key, &Row)> =
            rows.values().filter_map(|r| Some((r.index.as_ref()?, r))).collect();
        found.retain(|(i, _)| i.partition == partition && up_to.is_none_or(|end| i.sort.as_str() <= end));
        found.sort_by_key(|(i, r)| ((*i).clone(), r.key.clone()));
        let start = from.and_then(|c| Some((c.index.clone()?, c.key.clone())));
        let unseen =
            |(i, r): &(&Key, &Row)| start.as_ref().is_none_or(|s| ((*i).clone(), r.key.clone()) > *s);
        Ok(page(found.into_iter().filter(unseen).map(|(_, r)| r), limit))
    }
}

/// The first `limit` rows, and a cursor if there are more.
fn page<'a>(mut rows: impl Iterator<Item = &'a Row>, limit: usize) -> Page {
    let taken: Vec<Row> = rows.by_ref().take(limit).cloned().collect();
    let next = rows.next().and(taken.last()).map(|r| Cursor { key: r.key.clone(), index: r.index.clone() });
    Page { rows: taken, next }
}
