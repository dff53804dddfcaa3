//! The stories of replication: none breaks a promise, and every planted mistake is found.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use simulator::{
    replication::{Broken, Plant, grow, heal, tell, tell_all},
    trace::Trace,
};

#[test]
fn no_story_breaks_a_promise() {
    let summary = tell_all(24);
    assert_eq!(summary.complaints, [""; 0]);
    assert!(summary.deaths >= 24 && summary.objects > 60, "{summary}");
}

#[test]
fn a_story_is_the_same_each_time_it_is_told() {
    let told = || tell(5, None, &Trace::new());
    assert_eq!(told(), told());
}

/// Whether a mistake of this kind is found in the first story that has room for it.
fn is_found(plant: Plant, is_it: impl Fn(&Broken) -> bool) -> bool {
    (1..30).any(|seed| tell(seed, Some(plant), &Trace::new()).broken.iter().any(&is_it))
}

#[test]
fn planted_mistakes_are_found() {
    assert!(is_found(Plant::Loss, |b| matches!(b, Broken::Missing { .. })));
    assert!(is_found(Plant::Double, |b| matches!(b, Broken::Copies { found: 2, .. })));
    assert!(is_found(Plant::Loop, |b| matches!(b, Broken::Loop { .. })));
    assert!(is_found(Plant::Skip, |b| matches!(b, Broken::Skipped { .. })));
    assert!(is_found(Plant::Swap, |b| matches!(b, Broken::Disordered { .. })));
    assert!(is_found(Plant::Late, |b| matches!(b, Broken::Resurrected { .. })));
}

#[test]
fn what_is_owed_is_paid_within_a_minute_of_the_regions_return() {
    let healing = heal(1, 300);
    assert_eq!(healing.waits.count, 300);
    assert!(healing.waits.p99.unwrap() <= 60_000 && healing.settled.is_some(), "{healing:?}");
}

#[test]
fn cost_grows_with_the_objects_and_no_faster() {
    let (few, many) = (grow(1, 30), grow(1, 300));
    assert_eq!((few.copies, many.copies), (60, 600));
    assert!(many.s3_per_copy() <= 5.0 && many.dynamodb_per_copy() <= 4.005, "{many:?}");
    assert!(many.s3_per_copy() <= few.s3_per_copy() * 1.1, "{few:?} {many:?}");
}
