//! The flows: where each starts, what starts it, and how it must end.

use std::time::Duration;

use sealane::{
    config::Config,
    failover::{Phase, Pin, Record, Rule},
    ports::Key,
    time::Timestamp,
};

use super::{
    door::Mistake,
    explore::until,
    stage::{Down, Durable, Stage, config, name},
    trigger::Trigger,
};

const ALL_UP: Down = &[];
const WEST_DOWN: Down = &["us-west-2"];

/// A flow, and what is promised of it.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) name: &'static str,
    pub(super) config: Config,
    /// What there is before it.
    pub(super) start: Durable,
    /// What starts its sandboxes: one after the other, each until a run of it ends.
    pub(super) triggers: Vec<Trigger>,
    /// Whether the two sandboxes are at work at once.
    pub(super) together: bool,
    /// Which regions are down in the end.
    pub(super) finally: Down,
    /// Where work may be in the end.
    pub(super) active: &'static [&'static str],
    /// The rulings in the end.
    pub(super) pins: Vec<Pin>,
    /// A mistake that must be found.
    pub(super) mistake: Option<Mistake>,
}

impl Flow {
    fn new(name: &'static str, start: &Durable, triggers: Vec<Trigger>) -> Self {
        Self {
            name,
            config: config(""),
            start: start.clone(),
            triggers,
            together: false,
            finally: ALL_UP,
            active: &["us-west-2"],
            pins: Vec::new(),
            mistake: None,
        }
    }

    fn twice(name: &'static str, start: &Durable, trigger: Trigger) -> Self {
        Self::new(name, start, vec![trigger.clone(), trigger])
    }

    fn together(name: &'static str, start: &Durable, triggers: [Trigger; 2]) -> Self {
        Self { together: true, ..Self::new(name, start, triggers.to_vec()) }
    }

    /// The same with the primary region down to the end.
    fn away(self) -> Self {
        Self { finally: WEST_DOWN, active: &["us-east-1"], ..self }
    }

    fn with(self, config: Config) -> Self {
        Self { config, ..self }
    }

    fn ruled(self, pins: &[Pin]) -> Self {
        Self { pins: pins.to_vec(), ..self }
    }
}

fn turns(down: Down, turns: u32, every_s: u64) -> Trigger {
    Trigger::Turns { down, turns, every: Duration::from_secs(every_s) }
}

fn pin(region: &str, rule: Rule) -> Pin {
    let (owner, reason) = ("ada".to_owned(), "maintenance".to_owned());
    Pin { region: name(region), rule, owner, reason, expires: Timestamp::from_millis(u64::MAX) }
}

/// What is left when a controller is stopped as soon as the record is like this.
fn when(flow: &Flow, down: Down, is: impl Fn(&Record) -> bool) -> Durable {
    let reached = |stage: &Stage| {
        let key = Key::new("assignment", "current");
        let row = stage.left().control.into_iter().find(|row| row.key == key);
        row.and_then(|row| serde_json::from_str(&row.body).ok()).is_some_and(|record| is(&record))
    };
    let left = until(flow, &turns(down, 100, 5), &flow.start, |_, stage| reached(stage));
    Durable { broken: Vec::new(), ..left }
}

/// The same after a write that kept the phase and brought its age up to two seconds.
fn aged(left: &Durable) -> Durable {
    let mut left = left.clone();
    for row in left.control.iter_mut().filter(|row| row.key.partition == "assignment") {
        if let Ok(record) = serde_json::from_str::<Record>(&row.body) {
            row.version = record.version + 1;
            let aged = Record { version: row.version, phase_age: Duration::from_secs(2), ..record };
            row.body = serde_json::to_string(&aged).unwrap_or_default();
        }
    }
    left
}

/// Where flows start from.
struct Starts {
    empty: Durable,
    steady: Durable,
    switching: Durable,
    verifying: Durable,
    away: Durable,
    returning: Durable,
    draining_home: Durable,
    switching_home: Durable,
}

impl Starts {
    fn new() -> Self {
        let empty = Durable { now: Timestamp::from_millis(1_000), ..Durable::default() };
        let from = |start: &Durable| Flow::new("", start, Vec::new());
        let steady = when(&from(&empty), ALL_UP, |r| r.phase == Phase::Steady);
        let by = |start: &Durable, down, phase: &'static str| {
            when(&from(start), down, |r| {
                r.phase.as_str() == phase && r.epoch + u64::from(phase == "steady") > 1
            })
        };
        let verifying = by(&steady, WEST_DOWN, "verifying");
        let away = when(&from(&verifying), WEST_DOWN, |r| r.phase == Phase::Steady);
        let returning = by(&away, ALL_UP, "returning");
        Self {
            switching: by(&steady, WEST_DOWN, "switching"),
            draining_home: by(&returning, ALL_UP, "draining"),
            switching_home: by(&returning, ALL_UP, "switching"),
            empty,
            steady,
            verifying,
            away,
            returning,
        }
    }
}

/// Every flow. A new one is one entry.
pub(super) fn all() -> Vec<Flow> {
    let starts = Starts::new();
    [steering(&starts), operators(&starts), probing(&starts), pairs(&starts)].concat()
}

/// Turns at the wheel, from every phase.
fn steering(from: &Starts) -> Vec<Flow> {
    let home = |name, start, trigger| Flow::twice(name, start, trigger);
    vec![
        home("begin", &from.empty, turns(ALL_UP, 1, 1)),
        home("failover", &from.steady, turns(WEST_DOWN, 3, 2)).away(),
        home("failover, found switching", &from.switching, turns(WEST_DOWN, 2, 2)).away(),
        home("verify", &from.verifying, turns(WEST_DOWN, 2, 2)).away(),
        home("failback", &from.away, turns(ALL_UP, 3, 40)),
        home("failback, found returning", &from.returning, turns(ALL_UP, 4, 11)),
        home("failback, found draining", &from.draining_home, turns(ALL_UP, 3, 6)),
        home("failback, found switching", &from.switching_home, turns(ALL_UP, 2, 2)),
        home("abandon a failover", &from.switching, turns(ALL_UP, 2, 2)),
        home("abandon a return", &from.returning, turns(WEST_DOWN, 2, 2)).away(),
        home("abandon a drain", &from.draining_home, turns(WEST_DOWN, 2, 2)).away(),
        Flow::new("change of mind", &from.switching, vec![turns(ALL_UP, 1, 1), turns(WEST_DOWN, 2, 2)])
            .away(),
    ]
}

/// What operators command, and what controllers make of it.
fn operators(from: &Starts) -> Vec<Flow> {
    let manual = || config(r#", "failover": {"strategy": "manual"}"#);
    let (east, stay) = (name("us-east-1"), pin("us-west-2", Rule::Stay));
    let drain = pin("us-west-2", Rule::Drain);
    let propose = turns(WEST_DOWN, 1, 1);
    let approved =
        vec![propose, Trigger::Approve { to: east }, Trigger::Approve { to: east }, turns(WEST_DOWN, 3, 2)];
    let drained = vec![Trigger::Pin(drain.clone()), turns(ALL_UP, 3, 6)];
    let undrained = vec![
        Trigger::Pin(drain.clone()),
        turns(ALL_UP, 1, 1),
        Trigger::Unpin(drain.region),
        turns(ALL_UP, 2, 2),
    ];
    let asked = vec![Trigger::Ask { to: east }, Trigger::Ask { to: east }, turns(ALL_UP, 3, 6)];
    vec![
        Flow::new("pin", &from.steady, vec![Trigger::Pin(stay.clone()); 2])
            .ruled(std::slice::from_ref(&stay)),
        Flow::new("unpin", &from.steady, vec![Trigger::Pin(stay.clone()), Trigger::Unpin(stay.region)]),
        Flow { active: &["us-east-1"], ..Flow::new("drain", &from.steady, drained).ruled(&[drain]) },
        Flow::new("undrain", &from.steady, undrained),
        Flow::new("ask", &from.steady, asked),
        Flow::new("propose and approve", &from.steady, approved).away().with(manual()),
    ]
}

/// The functions that look for themselves.
fn probing(from: &Starts) -> Vec<Flow> {
    // The second tick is beyond the round.
    let slow = || config(r#", "health_check": {"interval": "15s"}"#);
    vec![
        Flow::twice("prober", &from.empty, Trigger::Schedule).with(slow()),
        Flow::twice("alarm", &from.steady, Trigger::Alarm { down: WEST_DOWN }).away(),
        Flow::twice("alarm about nothing", &from.steady, Trigger::Alarm { down: ALL_UP }),
    ]
}

/// Two sandboxes at work at once.
fn pairs(from: &Starts) -> Vec<Flow> {
    let (up, down) = (turns(ALL_UP, 1, 1), turns(WEST_DOWN, 1, 1));
    let both = |trigger: &Trigger| [trigger.clone(), trigger.clone()];
    let stay = pin("us-west-2", Rule::Stay);
    let ask = Trigger::Ask { to: name("eu-west-1") };
    vec![
        Flow::together("two begin", &from.empty, both(&up)),
        Flow::together("two fail over", &from.steady, both(&down)).away(),
        Flow::together("two find it switching", &from.switching, both(&down)).away(),
        Flow::together("two verify", &aged(&from.verifying), both(&down)).away(),
        Flow::together("two switch home", &from.switching_home, both(&up)),
        Flow::together("two disagree", &from.switching, [up.clone(), down.clone()]).away(),
        Flow {
            active: &["us-east-1", "eu-west-1"],
            ..Flow::together("one is asked", &from.steady, [ask, down.clone()]).away()
        },
        Flow::together("one is pinned", &from.steady, [Trigger::Pin(stay.clone()), up]).ruled(&[stay]),
    ]
}

/// Flows with a mistake in them, which break this promise.
#[cfg(test)]
pub(super) fn wrong() -> [(Flow, &'static str); 2] {
    let starts = Starts::new();
    let verify = Flow::twice("account last", &starts.verifying, turns(WEST_DOWN, 2, 2)).away();
    let pair = [turns(WEST_DOWN, 1, 1), turns(WEST_DOWN, 1, 1)];
    let pair = Flow::together("no condition", &starts.steady, pair).away();
    [
        (Flow { mistake: Some(Mistake::AccountsLast), ..verify }, "a move ended without an account"),
        (Flow { mistake: Some(Mistake::NoCondition), ..pair }, "version or epoch is out of order"),
    ]
}
