//! Scenarios in which something is really lost.

use std::{collections::BTreeSet, time::Duration};

use sealane::{
    failover::{PRIMARY_NEEDS, Rule},
    region::{Capability, RegionName},
};

use super::{Act, Cast, Crowd, Must, Plan, Timed, Watched};
use crate::{
    cloud::{Effect, Fault, Lag, Place, Service},
    lambda::alarm::Change,
    measure::{Extent, Wanted},
};

/// How long a run goes on after a loss: detection, the switch, and what follows at once.
const AFTER_LOSS: Duration = Duration::from_secs(45);

/// How long a region that is back waits for its prober at most: its schedule comes within a minute, up to
/// eight seconds late; the new invocation finds the row of the lost one, which may be at work, and
/// waits until it is late; and then it looks.
const PROBER_BACK: Duration = Duration::from_secs(60 + 8 + 16 + 4);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The loss of a whole region, and all traffic that must leave it.
fn watched_loss(region: RegionName, active: bool) -> Watched {
    let leaves = if active { vec![Wanted::ObjectWrite, Wanted::Primary] } else { vec![Wanted::ObjectWrite] };
    let calls = if active { PRIMARY_NEEDS.to_vec() } else { Capability::ALL.to_vec() };
    Watched { region, lacks: Capability::ALL.to_vec(), calls, leaves: leaves.into_iter().collect() }
}

fn loss_of(region: RegionName, since: Duration, cast: &Cast) -> Plan {
    let active = region == cast.primary;
    Plan {
        acts: vec![Timed { at: since, act: Act::Lose(region) }],
        since,
        ends: since + AFTER_LOSS,
        watched: Some(watched_loss(region, active)),
        must: Must::leave(active),
        timed: true,
        doubles: None,
        crowd: Crowd::Routers,
    }
}

/// A third of the losses of the primary region are not its only trouble.
pub(super) fn region_loss(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let [best, next, ..] = cast.others[..] else { return loss_of(region, since, cast) };
    if region != cast.primary {
        return loss_of(region, since, cast);
    }
    match cast.dice.below(15) {
        0 => loss_with_another(cast, best),
        1 => loss_with_another(cast, next),
        2 => loss_without_quorum(cast),
        3 => loss_of_all(cast),
        4 => loss_beside_a_slow(cast, since, best, next),
        _ => loss_of(region, since, cast),
    }
}

/// A standby is lost too, up to 30 s before the primary region or while that is found out, and
/// comes back. With two of three regions down, health says nothing (panic) and nothing moves;
/// what was under way may end. When the standby is back, work must have a place.
fn loss_with_another(cast: &mut Cast, standby: RegionName) -> Plan {
    let since = cast.begins() + s(30);
    let mut plan = loss_of(cast.primary, since, cast);
    let from = since - s(30);
    let at = from + cast.dice.between(s(0), s(40));
    let back = since + cast.dice.between(s(30), s(40));
    plan.acts.push(Timed { at, act: Act::Lose(standby) });
    plan.acts.push(Timed { at: back, act: Act::Restore(standby) });
    plan.ends = back + PROBER_BACK + s(20);
    apart(plan, Must { moves: 1..=2, detected: true, ..Must::stay() })
}

/// The witness is lost before the primary region, and with both the control table: the record
/// cannot change until the witness is back, and then it does.
fn loss_without_quorum(cast: &mut Cast) -> Plan {
    let since = cast.begins() + s(30);
    let mut plan = loss_of(cast.primary, since, cast);
    let witnesses = cast.all.iter().copied().filter(|r| *r != cast.primary && !cast.others.contains(r));
    let witnesses: Vec<_> = witnesses.collect();
    let at = since - cast.dice.between(s(1), s(30));
    let back = since + cast.dice.between(s(20), s(30));
    for witness in witnesses {
        plan.acts.push(Timed { at, act: Act::Lose(witness) });
        plan.acts.push(Timed { at: back, act: Act::Restore(witness) });
    }
    plan.ends = back + PROBER_BACK + s(20);
    apart(plan, Must { moves: 1..=1, detected: true, ..Must::stay() })
}

/// No region is left that holds data: nothing moves.
fn loss_of_all(cast: &mut Cast) -> Plan {
    let since = cast.begins() + s(30);
    let mut plan = loss_of(cast.primary, since, cast);
    for standby in cast.others.clone() {
        let at = since - cast.dice.between(s(0), s(30));
        plan.acts.push(Timed { at, act: Act::Lose(standby) });
    }
    apart(plan, Must { ends_in: Some(cast.primary), ..Must::stay() })
}

/// The best standby is slow, and so the next one is better.
fn loss_beside_a_slow(cast: &Cast, since: Duration, slow: RegionName, next: RegionName) -> Plan {
    let mut plan = loss_of(cast.primary, since + s(30), cast);
    let effect = Effect::Slow { by: Duration::from_millis(900) };
    let faults = vec![Fault { from: None, to: Some(slow), service: None, effect }];
    plan.acts.push(Timed { at: since, act: Act::Break { slot: 0, faults, outage: None } });
    apart(plan, Must { moves: 1..=1, detected: true, ends_in: Some(next), ..Must::stay() })
}

/// A loss on top of another fault: what must come is its own, and its times are, too.
fn apart(plan: Plan, must: Must) -> Plan {
    let watched = plan.watched.map(|watched| Watched { leaves: BTreeSet::new(), ..watched });
    Plan { watched, must, timed: false, ..plan }
}

/// A service that can be lost by itself, and what is then lost.
const SERVICES: [(Service, Extent); 3] =
    [(Service::S3, Extent::OBJECTS), (Service::DynamoDb, Extent::TABLES), (Service::Api, Extent::API)];

/// One service of one region: what needs it goes elsewhere, and all else stays.
pub(super) fn service_loss(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let (service, extent) = SERVICES[usize::try_from(cast.dice.below(3)).unwrap_or_default()];
    let effect = if cast.dice.chance(50.0) { Effect::Cut } else { Effect::Refused };
    let faults = vec![Fault { from: None, to: Some(region), service: Some(service), effect }];
    let lacks: Vec<_> = Capability::ALL.into_iter().filter(|c| extent.covers(*c)).collect();
    let moves = region == cast.primary && PRIMARY_NEEDS.iter().any(|c| extent.covers(*c));
    let leaves = [
        extent.covers(Capability::ObjectWrite).then_some(Wanted::ObjectWrite),
        moves.then_some(Wanted::Primary),
    ];
    let leaves: BTreeSet<Wanted> = leaves.into_iter().flatten().collect();
    // Objects stay wherever their bucket works, also when another region's is lost.
    let stays = [Some(Wanted::ObjectWrite), (!moves).then_some(Wanted::Primary)];
    Plan {
        acts: vec![Timed { at: since, act: Act::Break { slot: 0, faults, outage: Some((region, extent)) } }],
        since,
        ends: since + AFTER_LOSS,
        must: Must {
            moves: usize::from(moves)..=usize::from(moves),
            detected: true,
            moved: !leaves.is_empty(),
            stays: stays.into_iter().flatten().collect(),
            ..Must::stay()
        },
        watched: Some(Watched { region, calls: lacks.clone(), lacks, leaves }),
        timed: true,
        doubles: None,
        crowd: Crowd::Routers,
    }
}

/// Off for 20 s, on for 20 s, three times.
pub(super) fn flapping(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let mut acts = Vec::new();
    for round in 0..3 {
        let at = since + s(40) * round;
        acts.push(Timed { at, act: cut_off(region, cast, Direction::Both) });
        acts.push(Timed { at: at + s(20), act: Act::Mend(0) });
    }
    Plan {
        acts,
        since,
        ends: since + s(120),
        watched: Some(Watched { leaves: BTreeSet::new(), ..watched_loss(region, false) }),
        must: Must { moves: 0..=1, ..Must::stay() },
        timed: true,
        doubles: None,
        crowd: Crowd::Routers,
    }
}

/// Which requests a cut stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
    Both,
}

/// Cuts the region off from every other place, while all in it goes on. An outage, since what needs
/// the region from outside lacks all of it, unless only its own requests are stopped.
fn cut_off(region: RegionName, cast: &Cast, direction: Direction) -> Act {
    let others = || cast.all.iter().copied().filter(move |r| *r != region);
    let cut = |from, to| Fault { from: Some(from), to: Some(to), service: None, effect: Effect::Cut };
    let mut faults = Vec::new();
    if direction != Direction::In {
        faults.extend(others().map(|to| cut(Place::Region(region), to)));
    }
    if direction != Direction::Out {
        faults.extend(others().map(|from| cut(Place::Region(from), region)));
        faults.push(cut(Place::Client(0), region));
    }
    let outage = (direction != Direction::Out).then_some((region, Extent::Region));
    Act::Break { slot: 0, faults, outage }
}

/// Cut off in both directions, or in one. A region that cannot ask and can be asked works for
/// everyone else: nobody has to find it out.
pub(super) fn partition(cast: &mut Cast) -> Plan {
    let (region, since) = (cast.victim(), cast.begins());
    let active = region == cast.primary;
    let direction = match cast.dice.below(4) {
        0 => Direction::In,
        1 => Direction::Out,
        _ => Direction::Both,
    };
    let must = match direction {
        Direction::In | Direction::Both => Must { moved: false, ..Must::leave(active) },
        Direction::Out => Must::stay(),
    };
    Plan {
        acts: vec![
            Timed { at: since, act: cut_off(region, cast, direction) },
            Timed { at: since + s(50), act: Act::Mend(0) },
        ],
        since,
        ends: since + s(65),
        // Clients within the region go on asking it, so where all traffic goes says nothing.
        watched: Some(Watched { leaves: BTreeSet::new(), ..watched_loss(region, active) }),
        must,
        timed: true,
        doubles: None,
        crowd: Crowd::Routers,
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

/// With `stay` on the primary region nothing moves until the pin is taken back, and then work does,
/// once; with `forbid` on the best standby the next one takes over.
pub(super) fn pinned_loss(cast: &mut Cast) -> Plan {
    let since = cast.begins();
    let mut plan = loss_of(cast.primary, since, cast);
    let at = since.saturating_sub(s(15));
    if cast.dice.chance(50.0) {
        plan.acts.push(Timed { at, act: Act::Rule(cast.primary, Rule::Stay) });
        let freed = since + cast.dice.between(s(20), s(35));
        plan.acts.push(Timed { at: freed, act: Act::Unrule(cast.primary) });
        plan.ends = freed + AFTER_LOSS;
        // How long an operator waits is none of the times that the drill is about.
        // Nor where it goes: a standby whose observers were just replaced may be unknown then.
        plan.timed = false;
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
    // The lag that the return waits for is measured by the region's own prober. One that is killed before another
    // stands by is back with the next minute.
    plan.ends = back + 2 * PROBER_BACK + s(110);
    plan.watched = Some(Watched { leaves: BTreeSet::new(), ..watched_loss(cast.primary, true) });
    plan.must =
        Must { moves: 2..=2, detected: true, ends_in: Some(cast.primary), staged: true, ..Must::stay() };
    plan
}

/// Losses, cuts and returns, of which nothing has to come but that every promise is kept.
pub(super) fn shared_worksets(cast: &mut Cast) -> Plan {
    let plan = match cast.dice.below(5) {
        0 => loss_of(cast.victim(), cast.begins(), cast),
        1 => service_loss(cast),
        2 => partition(cast),
        3 => loss_behind(cast),
        _ => failback(cast),
    };
    let ends = plan.ends + s(30);
    let must = Must { moves: 0..=2, ..Must::stay() };
    let watched = plan.watched.map(|watched| Watched { leaves: BTreeSet::new(), ..watched });
    Plan { ends, must, watched, timed: false, crowd: Crowd::Workers, ..plan }
}
