//! Scenarios in which something is really lost.

use std::{collections::BTreeSet, time::Duration};

use sealane::{
    failover::Rule,
    region::{Capability, RegionName},
};

use super::{Act, Cast, Must, Plan, Timed, Watched};
use crate::{
    cloud::{Effect, Fault, Lag, Place, Service},
    lambda::alarm::Change,
    measure::{Extent, Wanted},
};

/// How long a run goes on after a loss: detection, the switch, and what follows at once.
const AFTER_LOSS: Duration = Duration::from_secs(45);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The loss of a whole region, and all traffic that must leave it.
fn watched_loss(region: RegionName, active: bool) -> Watched {
    let leaves = if active { vec![Wanted::ObjectWrite, Wanted::Primary] } else { vec![Wanted::ObjectWrite] };
    Watched { region, lacks: Capability::ALL.to_vec(), leaves: leaves.into_iter().collect() }
}

fn loss_of(region: RegionName, since: Duration, cast: &Cast) -> Plan {
    let active = region == cast.primary;
    Plan {
        acts: vec![Timed { at: since, act: Act::Lose(region) }],
        since,
        ends: since + AFTER_LOSS,
        watched: Some(watched_loss(region, active)),
        must: Must::leave(active),
        doubles: None,
    }
}

pub(super) fn region_loss(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    loss_of(region, since, cast)
}

/// One service of one region: what needs it goes elsewhere, and all else stays.
pub(super) fn service_loss(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let objects = cast.dice.chance(50.0);
    let effect = if cast.dice.chance(50.0) { Effect::Cut } else { Effect::Refused };
    let (service, extent) =
        if objects { (Service::S3, Extent::OBJECTS) } else { (Service::DynamoDb, Extent::TABLES) };
    let faults = vec![Fault { from: None, to: Some(region), service: Some(service), effect }];
    let active = region == cast.primary;
    let primary = active.then_some(Wanted::Primary);
    let writes = Some(Wanted::ObjectWrite);
    let (leaves, stays) = if objects { (writes, primary) } else { (primary, writes) };
    let lacks = Capability::ALL.into_iter().filter(|c| extent.covers(*c)).collect();
    let moves = usize::from(active && !objects);
    Plan {
        acts: vec![Timed { at: since, act: Act::Break { slot: 0, faults, outage: Some((region, extent)) } }],
        since,
        ends: since + AFTER_LOSS,
        must: Must {
            moves: moves..=moves,
            detected: true,
            moved: leaves.is_some(),
            stays: stays.into_iter().collect(),
            ..Must::stay()
        },
        watched: Some(Watched { region, lacks, leaves: leaves.into_iter().collect() }),
        doubles: None,
    }
}

/// Off for 20 s, on for 20 s, three times.
pub(super) fn flapping(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let mut acts = Vec::new();
    for round in 0..3 {
        let at = since + s(40) * round;
        acts.push(Timed { at, act: cut_off(region, cast, true) });
        acts.push(Timed { at: at + s(20), act: Act::Mend(0) });
    }
    Plan {
        acts,
        since,
        ends: since + s(120),
        watched: Some(Watched { leaves: BTreeSet::new(), ..watched_loss(region, false) }),
        must: Must { moves: 0..=1, ..Must::stay() },
        doubles: None,
    }
}

/// Cuts the region off from every other place, in both directions, while all in it goes on.
/// `outage`: whether what needs the region from outside lacks all of it.
fn cut_off(region: RegionName, cast: &Cast, outage: bool) -> Act {
    let others = || cast.all.iter().copied().filter(move |r| *r != region);
    let cut = |from, to| Fault { from: Some(from), to: Some(to), service: None, effect: Effect::Cut };
    let mut faults: Vec<Fault> = others().map(|to| cut(Place::Region(region), to)).collect();
    faults.extend(others().map(|from| cut(Place::Region(from), region)));
    faults.push(cut(Place::Client(0), region));
    Act::Break { slot: 0, faults, outage: outage.then_some((region, Extent::Region)) }
}

pub(super) fn partition(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let active = region == cast.primary;
    Plan {
        acts: vec![
            Timed { at: since, act: cut_off(region, cast, true) },
            Timed { at: since + s(50), act: Act::Mend(0) },
        ],
        since,
        ends: since + s(65),
        // Clients within the region go on asking it, so where all traffic goes says nothing.
        watched: Some(Watched { leaves: BTreeSet::new(), ..watched_loss(region, active) }),
        must: Must { moved: false, ..Must::leave(active) },
        doubles: None,
    }
}

pub(super) fn skewed_loss(cast: &mut Cast) -> Plan {
    let since = cast.begins();
    let mut plan = loss_of(cast.primary, since, cast);
    for region in cast.all.clone() {
        let most = i64::try_from(cast.dice.below(600_001)).unwrap_or_default();
        let skew = Act::Skew(Place::Region(region), most - 300_000);
        plan.acts.push(Timed { at: Duration::ZERO, act: skew });
    }
    plan
}

/// Replication stops, writes go on, and then the region is lost with what it had not told.
pub(super) fn loss_behind(cast: &mut Cast) -> Plan {
    let paused = cast.begins();
    let since = paused + cast.dice.between(s(1), s(25));
    let mut plan = loss_of(cast.primary, since, cast);
    for to in cast.all.iter().copied().filter(|r| *r != cast.primary) {
        plan.acts.push(Timed { at: paused, act: Act::Replicate(cast.primary, to, Lag::Paused) });
    }
    plan
}

/// Every schedule's event comes twice, probers are started besides, and alarms as well.
pub(super) fn loss_seen_twice(cast: &mut Cast) -> Plan {
    let since = cast.begins();
    let mut plan = loss_of(cast.primary, since, cast);
    plan.doubles = Some(100.0);
    for observer in cast.all.clone() {
        for _ in 0..2 {
            let at = cast.dice.between(s(20), since + s(20));
            plan.acts.push(Timed { at, act: Act::Probe(observer) });
            let at = since + cast.dice.between(s(0), s(25));
            plan.acts.push(Timed { at, act: Act::Alarm(Change::down(observer, cast.primary)) });
        }
    }
    plan
}

/// With `stay` on the primary region nothing moves; with `forbid` on the best standby the
/// next one takes over.
pub(super) fn pinned_loss(cast: &mut Cast) -> Plan {
    let since = cast.begins();
    let mut plan = loss_of(cast.primary, since, cast);
    let at = since.saturating_sub(s(15));
    if cast.dice.chance(50.0) {
        plan.acts.push(Timed { at, act: Act::Rule(cast.primary, Rule::Stay) });
        plan.must = Must { detected: true, ends_in: Some(cast.primary), ..Must::stay() };
        plan.watched = Some(watched_loss(cast.primary, false));
    } else if let [best, next, ..] = cast.others[..] {
        plan.acts.push(Timed { at, act: Act::Rule(best, Rule::Forbid) });
        plan.must.ends_in = Some(next);
    }
    plan
}

/// Lost, left, back, and returned to: in steps, and not before its time.
pub(super) fn failback(cast: &mut Cast) -> Plan {
    let since = cast.begins();
    let mut plan = loss_of(cast.primary, since, cast);
    let back = since + cast.dice.between(s(30), s(45));
    plan.acts.push(Timed { at: back, act: Act::Restore(cast.primary) });
    plan.ends = back + s(170);
    plan.watched = Some(Watched { leaves: BTreeSet::new(), ..watched_loss(cast.primary, true) });
    plan.must =
        Must { moves: 2..=2, detected: true, ends_in: Some(cast.primary), staged: true, ..Must::stay() };
    plan
}
