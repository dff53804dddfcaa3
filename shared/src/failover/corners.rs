//! The safety rules of failover at the places where random walks seldom pass.

use std::time::Duration;

use super::world::*;
use super::*;
use crate::{
    health::Seen,
    region::{Capability, Status},
    time::Timestamp,
};

/// `ticks` turns, a second apart, in which the region of this index stands like this.
fn turns(ticks: usize, index: usize, status: Status) -> Vec<Tick> {
    vec![Tick::calm(1).with(index, status); ticks]
}

/// A walk of the primary's death that begins with a calm tick.
fn walk_of(then: Vec<Tick>) -> Vec<Turn> {
    let ticks: Vec<Tick> = std::iter::once(Tick::calm(1)).chain(then).collect();
    walk(None, &ticks, &POLICY)
}

#[test]
fn a_primary_that_nobody_can_judge_is_not_left() {
    let turns = walk_of(turns(5, 0, Status::Unknown));
    assert!(turns.iter().all(|turn| turn.moved().is_none()));
    assert!(matches!(turns.last().unwrap().decision, Decision::Hold { why: Hold::Unknown(_), .. }));
}

#[test]
fn a_slow_primary_is_not_left() {
    let turns = walk_of(turns(5, 0, Status::Degraded));
    assert!(turns.iter().all(|turn| turn.moved().is_none()));
    assert!(matches!(turns.last().unwrap().decision, Decision::Stay { why: Stay::Home, .. }));
}

#[test]
fn a_second_move_waits_for_the_dwell_time() {
    let mut then = turns(3, 0, Status::Unhealthy);
    then.extend(vec![Tick::calm(1).with(0, Status::Unhealthy).with(1, Status::Unhealthy); 40]);
    let turns = walk_of(then);
    let moved: Vec<Timestamp> =
        turns.iter().filter(|turn| turn.moved().is_some()).map(|turn| turn.at).collect();
    assert_eq!(moved.len(), 2, "the second is not put off for ever");
    assert!(moved[1].since(moved[0]) >= POLICY.dwell, "{:?}", moved[1].since(moved[0]));
}

#[test]
fn a_witness_is_no_standby_however_healthy() {
    let witness = regions()[3].name;
    let mut view = Tick::calm(1).view();
    for capability in Capability::ALL {
        view.set(witness, capability, Seen { status: Status::Healthy, latency: None });
    }
    let pins = Pins::new(&[], Timestamp::default());
    let standbys = standbys(regions(), &view, pins, &Loads::new(), name(0));
    assert!(!standbys.iter().any(|standby| standby.region == witness));
}

#[test]
fn a_move_waits_while_nobody_can_tell_whether_its_reason_holds() {
    let mut then = turns(1, 0, Status::Unhealthy);
    then.extend(turns(3, 0, Status::Unknown));
    let turns = walk_of(then);
    assert!(matches!(turns[1].decision, Decision::Start { .. }), "{}", turns[1].decision);
    assert!(turns.iter().all(|turn| turn.moved().is_none()));
}

#[test]
fn a_new_region_that_is_down_is_not_called_verified() {
    let mut then = turns(2, 0, Status::Unhealthy);
    then.extend(turns(1, 1, Status::Unhealthy));
    let turns = walk_of(then);
    assert_eq!(turns[2].moved(), Some((name(0), name(1))), "{}", turns[2].decision);
    assert!(
        matches!(turns[3].decision, Decision::Hold { why: Hold::Verifying, .. }),
        "{}",
        turns[3].decision
    );
}

#[test]
fn a_decision_made_on_another_record_changes_nothing() {
    let turns = walk_of(turns(3, 0, Status::Unhealthy));
    let start = turns.iter().find(|turn| matches!(turn.decision, Decision::Start { .. })).unwrap();
    let moved = last(&turns).unwrap();
    assert_eq!((moved.active, moved.phase), (name(1), Phase::Steady), "work has moved meanwhile");
    assert_eq!(moved.apply(&start.decision, Moment::first_sight(moved.version, start.at)), None);
}

#[test]
fn time_spent_on_another_version_does_not_count() {
    let watched = Duration::from_secs(90);
    let moment = Moment { now: Timestamp::default(), version: 7, watched };
    assert_eq!([6, 7, 8].map(|version| moment.watched(version)), [Duration::ZERO, watched, Duration::ZERO]);
}

#[test]
fn a_pin_keeps_work_in_a_region_that_is_down() {
    let pin = Some((0, Rule::Stay));
    let then = turns(5, 0, Status::Unhealthy).into_iter().map(|tick| Tick { pin, ..tick }).collect();
    let turns = walk_of(then);
    assert!(turns.iter().all(|turn| turn.moved().is_none()));
    assert!(matches!(turns.last().unwrap().decision, Decision::Hold { why: Hold::Pinned(_), .. }));
}

#[test]
fn work_does_not_enter_a_region_that_an_operator_shut() {
    let pin = Some((1, Rule::Forbid));
    let then = turns(5, 0, Status::Unhealthy).into_iter().map(|tick| Tick { pin, ..tick }).collect();
    assert_eq!(last(&walk_of(then)).unwrap().active, name(2), "the next one is taken instead");
}

#[test]
fn manual_mode_starts_nothing_by_itself() {
    let ticks: Vec<Tick> = std::iter::once(Tick::calm(1)).chain(turns(5, 0, Status::Unhealthy)).collect();
    let end = last(&walk(None, &ticks, &Policy { mode: Mode::Manual, ..POLICY })).unwrap();
    assert_eq!((end.active, end.phase), (name(0), Phase::Steady));
    assert_eq!(end.proposal.unwrap().to, name(1));
}

#[test]
fn a_return_waits_for_the_hold_down() {
    let turns = after_an_outage(Some(Duration::ZERO));
    let recovered = turns.iter().find(|turn| matches!(turn.decision, Decision::NoteRecovery { .. })).unwrap();
    let back =
        |turn: &&Turn| matches!(turn.decision, Decision::Start { reason: Reason::Failback { .. }, .. });
    let waited = turns.iter().find(back).unwrap().at.since(recovered.at);
    assert!(waited >= POLICY.hold_down, "{waited:?}");
}

/// A move away, and then calm ticks of which each has this lag.
fn after_an_outage(lag: Option<Duration>) -> Vec<Turn> {
    let mut then = turns(4, 0, Status::Unhealthy);
    then.extend(vec![Tick { lag, gap: Duration::from_secs(10), ..Tick::calm(1) }; 20]);
    walk_of(then)
}

#[test]
fn work_does_not_return_while_replication_is_behind_or_cannot_be_measured() {
    for lag in [Some(POLICY.replication_lag_max + Duration::from_millis(1)), None] {
        let turns = after_an_outage(lag);
        assert!(matches!(turns.last().unwrap().decision, Decision::Hold { why: Hold::Lagging { .. }, .. }));
        assert_eq!(last(&turns).unwrap().active, name(1));
    }
    assert_eq!(last(&after_an_outage(Some(POLICY.replication_lag_max))).unwrap().active, name(0));
}

/// Nobody takes writes between a drain and the switch, and a return has no need of haste.
#[test]
fn a_return_that_cannot_be_finished_stops_writes_for_no_longer_than_a_drain() {
    let mut then = turns(60, 0, Status::Unhealthy);
    then.extend((0..30).map(|_| Tick::calm(10)));
    let turns = walk_of(then);
    let switching = |turn: &&Turn| {
        turn.after.as_ref().is_some_and(|r| matches!(r.phase, Phase::Switching { to } if to == name(0)))
    };
    let record = turns.iter().find(switching).unwrap().after.clone();
    let unseen: Vec<Tick> = (0..60).map(|_| Tick { lag: None, ..Tick::calm(1) }).collect();
    let stuck = walk(record, &unseen, &POLICY);
    let given_up = stuck
        .iter()
        .position(|turn| matches!(turn.decision, Decision::Abandon { why: Abandon::Stuck(_), .. }));
    let limit = usize::try_from(POLICY.drain_timeout.as_secs()).unwrap();
    assert!(given_up.is_some_and(|turn| turn <= limit), "{given_up:?} of {limit}");
    assert_eq!(
        stuck.last().unwrap().after.as_ref().or(stuck.last().unwrap().before.as_ref()).unwrap().active,
        name(1)
    );
}
