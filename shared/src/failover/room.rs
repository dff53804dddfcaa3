//! No region is entered that has no room while another has some.

use std::time::Duration;

use proptest::prelude::*;

use super::{world::*, *};
use crate::region::{RegionName, Status};

fn full(indices: &[usize], tick: Tick) -> Tick {
    Tick { full: indices.to_vec(), ..tick }
}

fn down() -> Tick {
    Tick::calm(10).with(0, Status::Unhealthy)
}

fn ranked(tick: &Tick) -> Vec<RegionName> {
    let pins = Pins::new(&[], Default::default());
    let all = standbys(regions(), &tick.view(), pins, &tick.loads(), name(0));
    all.into_iter().map(|standby| standby.region).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whenever automation leaves a region for a full one, no standby that was up and open had room.
    #[test]
    fn a_full_region_is_entered_only_when_none_has_room(ticks in weather(20)) {
        for turn in walk(None, &ticks, &Policy::default()) {
            let Decision::Start { from, to, by: StartedBy::Automation, full, .. } = &turn.decision else { continue };
            let is_full = |region: &RegionName| turn.tick.loads()[region].uploads > 0;
            prop_assert_eq!(full.is_some(), is_full(to));
            if is_full(to) {
                let pins = turn.tick.pins();
                let all = standbys(
                    regions(), &turn.tick.view(), Pins::new(&pins, turn.at), &turn.tick.loads(), *from,
                );
                prop_assert!(all.iter().all(|standby| standby.full.is_some()), "{}", turn.decision);
            }
        }
    }
}

#[test]
fn room_comes_before_health_and_priority() {
    let tick = full(&[1], Tick::calm(1).with(2, Status::Degraded));
    assert_eq!(ranked(&tick), [name(2), name(1)]);
}

#[test]
fn a_load_that_is_not_known_keeps_nobody_out() {
    let tick = Tick::calm(1);
    let pins = Pins::new(&[], Default::default());
    let all = standbys(regions(), &tick.view(), pins, &Loads::new(), name(0));
    assert_eq!(
        all.iter().map(|s| (s.region, s.full)).collect::<Vec<_>>(),
        [(name(1), None), (name(2), None)]
    );
}

#[test]
fn the_decision_says_that_no_standby_has_room() {
    let turns = walk(None, &[Tick::calm(10), full(&[1, 2], down())], &Policy::default());
    assert_eq!(
        turns[1].decision.to_string(),
        "move from us-west-2 to us-east-1, switching to us-east-1: us-west-2 is down for table_write \
         (started by automation); us-east-1 has no room for more: 1 of 1 uploads, 0 of 1 Mbit/s"
    );
}

#[test]
fn work_does_not_return_to_a_region_without_room() {
    let mut ticks = vec![Tick::calm(10)];
    ticks.extend(vec![down(); 4]);
    ticks.extend(vec![full(&[0], Tick::calm(10)); 30]);
    let turns = walk(None, &ticks, &Policy::default());
    assert_eq!(last(&turns).unwrap().active, name(1));
    let end = &turns.last().unwrap().decision;
    assert!(matches!(end, Decision::Hold { why: Hold::NoRoom { .. }, .. }), "{end}");
    let home = walk(last(&turns), &vec![Tick::calm(10); 20], &Policy::default());
    assert_eq!(last(&home).unwrap().active, name(0));
}

#[test]
fn the_record_of_a_move_keeps_who_was_full() {
    let mut ticks = vec![Tick::calm(10), full(&[1], down())];
    ticks.extend(vec![full(&[1], Tick { gap: Duration::from_secs(2), ..down() }); 4]);
    let turns = walk(None, &ticks, &Policy::default());
    let moved =
        turns.iter().find_map(|t| Moved::ended_by(&t.decision, t.before.as_ref()?, t.moment)).unwrap();
    assert_eq!(moved.to, name(2));
    let text = moved.to_string();
    assert!(text.contains("[us-east-1 up, full] [eu-west-1 up];"), "{text}");
}
