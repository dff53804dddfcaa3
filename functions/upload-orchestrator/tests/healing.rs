//! What a copy keeps, what is taken away again, and what is found when events and payers are missing.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use futures::FutureExt as _;
use sealane::{
    checksum::Checksum,
    ports::{Attributes, Headers, Objects as _},
    replication::META_ORIGIN,
};
use world::{ALL, EAST, EU, WEST, World, assert_one_copy_everywhere, batch, mark, message};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_users_copy_of_a_copy_is_a_write_of_its_own() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    // Copied to another key, with all of its metadata.
    let mark = mark("k", WEST, "v1", EU);
    world.put(EU, "l", b"x", &[(META_ORIGIN, &mark)]);
    world.deliver(EU, &world.event(EU, "l"));
    assert_one_copy_everywhere(&world, "l", b"x");
}

#[test]
fn an_older_version_that_was_restored_over_a_copy_is_a_new_write() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.put(EU, "k", b"restored", &[(META_ORIGIN, &mark("k", WEST, "v1", EU))]);
    world.deliver(EU, &world.event(EU, "k"));
    assert!(ALL.iter().all(|name| world.body(name, "k") == b"restored"));
    // The copy itself, told of late, is none.
    world.deliver(EU, &batch(&[message("m", EU, "k", "v3")]));
    assert_eq!(world.versions(WEST, "k"), 2);
}

#[test]
fn canaries_lead_to_no_call_at_all() {
    let world = World::new();
    world.cut(WEST, true);
    let canary = message("m-1", WEST, ".sealane/canary/us-east-1", "v1");
    assert_eq!(world.deliver(WEST, &batch(&[canary])), [""; 0]);
}

#[test]
fn what_a_reader_is_given_back_is_the_same_everywhere() {
    for world in [World::new(), World::of_parts()] {
        let body = vec![7; 5_300_000];
        let kept = Attributes {
            content_type: Some("text/csv".to_owned()),
            headers: Headers {
                cache_control: Some("no-cache".to_owned()),
                content_disposition: Some("attachment".to_owned()),
                content_encoding: Some("gzip".to_owned()),
                content_language: Some("de".to_owned()),
            },
            storage_class: Some("STANDARD_IA".to_owned()),
            metadata: [("owner".to_owned(), "ada".to_owned())].into(),
            tags: [("project".to_owned(), "a&b".to_owned())].into(),
        };
        let sum = Checksum::of(&body);
        let put = world.objects(WEST).put("k", body.clone().into(), sum, &kept).now_or_never().unwrap();
        put.unwrap();
        world.deliver(WEST, &world.event(WEST, "k"));
        assert_one_copy_everywhere(&world, "k", &body);
        let copy = world.objects(EU).head("k", None).now_or_never().unwrap().unwrap().unwrap();
        let mut found = copy.attributes;
        found.metadata.remove(META_ORIGIN);
        found.tags = world.objects(EU).tags("k", None).now_or_never().unwrap().unwrap();
        assert_eq!(found, kept);
    }
}

#[test]
fn a_bad_copy_is_taken_away() {
    let world = World::new();
    world.script.damage.store(1, SeqCst);
    world.put(WEST, "k", b"hello", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_eq!((world.versions(EAST, "k"), world.versions(EU, "k")), (1, 0), "in the order of lanes");
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"hello");
}

#[test]
fn a_copy_that_comes_after_the_deletes_is_taken_away_again() {
    for at in 0..20 {
        let world = World::new();
        world.put(WEST, "k", b"x", &[]);
        let event = world.event(WEST, "k");
        world.script.plan(at, world::faults::Fault::CrashAfter);
        world.invoke(WEST, &event);
        let had: Vec<_> = ALL.iter().map(|name| world.versions(name, "k")).collect();
        world.objects(WEST).delete("k");
        world.script.heal();
        world.pass(Duration::from_secs(600));
        world.settle();
        for (name, had) in ALL.iter().zip(had) {
            // What was proved before the delete stays, as an acknowledged copy does.
            assert!(world.versions(name, "k") <= had, "call {at}: {name} got a copy after the delete");
        }
        ALL.iter().for_each(|name| world.objects(name).delete("k"));
        world.deliver(WEST, &event);
        world.settle();
        assert!(ALL.iter().all(|name| world.body(name, "k").is_empty()));
    }
}

#[test]
fn a_copy_that_came_after_the_deletes_is_taken_away_from_below_a_newer_one() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"old", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.objects(WEST).delete("k");
    world.cut(EU, false);
    // A request that was under way lands twice, and the next write is copied on top.
    let mark = mark("k", WEST, "v1", EU);
    for _ in 0..2 {
        world.put(EU, "k", b"old", &[(META_ORIGIN, &mark)]);
    }
    world.put(WEST, "k", b"new", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_eq!(world.history(EU, "k"), ["old", "old", "new"]);
    world.settle();
    assert_eq!((world.history(EU, "k"), world.owed()), (vec!["new".to_owned()], Vec::new()));
}

#[test]
fn a_proved_copy_outlives_its_source() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    let event = world.event(WEST, "k");
    world.deliver(WEST, &event);
    world.objects(WEST).delete("k");
    world.deliver(WEST, &event);
    world.settle();
    assert_eq!((world.body(EAST, "k"), world.body(EU, "k")), (b"x".to_vec(), b"x".to_vec()));
}

#[test]
fn the_rows_of_a_dead_region_are_paid_by_one_that_holds_the_object() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    // The west dies before it could pay the third region.
    world.cut(EU, false);
    world.cut(WEST, true);
    world.pass(MINUTE);
    assert_eq!(world.sweep(EAST).copied, 0, "the west may still come back");
    world.pass(3 * MINUTE);
    assert_eq!((world.sweep(EU).copied, world.sweep(EAST).copied), (0, 1));
    assert_eq!(world.body(EU, "k"), b"x");
    // It comes back, and there is nothing left for it to do.
    world.cut(WEST, false);
    world.pass(MINUTE);
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
    assert_eq!(world.deliver(EU, &world.event(EU, "k")), [""; 0], "it is a copy of what the west wrote");
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn a_slow_region_that_answers_keeps_its_rows() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.cut(EU, false);
    world.pass(10 * MINUTE);
    assert_eq!(world.sweep(EAST).copied, 0);
    assert_eq!(world.sweep(WEST).copied, 1);
}

#[test]
fn what_no_event_told_of_is_found_by_the_listings() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    for name in ["a", "b"] {
        world.put(WEST, name, name.as_bytes(), &[]);
    }
    world.put(WEST, ".sealane/canary/us-east-1", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "a"));
    assert_eq!(world.sweep(WEST).copied, 2);
    assert_one_copy_everywhere(&world, "b", b"b");
    assert_eq!(world.versions(EU, ".sealane/canary/us-east-1"), 0);
    // What was deleted where a copy lay stays deleted there, however often the listings are compared.
    world.objects(EU).delete("a");
    for _ in 0..3 {
        world.pass(10 * MINUTE);
        for name in ALL {
            world.sweep(name);
        }
    }
    assert_eq!((world.body(EU, "a"), world.versions(WEST, "b")), (Vec::new(), 1));
}

/// What events have not told of yet is not missed; and while they never end, the listings get their turn.
#[test]
fn while_events_come_in_the_listings_wait_but_not_for_ever() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    world.put(WEST, "untold", b"x", &[]);
    let mut swept = 0;
    while world.versions(EU, "untold") == 0 {
        world.put(WEST, &format!("told {swept}"), b"y", &[]);
        // The batch ends before it pays.
        world.invoke_for(WEST, &world.event(WEST, &format!("told {swept}")), Duration::ZERO);
        world.sweep(WEST);
        world.pass(MINUTE);
        swept += 1;
    }
    assert!((10..=20).contains(&swept), "after {swept} minutes");
    assert_one_copy_everywhere(&world, "untold", b"x");
}

#[test]
fn what_a_batch_is_about_to_pay_is_left_to_it_and_what_it_left_is_paid() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    world.invoke_for(WEST, &world.event(WEST, "k"), Duration::ZERO);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.sweep(WEST).copied, 0);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.sweep(WEST).copied, 2);
}

#[test]
fn an_upload_that_was_deleted_at_home_stays_deleted_there() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    world.upload(&ALL, "k", b"x");
    ALL.iter().for_each(|name| drop(world.deliver(name, &world.event(name, "k"))));
    world.objects(WEST).delete("k");
    for _ in 0..3 {
        world.pass(10 * MINUTE);
        for name in ALL {
            world.sweep(name);
        }
    }
    assert_eq!((world.body(WEST, "k"), world.body(EU, "k")), (Vec::new(), b"x".to_vec()));
}

#[test]
fn a_silent_region_keeps_no_other_from_being_compared() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    world.put(WEST, "a", b"a", &[]);
    world.cut(EU, true);
    world.pass(10 * MINUTE);
    world.sweep(WEST);
    assert_eq!(world.versions(EAST, "a"), 1);
    world.cut(EU, false);
    world.pass(10 * MINUTE);
    world.sweep(WEST);
    assert_one_copy_everywhere(&world, "a", b"a");
}

#[test]
fn a_bucket_that_cannot_be_listed_lacks_nothing() {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    world.put(WEST, "a", b"a", &[]);
    world.deliver(WEST, &world.event(WEST, "a"));
    world.cut(EU, true);
    world.pass(10 * MINUTE);
    assert_eq!(world.sweep(WEST).owed, 0);
    world.cut(EU, false);
    assert_one_copy_everywhere(&world, "a", b"a");
}
