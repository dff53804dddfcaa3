//! What comes of a key that two regions wrote: nothing is buried that its writer did not know.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use sealane::{
    checksum::Checksum,
    memory::MemoryObjects,
    ports::{Attributes, Objects as _},
    replication::{META_ORIGIN, META_REGIONS, META_UPLOAD},
};
use world::{ALL, EAST, EU, WEST, World, mark};

const MINUTE: Duration = Duration::from_secs(60);

fn write(world: &World, here: &str, body: &[u8]) {
    world.put(here, "k", body, &[]);
    world.deliver(here, &world.event(here, "k"));
}

/// A write by a user whose event is still on its way.
fn write_into(bucket: &MemoryObjects, body: &'static [u8]) {
    let attributes = Attributes::default();
    let put = bucket.put("k", Bytes::from_static(body), Checksum::of(body), &attributes);
    put.now_or_never().unwrap().unwrap();
}

fn sweep_all(world: &World, rounds: usize) {
    for _ in 0..rounds {
        world.pass(MINUTE * 6);
        for name in ALL {
            world.sweep(name);
        }
    }
}

fn assert_everywhere(world: &World, body: &[u8]) {
    for name in ALL {
        assert_eq!(world.body(name, "k"), body, "in {name}");
    }
    assert_eq!(world.owed(), []);
}

/// The west wrote `v1` and died before EU had it; the work moved to EU and wrote `v2`.
fn after_a_failover() -> World {
    let world = World::new();
    world.cut(EU, true);
    write(&world, WEST, b"v1");
    world.cut(EU, false);
    world.cut(WEST, true);
    write(&world, EU, b"v2");
    world.cut(WEST, false);
    world
}

#[test]
fn of_two_writes_that_did_not_know_each_other_neither_is_buried() {
    for first in [WEST, EU] {
        let world = after_a_failover();
        world.pass(MINUTE);
        world.sweep(first);
        sweep_all(&world, 5);
        assert_eq!((world.body(WEST, "k"), world.body(EU, "k")), (b"v1".to_vec(), b"v2".to_vec()));
        assert!(ALL.iter().all(|name| world.versions(name, "k") == 1));
        let owed = world.owed();
        assert_eq!(owed.len(), 3, "v1 to EU, v2 to both others: {owed:?}");
        for row in owed {
            assert!(row.to_string().contains("has not got yet"), "{row}");
        }
    }
}

#[test]
fn a_write_between_the_look_and_the_completion_is_never_buried() {
    for there_before in [false, true] {
        let world = World::of_parts();
        if there_before {
            write(&world, WEST, b"v0");
            assert_everywhere(&world, b"v0");
        }
        let (eu, body) = (world.objects(EU), vec![7; 6 << 20]);
        let late = eu.clone();
        // After the last look at what the destination holds.
        *world.script.before_completion.0.lock().unwrap() =
            Some(Box::new(move || write_into(&late, b"theirs")));
        world.cut(EAST, true);
        write(&world, WEST, &body);
        world.cut(EAST, false);
        assert_eq!(world.body(EU, "k"), b"theirs", "it is not buried");
        sweep_all(&world, 3);
        assert_eq!((world.body(EU, "k"), world.body(EAST, "k")), (b"theirs".to_vec(), body.clone()));
        assert_eq!(eu.unfinished(), 0, "the parts of the refused completion are freed");
        let owed = world.owed();
        assert!(owed.iter().any(|row| row.to_string().contains("eu-west-1")), "{owed:?}");
    }
}

#[test]
fn a_conflict_ends_when_the_winner_is_written_into_both_regions() {
    for (loser, winner) in [(WEST, b"v2"), (EU, b"v1")] {
        let world = after_a_failover();
        sweep_all(&world, 2);
        write(&world, loser, winner);
        world.settle();
        assert_everywhere(&world, winner);
    }
}

#[test]
fn a_write_on_top_of_one_that_its_region_has_had_wins() {
    let world = World::new();
    write(&world, WEST, b"v1");
    world.cut(WEST, true);
    write(&world, EU, b"v2");
    world.cut(WEST, false);
    world.settle();
    assert_everywhere(&world, b"v2");
    write(&world, WEST, b"v3");
    world.settle();
    assert_everywhere(&world, b"v3");
}

#[test]
fn a_row_is_paid_before_that_of_a_write_on_top_of_it_in_another_region() {
    let world = World::new();
    world.cut(EU, true);
    write(&world, WEST, b"v1");
    write(&world, EAST, b"v2");
    world.cut(EU, false);
    world.settle();
    assert_everywhere(&world, b"v2");
    assert!(ALL.iter().all(|name| world.history(name, "k") == ["v1", "v2"]));
}

#[test]
fn a_row_below_a_write_of_its_destination_is_missed_and_seen() {
    let world = World::new();
    world.cut(EU, true);
    write(&world, WEST, b"v1");
    world.cut(EU, false);
    world.put(WEST, "k", b"v2", &[(META_ORIGIN, &mark("k", EU, "v1", WEST))]);
    sweep_all(&world, 3);
    assert_eq!((world.owed(), world.versions(EU, "k")), (Vec::new(), 0));
    let missed = world.missed();
    assert_eq!(missed.len(), 1);
    assert!(missed[0].to_string().contains("eu-west-1 had a newer version before"), "{}", missed[0]);
}

#[test]
fn an_upload_is_replaced_by_the_next_one_of_its_key_though_a_lane_failed() {
    let world = World::new();
    let wanted = ALL.join(",");
    let upload = |id: &str, into: &[&str]| {
        for name in into {
            world.put(name, "k", id.as_bytes(), &[(META_UPLOAD, id), (META_REGIONS, &wanted)]);
        }
        for name in into {
            world.deliver(name, &world.event(name, "k"));
        }
    };
    upload("u-1", &ALL);
    for (id, into) in [("u-2", [WEST, EAST]), ("u-3", [EU, EAST]), ("u-4", [EU, WEST])] {
        upload(id, &into);
        world.settle();
        assert_everywhere(&world, id.as_bytes());
    }
}

#[test]
fn an_upload_lies_on_top_of_one_that_was_replaced_before_its_event_came() {
    let world = World::new();
    let wanted = ALL.join(",");
    let upload = |id: &str, into: [&'static str; 2]| {
        for name in into {
            world.put(name, "k", id.as_bytes(), &[(META_UPLOAD, id), (META_REGIONS, &wanted)]);
        }
        into.map(|name| (name, world.event(name, "k"))).to_vec()
    };
    let mut events = upload("u-1", [WEST, EU]);
    events.extend(upload("u-2", [WEST, EAST]));
    for (name, event) in events {
        world.deliver(name, &event);
    }
    world.settle();
    world.settle();
    assert_everywhere(&world, b"u-2");
}
