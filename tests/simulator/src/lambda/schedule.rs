//! `rate(1 minute)`, as EventBridge keeps it.
//!
//! It drives what works for longer than a minute and then leaves to others: when the story
//! begins, one invocation is at work, and the one that came after it stands by.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Fleet, Function};
use crate::dice::Dice;

/// The span between two events of the schedule.
const MINUTE: Duration = Duration::from_secs(60);

/// The latest that an event starts: what was seen of a warm function.
const LATE_MAX: Duration = Duration::from_secs(8);

/// How long after the first invocation the second one begins: there is a row by then that tells of the first.
const STANDS_BY_AFTER: Duration = Duration::from_secs(3);

/// When a schedule's events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When the invocation begins that is at work when the story begins.
    pub first: Duration,
    /// When the first event of the story is due.
    pub phase: Duration,
}

impl Schedule {
    /// A schedule that began long before the story, at any point of its minute.
    pub fn drawn(dice: &mut Dice) -> Self {
        let first = dice.between(Duration::ZERO, Duration::from_secs(3));
        Self { first, phase: first + dice.between(Duration::from_secs(4), MINUTE) }
    }
}

/// Sends the event each minute, up to eight seconds late, for as long as it is polled.
pub async fn every_minute<F: Function>(fleet: &Fleet<F>, schedule: Schedule, dice: &mut Dice, event: &Value) {
    let began = Instant::now();
    sleep(schedule.first).await;
    let (working, event_now) = (fleet.clone(), event.clone());
    fleet.spawn(async move { working.deliver(&event_now).await });
    sleep(STANDS_BY_AFTER).await;
    let (standby, event_now) = (fleet.clone(), event.clone());
    fleet.spawn(async move { standby.deliver(&event_now).await });
    let mut due = schedule.phase;
    loop {
        sleep_until(began + due + dice.between(Duration::ZERO, LATE_MAX)).await;
        fleet.send(event.clone());
        due += MINUTE;
    }
}
