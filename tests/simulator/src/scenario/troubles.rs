//! Scenarios in which no region is lost: whatever moves, moves for nothing.

use std::{collections::BTreeSet, time::Duration};

use sealane::region::{Capability, RegionName};
use serde_json::{Value, json};

use super::{Act, Cast, Crowd, Must, Plan, Timed, Watched};
use crate::{
    cloud::{Effect, Fault, Place},
    dice::Dice,
    lambda::alarm::Change,
    measure::Extent,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// These faults for so long, and nothing may come of them.
fn trouble(since: Duration, lasts: Duration, faults: Vec<Fault>) -> Plan {
    Plan {
        acts: vec![Timed { at: since, act: Act::Break { slot: 0, faults, outage: None } }],
        since,
        ends: since + lasts,
        watched: None,
        must: Must::stay(),
        timed: true,
        doubles: None,
        crowd: Crowd::Routers,
    }
}

/// One observer's calls into other regions come to nothing, or arrive seconds late. What
/// it does in its own region works, and so does replication, which is not its own.
pub(super) fn sick_observer(cast: &mut Cast) -> Plan {
    let (sick, since) = (cast.any(), cast.begins());
    let effect = match cast.dice.below(4) {
        0 => Effect::Slow { by: s(3) },
        1 => Effect::FreshOnly,
        2 => Effect::Loss { percent: 100.0 },
        _ => Effect::Loss { percent: 70.0 },
    };
    let others = cast.all.iter().copied().filter(|r| *r != sick);
    let from = Some(Place::Region(sick));
    let faults = others.map(|to| Fault { from, to: Some(to), service: None, effect }).collect();
    trouble(since, s(75), faults)
}

pub(super) fn loss_everywhere(cast: &mut Cast) -> Plan {
    let since = cast.begins();
    let effect = Effect::Loss { percent: 1.0 };
    trouble(since, s(80), vec![Fault { from: None, to: None, service: None, effect }])
}

pub(super) fn loss_to_one_observer(cast: &mut Cast) -> Plan {
    let (observer, since) = (cast.any(), cast.begins());
    let effect = Effect::Loss { percent: 30.0 };
    trouble(
        since,
        s(80),
        vec![Fault { from: Some(Place::Region(observer)), to: None, service: None, effect }],
    )
}

/// Slower than is called healthy, and far from a probe's limit: asked less, and not left.
pub(super) fn slow_region(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let by = cast.dice.between(Duration::from_millis(700), Duration::from_millis(1_200));
    let fault = Fault { from: None, to: Some(region), service: None, effect: Effect::Slow { by } };
    let mut plan = trouble(since, s(60), vec![fault]);
    plan.watched = Some(watched(region));
    plan.must.eased = true;
    plan
}

fn watched(region: RegionName) -> Watched {
    let all = Capability::ALL.to_vec();
    Watched { region, lacks: all.clone(), calls: all, leaves: BTreeSet::new() }
}

/// To those who connect anew the region is gone, to the others it is there: either is a
/// reason, and one move at most may come of it.
pub(super) fn dns_empty(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let faults = vec![Fault { from: None, to: Some(region), service: None, effect: Effect::FreshOnly }];
    let mut plan = trouble(since, s(60), Vec::new());
    plan.acts[0].act = Act::Break { slot: 0, faults, outage: Some((region, Extent::Region)) };
    plan.watched = Some(watched(region));
    plan.must.detected = true;
    plan.must.moves = 0..=1;
    plan
}

/// Each observer's handler is told again and again of alarms that are long over: in every form,
/// gone off and back, some twice, some of regions that nobody knows, some damaged.
pub(super) fn stale_alarms(cast: &mut Cast) -> Plan {
    let since = cast.begins();
    let mut plan = trouble(since, s(60), Vec::new());
    for _ in 0..60 {
        let (observer, about) = (cast.any(), cast.any());
        if observer == about {
            continue;
        }
        let event = stale(&mut cast.dice, observer, about);
        for _ in 0..=u64::from(cast.dice.chance(20.0)) {
            let at = since + cast.dice.between(s(0), s(45));
            plan.acts.push(Timed { at, act: Act::Event(observer, event.clone()) });
        }
    }
    plan
}

/// One event of the past.
fn stale(dice: &mut Dice, observer: RegionName, about: RegionName) -> Value {
    let mut change = Change::down(observer, about);
    if dice.chance(30.0) {
        (change.old, change.new) = ("ALARM", "OK");
    }
    if dice.chance(10.0) {
        "sealane-region-down-us-nowhere-1".clone_into(&mut change.alarm);
    }
    match dice.below(10) {
        0 => Value::Null,
        1 => json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{\"AlarmName\":"}}]}),
        2..=4 => change.direct(),
        5..=7 => change.sns(),
        _ => change.eventbridge(),
    }
}
