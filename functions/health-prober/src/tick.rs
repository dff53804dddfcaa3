//! One tick: probe, confirm, write. And the looks between two ticks.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    health::{Observation, Probe, until_next_look},
    ports::{Apis, Clock, Objects, Rows},
    region::{Capability, Region, RegionName},
};
use tokio::time::Instant;

use crate::{
    Deps, Doors, Reach, State,
    conclude::{When, conclude},
    look::{Tell, Wanted, look},
    marks,
    probe::{Answers, Stamp},
    row::{self, Written},
};

/// One tick, whatever fails in it.
pub(crate) async fn take<D, R, C>(deps: &Deps<D, R, C>, state: &mut State) -> Written
where
    D: Reach,
    D::Rows: Rows,
    D::Objects: Objects,
    D::Apis: Apis,
    R: Rows,
    C: Clock,
{
    state.ticks += 1;
    state.began.get_or_insert_with(|| deps.clock.now());
    row::adopt(&deps.own, state, deps.here, deps.clock.now()).await;
    let due = due(deps, state);
    let written = if state.ticks % 2 == 1 {
        tick(deps, deps.reach.pooled(), state, &due).await
    } else {
        tick(deps, &deps.reach.fresh(), state, &due).await
    };
    if written == Written::ByAnother {
        return Written::ByAnother;
    }
    follow(deps, state, When::Always).await
}

/// Between two ticks: reads the marks that are awaited and everyone's rows, and looks
/// at once into what a peer newly doubts.
pub(crate) async fn listen<D, R, C>(deps: &Deps<D, R, C>, state: &mut State) -> Written
where
    D: Reach,
    D::Rows: Rows,
    D::Objects: Objects,
    D::Apis: Apis,
    R: Rows,
    C: Clock,
{
    marks::collect(deps, state).await;
    follow(deps, state, When::Needed).await
}

/// Concludes, and looks into what that brought up, until nothing new does.
async fn follow<D, R, C>(deps: &Deps<D, R, C>, state: &mut State, when: When) -> Written
where
    D: Reach,
    D::Rows: Rows,
    D::Objects: Objects,
    D::Apis: Apis,
    R: Rows,
    C: Clock,
{
    let mut doubted = conclude(deps, state, when).await;
    // Ends: a region is looked at out of turn once between two ticks.
    while !doubted.is_empty() {
        if check(deps, state, doubted).await == Written::ByAnother {
            return Written::ByAnother;
        }
        doubted = conclude(deps, state, When::Always).await;
    }
    Written::Here
}

/// When the next tick starts: when the first region is due again.
pub(crate) fn next<D, R, C>(deps: &Deps<D, R, C>, state: &State, started: Instant) -> Instant {
    let due = watched(&deps.config.regions).filter_map(|r| state.due.get(&r.name)).min();
    due.copied().unwrap_or(started + ROUND_WITHOUT_REGIONS).max(started + Duration::from_millis(1))
}

/// Time between two ticks of a prober that has nobody to watch.
pub(crate) const ROUND_WITHOUT_REGIONS: Duration = Duration::from_secs(60);

/// The regions that are asked at all.
pub(crate) fn watched(regions: &[Region]) -> impl Iterator<Item = &Region> {
    regions.iter().filter(|r| r.health_check.enabled)
}

/// What is to be asked in this tick; each region is due again at its next slot.
fn due<'a, D, R, C: Clock>(deps: &'a Deps<D, R, C>, state: &mut State) -> Wanted<'a> {
    let (now, clock, regions) = (Instant::now(), deps.clock.now(), &deps.config.regions);
    let due: Vec<&Region> =
        watched(regions).filter(|r| state.due.get(&r.name).is_none_or(|at| *at <= now)).collect();
    for region in &due {
        let wait = until_next_look(clock, region.health_check.interval, deps.here, regions);
        state.due.insert(region.name, now + wait);
        state.heed.turn(region.name);
    }
    due.into_iter().map(|region| (region, region.capabilities().to_vec())).collect()
}

/// Probes what is due, confirms what failed, measures how late the others' data arrives here,
/// and writes the row.
async fn tick<D, R, C, T, O, A>(
    deps: &Deps<D, R, C>,
    doors: &Doors<T, O, A>,
    state: &mut State,
    due: &Wanted<'_>,
) -> Written
where
    R: Rows,
    T: Rows,
    O: Objects,
    A: Apis,
    C: Clock,
{
    let stamp = Stamp { observer: deps.here, number: state.observation.seq() + 1 };
    let errands = marks::errands(deps, state, due, stamp.number);
    let write = marks::write(doors, deps.here, &errands);
    let (written, answers) = futures::join!(write, look(deps, doors, state, due, stamp, Tell::Doubts));
    marks::note(state, &errands, &written);
    let Some(answers) = answers else { return Written::ByAnother };
    // After a write that was not answered, the row is read before the next one.
    row::adopt(&deps.own, state, deps.here, deps.clock.now()).await;
    fold(deps, state, &answers);
    acknowledge(state, &answers, stamp);
    marks::collect(deps, state).await;
    publish(deps, state).await
}

/// One look out of turn, over fresh connections, at what a peer doubts and nothing else.
async fn check<D, R, C>(
    deps: &Deps<D, R, C>,
    state: &mut State,
    doubted: BTreeMap<RegionName, Vec<Capability>>,
) -> Written
where
    D: Reach,
    D::Rows: Rows,
    D::Objects: Objects,
    D::Apis: Apis,
    R: Rows,
    C: Clock,
{
    let region = |(name, capabilities)| Some((deps.config.region(name)?, capabilities));
    let wanted: Wanted<'_> = doubted.into_iter().filter_map(region).collect();
    let stamp = Stamp { observer: deps.here, number: state.observation.seq() + 1 };
    let doors = deps.reach.fresh();
    let Some(answers) = look(deps, &doors, state, &wanted, stamp, Tell::Nothing).await else {
        return Written::ByAnother;
    };
    row::adopt(&deps.own, state, deps.here, deps.clock.now()).await;
    fold(deps, state, &answers);
    acknowledge(state, &answers, stamp);
    publish(deps, state).await
}

/// Seals the view, without the doubts of the look that is over, and writes it.
async fn publish<D, R: Rows, C: Clock>(deps: &Deps<D, R, C>, state: &mut State) -> Written {
    marks::measure(state, deps.clock.now());
    row::seal(state, &[], &deps.config.regions);
    let published = row::write(&deps.own, &state.observation, state.row).await;
    row::settle(state, published)
}

fn fold<D, R, C: Clock>(deps: &Deps<D, R, C>, state: &mut State, answers: &[Answers]) {
    let now = deps.clock.now();
    for answer in answers {
        let Some(region) = deps.config.region(answer.region) else { continue };
        let seen = state.observation.clone();
        let fold = |seen: Observation, (capability, outcome): &(Capability, _)| {
            seen.observe(region, *capability, *outcome, &deps.config.health, now)
        };
        state.observation = answer.probes.iter().fold(seen, fold);
    }
}

/// Remembers what each region acknowledged: a read may find nothing older from now on.
fn acknowledge(state: &mut State, answers: &[Answers], stamp: Stamp) {
    for answer in answers {
        let held = state.acknowledged.entry(answer.region).or_default();
        for (capability, outcome) in &answer.probes {
            let Probe::Good(_) = outcome else { continue };
            match capability {
                Capability::ObjectWrite => held.object = Some(stamp.number),
                Capability::TableWrite => held.row = Some(stamp.number),
                Capability::ObjectRead | Capability::TableRead | Capability::Api => {}
            }
        }
    }
}
