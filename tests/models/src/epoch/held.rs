//! The record as states hold it.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use sealane::{failover::Record, time::Timestamp};

use super::{TICK, TICKS_MAX};

/// A record with its canonical form, which is what states are compared by.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) record: Arc<Record>,
    form: Arc<str>,
}

impl Held {
    /// `record` without what no decision reads, and with ages that have stopped to matter made equal.
    pub(super) fn new(mut record: Record) -> Self {
        let cap = |age: &mut Duration| *age = (*age).min(TICK * u32::try_from(TICKS_MAX).unwrap_or(u32::MAX));
        record.since = Timestamp::default();
        cap(&mut record.phase_age);
        record.moves.iter_mut().for_each(|m| (m.at, _) = (Timestamp::default(), cap(&mut m.age)));
        if let Some(underway) = &mut record.underway {
            underway.steps.clear();
            underway.saw.clear();
        }
        record.proposal.iter_mut().for_each(|p| cap(&mut p.age));
        record.recovery.iter_mut().for_each(|r| cap(&mut r.age));
        // A record always has a JSON form; two without one would still not be taken for equal.
        let form = serde_json::to_string(&record).unwrap_or_else(|_| format!("{record:?}"));
        Self { record: Arc::new(record), form: form.into() }
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        self.form.cmp(&other.form)
    }
}

impl Hash for Held {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.form.hash(to);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.form)
    }
}
