//! One table through several replicas that hold one truth.
//!
//! Where a table is strongly consistent across regions any replica serves any call, so that on an
//! outage of one the next is asked. A write goes to one after the other, too. Whoever writes names
//! the version that was read, so it takes effect once at most; but a refusal after a silence may be
//! that of one's own write, which is for the caller to find out by reading.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::stream::{self, StreamExt as _};

use crate::ports::{Cursor, Key, Page, Row, Rows, RowsError, When};

/// No replica has answered lately.
const NOBODY: usize = usize::MAX;

/// Answers of a farther replica after which the nearer ones are asked again.
const AWAY_MAX: usize = 50;

/// The replicas that a caller can ask, nearest first.
///
/// Reads go to one replica at a time while it is known to answer. A caller that knows of none, as
/// in a sandbox that has just begun, asks all at once and takes the first answer: in an outage
/// sandboxes begin in numbers, and each would wait for the timeouts of the region that is gone.
/// One that has gone to a farther replica does the same now and then, and so returns without
/// waiting for a nearer one that is still silent.
#[derive(Debug, Clone)]
pub struct Replicas<R> {
    replicas: Vec<R>,
    known: Arc<Known>,
}

/// What is known of who answers.
#[derive(Debug)]
struct Known {
    /// The replica that answered last and so is asked first: while one is silent, each
    /// call to it costs its whole timeout, and a move takes several calls. [`NOBODY`] before.
    first: AtomicUsize,
    /// Answers in a row that came from another than the nearest.
    away: AtomicUsize,
}

impl<R> Replicas<R> {
    /// The table behind `replicas`, asked in this order. At least one.
    pub fn new(replicas: Vec<R>) -> Self {
        let known = Known { first: AtomicUsize::new(NOBODY), away: AtomicUsize::new(0) };
        Self { replicas, known: Arc::new(known) }
    }

    /// The same table through other clients of its `replicas`, in the same order and number. What
    /// either learns of which one answers, both know.
    #[must_use]
    pub fn through<S>(&self, replicas: Vec<S>) -> Replicas<S> {
        Replicas { replicas, known: Arc::clone(&self.known) }
    }

    /// How many replicas can be asked.
    pub const fn len(&self) -> usize {
        self.replicas.len()
    }

    /// Whether there is none to ask.
    pub const fn is_empty(&self) -> bool {
        self.replicas.is_empty()
    }

    /// The replicas, nearest first.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.replicas.iter()
    }

    /// The replicas as a write asks them, the one that answered last first.
    fn in_order(&self) -> impl Iterator<Item = (usize, &R)> {
        self.from(self.known().unwrap_or_default())
    }

    /// The replicas as a read asks them, and how many of them at once.
    fn to_read(&self) -> (impl Iterator<Item = (usize, &R)>, usize) {
        let is_far = self.known.away.load(Ordering::Relaxed) >= AWAY_MAX;
        match self.known().filter(|_| !is_far) {
            Some(first) => (self.from(first), 1),
            None => (self.from(0), self.replicas.len().max(1)),
        }
    }

    fn from(&self, first: usize) -> impl Iterator<Item = (usize, &R)> {
        let count = self.replicas.len();
        (0..count).map(move |i| (first + i) % count).map(|i| (i, &self.replicas[i]))
    }

    fn known(&self) -> Option<usize> {
        Some(self.known.first.load(Ordering::Relaxed)).filter(|first| *first != NOBODY)
    }

    fn answered(&self, replica: usize) {
        self.known.first.store(replica, Ordering::Relaxed);
        let away = self.known.away.load(Ordering::Relaxed);
        self.known.away.store(if replica == 0 { 0 } else { away.saturating_add(1) }, Ordering::Relaxed);
    }

    /// The first answer of `calls`, one to each replica, of which so many are made `at_once`.
    async fn first_answer<T, F>(&self, (calls, at_once): (Vec<F>, usize)) -> Result<T, RowsError>
    where
        F: Future<Output = (usize, Result<T, RowsError>)>,
    {
        let mut answers = pin!(stream::iter(calls).buffer_unordered(at_once));
        let mut silent = no_replica();
        while let Some((number, answer)) = answers.next().await {
            match answer {
                Err(error) if error.is_outage() => silent = error,
                answer => {
                    self.answered(number);
                    if at_once > 1 {
                        self.known.away.store(0, Ordering::Relaxed);
                    }
                    return answer;
                }
            }
        }
        self.answered(NOBODY);
        Err(silent)
    }
}

impl<R: Rows> Rows for Replicas<R> {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        let (replicas, at_once) = self.to_read();
        let calls = replicas.map(|(number, replica)| async move { (number, replica.read(key).await) });
        self.first_answer((calls.collect(), at_once)).await
    }

    /// [`RowsError::NoAnswer`] where no replica carried it out and one fell silent over it: it may have
    /// taken effect there. A conflict may be with this very write.
    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        let mut silent = no_replica();
        for (number, replica) in self.in_order() {
            match replica.write(row, when).await {
                Err(error) if error.is_outage() => {
                    // That one replica throttled the call says nothing of what another did with it.
                    if !matches!(silent, RowsError::NoAnswer { .. }) {
                        silent = error;
                    }
                }
                answer => {
                    self.answered(number);
                    return answer;
                }
            }
        }
        Err(silent)
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let (replicas, at_once) = self.to_read();
        let calls = replicas.map(|(number, replica)| async move {
            (number, replica.list(partition, newest_first, from, limit).await)
        });
        self.first_answer((calls.collect(), at_once)).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let (replicas, at_once) = self.to_read();
        let calls = replicas.map(|(number, replica)| async move {
            (number, replica.list_index(partition, up_to, from, limit).await)
        });
        self.first_answer((calls.collect(), at_once)).await
    }
}

fn no_replica() -> RowsError {
    RowsError::Refused {
        table: "of no region".to_owned(),
        source: "`control_regions` names no region that can be asked".into(),
    }
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
