//! What becomes of an upload that its writer puts late or twice: it is one version in each region.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::time::Duration;

use futures::FutureExt as _;
use sealane::{
    ports::Objects as _,
    region::RegionName,
    replication::{Entry, META_ORIGIN, META_REGIONS, META_UPLOAD, ObjectId, Phase},
};
use world::{ALL, EAST, EU, WEST, World, assert_one_copy_everywhere, faults::Fault};

const MINUTE: Duration = Duration::from_secs(60);

/// An upload that lies in the west; the other two got it by replication.
fn shipped() -> World {
    let mut world = World::new();
    world.policy.inventory_pages = 10;
    world.upload(&[WEST], "k", b"x");
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_one_copy_everywhere(&world, "k", b"x");
    world
}

/// Whether what `k` shows in `here` was made by replication.
fn is_copy(world: &World, here: &str) -> bool {
    let head = world.objects(here).head("k", None).now_or_never().unwrap().unwrap().unwrap();
    head.attributes.metadata.contains_key(META_ORIGIN)
}

fn row(world: &World, to: RegionName) -> Entry {
    let row = world.ledger().get(&ObjectId::of_upload("u-1"), to).now_or_never().unwrap();
    row.unwrap().unwrap().value
}

fn sweep_all(world: &World) {
    for name in ALL {
        world.pass(10 * MINUTE);
        world.sweep(name);
    }
}

#[test]
fn a_copy_gives_way_to_the_lane_that_ends_after_it() {
    let world = shipped();
    assert!(is_copy(&world, EU));
    world.upload(&[EU], "k", b"x");
    let head = world.objects(EU).head("k", None).now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(world.versions(EU, "k"), 2);
    world.deliver(EU, &world.event(EU, "k"));
    assert_one_copy_everywhere(&world, "k", b"x");
    assert!(!is_copy(&world, EU) && is_copy(&world, EAST));
    let left = Phase::Verified { version_id: head.version_id };
    assert_eq!(row(&world, world::region(EU)).phase, left, "the ledger names what is left");
}

#[test]
fn a_copy_gives_way_though_its_lane_was_written_over_or_deleted_before_its_event_came() {
    for is_deleted in [true, false] {
        let world = shipped();
        world.upload(&[EU], "k", b"x");
        let event = world.event(EU, "k");
        if is_deleted {
            world.objects(EU).delete("k");
        } else {
            world.put(EU, "k", b"later", &[]);
        }
        world.deliver(EU, &event);
        let left: &[&str] = if is_deleted { &["x"] } else { &["x", "later"] };
        assert_eq!(world.history(EU, "k"), left);
    }
}

#[test]
fn a_copy_gives_way_to_a_lane_of_which_no_event_told() {
    let world = shipped();
    world.upload(&[EU], "k", b"x");
    sweep_all(&world);
    assert_one_copy_everywhere(&world, "k", b"x");
    assert!(!is_copy(&world, EU));
}

#[test]
fn a_copy_gives_way_wherever_a_worker_dies() {
    for fault in Fault::ALL {
        for at in 0.. {
            let world = shipped();
            world.upload(&[EU], "k", b"x");
            let event = world.event(EU, "k");
            world.script.plan(at, fault);
            world.invoke(EU, &event);
            let happened = world.script.happened();
            world.script.heal();
            world.deliver(EU, &event);
            assert_one_copy_everywhere(&world, "k", b"x");
            if !happened {
                assert!(at >= 4, "{at} calls");
                break;
            }
        }
    }
}

#[test]
fn only_a_copy_of_the_same_bytes_right_below_its_own_upload_gives_way() {
    let wanted = ALL.join(",");
    let metadata = |id| [(META_UPLOAD, id), (META_REGIONS, wanted.as_str())];
    // Another upload of the same bytes, other bytes under the same id, and the upload on top of another write.
    for (id, body, between) in [("u-2", b"x", None), ("u-1", b"y", None), ("u-1", b"x", Some(b"z"))] {
        let world = shipped();
        if let Some(between) = between {
            world.put(EU, "k", between, &[]);
        }
        let before = world.versions(EU, "k");
        world.put(EU, "k", body, &metadata(id));
        world.deliver(EU, &world.event(EU, "k"));
        assert_eq!(world.versions(EU, "k"), before + 1, "{id} {body:?} {between:?}");
    }
}

#[test]
fn what_a_writer_put_twice_itself_is_left_alone() {
    let world = World::new();
    world.upload(&[WEST, WEST], "k", b"x");
    world.deliver(WEST, &world.event(WEST, "k"));
    let versions: Vec<_> = ALL.iter().map(|name| world.versions(name, "k")).collect();
    assert_eq!((versions, world.owed()), (vec![2, 1, 1], Vec::new()));
}

#[test]
fn an_upload_that_was_put_twice_does_not_wait_for_itself() {
    let world = World::new();
    world.cut(EU, true);
    world.upload(&[WEST], "k", b"x");
    world.deliver(WEST, &world.event(WEST, "k"));
    world.upload(&[WEST], "k", b"x");
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_eq!(row(&world, world::region(EU)).after, None);
    world.cut(EU, false);
    world.settle();
    assert_eq!((world.versions(EAST, "k"), world.versions(EU, "k")), (1, 1));
}

#[test]
fn a_row_that_names_itself_as_the_one_below_is_paid() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    let ledger = world.ledger();
    let held = ledger.owed(world::region(WEST), 9).now_or_never().unwrap().unwrap().remove(0);
    let ring = Entry { after: Some(held.value.object.clone()), ..held.value.clone() };
    ledger.swap(&held, &ring).now_or_never().unwrap().unwrap();
    world.cut(EU, false);
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
}
