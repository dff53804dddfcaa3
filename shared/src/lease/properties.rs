//! The rules of leases, whoever writes, in whatever order, by whatever clock.

use std::{collections::BTreeMap, time::Duration};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{region::Capacity, time::Timestamp, units::ByteSize};

const ROOM: Capacity = Capacity { max_concurrent_uploads: 3, max_bandwidth_mbps: 100 };
const TTL: Duration = Duration::from_secs(60);
const ACTORS: usize = 5;

fn ask(id: &str, bandwidth_mbps: u32) -> Ask {
    Ask { id: id.to_owned(), holder: "lab-7".to_owned(), bandwidth_mbps, ttl: TTL }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Acquire(u32),
    Renew,
    Release,
    Reap,
}

/// One thing that one actor does.
#[derive(Debug, Clone, Copy)]
struct Step {
    gap: Duration,
    actor: usize,
    act: Act,
    /// It acts on what it read at its step before, as one that was held up in between.
    stale: bool,
    /// Its write arrives twice.
    doubled: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        4 => (1..60_u32).prop_map(Act::Acquire),
        4 => Just(Act::Renew),
        1 => Just(Act::Release),
        3 => Just(Act::Reap),
    ];
    let gap_ms = prop_oneof![4 => 0..5_000_u64, 2 => 5_000..30_000_u64, 1 => 30_000..200_000_u64];
    (gap_ms, 0..ACTORS, act, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
        |(gap_ms, actor, act, stale, doubled)| Step {
            gap: Duration::from_millis(gap_ms),
            actor,
            act,
            stale,
            doubled,
        },
    )
}

/// The row, and what is true of it.
#[derive(Default)]
struct World {
    now: Timestamp,
    row: Book,
    /// When each lease was taken or renewed, in truth.
    renewed: BTreeMap<String, Timestamp>,
}

impl World {
    /// A conditional write: it takes effect only on the version that it was made from.
    fn write(&mut self, next: &Book) -> bool {
        let won = next.version == self.row.version + 1;
        if won {
            self.row = next.clone();
        }
        won
    }

    fn true_age(&self, id: &str) -> Duration {
        self.now.since(self.renewed[id])
    }
}

/// A holder and watcher with a clock of its own.
#[derive(Clone)]
struct Actor {
    id: String,
    ahead: Duration,
    watch: Watch,
    read: Book,
}

impl Actor {
    fn look(&mut self, world: &World, stale: bool) -> Book {
        if !stale {
            self.read = world.row.clone();
        }
        self.watch.look(&self.read, world.now.after(self.ahead))
    }

    fn change(&self, act: Act, aged: &Book) -> Option<Book> {
        let shipped = Outcome::Shipped { size: ByteSize(5), took: Duration::from_secs(1) };
        match act {
            Act::Acquire(mbps) => aged.acquire(&ask(&self.id, mbps), ROOM).ok().flatten(),
            Act::Renew => aged.renew(&self.id).ok(),
            Act::Release => aged.release(&self.id, shipped),
            Act::Reap => aged.reap(&self.read),
        }
    }
}

fn actors(ahead_s: &[u64]) -> Vec<Actor> {
    let actor = |(i, ahead_s): (usize, &u64)| Actor {
        id: format!("upload-{i}"),
        ahead: Duration::from_secs(*ahead_s),
        watch: Watch::default(),
        read: Book::default(),
    };
    ahead_s.iter().enumerate().map(actor).collect()
}

proptest! {
    /// However the writers race, with stale reads, doubled writes and clocks apart: there are
    /// never more leases than room, no age is larger than in truth, nobody's lease is lost
    /// but to its own release or to its whole time without a renewal.
    #[test]
    fn racing_writers_lose_nothing_and_overfill_nothing(
        ahead_s in vec(0..1_000_000_u64, ACTORS), steps in vec(step(), 1..120),
    ) {
        let (mut world, mut actors) = (World::default(), actors(&ahead_s));
        for Step { gap, actor, act, stale, doubled } in steps {
            world.now = world.now.after(gap);
            let aged = actors[actor].look(&world, stale);
            let Some(next) = actors[actor].change(act, &aged) else { continue };
            let before = world.row.clone();
            if !world.write(&next) {
                prop_assert_eq!(&world.row, &before);
                continue;
            }
            for old in &before.leases {
                let released = matches!(act, Act::Release) && old.id == actors[actor].id;
                if !released && !world.row.holds(&old.id) {
                    prop_assert!(world.true_age(&old.id) >= TTL, "{} was dropped early", old.id);
                }
            }
            let id = actors[actor].id.clone();
            if matches!(act, Act::Acquire(_) | Act::Renew) {
                world.renewed.insert(id, world.now);
            }
            if doubled {
                prop_assert!(!world.write(&next), "a write that took effect does so once");
            }
            let load = world.row.load();
            prop_assert!(load.uploads <= ROOM.max_concurrent_uploads, "{:?}", load);
            prop_assert!(load.bandwidth_mbps <= ROOM.max_bandwidth_mbps, "{:?}", load);
            prop_assert!(world.row.leases.len() <= ROOM.max_concurrent_uploads as usize);
            for lease in &world.row.leases {
                prop_assert!(lease.age <= world.true_age(&lease.id), "{:?}", lease);
            }
        }
    }

    /// Every lease that was taken is either held still or counted once among those that ended.
    #[test]
    fn every_lease_ends_once(steps in vec(step(), 1..120)) {
        let (mut world, mut actors) = (World::default(), actors(&[0; ACTORS]));
        let mut taken = 0;
        for Step { gap, actor, act, stale, .. } in steps {
            world.now = world.now.after(gap);
            let aged = actors[actor].look(&world, stale);
            let Some(next) = actors[actor].change(act, &aged) else { continue };
            if world.write(&next) && matches!(act, Act::Acquire(_)) {
                taken += 1;
            }
            let done = world.row.done;
            prop_assert_eq!(done.shipped + done.failed + world.row.leases.len() as u64, taken);
        }
    }

    /// A crashed holder's slot comes back within its time to live and two looks of one watcher,
    /// however busy the others keep the row, and not before its time to live.
    #[test]
    fn a_crashed_holders_slot_comes_back(
        tick_s in 1..=60_u64, offset_ms in 0..60_000_u64, busy_ms in 500..20_000_u64, ahead_s in 0..10_000_u64,
    ) {
        let tick = Duration::from_secs(tick_s);
        let mut row = Book::default().acquire(&ask("crashed", 1), ROOM).unwrap().unwrap();
        row = row.acquire(&ask("busy", 1), ROOM).unwrap().unwrap();
        let mut watch = Watch::default();
        let (mut at, mut renewal) = (Duration::from_millis(offset_ms % (tick_s * 1000)), Duration::ZERO);
        let gone = loop {
            while renewal <= at {
                row = row.renew("busy").unwrap();
                renewal += Duration::from_millis(busy_ms);
            }
            let aged = watch.look(&row, Timestamp::default().after(Duration::from_secs(ahead_s) + at));
            row = aged.reap(&row).unwrap_or(row);
            if !row.holds("crashed") {
                break at;
            }
            at += tick;
        };
        prop_assert!(gone >= TTL && gone < TTL + 2 * tick, "{:?}", gone);
        prop_assert!(row.holds("busy"));
    }

    /// A watcher that takes over goes on from what the one before it wrote down.
    #[test]
    fn watchers_that_take_turns_get_there_too(turn_s in 40..200_u64) {
        let mut row = Book::default().acquire(&ask("crashed", 1), ROOM).unwrap().unwrap();
        let mut at = Timestamp::default();
        for _ in 0..4 {
            let mut watch = Watch::default();
            for _ in 0..turn_s / 10 {
                let aged = watch.look(&row, at);
                row = aged.reap(&row).unwrap_or(row);
                at = at.after(Duration::from_secs(10));
            }
        }
        prop_assert!(!row.holds("crashed"));
    }

    /// A drain is never told that nothing is in flight while an API may go by an older record.
    #[test]
    fn a_drain_hears_of_no_leases_only_when_the_apis_have_looked(
        held in 0..3_u32, drained_ms in 0..20_000_u64, settle_ms in 0..20_000_u64, read: bool,
    ) {
        let (drained, settle) = (Duration::from_millis(drained_ms), Duration::from_millis(settle_ms));
        let told = in_flight(Some(held).filter(|_| read), drained, settle);
        let known = read && drained_ms >= settle_ms;
        prop_assert_eq!(told, known.then_some(u64::from(held)));
    }
}
