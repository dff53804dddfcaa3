//! Whatever call a worker dies at, and whatever is lost, doubled or reordered: in the end
//! every region holds every object, once.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use proptest::{collection::vec, prelude::*};
use world::{ALL, EAST, EU, WEST, World, faults::Fault};

/// Delivers `event` until the queue keeps nothing of it, as a queue does.
fn redeliver(world: &World, here: &str, event: &serde_json::Value) {
    for _ in 0..5 {
        let reply = world.invoke(here, event);
        let done = matches!(&reply, Some(Ok(reply)) if matches!(&reply.answer, upload_orchestrator::Answer::Batch(o) if o.batch_item_failures.is_empty()));
        if done {
            return;
        }
        world.pass(Duration::from_secs(600));
    }
    panic!("never done");
}

fn die_at_every_call(make: impl Fn() -> World, body: &[u8], put: impl Fn(&World)) {
    for fault in Fault::ALL {
        for at in 0.. {
            let world = make();
            put(&world);
            let event = world.event(EAST, "k");
            world.script.plan(at, fault);
            redeliver(&world, EAST, &event);
            let happened = world.script.happened();
            world.script.heal();
            world.settle();
            for name in ALL {
                assert_eq!(world.versions(name, "k"), 1, "{fault:?} at call {at}, in {name}");
                assert_eq!(world.body(name, "k"), body, "{fault:?} at call {at}, in {name}");
            }
            if !happened {
                break;
            }
        }
    }
}

#[test]
fn a_worker_may_die_at_any_call_of_a_plain_copy() {
    die_at_every_call(World::new, b"hello", |world| world.put(EAST, "k", b"hello", &[]));
}

#[test]
fn a_worker_may_die_at_any_call_of_an_upload_that_lacks_a_copy() {
    die_at_every_call(World::new, b"hello", |world| world.upload(&[EAST, EU], "k", b"hello"));
}

#[test]
fn a_worker_may_die_at_any_call_of_a_copy_in_parts() {
    let body: Vec<u8> = (0..5_300_000_u32).map(|i| i.to_le_bytes()[i as usize % 2]).collect();
    die_at_every_call(World::of_parts, &body, |world| world.upload(&[EAST, EU], "k", &body));
}

/// A worker that dies leaves what the store finished of a large object to the next one: only the part
/// that it died with may be asked for twice. An event that comes again copies nothing.
#[test]
fn wherever_a_worker_dies_no_finished_part_is_copied_again() {
    let body: Vec<u8> = (0..(10 << 20) + 1_u32).map(|i| i.to_le_bytes()[i as usize % 2]).collect();
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for at in 0.. {
            let world = World::of_parts();
            world.upload(&[EAST, EU], "k", &body);
            let event = world.event(EAST, "k");
            world.script.plan(at, fault);
            redeliver(&world, EAST, &event);
            let happened = world.script.happened();
            world.script.heal();
            world.settle();
            let copied = world.script.parts_copied.load(SeqCst);
            assert!((3..=4).contains(&copied), "{copied} copies of three parts, {fault:?} at call {at}");
            assert_eq!(world.versions(WEST, "k"), 1, "{fault:?} at call {at}");
            redeliver(&world, EAST, &event);
            assert_eq!(world.script.parts_copied.load(SeqCst), copied, "an event that came twice");
            if !happened {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Events doubled and in any order, regions cut and healed at any time, workers dying
    /// at any call: after the last cut is healed, every region holds each object once.
    #[test]
    fn all_is_paid_once_after_the_last_cut(steps in vec((0..6_usize, 0..3_usize, 0..40_usize), 0..40)) {
        let world = World::new();
        for (i, name) in ALL.iter().enumerate() {
            world.put(name, &format!("plain-{i}"), format!("body {i}").as_bytes(), &[]);
        }
        world.upload(&[EAST, EU], "run.tar", b"data");
        let mut events: Vec<_> = ALL.iter().enumerate().map(|(i, name)| (*name, world.event(name, &format!("plain-{i}")))).collect();
        events.extend([EAST, EU].map(|name| (name, world.event(name, "run.tar"))));
        for (action, place, number) in steps {
            let (here, event) = &events[number % events.len()];
            match action {
                0 | 1 => drop(world.invoke(here, event)),
                2 => world.cut(ALL[place], number % 2 == 0),
                3 => drop(world.invoke(ALL[place], &world::tick())),
                4 => world.pass(Duration::from_secs(number as u64 * 10)),
                _ => world.script.plan(number, Fault::ALL[place]),
            }
        }
        world.script.heal();
        ALL.iter().for_each(|name| world.cut(name, false));
        world.pass(Duration::from_secs(600));
        for (here, event) in events.iter().rev() {
            redeliver(&world, here, event);
        }
        world.settle();
        for key in ["plain-0", "plain-1", "plain-2", "run.tar"] {
            let bodies: Vec<_> = ALL.iter().map(|name| world.body(name, key)).collect();
            prop_assert!(!bodies[0].is_empty() && bodies.iter().all(|b| *b == bodies[0]), "{} {:?}", key, bodies);
            for name in ALL {
                prop_assert_eq!(world.versions(name, key), 1, "{} in {}", key, name);
            }
        }
        prop_assert_eq!(world.versions(WEST, "plain-0"), 1);
    }
}
