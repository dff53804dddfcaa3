//! Who of a prober's invocations works, and who stands by.
//!
//! The schedule starts an invocation each minute, and one works for longer than that: the next
//! ones stand by. They read the rows as it does, and take its place when its row stands still, so
//! that a prober that is killed is missed for a few seconds and not until the schedule comes again.
//! They also relieve it after a while, so that new code and settings come to work.
//!
//! Nothing is agreed upon: whoever writes the row works, and who finds that another one wrote it
//! stands by. Two that work at once only probe twice.

use std::time::Duration;

use sealane::{
    health::Observation,
    outlook::{Trust, weigh},
    ports::{Clock, Rows},
    region::Region,
    time::Timestamp,
};
use tokio::time::{Instant, sleep_until};

use crate::{
    Deps, State,
    conclude::read,
    tick::{ROUND_WITHOUT_REGIONS, watched},
};

/// Time between two looks at the rows while standing by.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long after its tick began a row is written at the latest: one that meets an outage tells its doubts by then.
const TICK_MAX: Duration = Duration::from_secs(2);

/// For how long an invocation works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Rows after which it is relieved by one that stands by, unless it misses something.
    pub rows: u64,
    /// Time after which it ends in any case, at the end of a tick.
    pub time: Duration,
}

impl Default for Shift {
    /// About five minutes; and less than the quarter of an hour for which Lambda lets an
    /// invocation run, by more than the longest tick takes.
    fn default() -> Self {
        Self { rows: 30, time: Duration::from_secs(13 * 60) }
    }
}

/// What a sandbox remembers of its own observer's row: its number, and when that was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen(Option<(u64, Timestamp)>);

/// What to do after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Stand by: another invocation may be at work, and may have died as well.
    StandBy,
    /// Stand by, or leave it to the next one: another invocation wrote the row since the last look.
    Spare,
    /// Work.
    Work,
}

impl Seen {
    /// This memory after a look at the observer's own row, and what follows from it.
    ///
    /// `settled`: whether this sandbox knows of the peers who is alive, as a worker has to.
    pub(crate) fn look(
        self,
        row: Option<&Observation>,
        silence_max: Duration,
        shift: Shift,
        settled: bool,
        now: Timestamp,
    ) -> (Self, Duty) {
        let Some(row) = row else { return (Self(None), Duty::Work) };
        let (since, idle) = match self.0 {
            Some((seq, since)) if seq == row.seq() => (since, Duty::StandBy),
            Some(_) => (now, Duty::Spare),
            None => (now, Duty::StandBy),
        };
        let silent = now.since(since) > silence_max;
        // In the middle of an outage, what the worker remembers is worth more than what is new.
        let done = settled && row.shift_rows() >= shift.rows && row.missed().next().is_none();
        let duty = if silent || done { Duty::Work } else { idle };
        (Self(Some((row.seq(), since))), duty)
    }
}

/// Stands by until there is work for this invocation, or to `until` and on to the next sign that another one
/// works: who is due to follow has then seen it, too. Says whether there is work.
pub(crate) async fn stand_by<D, R: Rows, C: Clock>(
    deps: &Deps<D, R, C>,
    state: &mut State,
    until: Instant,
) -> bool {
    let silence_max = silence_max(&deps.config.regions);
    let mut next = Instant::now();
    // No row comes when the replica does not answer.
    let leaves = until.max(next) + silence_max + 2 * LOOK_EVERY;
    loop {
        let now = deps.clock.now();
        let mut duty = Duty::StandBy;
        // A replica that does not answer says nothing of who works on it.
        if let Some(rows) = read(deps).await {
            state.verdicts = weigh(&deps.config, &rows, &mut state.memory, Trust::Advancing, now);
            let own = rows.iter().find(|row| row.observer() == deps.here);
            let settled = state.memory.has_settled(&deps.config, now);
            (state.seen, duty) = state.seen.look(own, silence_max, deps.shift, settled, now);
        }
        if duty == Duty::Work {
            // What it saw of the row before it works says nothing of who works after it.
            state.seen = Seen::default();
            return true;
        }
        next += LOOK_EVERY;
        if next >= leaves || (next >= until && duty == Duty::Spare) {
            return false;
        }
        sleep_until(next).await;
    }
}

/// The longest time between two rows of an invocation that is at work.
fn silence_max(regions: &[Region]) -> Duration {
    let intervals = watched(regions).map(|region| region.health_check.interval);
    // The first slot of an observer may be a quarter of an interval later than the others.
    intervals.min().unwrap_or(ROUND_WITHOUT_REGIONS) * 5 / 4 + TICK_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const SILENCE_MAX: Duration = Duration::from_secs(14);

    /// The row with number `seq` of an invocation that began `rows` rows ago.
    fn row(seq: u64, rows: u64) -> Observation {
        let first = seq + 1 - rows.clamp(1, seq);
        (0..seq)
            .fold(Observation::new("us-east-1".parse().unwrap()), |row, _| row.seal(&[]))
            .on_shift_since(first)
    }

    fn look(seen: Seen, row: Option<&Observation>, second: u64) -> (Seen, Duty) {
        seen.look(row, SILENCE_MAX, Shift::default(), true, Timestamp::from_millis(second * 1_000))
    }

    #[test]
    fn where_nobody_ever_worked_one_works_at_once() {
        assert_eq!(look(Seen::default(), None, 0).1, Duty::Work);
    }

    #[test]
    fn a_row_that_stands_still_is_taken_over_and_not_before_it_is_late() {
        let seen = look(Seen::default(), Some(&row(7, 3)), 0).0;
        let (seen, duty) = look(seen, Some(&row(7, 3)), 14);
        assert_eq!(duty, Duty::StandBy, "it may come at this moment");
        assert_eq!(look(seen, Some(&row(7, 3)), 15).1, Duty::Work);
        let (seen, duty) = look(seen, Some(&row(8, 4)), 15);
        assert_eq!(duty, Duty::Spare, "it came");
        assert_eq!(look(seen, Some(&row(8, 4)), 29).1, Duty::StandBy);
    }

    #[test]
    fn who_has_worked_for_long_is_relieved_by_one_who_knows_the_peers() {
        let long = Shift::default().rows;
        assert_eq!(look(Seen::default(), Some(&row(90, long - 1)), 0).1, Duty::StandBy);
        assert_eq!(look(Seen::default(), Some(&row(90, long)), 0).1, Duty::Work);
        let unsettled = Seen::default().look(
            Some(&row(90, long)),
            SILENCE_MAX,
            Shift::default(),
            false,
            Timestamp::default(),
        );
        assert_eq!(unsettled.1, Duty::StandBy);
    }

    proptest! {
        /// While rows come in time, from an invocation that is not at its end, nobody else works;
        /// and when they end, somebody does within the silence and one look.
        #[test]
        fn one_works_and_a_killed_one_is_replaced(gaps in vec(1_u64..=14, 1..40)) {
            let (mut seen, mut at) = (Seen::default(), 0);
            for (seq, gap) in (1_u64..).zip(&gaps) {
                for second in (at..at + gap).step_by(2) {
                    let duty;
                    (seen, duty) = look(seen, Some(&row(seq, seq.min(29))), second);
                    prop_assert_ne!(duty, Duty::Work);
                }
                at += gap;
            }
            let last = row(gaps.len() as u64, 5);
            let works = (at..).step_by(2).find(|second| {
                let duty;
                (seen, duty) = look(seen, Some(&last), *second);
                duty == Duty::Work
            });
            prop_assert!(works.unwrap() <= at + 14 + 2);
        }
    }
}
