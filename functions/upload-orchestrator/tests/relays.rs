//! A copy that is sent on by a cheaper region: whoever is lost, every region holds each object once.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use sealane::{
    region::RegionName,
    replication::{Entry, Phase},
};
use world::{ALL, EAST, EU, WEST, World, assert_one_copy_everywhere, faults::Fault, region, tick};

const MINUTE: Duration = Duration::from_secs(60);

fn pays(from: &str, to: &str) -> (RegionName, RegionName) {
    (region(from), region(to))
}

/// A world with an object in the west whose event has been delivered there.
fn written() -> World {
    let world = World::relaying("{}");
    world.put(WEST, "k", b"x", &[]);
    assert_eq!(world.deliver(WEST, &world.event(WEST, "k")), [""; 0]);
    world
}

#[test]
fn the_relay_pays_once_its_own_copy_is_proved() {
    let world = written();
    assert_eq!(ALL.map(|name| world.versions(name, "k")), [1, 1, 0]);
    // The event of its own copy wakes it.
    assert_eq!(world.deliver(EAST, &world.event(EAST, "k")), [""; 0]);
    assert_one_copy_everywhere(&world, "k", b"x");
    assert_eq!(world.payers(WEST, "k"), [pays(EAST, EU), pays(WEST, EAST)]);
}

#[test]
fn a_relay_that_no_event_wakes_pays_with_its_next_sweep() {
    let world = written();
    world.pass(MINUTE);
    assert_eq!((world.sweep(WEST).owed, world.sweep(EAST).copied), (0, 1));
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn what_waits_for_a_relay_is_owed_since_it_was_written() {
    let world = World::relaying("{}");
    world.cut(EAST, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.pass(2 * MINUTE);
    let sweep = world.sweep(WEST);
    assert_eq!((sweep.copied, sweep.owed, sweep.oldest_age_s), (0, 2, 120));
}

#[test]
fn doubled_events_make_no_second_copy_and_take_nothing_from_the_relay() {
    let world = written();
    for _ in 0..3 {
        world.deliver(WEST, &world.event(WEST, "k"));
    }
    assert_eq!(world.versions(EU, "k"), 0, "it is the relay's to pay");
    for _ in 0..3 {
        world.deliver(EAST, &world.event(EAST, "k"));
        world.deliver(WEST, &world.event(WEST, "k"));
    }
    assert_one_copy_everywhere(&world, "k", b"x");
    assert_eq!(world.payers(WEST, "k"), [pays(EAST, EU), pays(WEST, EAST)]);
}

#[test]
fn with_relays_off_or_equal_prices_every_copy_comes_from_the_source() {
    for world in [World::relaying("{relay: 'off'}"), World::ruled("{relay: cost}")] {
        world.put(WEST, "k", b"x", &[]);
        world.deliver(WEST, &world.event(WEST, "k"));
        assert_one_copy_everywhere(&world, "k", b"x");
        assert_eq!(world.payers(WEST, "k"), [pays(WEST, EU), pays(WEST, EAST)]);
    }
}

#[test]
fn a_relay_that_does_not_get_its_copy_is_waited_for_no_longer_than_five_minutes() {
    let world = World::relaying("{}");
    world.cut(EAST, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    for _ in 0..4 {
        world.pass(MINUTE);
        assert_eq!(world.sweep(WEST).copied, 0);
    }
    world.pass(MINUTE);
    assert_eq!((world.sweep(WEST).copied, world.versions(EU, "k")), (1, 1));
    world.cut(EAST, false);
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
    assert_eq!(world.payers(WEST, "k"), [pays(WEST, EU), pays(WEST, EAST)]);
}

#[test]
fn a_relay_that_got_its_copy_late_is_given_the_rest() {
    let world = World::relaying("{}");
    world.cut(EAST, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.pass(2 * MINUTE);
    world.cut(EAST, false);
    assert_eq!(world.sweep(WEST).copied, 1);
    assert_eq!(world.sweep(EAST).copied, 1);
    assert_one_copy_everywhere(&world, "k", b"x");
    assert_eq!(world.payers(WEST, "k"), [pays(EAST, EU), pays(WEST, EAST)]);
}

#[test]
fn the_rows_of_a_relay_that_is_lost_are_paid_by_a_region_that_holds_the_object() {
    let world = written();
    world.cut(EAST, true);
    world.pass(MINUTE);
    assert_eq!(world.sweep(WEST).copied, 0, "the relay may still come back");
    world.pass(3 * MINUTE);
    assert_eq!(world.sweep(WEST).copied, 1);
    world.cut(EAST, false);
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn what_a_relay_does_not_get_to_is_taken_back_by_who_gave_it() {
    let world = written();
    // The bucket of the east answers, and nobody works there.
    for _ in 0..4 {
        world.pass(MINUTE);
        assert_eq!((world.sweep(WEST).copied, world.sweep(EU).copied), (0, 0));
    }
    world.pass(2 * MINUTE);
    assert_eq!(world.sweep(EU).copied, 0, "it was not given by this one");
    assert_eq!(world.sweep(WEST).copied, 1);
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
    assert_eq!(world.payers(WEST, "k"), [pays(WEST, EU), pays(WEST, EAST)]);
}

#[test]
fn nothing_is_taken_back_while_the_destination_is_down() {
    let world = written();
    world.cut(EU, true);
    for _ in 0..10 {
        world.pass(MINUTE);
        ALL[..2].iter().for_each(|name| drop(world.invoke(name, &tick())));
    }
    assert_eq!(world.payers(WEST, "k"), [pays(EAST, EU), pays(WEST, EAST)]);
    world.cut(EU, false);
    world.pass(MINUTE);
    assert_eq!(world.sweep(EAST).copied, 1);
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn while_the_relays_own_copy_is_being_made_it_is_waited_for() {
    for at in 0.. {
        let world = World::relaying("{}");
        world.put(WEST, "k", b"x", &[]);
        world.script.plan(at, Fault::CrashBefore);
        world.invoke(WEST, &world.event(WEST, "k"));
        assert!(world.script.happened(), "no worker died while it copied");
        let at_work = |row: &Entry| row.destination == region(EAST) && matches!(row.phase, Phase::Copying(_));
        if world.owed().iter().any(at_work) {
            world.pass(6 * MINUTE);
            assert_eq!(world.sweep(WEST).copied, 1);
            assert_eq!(ALL.map(|name| world.versions(name, "k")), [1, 1, 0]);
            world.settle();
            assert_one_copy_everywhere(&world, "k", b"x");
            assert_eq!(world.payers(WEST, "k"), [pays(EAST, EU), pays(WEST, EAST)]);
            return;
        }
    }
}

/// The source, a region that is cheaper, and two that are cheaper still between each other.
const CHAIN: [&str; 4] = ["sa-east-1", EU, EAST, "us-east-2"];

#[test]
fn a_copy_goes_over_two_relays_where_that_is_cheapest() {
    for lost in [None, Some(1), Some(2)] {
        let world = World::of(&CHAIN).with_price(EU, 0.015);
        let world = world.with_price(CHAIN[0], 0.03);
        world.put(CHAIN[0], "k", b"x", &[]);
        world.deliver(CHAIN[0], &world.event(CHAIN[0], "k"));
        if let Some(lost) = lost {
            world.cut(CHAIN[lost], true);
            world.pass(10 * MINUTE);
            CHAIN.iter().for_each(|name| drop(world.invoke(name, &tick())));
            world.cut(CHAIN[lost], false);
        }
        world.settle();
        assert_one_copy_everywhere(&world, "k", b"x");
        if lost.is_none() {
            let way = [pays(CHAIN[0], EU), pays(EU, EAST), pays(EAST, "us-east-2")];
            assert_eq!(world.payers(CHAIN[0], "k"), way);
        }
    }
}

#[test]
fn a_relays_copy_that_was_deleted_keeps_no_other_region_from_its_own() {
    let world = written();
    world.objects(EAST).delete("k");
    world.pass(MINUTE);
    assert_eq!(world.sweep(EAST).copied, 0);
    assert_eq!(world.sweep(WEST).copied, 1);
    world.settle();
    assert_eq!((world.body(EU, "k"), world.body(EAST, "k")), (b"x".to_vec(), Vec::new()));
    assert_eq!(world.payers(WEST, "k"), [pays(WEST, EU), pays(WEST, EAST)]);
}

#[test]
fn a_deleted_source_leads_to_no_copy_by_the_relay() {
    let world = World::relaying("{}");
    world.cut(EAST, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.objects(WEST).delete("k");
    world.cut(EAST, false);
    world.settle();
    assert!(ALL.iter().all(|name| world.body(name, "k").is_empty()));
}

#[test]
fn a_worker_may_die_at_any_call_here_and_at_the_relay() {
    for fault in Fault::ALL {
        for at in 0.. {
            let world = World::relaying("{}");
            world.put(WEST, "k", b"hello", &[]);
            let event = world.event(WEST, "k");
            world.script.plan(at, fault);
            world.invoke(WEST, &event);
            if world.versions(EAST, "k") > 0 {
                let woken = world.event(EAST, "k");
                world.invoke(EAST, &woken);
            }
            let happened = world.script.happened();
            world.script.heal();
            world.pass(10 * MINUTE);
            world.invoke(WEST, &event);
            world.settle();
            assert_one_copy_everywhere(&world, "k", b"hello");
            if !happened {
                assert!(at > 20, "only {at} calls");
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Events doubled and in any order, regions cut and healed at any time, workers dying at any call, rules
    /// of relays switched on and off: after the last cut is healed, every region holds each object once.
    #[test]
    fn all_is_paid_once_after_the_last_cut(steps in vec((0..7_usize, 0..3_usize, 0..40_usize), 0..40)) {
        let mut world = World::relaying("{}");
        for name in ALL {
            world.put(name, &format!("by-{name}"), name.as_bytes(), &[]);
        }
        let mut events: Vec<_> = ALL.iter().map(|name| (*name, world.event(name, &format!("by-{name}")))).collect();
        for (action, place, number) in steps {
            if world.versions(EAST, "by-us-west-2") > 0 && events.len() == ALL.len() {
                events.push((EAST, world.event(EAST, "by-us-west-2")));
            }
            let (here, event) = &events[number % events.len()];
            match action {
                0 | 1 => drop(world.invoke(here, event)),
                2 => world.cut(ALL[place], number % 2 == 0),
                3 => drop(world.invoke(ALL[place], &tick())),
                4 => world.pass(Duration::from_secs(number as u64 * 10)),
                5 => world.config = World::relaying(if number % 2 == 0 { "{}" } else { "{relay: 'off'}" }).config,
                _ => world.script.plan(number, Fault::ALL[place]),
            }
        }
        world.script.heal();
        ALL.iter().for_each(|name| world.cut(name, false));
        world.pass(10 * MINUTE);
        for (here, event) in &events {
            world.invoke(here, event);
        }
        world.settle();
        for name in ALL {
            assert_one_copy_everywhere(&world, &format!("by-{name}"), name.as_bytes());
        }
    }
}

/// Versions that are written over go by way of the relay as well, each once and in their order, be the
/// relay up or not, and whichever of their events comes.
#[test]
fn versions_that_are_sent_on_keep_their_order() {
    const NAMES: [&str; 3] = ["v1", "v2", "v3"];
    let events_that_come: [&[usize]; 4] = [&[0, 1, 2], &[2], &[1, 2, 0], &[0, 0, 2]];
    for (order, relay_is_cut) in events_that_come.iter().flat_map(|order| [(order, false), (order, true)]) {
        let world = World::relaying("{}");
        world.cut(EAST, relay_is_cut);
        let events = NAMES.map(|body| {
            world.put(WEST, "k", body.as_bytes(), &[]);
            world.event(WEST, "k")
        });
        order.iter().for_each(|number| drop(world.deliver(WEST, &events[*number])));
        world.cut(EAST, false);
        for _ in 0..4 {
            world.pass(10 * MINUTE);
            for name in ALL {
                world.sweep(name);
            }
        }
        for name in ALL {
            assert_eq!(world.history(name, "k"), NAMES, "in {name}: {order:?}, relay cut: {relay_is_cut}");
        }
        assert!(world.owed().is_empty() && world.missed().is_empty());
    }
}
