//! What becomes of versions that are written over before they were copied: each gets everywhere, once,
//! and in the order of its source.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::time::Duration;

use futures::FutureExt as _;
use proptest::{collection::vec, prelude::*};
use sealane::{
    ports::Objects as _,
    replication::{META_ORIGIN, META_REGIONS, META_UPLOAD},
};
use serde_json::Value;
use upload_orchestrator::Answer;
use world::{ALL, EAST, EU, WEST, World, faults::Fault, mark};

const MINUTE: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["v1", "v2", "v3"];

/// Writes versions of `k` in `here`, one right after the other; their events.
fn write_all(world: &World, here: &str, bodies: &[&str]) -> Vec<Value> {
    let put = |body: &&str| {
        world.put(here, "k", body.as_bytes(), &[]);
        world.event(here, "k")
    };
    bodies.iter().map(put).collect()
}

/// Puts the upload `id` of `k`, which belongs everywhere, into some regions.
fn upload(world: &World, id: &str, into: &[&str]) {
    let wanted = ALL.join(",");
    for name in into {
        world.put(name, "k", id.as_bytes(), &[(META_UPLOAD, id), (META_REGIONS, &wanted)]);
    }
}

fn assert_same_history(world: &World, bodies: &[&str], what: &str) {
    for name in ALL {
        assert_eq!(world.history(name, "k"), bodies, "in {name}: {what}");
    }
    assert_eq!((world.owed(), world.missed()), (Vec::new(), Vec::new()), "{what}");
}

fn sweep_all(world: &World, rounds: u32) {
    for _ in 0..rounds {
        world.pass(10 * MINUTE);
        for name in ALL {
            world.sweep(name);
        }
    }
}

#[test]
fn every_version_is_copied_in_order_whatever_becomes_of_its_events() {
    let orders: [&[usize]; 9] =
        [&[0, 1, 2], &[2, 1, 0], &[1, 2, 0], &[2], &[2, 0], &[0, 2], &[1, 2, 2], &[2, 2, 1], &[0, 0, 2, 1]];
    for order in orders {
        let world = World::new();
        let events = write_all(&world, WEST, &NAMES);
        order.iter().for_each(|number| drop(world.deliver(WEST, &events[*number])));
        assert_same_history(&world, &NAMES, &format!("{order:?}"));
    }
}

#[test]
fn versions_of_equal_bytes_are_copied_each() {
    let world = World::new();
    let events = write_all(&world, WEST, &["same", "same", "other", "same"]);
    world.deliver(WEST, &events[3]);
    assert_same_history(&world, &["same", "same", "other", "same"], "");
}

#[test]
fn a_version_that_no_event_told_of_is_found_though_it_has_the_size_of_the_one_below() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    let events = write_all(&world, WEST, &NAMES[..2]);
    world.deliver(WEST, &events[0]);
    assert_eq!(world.history(EU, "k"), ["v1", "v2"], "its event tells of the newer one, too");
    write_all(&world, WEST, &NAMES[2..]);
    sweep_all(&world, 1);
    assert_same_history(&world, &NAMES, "");
}

#[test]
fn a_write_after_a_delete_is_found_though_its_region_lacks_a_version_of_before() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    world.deliver(WEST, &write_all(&world, WEST, &["v1"])[0]);
    world.cut(EU, true);
    world.deliver(WEST, &write_all(&world, WEST, &["v2"])[0]);
    ALL.iter().for_each(|name| world.objects(name).delete("k"));
    world.cut(EU, false);
    // Its event never comes, and the others have more versions of its size.
    write_all(&world, EU, &["v3"]);
    sweep_all(&world, 2);
    assert!(ALL.iter().all(|name| world.body(name, "k") == b"v3"));
    assert_eq!((world.history(EU, "k").len(), world.history(WEST, "k").len(), world.owed()), (2, 3, vec![]));
}

#[test]
fn a_region_that_was_cut_gets_every_version_in_order() {
    let world = World::new();
    world.cut(EU, true);
    for name in NAMES {
        world.deliver(WEST, &write_all(&world, WEST, &[name])[0]);
    }
    assert_eq!((world.history(EAST, "k").len(), world.owed().len()), (3, 3));
    world.cut(EU, false);
    world.pass(MINUTE);
    assert_eq!(world.sweep(WEST).copied, 3, "one sweep pays all of them");
    assert_same_history(&world, &NAMES, "");
}

#[test]
fn a_worker_may_die_at_any_call_while_three_versions_are_owed() {
    for fault in Fault::ALL {
        for at in 0.. {
            let world = World::new();
            let events = write_all(&world, WEST, &NAMES);
            world.script.plan(at, fault);
            for event in [&events[1], &events[2], &events[0]] {
                for _ in 0..5 {
                    let reply = world.invoke(WEST, event);
                    if matches!(reply, Some(Ok(reply)) if matches!(&reply.answer, Answer::Batch(o) if o.batch_item_failures.is_empty()))
                    {
                        break;
                    }
                    world.pass(10 * MINUTE);
                }
            }
            let happened = world.script.happened();
            world.script.heal();
            world.settle();
            assert_same_history(&world, &NAMES, &format!("{fault:?} at call {at}"));
            if !happened {
                break;
            }
        }
    }
}

/// A copy was under way when its version was deleted, and lands on top of the copy of what was written then.
/// It is taken away again, and what it hid is not made a second time.
#[test]
fn a_copy_that_a_deleted_version_landed_on_is_not_made_again() {
    for at in 0.. {
        let world = World::new();
        world.put(WEST, "k", b"deleted", &[]);
        world.cut(EAST, true);
        world.deliver(WEST, &world.event(WEST, "k"));
        world.cut(EAST, false);
        ALL.iter().for_each(|name| world.objects(name).delete("k"));
        world.put(WEST, "k", b"new", &[]);
        let event = world.event(WEST, "k");
        world.script.plan(at, Fault::CrashAfter);
        world.invoke(WEST, &event);
        let happened = world.script.happened();
        world.script.heal();
        world.put(EAST, "k", b"deleted", &[(META_ORIGIN, &mark("k", WEST, "v1", EAST))]);
        world.pass(10 * MINUTE);
        world.invoke(WEST, &event);
        world.settle();
        assert_eq!(world.history(EAST, "k"), ["new"], "the worker died after call {at}");
        assert_eq!((world.body(EAST, "k"), world.owed()), (b"new".to_vec(), Vec::new()));
        if !happened {
            break;
        }
    }
}

#[test]
fn versions_below_a_delete_are_not_copied_and_those_above_are() {
    let world = World::new();
    let mut events = write_all(&world, WEST, &NAMES[..2]);
    world.objects(WEST).delete("k");
    events.extend(write_all(&world, WEST, &NAMES[2..]));
    for number in [1, 2, 0] {
        world.deliver(WEST, &events[number]);
    }
    assert_eq!((world.history(EU, "k"), world.owed()), (vec!["v3".to_owned()], Vec::new()));
}

#[test]
fn what_was_deleted_while_it_was_owed_stays_away_from_whom_it_was_owed_to() {
    let world = World::new();
    world.cut(EU, true);
    let mut events = write_all(&world, WEST, &NAMES[..2]);
    events.iter().for_each(|event| drop(world.deliver(WEST, event)));
    world.objects(WEST).delete("k");
    world.cut(EU, false);
    events.extend(write_all(&world, WEST, &NAMES[2..]));
    events.iter().for_each(|event| drop(world.deliver(WEST, event)));
    world.settle();
    assert_eq!(world.history(EU, "k"), ["v3"]);
    assert_eq!(world.history(EAST, "k"), NAMES, "what was copied before the delete stays");
}

#[test]
fn a_write_on_top_of_a_copy_waits_for_what_lies_below_it() {
    let world = World::new();
    world.cut(EU, true);
    world.deliver(WEST, &write_all(&world, WEST, &["v1"])[0]);
    world.deliver(EAST, &write_all(&world, EAST, &["v2"])[0]);
    world.cut(EU, false);
    world.pass(MINUTE);
    // The east would be first, and leaves its own until the west's is there.
    assert_eq!((world.sweep(EAST).copied, world.versions(EU, "k")), (0, 0));
    world.settle();
    assert_same_history(&world, &NAMES[..2], "");
}

#[test]
fn a_dead_payer_s_older_version_is_paid_by_who_holds_it_below_a_newer_one() {
    let world = World::new();
    world.cut(EU, true);
    world.deliver(WEST, &write_all(&world, WEST, &["v1"])[0]);
    world.deliver(EAST, &write_all(&world, EAST, &["v2"])[0]);
    world.cut(EU, false);
    world.cut(WEST, true);
    for _ in 0..4 {
        world.pass(MINUTE);
        world.sweep(EAST);
    }
    assert_eq!(world.history(EU, "k"), ["v1", "v2"]);
    world.cut(WEST, false);
    world.settle();
    assert_same_history(&world, &NAMES[..2], "");
}

#[test]
fn what_a_newer_upload_went_ahead_of_is_missed_and_seen_and_buries_nothing() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    // The lane to EU failed, and the next upload's was there before replication was.
    upload(&world, "u-1", &[WEST, EAST]);
    let first = world.event(WEST, "k");
    upload(&world, "u-2", &ALL);
    for event in [&first, &world.event(WEST, "k"), &first] {
        world.deliver(WEST, event);
    }
    sweep_all(&world, 3);
    assert_eq!(
        (world.history(EU, "k"), world.history(WEST, "k")),
        (vec!["u-2".to_owned()], vec!["u-1".to_owned(), "u-2".to_owned()])
    );
    let missed = world.missed();
    assert_eq!((world.owed(), missed.len()), (Vec::new(), 1));
    assert!(missed[0].to_string().contains("-> eu-west-1: missed: it was overtaken"), "{}", missed[0]);
}

#[test]
fn uploads_that_follow_one_another_at_once_are_everywhere_once() {
    let world = World::new();
    let mut events = Vec::new();
    for id in ["u-1", "u-2", "u-3"] {
        for name in ALL {
            upload(&world, id, &[name]);
            events.push((name, world.event(name, "k")));
        }
    }
    events.iter().rev().for_each(|(name, event)| drop(world.deliver(name, event)));
    world.settle();
    assert_same_history(&world, &["u-1", "u-2", "u-3"], "");
}

#[test]
fn what_another_region_owes_is_not_put_on_top_of_a_newer_upload() {
    let world = World::new();
    upload(&world, "u-1", &ALL);
    let [first, late] = [WEST, EU].map(|name| world.event(name, "k"));
    upload(&world, "u-2", &[WEST, EAST]);
    // It has not got the newer one, and takes it that the others lack the older one.
    world.deliver(EU, &late);
    assert_eq!(world.owed().len(), 2);
    world.deliver(WEST, &first);
    world.settle();
    assert_same_history(&world, &["u-1", "u-2"], "");
}

#[test]
fn a_version_whose_event_was_lost_is_found_though_another_of_its_size_was_deleted_everywhere() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    world.deliver(WEST, &write_all(&world, WEST, &["v1"])[0]);
    ALL.iter().for_each(|name| world.objects(name).delete("k"));
    write_all(&world, WEST, &["v2"]);
    sweep_all(&world, 1);
    assert!(ALL.iter().all(|name| world.body(name, "k") == b"v2"));
}

#[test]
fn a_copy_costs_no_more_requests_for_what_its_key_held_before() {
    let world = World::new();
    for i in 0..70 {
        world.deliver(WEST, &write_all(&world, WEST, &[&format!("v{i}")])[0]);
    }
    let before = world.script.count();
    world.deliver(WEST, &write_all(&world, WEST, &["last"])[0]);
    let took = world.script.count() - before;
    // One copy in `sampled_of`, here each, is read back: seven calls of these for each of two.
    assert!(took <= 30, "{took}");
    assert!(ALL.iter().all(|name| world.versions(name, "k") == 71));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// A key is written over at any moment, events are lost, doubled and reordered, workers die at any
    /// call and regions are cut: in the end all regions hold the same versions in the same order.
    #[test]
    fn all_regions_have_the_same_history_in_the_end(steps in vec((0..8_usize, 0..3_usize, 0..40_usize), 0..40)) {
        let mut world = World::new();
        world.policy.inventory_pages = 10;
        let (mut events, mut wrote) = (Vec::new(), Vec::new());
        for (action, place, number) in steps {
            match action {
                0..3 => {
                    let body = format!("v{}", wrote.len());
                    events.extend(write_all(&world, WEST, &[&body]));
                    wrote.push(body);
                }
                3 | 4 if !events.is_empty() => drop(world.invoke(WEST, &events[number % events.len()])),
                5 => world.cut(ALL[1 + place % 2], number % 2 == 0),
                6 => drop(world.invoke(ALL[place], &world::tick())),
                7 => world.script.plan(number, Fault::ALL[place]),
                _ => world.pass(Duration::from_secs(number as u64 * 10)),
            }
        }
        world.script.heal();
        ALL.iter().for_each(|name| world.cut(name, false));
        sweep_all(&world, 1);
        world.settle();
        for name in ALL {
            prop_assert_eq!(&world.history(name, "k"), &wrote, "in {}", name);
        }
        prop_assert_eq!(world.missed(), []);
    }
}

#[test]
fn a_version_removed_for_good_while_it_is_owed_keeps_no_other_back() {
    let world = World::new();
    world.cut(EU, true);
    let events = write_all(&world, WEST, &NAMES);
    events.iter().for_each(|event| drop(world.deliver(WEST, event)));
    let page = world.objects(WEST).list_versions("k", None, 9).now_or_never().unwrap().unwrap();
    world.objects(WEST).remove("k", &page.entries[1].version_id).now_or_never().unwrap().unwrap();
    world.cut(EU, false);
    world.settle();
    assert_eq!(world.history(EU, "k"), ["v1", "v3"]);
}
