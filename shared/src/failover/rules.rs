//! The safety rules of failover, checked on random walks of one controller.

use std::time::Duration;

use proptest::prelude::*;

use super::world::*;
use super::*;
use crate::region::{RegionName, Status};

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Graceful), Just(Mode::Immediate), Just(Mode::Manual)]
}

/// The pins of a turn, as the decision saw them.
fn shut(turn: &Turn, region: RegionName) -> bool {
    Pins::new(&turn.tick.pins(), turn.at).against(region).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The active region changes only by the last write of a move, and then into
    /// a region that is up for everything needed and that no pin shuts.
    #[test]
    fn moves_end_only_in_regions_that_are_up_and_open(ticks in weather(20), mode in mode()) {
        for turn in walk(None, &ticks, &Policy { mode, ..POLICY }) {
            if let Some((_, to)) = turn.moved() {
                prop_assert!(turn.tick.standing(to).is_up(), "{}", turn.decision);
                prop_assert!(!shut(&turn, to), "{}", turn.decision);
            }
        }
    }

    /// What automation starts has a cause that is known, and never begins in panic.
    #[test]
    fn automation_moves_from_down_to_up_and_never_on_unknown(ticks in weather(20)) {
        for turn in walk(None, &ticks, &POLICY) {
            let Decision::Start { from, to, reason, by: StartedBy::Automation, .. } = &turn.decision else { continue };
            prop_assert!(!turn.tick.panic);
            prop_assert!(turn.tick.standing(*to).is_up() && !shut(&turn, *to));
            let drained = turn.tick.pin == Some((NAMES.iter().position(|n| *n == from.as_str()).unwrap(), Rule::Drain));
            match (reason, turn.tick.standing(*from)) {
                (Reason::Down { .. }, Standing::Down { .. }) | (Reason::Drained { .. }, Standing::Offline) => {}
                (Reason::Drained { .. }, standing) => prop_assert!(drained && standing.is_up()),
                (Reason::Failback { region }, standing) => prop_assert!(standing.is_up() && *region == name(0)),
                (reason, standing) => prop_assert!(false, "{reason:?} while {standing}"),
            }
        }
    }

    /// Each write is one version on, and the epoch rises by one exactly when the active region changes.
    #[test]
    fn the_epoch_counts_assignments_and_the_version_counts_writes(ticks in weather(20), mode in mode()) {
        for turn in walk(None, &ticks, &Policy { mode, ..POLICY }) {
            if let (Some(before), Some(after)) = (&turn.before, &turn.after) {
                prop_assert_eq!(after.version, before.version + 1);
                prop_assert_eq!(after.epoch, before.epoch + u64::from(turn.moved().is_some()));
            }
        }
    }

    /// Some region that holds data is active from the first record on.
    #[test]
    fn there_is_always_an_active_region(ticks in weather(20), mode in mode()) {
        for turn in walk(None, &ticks, &Policy { mode, ..POLICY }) {
            let record = turn.after.or(turn.before);
            prop_assert!(record.is_some_and(|r| NAMES.contains(&r.active.as_str())));
        }
    }

    /// However wild the weather, automation leaves regions no more often in any hour
    /// than it may, starts no failback while it may not leave again, and never moves
    /// within the dwell time of the move before.
    #[test]
    fn flapping_is_limited(ticks in weather(60)) {
        let turns = walk(None, &ticks, &POLICY);
        let moves: Vec<_> = turns.iter().filter(|t| t.moved().is_some()).collect();
        let made = |t: &Turn| t.after.as_ref().and_then(|r| r.moves.last().copied()).unwrap();
        let automatic = |t: &&&Turn| made(t).automatic;
        let away: Vec<_> =
            moves.iter().filter(automatic).filter(|t| !made(t).failback).map(|t| t.at).collect();
        for three in away.windows(3) {
            prop_assert!(three[2].since(three[0]) >= MOVES_WINDOW, "{three:?}");
        }
        for turn in &turns {
            let Decision::Start { reason: Reason::Failback { .. }, by: StartedBy::Automation, .. } = turn.decision
            else {
                continue;
            };
            let record = turn.before.as_ref().unwrap();
            let left = record.recent_moves(turn.moment).filter(|m| m.automatic && !m.failback).count();
            prop_assert!(left < 2, "{record:?}");
        }
        for two in moves.windows(2).filter(|two| automatic(&&two[1])) {
            prop_assert!(two[1].at.since(two[0].at) >= POLICY.dwell);
        }
    }

    /// A failback starts, and ends, with replication known to have caught up, and
    /// not before the primary was up for the hold-down.
    #[test]
    fn failback_waits_for_recovery_and_replication(ticks in weather(40), mode in mode()) {
        let mut down_at = None;
        for turn in walk(None, &ticks, &Policy { mode, ..POLICY }) {
            let primary = turn.tick.standing(name(0));
            let away = turn.before.as_ref().is_some_and(|r| r.active != name(0) && r.phase == Phase::Steady);
            let watched_down = matches!(turn.decision, Decision::NoteRelapse { .. }
                | Decision::Stay { why: Stay::PrimaryNotUp(_), .. });
            if away && watched_down && !primary.is_up() {
                down_at = Some(turn.at);
            }
            let caught_up = turn.tick.lag.is_some_and(|lag| lag <= POLICY.replication_lag_max);
            let returns = |r: &Reason| matches!(r, Reason::Failback { .. });
            if let Decision::Start { reason, by, .. } = &turn.decision && returns(reason) {
                prop_assert!(primary.is_up() && caught_up);
                if *by == StartedBy::Automation && let Some(down_at) = down_at {
                    prop_assert!(turn.at.since(down_at) >= POLICY.hold_down);
                }
            }
            if turn.moved().is_some() && turn.after.as_ref().is_some_and(|r| returns(&r.reason)) {
                prop_assert!(caught_up);
            }
        }
    }

    /// Applying a decision again, to its own result, changes nothing.
    #[test]
    fn applying_twice_is_applying_once(ticks in weather(20), mode in mode()) {
        for turn in walk(None, &ticks, &Policy { mode, ..POLICY }) {
            if let Some(after) = &turn.after {
                let again = apply(Some(after), &turn.decision, turn.moment);
                prop_assert!(again.is_none(), "{}: {again:?}", turn.decision);
            }
        }
    }

    /// From wherever the weather left the record, calm weather brings work home.
    #[test]
    fn in_calm_weather_work_comes_home(ticks in weather(30)) {
        let record = last(&walk(None, &ticks, &POLICY));
        let calm: Vec<_> = (0..200).map(|_| Tick::calm(30)).collect();
        let turns = walk(record, &calm, &POLICY);
        let end = &turns.last().unwrap().decision;
        prop_assert_eq!(end, &Decision::Stay { active: name(0), why: Stay::Home });
    }

    /// Every move ends, whatever happens to it: no phase outlasts its limit by
    /// more than the time between two looks.
    #[test]
    fn no_phase_lasts_for_ever(ticks in weather(30), stuck in tick()) {
        let record = last(&walk(None, &ticks, &POLICY));
        let same: Vec<_> = (0..60).map(|_| Tick { gap: Duration::from_secs(10), ask: None, ..stuck.clone() }).collect();
        let turns = walk(record, &same, &POLICY);
        prop_assert!(turns.iter().any(|t| t.after.as_ref().or(t.before.as_ref()).unwrap().phase == Phase::Steady));
    }

    /// The record stays small, and reads back as it was written.
    #[test]
    fn the_record_is_bounded_and_reads_back(ticks in weather(40), mode in mode()) {
        for turn in walk(None, &ticks, &Policy { mode, ..POLICY }) {
            let Some(record) = turn.after else { continue };
            let text = serde_json::to_string(&record).unwrap();
            prop_assert!(text.len() < 8 << 10, "{text}");
            prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        }
    }

    /// While a pin keeps work where it is, or shuts every standby, automation starts nothing.
    #[test]
    fn pins_beat_automation(ticks in weather(20), kept in 0..NAMES.len()) {
        let pinned: Vec<_> =
            ticks.into_iter().map(|t| Tick { pin: Some((kept, Rule::Stay)), ask: None, ..t }).collect();
        for turn in walk(None, &pinned, &POLICY) {
            if let Some((from, to)) = turn.moved() {
                prop_assert!(from != name(kept) && to == name(kept), "{}", turn.decision);
            }
        }
    }
}

/// The names of the decisions of a walk that were written, in order.
fn told(turns: &[Turn]) -> Vec<String> {
    turns.iter().filter(|t| t.after.is_some()).map(|t| t.decision.to_string()).collect()
}

fn dead_primary(ticks: usize, gap_s: u64) -> Vec<Tick> {
    (0..ticks).map(|_| Tick::calm(gap_s).with(0, Status::Unhealthy)).collect()
}

#[test]
fn a_dead_primary_is_left_without_a_drain() {
    let mut ticks = vec![Tick { leases: Some(9), ..Tick::calm(10) }];
    ticks.extend(dead_primary(4, 1));
    assert_eq!(
        told(&walk(None, &ticks, &POLICY)),
        [
            "begin in us-west-2: there is no record yet",
            "move from us-west-2 to us-east-1, switching to us-east-1: us-west-2 is down for table_write (started by automation)",
            "go on from switching to us-east-1 to verifying after us-west-2: the target is up and the reason still holds",
            "go on from verifying after us-west-2 to steady: the new region was seen working",
            "note the recovery of us-west-2: it is up again",
        ][..4]
    );
}

#[test]
fn work_returns_in_four_steps_after_the_hold_down() {
    let mut ticks = vec![Tick::calm(10)];
    ticks.extend(dead_primary(6, 10));
    ticks.extend((0..20).map(|_| Tick::calm(10)));
    let turns = walk(None, &ticks, &POLICY);
    let shares: Vec<_> =
        turns.iter().filter_map(|t| t.after.as_ref()?.shift().map(|(_, percent)| percent)).collect();
    assert_eq!(shares, [10, 25, 50, 50, 50], "two writes follow the third step: draining and switching");
    let home = last(&turns).unwrap();
    assert_eq!((home.active, home.epoch, home.phase), (name(0), 3, Phase::Steady));
}

/// A calm spell that is long enough for work to come home, and then an outage of `ticks`.
fn home_and_away(ticks: usize) -> Vec<Tick> {
    let calm = (0..40).map(|_| Tick::calm(10));
    calm.chain(dead_primary(ticks, 10)).collect()
}

#[test]
fn a_second_outage_within_the_hour_is_left_without_an_operator() {
    let mut ticks = vec![Tick::calm(10)];
    ticks.extend(dead_primary(6, 10));
    ticks.extend(home_and_away(3));
    let record = last(&walk(None, &ticks, &POLICY)).unwrap();
    assert_eq!(record.active, name(1), "the failback in between spent none of the two moves");
    assert_eq!(record.moves.iter().map(|m| m.failback).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn work_goes_home_only_when_it_could_leave_once_more() {
    let mut ticks = vec![Tick::calm(10)];
    ticks.extend(dead_primary(6, 10));
    ticks.extend(home_and_away(6));
    ticks.extend((0..60).map(|_| Tick::calm(10)));
    let turns = walk(None, &ticks, &POLICY);
    assert_eq!(last(&turns).unwrap().active, name(1), "two moves away were made");
    let proposed = turns.iter().rev().find(|t| matches!(t.decision, Decision::Propose { .. })).unwrap();
    assert_eq!(
        proposed.decision.to_string(),
        "propose to move from us-east-1 to us-west-2: us-west-2 is the primary region and has recovered; \
         2 moves away within the hour are as many as are allowed"
    );
    let calm: Vec<_> = (0..400).map(|_| Tick::calm(10)).collect();
    let later = walk(last(&turns), &calm, &POLICY);
    assert_eq!(last(&later).unwrap().active, name(0), "once the first of them is an hour old");
}

#[test]
fn a_third_move_away_within_the_hour_waits_for_an_operator() {
    let mut ticks = vec![Tick::calm(10)];
    ticks.extend(dead_primary(6, 10));
    ticks.extend(home_and_away(6));
    // The region that work went to falls as well.
    let dead = |gap_s| Tick::calm(gap_s).with(1, Status::Unhealthy);
    ticks.extend((0..6).map(|_| dead(10)));
    let turns = walk(None, &ticks, &POLICY);
    let record = last(&turns).unwrap();
    assert_eq!(record.active, name(1));
    assert_eq!(
        turns.last().unwrap().decision.to_string(),
        "hold in us-east-1: the move to us-west-2 waits for an operator's approval"
    );
    let moment = Moment::first_sight(record.version, turns.last().unwrap().at);
    let approved = record.approve(name(0), "ada", moment).unwrap();
    let end = last(&walk(Some(approved), &[dead(10), dead(10), dead(10), dead(10)], &POLICY)).unwrap();
    assert_eq!((end.active, end.phase), (name(0), Phase::Steady));
    assert!(!end.moves.last().unwrap().automatic);
}

#[test]
fn an_approval_of_another_move_is_refused() {
    let record = Record::first(name(0), Default::default());
    let refused = record.approve(name(1), "ada", Moment::first_sight(1, Default::default()));
    assert_eq!(refused, Err(NotApproved::NothingWaits { to: name(1) }));
}

#[test]
fn a_planned_move_drains_until_the_last_lease_ends() {
    let busy =
        |gap_s, leases| Tick { leases: Some(leases), pin: Some((0, Rule::Drain)), ..Tick::calm(gap_s) };
    let ticks = [Tick::calm(1), busy(1, 3), busy(1, 3), busy(1, 0), busy(1, 0)];
    let turns = walk(None, &ticks, &POLICY);
    assert_eq!(
        turns[2].decision.to_string(),
        "hold in us-west-2: 3 leases are in flight, the drain ends in 4s"
    );
    assert_eq!(
        turns[1].decision.to_string(),
        "move from us-west-2 to us-east-1, draining towards us-east-1: \
        us-west-2 is drained: ada ruled `drain us-west-2`: maintenance (started by automation)"
    );
    assert!(matches!(turns[3].decision, Decision::Advance { why: Advance::Drained, .. }));
    assert_eq!(last(&turns).unwrap().active, name(1));
}

#[test]
fn a_plan_whose_target_fell_is_given_up_when_it_would_be_applied() {
    let both = Tick::calm(1).with(0, Status::Unhealthy).with(1, Status::Unhealthy);
    let mut ticks = vec![Tick::calm(10), Tick::calm(1).with(0, Status::Unhealthy), both.clone()];
    ticks.extend([both.clone(), both]);
    let turns = walk(None, &ticks, &POLICY);
    assert!(matches!(&turns[2].decision, Decision::Abandon { why: Abandon::NotUp(_), .. }));
    assert_eq!(last(&turns).unwrap().active, name(2), "the next best standby is taken instead");
}

#[test]
fn healthy_standbys_go_before_degraded_ones_whatever_their_priority() {
    let tick = Tick::calm(1).with(1, Status::Degraded);
    let pins = Pins::new(&[], Default::default());
    let names = |tick: &Tick| {
        let all = standbys(regions(), &tick.view(), pins, &Loads::new(), name(0));
        all.into_iter().map(|standby| standby.region).collect::<Vec<_>>()
    };
    assert_eq!(names(&tick), [name(2), name(1)]);
    assert_eq!(names(&Tick::calm(1)), [name(1), name(2)]);
}

#[test]
fn objects_that_cannot_be_stored_do_not_move_the_primary() {
    use crate::{health::Seen, region::Capability};
    let mut view = Tick::calm(1).view();
    for capability in [Capability::ObjectRead, Capability::ObjectWrite] {
        view.set(name(0), capability, Seen { status: Status::Unhealthy, latency: None });
    }
    assert_eq!(Standing::of(&view, &regions()[0]), Standing::Up);
}

#[test]
fn who_ends_a_move_fills_in_the_bound_that_who_switched_did_not_know() {
    let mut ticks = vec![Tick::calm(10)];
    ticks.extend(dead_primary(3, 2));
    let turns = walk(None, &ticks, &POLICY);
    let ended = |t: &Turn| Moved::ended_by(&t.decision, t.before.as_ref()?, t.moment);
    let turn = turns.iter().find(|t| ended(t).is_some()).unwrap();
    let mut record = turn.before.clone().unwrap();
    let Decision::Advance { from, into, why, lag, .. } = turn.decision.clone() else {
        panic!("{}", turn.decision)
    };
    let knows = Decision::Advance { from, into, why, lag, loss_max: Some(Duration::from_secs(9)) };
    let told = |record: &Record| Moved::ended_by(&knows, record, turn.moment).unwrap().loss_max_ms;
    assert_eq!(told(&record), Some(9_000));
    record.underway.as_mut().unwrap().loss_max_ms = Some(4_000);
    assert_eq!(told(&record), Some(4_000), "what was known at the switch stands");
}

#[test]
fn a_finished_move_tells_its_story() {
    let mut ticks = vec![Tick::calm(10)];
    ticks.extend(dead_primary(3, 2));
    let turns = walk(None, &ticks, &POLICY);
    let stories: Vec<_> = turns
        .iter()
        .filter_map(|t| Moved::ended_by(&t.decision, t.before.as_ref()?, t.moment))
        .map(|moved| moved.to_string())
        .collect();
    assert_eq!(
        stories,
        [
            "epoch 2: moved from us-west-2 to us-east-1: us-west-2 is down for table_write (started by automation); \
         saw [us-west-2 down for table_write] [us-east-1 up] [eu-west-1 up]; replication was 0 ms behind; \
         switching 2s; verifying 2s; seen working"
        ]
    );
}
