//! How old a row may be, told by the reader's own clock.
//!
//! A row names the newest numbers of the other observers' rows that its writer had
//! read. If it names number `n` of the reader's own region, it was written after
//! `n` was, and the reader knows when it looked last without finding `n`. No clock
//! of the writer takes part.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::Observation;
use crate::{region::RegionName, time::Timestamp};

/// Numbers of the own region's row that are remembered: minutes of them.
const NUMBERS_MAX: usize = 64;

/// What a reader remembers of the row that its own region's observer writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Echo {
    /// Numbers, rising, each with the time of the last look that did not show it yet.
    numbers: VecDeque<(u64, Timestamp)>,
    last: Option<(u64, Timestamp)>,
}

impl Echo {
    /// This memory after a look at `now` that found number `seq` in the own region's row.
    ///
    /// Take `now` before the read.
    #[must_use]
    pub fn look(mut self, seq: u64, now: Timestamp) -> Self {
        match self.last {
            Some((before, _)) if seq < before => self.numbers.clear(),
            Some((before, looked)) if seq > before => self.numbers.push_back((seq, looked)),
            Some(_) | None => {}
        }
        if self.numbers.len() > NUMBERS_MAX {
            self.numbers.pop_front();
        }
        self.last = Some((seq, now));
        self
    }

    /// A time before which `row` was not written; `None` when nothing tells.
    fn not_before(&self, row: &Observation, here: RegionName) -> Option<Timestamp> {
        let named = if row.observer() == here { row.seq() } else { row.heard(here)? };
        // What came before the oldest number remembered may be of any age.
        self.numbers.front().filter(|(oldest, _)| named >= *oldest)?;
        let shown = self.numbers.iter().find(|(seq, _)| *seq >= named).map(|(_, looked)| *looked);
        // A number that no look has shown yet is newer than the last look.
        shown.or_else(|| self.last.map(|(_, looked)| looked))
    }

    /// The greatest age that each of `rows` may have at `now`, where it can be told.
    pub fn ages<'a>(
        &self,
        rows: impl Iterator<Item = &'a Observation>,
        here: RegionName,
        now: Timestamp,
    ) -> BTreeMap<RegionName, Duration> {
        rows.filter_map(|row| Some((row.observer(), now.since(self.not_before(row, here)?)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const TICK_MS: u64 = 10_000;

    fn name(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    /// A row of the observer with this number, which has read number `heard` of `here`.
    fn row(observer: RegionName, seq: u64, here: RegionName, heard: u64) -> Observation {
        (0..seq).fold(Observation::new(observer), |row, _| row.seal(&[])).hear(here, heard)
    }

    #[test]
    fn a_row_is_not_older_than_what_it_has_read() {
        let (here, east) = (name("us-west-2"), name("us-east-1"));
        let looks = [(7, 0), (8, 10), (8, 11), (9, 20)];
        let echo =
            looks.iter().fold(Echo::default(), |e, (seq, s)| e.look(*seq, Timestamp::from_millis(s * 1000)));
        let age = |heard| {
            let row = row(east, 1, here, heard);
            echo.ages([row].iter(), here, Timestamp::from_millis(25_000)).get(&east).map(Duration::as_secs)
        };
        assert_eq!(age(9), Some(14), "9 was not there at 11");
        assert_eq!(age(8), Some(25), "8 was not there at 0");
        assert_eq!(age(7), None, "7 was there at the first look");
        assert_eq!(age(10), Some(5), "10 was not there at 20");
    }

    #[test]
    fn ones_own_row_tells_by_its_own_number() {
        let here = name("us-west-2");
        let echo = Echo::default().look(1, Timestamp::from_millis(0)).look(2, Timestamp::from_millis(9_000));
        let own = row(here, 2, here, 0);
        assert_eq!(
            echo.ages([own].iter(), here, Timestamp::from_millis(9_500))[&here],
            Duration::from_millis(9_500)
        );
    }

    #[test]
    fn a_count_that_begins_anew_is_not_taken_for_the_old_one() {
        let (here, east) = (name("us-west-2"), name("us-east-1"));
        let at = Timestamp::from_millis;
        let echo = Echo::default().look(900, at(0)).look(901, at(1_000)).look(3, at(2_000));
        assert!(echo.ages([row(east, 1, here, 901)].iter(), here, at(3_000)).is_empty());
    }

    proptest! {
        /// Whatever the reader's looks and the delays of replication: no row is older than the bound.
        #[test]
        fn ages_are_never_understated(
            looks_ms in vec(1..3_000_u64, 2..80), delay_ms in 0..5_000_u64, echo_ms in 0..8_000_u64, rest_ms in 0..20_000_u64,
        ) {
            let (here, east) = (name("us-west-2"), name("us-east-1"));
            // The own row gets number n at n ticks. The other observer reads it after the
            // delay, and writes its row some time after that.
            let mut now = 0;
            let mut echo = Echo::default();
            for step in looks_ms {
                now += step;
                echo = echo.look(now / TICK_MS, Timestamp::from_millis(now));
                let read = now.saturating_sub(echo_ms + rest_ms);
                let heard = read.saturating_sub(delay_ms) / TICK_MS;
                let written = read + echo_ms;
                let ages = echo.ages([row(east, 1, here, heard)].iter(), here, Timestamp::from_millis(now));
                let truth = now.saturating_sub(written);
                let bound = ages.get(&east).map(|age| u64::try_from(age.as_millis()).unwrap());
                prop_assert!(bound.is_none_or(|bound| bound >= truth), "{bound:?} < {truth}");
            }
        }
    }
}
