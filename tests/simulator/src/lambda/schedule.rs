//! `rate(1 minute)`, as EventBridge keeps it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Fleet, Function, Kill};
use crate::dice::Dice;

/// The span between two events of the schedule.
const MINUTE: Duration = Duration::from_secs(60);

/// The latest that an event starts: what was seen of a warm function.
const LATE_MAX: Duration = Duration::from_secs(8);

/// When a schedule's events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When the invocation begins that is at work when the story begins.
    pub first: Duration,
    /// When the first event of the story is due, and with it that invocation over.
    pub phase: Duration,
}

impl Schedule {
    /// A schedule that began long before the story, at any point of its minute.
    pub fn drawn(dice: &mut Dice) -> Self {
        let first = dice.between(Duration::ZERO, Duration::from_secs(3));
        Self { first, phase: first + dice.between(Duration::from_secs(1), MINUTE) }
    }
}

/// Sends the event each minute, up to eight seconds late, for as long as it is polled.
pub async fn every_minute<F: Function>(fleet: &Fleet<F>, schedule: Schedule, dice: &mut Dice, event: &Value) {
    let began = Instant::now();
    sleep(schedule.first).await;
    let (fleet_now, event_now) = (fleet.clone(), event.clone());
    let left = schedule.phase.saturating_sub(schedule.first);
    fleet.spawn(async move { fleet_now.deliver(&event_now, Some(Kill::After(left))).await });
    let mut due = schedule.phase;
    loop {
        sleep_until(began + due + dice.between(Duration::ZERO, LATE_MAX)).await;
        fleet.send(event.clone());
        due += MINUTE;
    }
}
