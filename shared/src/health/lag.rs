//! Replication lag, and what the loss of a region would lose at most, on one clock.
//!
//! An observer writes marks into the watched region's replica of the table that
//! holds the data, and looks for them in its own replica. It knows by its own
//! clock when it began to write each. What has arrived proves that all that was
//! written there before it has arrived too, as far as a shard of the table
//! replicates in order; so marks go to several shards, and the slowest counts. No
//! clock of the other region takes part, and no mark of another sandbox.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, millis};

/// Rows that a mark is written to, under different partition keys: shards of a
/// table replicate independently of each other.
pub const SHARDS: usize = 2;

/// Marks remembered of one shard. Beyond that the newest one stands for all that
/// follow, with the time of the first of them: overstated, never understated.
const MARKS_MAX: usize = 8;

/// How far the observer's replica was behind one region's own, as the observer
/// wrote it into its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Lag {
    behind: Option<Duration>,
    loss_max: Option<Duration>,
}

/// A lag as stored: milliseconds behind, and milliseconds that may be lost.
type Row = (Option<u64>, Option<u64>);

impl Lag {
    /// A lag as measured.
    pub const fn new(behind: Option<Duration>, loss_max: Option<Duration>) -> Self {
        Self { behind, loss_max }
    }

    /// How late writes of the region arrive here, never understated; `None` when
    /// nothing was acknowledged there lately, or nothing has arrived yet. Not known
    /// is not caught up.
    pub const fn behind(&self) -> Option<Duration> {
        self.behind
    }

    /// How long ago, at the observer's last look, all that the region had written had
    /// arrived: what the region wrote before that is not lost with it. An upper bound
    /// on the recovery point; `None` when nothing has arrived yet.
    pub const fn loss_max(&self) -> Option<Duration> {
        self.loss_max
    }
}

/// What is written as a mark: who counts, by the time when it began to, and the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When the sandbox that writes it began, on its own clock. It only tells sandboxes apart.
    pub series: Timestamp,
    /// Rises with every mark of the series.
    pub number: u64,
}

/// The marks of one sandbox in one region: what was written, and what has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Shard {
    /// What has not arrived, oldest first.
    sent: Vec<Sent>,
    /// When the newest mark that has arrived was begun to be written.
    arrived: Option<Timestamp>,
    /// How long the newest mark that has arrived was on its way, at most.
    took: Option<Duration>,
    /// Whether the region acknowledged the last one.
    acknowledged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    mark: Mark,
    at: Timestamp,
    acknowledged: bool,
}

impl Marks {
    /// These marks with one more, which is about to be written to every shard. Take
    /// `now` before the write.
    #[must_use]
    pub fn send(mut self, mark: Mark, now: Timestamp) -> Self {
        for shard in &mut self.shards {
            shard.send(mark, now);
        }
        self
    }

    /// These marks after the region acknowledged `mark` in `shard`. One that was
    /// never acknowledged may be there all the same, but is not waited for.
    #[must_use]
    pub fn acknowledge(mut self, shard: usize, mark: Mark) -> Self {
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.acknowledged |= shard.sent.last().is_some_and(|last| last.mark == mark);
            shard.sent.iter_mut().filter(|s| s.mark == mark).for_each(|s| s.acknowledged = true);
        }
        self
    }

    /// These marks after one look at `shard` in the observer's own replica.
    #[must_use]
    pub fn find(mut self, shard: usize, found: Option<Mark>, now: Timestamp) -> Self {
        let (Some(shard), Some(found)) = (self.shards.get_mut(shard), found) else { return self };
        let here = |sent: &Sent| sent.mark.series == found.series && sent.mark.number <= found.number;
        if let Some(newest) = shard.sent.iter().rev().find(|sent| here(sent)) {
            shard.arrived = Some(newest.at);
            shard.took = Some(now.since(newest.at));
        }
        shard.sent.retain(|sent| !here(sent));
        self
    }

    /// Whether a mark was acknowledged there and has not arrived here.
    pub fn is_waiting(&self) -> bool {
        self.shards.iter().any(|shard| shard.debt().is_some())
    }

    /// The lag at this moment; the slowest shard counts.
    pub fn lag(&self, now: Timestamp) -> Lag {
        let behind: Option<Vec<_>> = self.shards.iter().map(|shard| shard.behind(now)).collect();
        let arrived: Option<Vec<_>> = self.shards.iter().map(|shard| shard.arrived).collect();
        Lag {
            behind: behind.and_then(|each| each.into_iter().max()),
            loss_max: arrived.and_then(|each| each.into_iter().min()).map(|at| now.since(at)),
        }
    }
}

impl Shard {
    fn send(&mut self, mark: Mark, now: Timestamp) {
        self.acknowledged = false;
        if self.sent.len() >= MARKS_MAX {
            // What was never acknowledged is not waited for.
            self.sent.retain(|sent| sent.acknowledged);
        }
        let full = self.sent.len() >= MARKS_MAX;
        match self.sent.last_mut() {
            Some(last) if full => last.mark = mark,
            Some(_) | None => self.sent.push(Sent { mark, at: now, acknowledged: false }),
        }
    }

    /// When the oldest mark was begun to be written that was acknowledged and has not arrived.
    fn debt(&self) -> Option<Timestamp> {
        self.sent.iter().find(|sent| sent.acknowledged).map(|sent| sent.at)
    }

    fn behind(&self, now: Timestamp) -> Option<Duration> {
        match (self.debt(), self.took) {
            (Some(since), took) => Some(now.since(since).max(took.unwrap_or_default())),
            (None, Some(took)) if self.acknowledged => Some(took),
            // Nothing was written there lately: what is not seen is not called caught up.
            (None, _) => None,
        }
    }
}

impl From<Lag> for Row {
    fn from(lag: Lag) -> Self {
        (lag.behind.map(millis), lag.loss_max.map(millis))
    }
}

impl From<Row> for Lag {
    fn from((behind_ms, loss_ms): Row) -> Self {
        Self { behind: behind_ms.map(Duration::from_millis), loss_max: loss_ms.map(Duration::from_millis) }
    }
}

#[cfg(test)]
#[path = "lag_tests.rs"]
mod tests;
