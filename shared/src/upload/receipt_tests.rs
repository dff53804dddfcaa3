//! The rules of a receipt, over drawn histories of lanes.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::upload::{Event, Policy, next_region};

fn region(i: usize) -> RegionName {
    format!("us-west-{i}").parse().unwrap()
}

fn shipment() -> Shipment {
    Shipment {
        upload_id: "u-1".to_owned(),
        key: "run-0042.tar.zst".parse().unwrap(),
        size: ByteSize::mib(256),
        checksum: Checksum::from_u64(42),
        files: 7,
    }
}

fn stored(size: u64, checksum: u64) -> Stored {
    Stored {
        bucket: "bucket".to_owned(),
        version_id: Some("v1".to_owned()),
        size: ByteSize(size),
        checksum: Checksum::from_u64(checksum),
        how: How::ReadBack,
        duration: Duration::from_secs(2),
    }
}

/// How one try in one region goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Whole,
    WrongSize,
    WrongBytes,
    Fails,
    AnswerLost,
    NeverEnds,
    Dropped,
}

fn fate() -> impl Strategy<Value = Fate> {
    use Fate::{AnswerLost, Dropped, Fails, NeverEnds, Whole, WrongBytes, WrongSize};
    prop::sample::select(vec![
        Whole, Whole, WrongSize, WrongBytes, Fails, Fails, AnswerLost, NeverEnds, Dropped,
    ])
}

/// The events of a try that has begun.
fn events(fate: Fate) -> Vec<Event> {
    let source = shipment();
    let (size, sum) = (source.size.0, source.checksum.as_u64());
    match fate {
        Fate::Whole => vec![Event::Sent, Event::Proved(stored(size, sum))],
        Fate::WrongSize => vec![Event::Sent, Event::Proved(stored(size - 1, sum))],
        Fate::WrongBytes => vec![Event::Sent, Event::Proved(stored(size, sum + 1))],
        Fate::Fails => vec![Event::Failed(Reason::Unreachable { detail: "connection reset".to_owned() })],
        Fate::AnswerLost => vec![Event::Sent, Event::LostSight(Reason::TimedOut { after_ms: 30_000 })],
        Fate::NeverEnds => vec![Event::Sent],
        Fate::Dropped => vec![Event::GivenUp(Reason::FellBehind { behind: ByteSize::mib(64) })],
    }
}

/// Ships by `plan`, where each try takes the next fate; returns the lanes.
fn ship(plan: &Plan, fates: &[Fate]) -> Vec<Lane> {
    let mut lanes = Lane::all(plan);
    let mut fates = fates.iter().copied().chain(std::iter::repeat(Fate::Fails));
    let mut clock = 0;
    for i in 0..lanes.len() {
        while matches!(lanes[i].state(), State::Waiting) {
            clock += 1;
            lanes[i].apply(Event::Begun(Timestamp::from_millis(clock))).unwrap();
            for event in events(fates.next().unwrap_or(Fate::Fails)) {
                lanes[i].apply(event).unwrap();
            }
            if let State::Failed(why) | State::Unknown(why) = lanes[i].state().clone() {
                let then = next_region(plan, &lanes, i, 2).map_or(Event::GivenUp(why), Event::MovedTo);
                lanes[i].apply(then).unwrap();
            }
        }
    }
    lanes
}

prop_compose! {
    /// A plan over up to 6 regions, some of them not in the route.
    fn plan()(copies in 1..5_usize, more in 0..3_usize, down in 0..3_usize, min in 1..5_usize, allow_degraded: bool) -> Plan {
        let eligible: Vec<_> = (0..copies + more).map(region).collect();
        let route = &eligible[down.min(eligible.len() - 1)..];
        let policy = Policy { copies, min_copies: Some(min.min(copies)), allow_degraded, ..Policy::default() };
        Plan::new(&policy, &eligible, route).unwrap()
    }
}

/// Lanes whose region holds exactly what was shipped.
fn whole(lanes: &[Lane]) -> Vec<RegionName> {
    let source = shipment();
    let whole = lanes.iter().filter(|lane| {
        matches!(lane.state(), State::Verified(s) if s.size == source.size && s.checksum == source.checksum)
    });
    whole.map(Lane::region).collect()
}

proptest! {
    /// The copies named are exactly those that were proved whole: a wrong size, wrong
    /// bytes or a lost answer is never one of them.
    #[test]
    fn a_receipt_claims_exactly_what_was_proved(plan in plan(), fates in vec(fate(), 0..12)) {
        let lanes = ship(&plan, &fates);
        let receipt = Receipt::judge(&shipment(), &plan, &lanes);
        let named: Vec<_> = receipt.copies.iter().map(|c| c.region).collect();
        prop_assert_eq!(named, whole(&lanes));
        prop_assert!(receipt.copies.iter().all(|c| c.verified && c.checksum == receipt.checksum && c.size == receipt.size));
    }

    /// Complete only if all are verified; success exactly if enough are, or one is and
    /// degraded is allowed.
    #[test]
    fn success_needs_the_copies_that_were_asked_for(plan in plan(), fates in vec(fate(), 0..12)) {
        let lanes = ship(&plan, &fates);
        let verified = whole(&lanes).len();
        let outcome = Receipt::judge(&shipment(), &plan, &lanes).outcome;
        prop_assert_eq!(outcome == Outcome::Complete, verified == plan.copies);
        let enough = verified >= plan.min_copies || (plan.allow_degraded && verified >= 1);
        prop_assert_eq!(outcome.is_success(), enough);
    }

    /// A lost answer is neither success nor failure: `failed` only when the copies in
    /// doubt could not have sufficed.
    #[test]
    fn failed_means_that_doubt_would_not_help(plan in plan(), fates in vec(fate(), 0..12)) {
        let lanes = ship(&plan, &fates);
        let receipt = Receipt::judge(&shipment(), &plan, &lanes);
        let needed = if plan.allow_degraded { 1 } else { plan.min_copies };
        let verified = whole(&lanes);
        let lost = |a: &crate::upload::Attempt| matches!(a.outcome, AttemptOutcome::Unknown | AttemptOutcome::Running);
        let in_doubt = lanes.iter().filter(|l| !verified.contains(&l.region()) && l.attempts().iter().any(lost)).count();
        prop_assert_eq!(receipt.outcome == Outcome::Failed, verified.len() + in_doubt < needed);
        let all_lost = ship(&plan, &[Fate::AnswerLost; 64]);
        let receipt = Receipt::judge(&shipment(), &plan, &all_lost);
        let reachable = all_lost.len() >= if plan.allow_degraded { 1 } else { plan.min_copies };
        prop_assert_eq!(receipt.outcome, if reachable { Outcome::Unknown } else { Outcome::Failed });
    }

    /// Once a copy exists, every other wanted one is owed: none is forgotten, none is
    /// owed to a region that has its copy.
    #[test]
    fn every_missing_copy_is_owed(plan in plan(), fates in vec(fate(), 0..12)) {
        let lanes = ship(&plan, &fates);
        let receipt = Receipt::judge(&shipment(), &plan, &lanes);
        if receipt.copies.is_empty() {
            prop_assert!(receipt.owed.is_empty());
        } else {
            prop_assert_eq!(receipt.copies.len() + receipt.owed.len(), plan.copies);
        }
        prop_assert!(receipt.owed.iter().all(|o| receipt.copies.iter().all(|c| c.region != o.region)));
        prop_assert!(receipt.owed.iter().all(|o| !o.reason.is_empty()));
    }

    /// Every try is either a copy or a failure with a reason, and none is listed as both.
    #[test]
    fn every_try_is_accounted_for(plan in plan(), fates in vec(fate(), 0..12)) {
        let lanes = ship(&plan, &fates);
        let receipt = Receipt::judge(&shipment(), &plan, &lanes);
        prop_assert_eq!(receipt.attempts.len(), receipt.copies.len() + receipt.failed.len());
        prop_assert!(receipt.attempts.is_sorted_by_key(|a| a.at_ms));
    }

    /// A receipt survives being written down.
    #[test]
    fn receipts_round_trip_through_json(plan in plan(), fates in vec(fate(), 0..12)) {
        let receipt = Receipt::judge(&shipment(), &plan, &ship(&plan, &fates));
        let json = serde_json::to_string(&receipt).unwrap();
        prop_assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
    }
}

#[test]
fn one_copy_of_two_is_no_success_by_default() {
    let all = [region(0), region(1)];
    let plan = Plan::new(&Policy { copies: 2, ..Policy::default() }, &all, &all).unwrap();
    let receipt = Receipt::judge(&shipment(), &plan, &ship(&plan, &[Fate::Whole, Fate::Fails]));
    assert_eq!(receipt.outcome, Outcome::Failed);
    assert_eq!(receipt.rule, "1 of 2 copies are verified, and 2 are needed");
}

#[test]
fn a_receipt_reads_as_plain_words() {
    let all = [region(0), region(1), region(2)];
    let plan = Plan::new(&Policy { copies: 3, ..Policy::default() }, &all, &all).unwrap();
    let receipt =
        Receipt::judge(&shipment(), &plan, &ship(&plan, &[Fate::Whole, Fate::Whole, Fate::AnswerLost]));
    let expected = "\
`run-0042.tar.zst`: 256 MiB, 7 files, CRC64NVME AAAAAAAAACo=
upload u-1 is degraded: 2 of 3 copies are verified, and 2 are enough
  verified  us-west-0  s3://bucket/run-0042.tar.zst  version v1, by read back, 2.0 s at 128 MiB/s
  verified  us-west-1  s3://bucket/run-0042.tar.zst  version v1, by read back, 2.0 s at 128 MiB/s
  owed      us-west-2  gave no answer within 30s
  failed    us-west-2  gave no answer within 30s
";
    assert_eq!(receipt.to_string(), expected);
}
