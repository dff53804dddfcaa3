//! What operators propose, approve and reject stands against automation.

use std::time::Duration;

use super::{world::*, *};
use crate::{region::Status, time::Timestamp};

const MANUAL: Policy = Policy { mode: Mode::Manual, ..DEFAULT };

const DEFAULT: Policy = Policy {
    auto_failover: true,
    mode: Mode::Graceful,
    drain_timeout: Duration::from_secs(5),
    failover_timeout: Duration::from_secs(30),
    dwell: Duration::from_secs(30),
    hold_down: Duration::from_secs(30),
    hold_down_max: Duration::from_secs(300),
    moves_per_hour_max: 2,
    failback: true,
    replication_lag_max: Duration::from_secs(5),
    failback_step: Duration::from_secs(10),
};

fn down() -> Tick {
    Tick::calm(10).with(0, Status::Unhealthy)
}

fn first() -> Record {
    Record::first(name(0), Timestamp::default())
}

fn sight(record: &Record) -> Moment {
    Moment::first_sight(record.version, Timestamp::default())
}

/// A record whose move to the first standby waits for approval.
fn proposed() -> Record {
    let turns = walk(Some(first()), &[down()], &MANUAL);
    assert!(matches!(turns[0].decision, Decision::Propose { .. }), "{}", turns[0].decision);
    last(&turns).unwrap()
}

#[test]
fn manual_mode_moves_nothing_without_approval() {
    let turns = walk(Some(proposed()), &vec![down(); 100], &MANUAL);
    assert_eq!(last(&turns).unwrap().active, name(0));
    assert_eq!(
        turns.last().unwrap().decision.to_string(),
        "hold in us-west-2: the move to us-east-1 waits for an operator's approval"
    );
}

#[test]
fn an_approval_starts_the_move_and_names_who_gave_it() {
    let record = proposed();
    let approved = record.approve(name(1), "ada", sight(&record)).unwrap();
    let turns = walk(Some(approved), &vec![down(); 4], &MANUAL);
    let Decision::Start { by, .. } = &turns[0].decision else { panic!("{}", turns[0].decision) };
    assert_eq!(by, &StartedBy::Operator { name: "ada".to_owned() });
    assert_eq!(last(&turns).unwrap().active, name(1));
}

#[test]
fn a_rejected_move_is_not_proposed_again_for_an_hour() {
    let record = proposed();
    let rejected = record.reject(name(1), "ada", sight(&record)).unwrap();
    let turns = walk(Some(rejected), &vec![down(); 361], &MANUAL);
    assert_eq!(
        turns[0].decision.to_string(),
        "hold in us-west-2: ada rejected the move to us-east-1, which may be proposed again in 1h"
    );
    assert!(turns[..360].iter().all(|t| matches!(t.decision, Decision::Hold { .. })));
    let later = walk(last(&turns), &vec![down(); 3], &MANUAL);
    assert!(later.iter().any(|t| matches!(t.decision, Decision::Propose { .. })), "{later:?}");
}

#[test]
fn a_rejection_holds_automation_too() {
    let record = proposed();
    let rejected = record.reject(name(1), "ada", sight(&record)).unwrap();
    // The settings no longer ask for approval; the operator's word stands all the same.
    let turns = walk(Some(rejected), &vec![down(); 100], &DEFAULT);
    assert_eq!(last(&turns).unwrap().active, name(0));
}

#[test]
fn a_second_fault_is_no_reason_to_overrule_a_rejection() {
    let record = proposed();
    let rejected = record.reject(name(1), "ada", sight(&record)).unwrap();
    let mut worse = down();
    worse.statuses[0] = (crate::region::Capability::Api, Status::Unhealthy);
    let turns = walk(Some(rejected), &vec![worse; 10], &DEFAULT);
    assert!(turns.iter().all(|t| matches!(t.decision, Decision::Hold { why: Hold::Rejected { .. }, .. })));
}

#[test]
fn a_rejected_move_can_still_be_approved() {
    let record = proposed();
    let rejected = record.reject(name(1), "ada", sight(&record)).unwrap();
    let approved = rejected.approve(name(1), "bob", sight(&rejected)).unwrap();
    let turns = walk(Some(approved), &vec![down(); 4], &MANUAL);
    assert_eq!(last(&turns).unwrap().active, name(1));
}

#[test]
fn a_rejection_ends_with_the_outage_it_was_about() {
    let record = proposed();
    let rejected = record.reject(name(1), "ada", sight(&record)).unwrap();
    let turns = walk(Some(rejected), &[Tick::calm(10), down(), down()], &MANUAL);
    assert!(matches!(turns[0].decision, Decision::Withdraw { why: Withdraw::Moot, .. }));
    assert!(matches!(turns[1].decision, Decision::Propose { .. }), "{}", turns[1].decision);
}

#[test]
fn what_one_operator_proposes_waits_for_another() {
    let record = first();
    let proposed = record.propose(name(2), "ada", "drill", sight(&record)).unwrap();
    let turns = walk(Some(proposed), &vec![Tick::calm(10); 20], &DEFAULT);
    assert!(turns.iter().all(|t| matches!(t.decision, Decision::Stay { .. })), "{turns:?}");
    let waiting = last(&turns).unwrap();
    let approved = waiting.approve(name(2), "bob", sight(&waiting)).unwrap();
    let turns = walk(Some(approved), &vec![Tick::calm(3); 6], &DEFAULT);
    assert_eq!(last(&turns).unwrap().active, name(2));
}

#[test]
fn nobody_approves_what_they_proposed_even_after_a_rejection() {
    let (record, long) = (first(), "a".repeat(1_000));
    for by in ["ada", &long] {
        let proposed = record.propose(name(2), by, "drill", sight(&record)).unwrap();
        let rejected = proposed.reject(name(2), "bob", sight(&proposed)).unwrap();
        for waiting in [proposed, rejected] {
            let refused = waiting.approve(name(2), by, sight(&waiting)).unwrap_err();
            assert!(matches!(refused, NotApproved::OwnProposal { .. }), "{refused}");
            assert!(waiting.approve(name(2), "bob", sight(&waiting)).is_ok());
        }
    }
}

#[test]
fn automation_does_not_write_over_an_operators_proposal() {
    let record = first();
    let proposed = record.propose(name(2), "ada", "drill", sight(&record)).unwrap();
    let turns = walk(Some(proposed), &vec![down(); 20], &MANUAL);
    assert_eq!(last(&turns).unwrap().proposal.unwrap().proposed_by.as_deref(), Some("ada"));
}

#[test]
fn an_operators_proposal_lapses_after_an_hour() {
    let record = first();
    let proposed = record.propose(name(2), "ada", "drill", sight(&record)).unwrap();
    let turns = walk(Some(proposed), &vec![Tick::calm(60); 62], &DEFAULT);
    assert!(turns.iter().any(|t| matches!(t.decision, Decision::Withdraw { why: Withdraw::Lapsed, .. })));
    assert_eq!(last(&turns).unwrap().proposal, None);
}

#[test]
fn nobody_proposes_to_move_to_where_work_is() {
    let record = first();
    assert_eq!(record.propose(name(0), "ada", "drill", sight(&record)), None);
    assert_eq!(record.reject(name(1), "ada", sight(&record)), None);
}

#[test]
fn an_order_says_who_what_and_why() {
    let pin = Tick { pin: Some((1, Rule::Drain)), ..Tick::calm(0) }.pins().remove(0);
    let entry = |order| Ordered {
        number: 7,
        at: Timestamp::default(),
        by: "bob".to_owned(),
        reason: "over".to_owned(),
        order,
        chain: None,
    };
    let taken = entry(Order::Unpin { region: name(1), was: Some(pin.clone()) });
    assert_eq!(
        taken.to_string(),
        "order 7: bob ordered `no ruling on us-east-1 any more, it was [ada ruled `drain us-east-1`: \
         maintenance]`: over"
    );
    let text = serde_json::to_string(&taken).unwrap();
    assert_eq!(serde_json::from_str::<Ordered>(&text).unwrap(), taken);
    assert_eq!(entry(Order::Pin { pin, was: None }).order.to_string(), "drain us-east-1");
}
