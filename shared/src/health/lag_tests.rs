//! Rules of the lag: never understated, whatever arrives when.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;

const fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

const fn mark(number: u64) -> Mark {
    Mark { series: at(77), number }
}

/// Marks after one more that every shard acknowledged.
fn sent(marks: Marks, number: u64, now: u64) -> Marks {
    let marks = marks.send(mark(number), at(now));
    (0..SHARDS).fold(marks, |marks, shard| marks.acknowledge(shard, mark(number)))
}

fn found(marks: Marks, number: u64, now: u64) -> Marks {
    (0..SHARDS).fold(marks, |marks, shard| marks.find(shard, Some(mark(number)), at(now)))
}

fn secs(lag: Option<Duration>) -> Option<u64> {
    lag.map(|d| d.as_secs())
}

#[test]
fn a_mark_that_arrived_says_how_long_it_took_and_since_when_nothing_can_be_lost() {
    let marks = found(sent(Marks::default(), 1, 10_000), 1, 12_000);
    assert!(!marks.is_waiting());
    let lag = marks.lag(at(15_000));
    assert_eq!((secs(lag.behind()), secs(lag.loss_max())), (Some(2), Some(5)));
}

#[test]
fn what_is_missing_ages() {
    let marks = sent(found(sent(Marks::default(), 1, 0), 1, 1_000), 2, 10_000);
    assert!(marks.is_waiting());
    let lag = marks.lag(at(40_000));
    assert_eq!((secs(lag.behind()), secs(lag.loss_max())), (Some(30), Some(40)));
}

#[test]
fn a_region_that_acknowledges_nothing_is_not_caught_up() {
    let marks = found(sent(Marks::default(), 1, 0), 1, 1_000).send(mark(2), at(10_000));
    let lag = marks.lag(at(11_000));
    assert_eq!((lag.behind(), secs(lag.loss_max())), (None, Some(11)));
}

#[test]
fn nothing_is_known_before_the_first_arrival() {
    let lag = sent(Marks::default(), 1, 0).lag(at(3_000));
    assert_eq!((secs(lag.behind()), lag.loss_max()), (Some(3), None));
    assert_eq!(Marks::default().lag(at(3_000)), Lag::default());
}

#[test]
fn the_slowest_shard_counts() {
    let both = sent(Marks::default(), 1, 0);
    let one = both.find(0, Some(mark(1)), at(1_000));
    assert_eq!(one.lag(at(9_000)), Lag::new(Some(Duration::from_secs(9)), None));
}

#[test]
fn marks_of_another_sandbox_prove_nothing() {
    let other = Mark { series: at(78), number: 900 };
    let marks =
        (0..SHARDS).fold(sent(Marks::default(), 1, 0), |m, shard| m.find(shard, Some(other), at(1_000)));
    assert!(marks.is_waiting());
    assert_eq!(marks.lag(at(1_000)).loss_max(), None);
}

#[test]
fn a_mark_that_was_not_acknowledged_may_arrive_and_then_counts() {
    let marks = found(Marks::default().send(mark(1), at(0)), 1, 1_000);
    assert_eq!(secs(marks.lag(at(2_000)).loss_max()), Some(2));
}

proptest! {
    /// Whatever arrives when: neither figure is ever below the truth, and the memory stays small.
    #[test]
    fn the_lag_is_never_understated(
        delays_s in vec(prop_oneof![8 => 0..3_u64, 1 => 20..200_u64], 1..60), lost in vec(any::<bool>(), 60),
    ) {
        let mut marks = Marks::default();
        // Shards replicate in order: nothing arrives before what was written before it.
        let mut arrives: Vec<(u64, u64)> = Vec::new();
        for (number, delay) in (1_u64..).zip(&delays_s) {
            let now = number * 10;
            if lost[usize::try_from(number).unwrap() % 60] {
                marks = marks.send(mark(number), at(now * 1_000));
            } else {
                let after = arrives.last().map_or(0, |(_, at)| *at);
                arrives.push((number, after.max(now + delay)));
                marks = sent(marks, number, now * 1_000);
            }
            for look in now..now + 10 {
                let here = arrives.iter().rev().find(|(_, at)| *at <= look).map(|(number, _)| *number);
                if let Some(here) = here {
                    marks = found(marks, here, look * 1_000);
                }
                let lag = marks.lag(at(look * 1_000));
                let missing = arrives.iter().find(|(number, at)| number * 10 <= look && *at > look);
                // The oldest acknowledged write that is not here yet was made this long ago.
                let truth = missing.map_or(0, |(number, _)| look - number * 10);
                prop_assert!(lag.loss_max().is_none_or(|loss| loss.as_secs() >= truth), "{lag:?} < {truth}");
                if missing.is_some() {
                    prop_assert!(lag.behind().is_some_and(|behind| behind.as_secs() >= truth), "{lag:?} < {truth}");
                }
                prop_assert!(marks.shards.iter().all(|shard| shard.sent.len() <= MARKS_MAX));
            }
        }
    }

    /// What is stored reads back the same.
    #[test]
    fn rows_round_trip(behind in proptest::option::of(0..1_000_000_u64), loss in proptest::option::of(0..1_000_000_u64)) {
        let lag = Lag::new(behind.map(Duration::from_millis), loss.map(Duration::from_millis));
        prop_assert_eq!(serde_json::from_str::<Lag>(&serde_json::to_string(&lag).unwrap()).unwrap(), lag);
    }
}
