//! Replication lag, measured in band and on one clock.
//!
//! Each region counts up a watermark in its own replica of the health table. An
//! observer reads that number first from the remote replica and then from its
//! own. What it saw there and does not yet have here is a mark with the time of
//! first sight; the lag is the age of the oldest mark. No clock of the other
//! region takes part.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, millis};

/// Marks kept. Beyond that the newest one stands for all that follow, with the
/// time of the first of them: the lag may then be overstated, never understated.
const MARKS_MAX: usize = 6;

/// How far the observer's replica is behind one region's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Lag {
    behind: Option<Duration>,
    /// Watermarks seen there and missing here, oldest first, with the time of first sight.
    marks: Vec<(u64, Timestamp)>,
}

/// A lag as stored: milliseconds behind, then the marks.
type Row = (Option<u64>, Vec<(u64, Timestamp)>);

impl Lag {
    /// This lag after one more look: the watermark in the `remote` region's own
    /// replica, read first, and in the `local` one, read after it; `None` for a
    /// read that failed. A watermark that was never written reads as 0.
    #[must_use]
    pub fn observe(self, remote: Option<u64>, local: Option<u64>, now: Timestamp) -> Self {
        let mut marks = self.marks;
        if let Some(there) = remote {
            // A region whose count began anew never reaches the old marks.
            marks.retain(|&(mark, _)| mark <= there);
            let full = marks.len() >= MARKS_MAX;
            match marks.last_mut() {
                Some((mark, _)) if full || *mark == there => *mark = there,
                Some(_) | None => marks.push((there, now)),
            }
        }
        if let Some(here) = local {
            marks.retain(|&(mark, _)| mark > here);
        }
        let behind = match (marks.first(), remote, local) {
            (Some(&(_, since)), _, Some(_)) => Some(now.since(since)),
            (None, Some(_), Some(_)) => Some(Duration::ZERO),
            // One side was not read: what is not seen is not called caught up.
            (Some(_) | None, _, _) => None,
        };
        Self { behind, marks }
    }

    /// How far behind at the last look; `None` when a side could not be read.
    pub const fn behind(&self) -> Option<Duration> {
        self.behind
    }
}

impl From<Lag> for Row {
    fn from(lag: Lag) -> Self {
        (lag.behind.map(millis), lag.marks)
    }
}

impl From<Row> for Lag {
    fn from((behind_ms, marks): Row) -> Self {
        Self { behind: behind_ms.map(Duration::from_millis), marks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn steady_replication_does_not_add_up() {
        // Behind by one tick at every look: the lag is that tick, however long it goes on.
        let mut lag = Lag::default();
        for tick in 1..100 {
            lag = lag.observe(Some(tick), Some(tick - 1), at(tick * 10_000));
            assert_eq!(lag.behind(), Some(Duration::ZERO), "tick {tick}");
        }
        let two =
            (100..200).fold(lag, |lag, tick| lag.observe(Some(tick), Some(tick - 2), at(tick * 10_000)));
        assert_eq!(two.behind(), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_region_that_cannot_be_read_is_not_caught_up() {
        let caught_up = Lag::default().observe(Some(4), Some(4), at(0));
        assert_eq!(caught_up.behind(), Some(Duration::ZERO));
        assert_eq!(caught_up.clone().observe(None, Some(4), at(1)).behind(), None);
        assert_eq!(caught_up.observe(Some(4), None, at(1)).behind(), None);
    }

    #[test]
    fn a_known_debt_ages_while_the_region_is_silent() {
        let lag = Lag::default().observe(Some(9), Some(4), at(0)).observe(None, Some(7), at(60_000));
        assert_eq!(lag.behind(), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_count_that_begins_anew_leaves_no_debt_behind() {
        let lag = Lag::default().observe(Some(900), Some(4), at(0)).observe(Some(2), Some(2), at(1));
        assert_eq!(lag.behind(), Some(Duration::ZERO));
    }

    proptest! {
        /// Zero means that the watermark read there has arrived here, and nothing else does.
        #[test]
        fn zero_at_a_later_look_means_reached(first in 1..50_u64, there in 50..100_u64, here in 0..120_u64) {
            let lag = Lag::default().observe(Some(first), Some(0), at(0)).observe(Some(there), Some(here), at(5_000));
            let expected = if here >= first { Duration::ZERO } else { Duration::from_secs(5) };
            prop_assert_eq!(lag.behind(), Some(expected));
        }

        /// However long a region lags, the lag is never understated and the row never grows.
        #[test]
        fn marks_are_bounded_and_the_lag_is_never_understated(
            arrivals in vec(0..3_u64, 1..60),
        ) {
            let mut lag = Lag::default();
            let mut here = 0;
            for (tick, step) in (1_u64..).zip(arrivals) {
                here = (here + step).min(tick);
                lag = lag.observe(Some(tick), Some(here), at(tick * 1_000));
                prop_assert!(lag.marks.len() <= MARKS_MAX);
                // Tick `n` wrote watermark `n` at second `n`: the oldest one missing is `here + 1`.
                let truth = Duration::from_secs(tick.saturating_sub(here + 1));
                prop_assert!(lag.behind() >= Some(truth), "{:?} < {truth:?}", lag.behind());
            }
        }

        /// What is stored reads back the same, whatever was seen.
        #[test]
        fn rows_round_trip(looks in vec((option::of(0..9_u64), option::of(0..9_u64)), 0..20)) {
            let lag = (0_u64..).zip(looks).fold(Lag::default(), |l, (t, (there, here))| l.observe(there, here, at(t)));
            let row = serde_json::to_string(&lag).unwrap();
            prop_assert_eq!(serde_json::from_str::<Lag>(&row).unwrap(), lag);
        }
    }
}
