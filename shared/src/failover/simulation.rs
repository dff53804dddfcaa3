//! Several controllers on one table, in any interleaving, with clocks that disagree.

use std::{collections::BTreeMap, time::Duration};

use proptest::{collection::vec, prelude::*};

use super::{world::*, *};
use crate::time::Timestamp;

/// A controller: its clock's error, its memory, and a plan that it has yet to write.
#[derive(Debug, Default)]
struct Controller {
    ahead: Duration,
    watch: Watch,
    /// The version that was read, and what is to replace it.
    plan: Option<(u64, Record)>,
}

/// What happens next: a controller reads and decides, writes its plan, or starts anew without memory.
#[derive(Debug, Clone)]
enum Event {
    Read(usize, Tick),
    Write(usize),
    Restart(usize),
}

fn event(controllers: usize) -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..controllers, tick()).prop_map(|(who, mut tick)| {
            tick.gap = tick.gap.min(Duration::from_secs(15));
            Event::Read(who, Tick { ask: None, ..tick })
        }),
        6 => (0..controllers).prop_map(Event::Write),
        1 => (0..controllers).prop_map(Event::Restart),
    ]
}

/// The table: a write counts only if it replaces the version that was read.
#[derive(Debug, Default)]
struct Table {
    record: Option<Record>,
    /// Every record ever held, with the true time of its write.
    history: Vec<(Timestamp, Record)>,
}

impl Table {
    fn swap(&mut self, read: u64, next: Record, now: Timestamp) -> bool {
        let won = self.record.as_ref().map_or(0, |r| r.version) == read;
        if won {
            self.history.push((now, next.clone()));
            self.record = Some(next);
        }
        won
    }
}

fn run(ahead_s: &[u64], events: Vec<Event>) -> Table {
    let controller = |&s: &u64| Controller { ahead: Duration::from_secs(s), ..Controller::default() };
    let mut controllers: Vec<_> = ahead_s.iter().map(controller).collect();
    let (mut table, mut now) = (Table::default(), Timestamp::from_millis(1_700_000_000_000));
    for event in events {
        match event {
            Event::Read(who, tick) => {
                now = now.after(tick.gap);
                let controller = &mut controllers[who];
                let version = table.record.as_ref().map_or(0, |r| r.version);
                let moment = controller.watch.look(version, now.after(controller.ahead));
                let decision = tick.decide(table.record.as_ref(), &Policy::default(), moment);
                controller.plan = apply(table.record.as_ref(), &decision, moment).map(|next| (version, next));
            }
            Event::Write(who) => {
                let controller = &mut controllers[who];
                let Some((read, next)) = controller.plan.take() else { continue };
                let version = next.version;
                if table.swap(read, next, now) {
                    controller.watch.look(version, now.after(controller.ahead));
                }
            }
            Event::Restart(who) => controllers[who].watch = Watch::default(),
        }
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However plans are delayed, doubled and lost, each epoch has one active
    /// region, and no epoch is skipped or comes back.
    #[test]
    fn no_epoch_has_two_active_regions(ahead_s in vec(0..100_000_u64, 2..4), events in vec(event(2), 0..400)) {
        let table = run(&ahead_s, events);
        let mut actives = BTreeMap::new();
        for (_, record) in &table.history {
            prop_assert_eq!(*actives.entry(record.epoch).or_insert(record.active), record.active);
        }
        for two in table.history.windows(2) {
            prop_assert_eq!(two[1].1.version, two[0].1.version + 1);
            prop_assert!(two[1].1.epoch - two[0].1.epoch <= 1);
        }
    }

    /// Clocks that are a day apart, and controllers that forget, shorten neither
    /// the dwell time nor the hour in which automatic moves away are counted.
    #[test]
    fn skewed_clocks_do_not_weaken_the_damping(ahead_s in vec(0..100_000_u64, 2..4), events in vec(event(2), 0..400)) {
        let table = run(&ahead_s, events);
        let moves: Vec<_> = table.history.windows(2).filter(|two| two[0].1.active != two[1].1.active).collect();
        for two in moves.windows(2) {
            prop_assert!(two[1][1].0.since(two[0][1].0) >= Policy::default().dwell);
        }
        let automatic: Vec<_> =
            moves.iter().filter(|m| m[1].1.moves.last().is_some_and(|m| m.automatic && !m.failback)).map(|m| m[1].0).collect();
        for three in automatic.windows(3) {
            prop_assert!(three[2].since(three[0]) >= MOVES_WINDOW);
        }
    }
}
