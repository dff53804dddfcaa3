//! One tick: probe, confirm, write, read, steer.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use sealane::{
    admission::reap,
    failover::{Decision, Phase},
    health::{Observation, Probe},
    lease::Book,
    outlook::{Trust, weigh},
    ports::{Apis, Clock, Objects, Rows, RowsError},
    region::{Capability, Region, RegionName},
    steer::{Turn, steer},
    store::HealthTable,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Deps, Doors, Reach, Row, State, metrics,
    probe::{self, Answers, Stamp},
};

/// Time between the starts of two confirming probes.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for this region's own replica: beyond the client's own limit, so that
/// no write is dropped while it may still arrive.
const OWN_ANSWER_MAX: Duration = Duration::from_secs(6);

/// Longest turn at the wheel. Every write in it is conditional, so it may end anywhere.
const TURN_MAX: Duration = Duration::from_secs(10);

/// Confirming probes of one tick; a higher threshold is reached over several ticks.
const BURST_MAX: u32 = 5;

/// Who wrote this observer's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// This invocation, or nobody because the replica did not answer.
    Here,
    /// Another invocation of the same prober.
    ByAnother,
}

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
    adopt(&deps.own, state, deps.here).await;
    if state.ticks % 2 == 1 {
        look(deps, deps.reach.pooled(), state).await;
    } else {
        look(deps, &deps.reach.fresh(), state).await;
    }
    state.observation = state.observation.clone().seal(&deps.config.regions);
    if publish(&deps.own, state).await == Written::ByAnother {
        return Written::ByAnother;
    }
    conclude(deps, state).await;
    Written::Here
}

/// When the next tick starts: when the first region is due again.
pub(crate) fn next<D, R, C>(deps: &Deps<D, R, C>, state: &State, started: Instant) -> Instant {
    let due = watched(&deps.config.regions).filter_map(|r| state.due.get(&r.name)).min();
    due.copied().unwrap_or(started + ROUND_WITHOUT_REGIONS).max(started + Duration::from_millis(1))
}

/// Time between two ticks of a prober that has nobody to watch.
const ROUND_WITHOUT_REGIONS: Duration = Duration::from_secs(60);

fn watched(regions: &[Region]) -> impl Iterator<Item = &Region> {
    regions.iter().filter(|r| r.health_check.enabled)
}

/// Takes up this observer's row where another sandbox left it.
async fn adopt<R: Rows>(own: &HealthTable<R>, state: &mut State, here: RegionName) {
    if state.row != Row::Unread {
        return;
    }
    match timeout(OWN_ANSWER_MAX, own.observation(here)).await {
        Ok(Ok(None)) => state.row = Row::Absent,
        Ok(Ok(Some(held))) => {
            state.row = Row::At(held.version);
            if held.value.seq() > state.observation.seq() {
                state.observation = held.value;
            }
        }
        Ok(Err(error)) => tracing::warn!(region.name = %here, %error, "own row was not read"),
        Err(_) => tracing::warn!(region.name = %here, "own row was not read in time"),
    }
}

/// Probes what is due, confirms what failed, and measures how far behind this replica is.
async fn look<D, R, C, T, O, A>(deps: &Deps<D, R, C>, doors: &Doors<T, O, A>, state: &mut State)
where
    R: Rows,
    T: Rows,
    O: Objects,
    A: Apis,
    C: Clock,
{
    let now = Instant::now();
    let due: Vec<&Region> = watched(&deps.config.regions)
        .filter(|r| state.due.get(&r.name).is_none_or(|at| *at <= now))
        .collect();
    for region in &due {
        state.due.insert(region.name, now + region.health_check.interval);
    }
    let stamp = Stamp { observer: deps.here, number: state.observation.seq() + 1 };
    let raise = timeout(OWN_ANSWER_MAX, deps.own.raise_watermark(deps.here, stamp.number));
    let held = |region: &Region| state.acknowledged.get(&region.name).copied().unwrap_or_default();
    let probes = join_all(due.iter().map(|region| probe::region(doors, region, stamp, held(region))));
    let (raised, answers) = futures::join!(raise, probes);
    if !matches!(raised, Ok(Ok(()))) {
        tracing::warn!(region.name = %deps.here, "own watermark was not raised");
    }
    fold(deps, state, &answers);
    acknowledge(state, &answers, stamp);
    measure(deps, state, &answers).await;
    confirm(deps, doors, state, &due, stamp).await;
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
            match (capability, outcome) {
                (Capability::ObjectWrite, Probe::Good(_)) => held.object = Some(stamp.number),
                (Capability::TableWrite, Probe::Good(_)) => held.row = Some(stamp.number),
                _ => {}
            }
        }
    }
}

/// Compares each region's watermark there with the one here, read after it.
async fn measure<D, R: Rows, C: Clock>(deps: &Deps<D, R, C>, state: &mut State, answers: &[Answers]) {
    let others = answers.iter().filter(|answer| answer.region != deps.here);
    let marks = join_all(others.map(async |answer| {
        let local = timeout(OWN_ANSWER_MAX, deps.own.watermark(answer.region)).await;
        (answer.region, answer.watermark, local.ok().and_then(Result::ok))
    }));
    let now = deps.clock.now();
    for (region, remote, local) in marks.await {
        state.observation = state.observation.clone().measure(region, remote, local, now);
    }
}

/// Asks again at once what failed for the first time, instead of at the next tick.
///
/// The confirming probes start a second apart and do not wait for each other, so
/// that timeouts do not add up.
async fn confirm<D, R, C: Clock, T: Rows, O: Objects, A: Apis>(
    deps: &Deps<D, R, C>,
    doors: &Doors<T, O, A>,
    state: &mut State,
    due: &[&Region],
    stamp: Stamp,
) {
    let doubtful: Vec<(RegionName, Capability)> = state.observation.unconfirmed().collect();
    let in_doubt = |region: &&&Region| doubtful.iter().any(|(name, _)| *name == region.name);
    let again = due.iter().filter(in_doubt).flat_map(|region| {
        let held = state.acknowledged.get(&region.name).copied().unwrap_or_default();
        (1..region.health_check.failure_threshold.min(BURST_MAX)).map(move |round| async move {
            sleep(CONFIRM_EVERY * round).await;
            (round, probe::region(doors, region, stamp, held).await)
        })
    });
    let mut rounds = join_all(again).await;
    rounds.sort_by_key(|(round, answer)| (*round, answer.region));
    let confirmed: Vec<Answers> = rounds
        .into_iter()
        .map(|(_, mut answer)| {
            answer.probes.retain(|(capability, _)| doubtful.contains(&(answer.region, *capability)));
            answer
        })
        .collect();
    fold(deps, state, &confirmed);
}

/// Writes this observer's row, if nobody else has.
async fn publish<R: Rows>(own: &HealthTable<R>, state: &mut State) -> Written {
    let read = match state.row {
        Row::Unread => return Written::Here,
        Row::Absent => None,
        Row::At(version) => Some(version),
    };
    match timeout(OWN_ANSWER_MAX, own.publish(&state.observation, read)).await {
        Ok(Ok(version)) => state.row = Row::At(version),
        Ok(Err(RowsError::Conflict)) => return Written::ByAnother,
        // It may have been written all the same: read before the next write.
        Ok(Err(error)) => {
            state.row = Row::Unread;
            tracing::warn!(%error, "observation was not written");
        }
        Err(_) => {
            state.row = Row::Unread;
            tracing::warn!("observation was not written in time");
        }
    }
    Written::Here
}

/// Reads everyone's rows, takes a turn at the wheel, and says what was seen.
async fn conclude<D, R: Rows, C: Clock>(deps: &Deps<D, R, C>, state: &mut State) {
    state.moving = false;
    let rows = match timeout(OWN_ANSWER_MAX, deps.own.observations()).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => return tracing::warn!(%error, "observations were not read: nothing is decided"),
        Err(_) => return tracing::warn!("observations were not read in time: nothing is decided"),
    };
    for row in rows.iter().filter(|row| row.observer() != deps.here) {
        state.observation = state.observation.clone().hear(row.observer(), row.seq());
    }
    state.verdicts = weigh(&deps.config, &rows, &mut state.memory, Trust::Advancing, deps.clock.now());
    let turn = steer_once(deps, state).await;
    // After the turn, which must not wait for it; and not where control was silent a moment ago.
    state.books = match turn {
        Some(_) => tend(deps, state).await,
        None => None,
    };
    report(deps, state, turn.as_ref());
}

/// One more turn at the wheel between two ticks, on everyone's rows as they are now.
pub(crate) async fn steer_on<D, R: Rows, C: Clock>(deps: &Deps<D, R, C>, state: &mut State) {
    conclude(deps, state).await;
}

async fn steer_once<D, R: Rows, C: Clock>(deps: &Deps<D, R, C>, state: &mut State) -> Option<Turn> {
    let turn = steer(&deps.config, deps.here, &state.verdicts, &deps.control, &mut state.watch, &deps.clock);
    match timeout(TURN_MAX, turn).await {
        Err(_) => {
            tracing::warn!(
                "control was too slow: the turn was given up, and the next one goes on from there"
            );
            None
        }
        Ok(Ok(turn)) => {
            state.moving = turn.record.as_ref().is_some_and(|record| is_moving(record.phase));
            Some(turn)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "control was not reached: nothing is decided, every route stays");
            None
        }
    }
}

/// Frees the slots of uploaders that are gone, and gives the leases as they then are.
async fn tend<D, R: Rows, C: Clock>(
    deps: &Deps<D, R, C>,
    state: &mut State,
) -> Option<BTreeMap<RegionName, Book>> {
    let reaping = reap(&deps.config, &deps.control, &mut state.leases, &deps.clock);
    match timeout(OWN_ANSWER_MAX, reaping).await {
        Ok(Ok(books)) => Some(books),
        Ok(Err(error)) => {
            tracing::warn!(%error, "leases were not read: slots of uploaders that are gone stay taken");
            None
        }
        Err(_) => {
            tracing::warn!("leases were not read in time: slots of uploaders that are gone stay taken");
            None
        }
    }
}

/// Whether writes wait for the phase to end, so that it shall not wait for a tick. A
/// region that returns in steps takes its time, and whether the new region works is
/// for the next probes to say.
const fn is_moving(phase: Phase) -> bool {
    match phase {
        Phase::Draining { .. } | Phase::Switching { .. } => true,
        Phase::Steady | Phase::Returning { .. } | Phase::Verifying { .. } => false,
    }
}

fn report<D, R, C: Clock>(deps: &Deps<D, R, C>, state: &mut State, turn: Option<&Turn>) {
    for decision in turn.into_iter().flat_map(|turn| &turn.decisions) {
        match decision {
            Decision::Stay { .. } => tracing::debug!(%decision, "decided"),
            _ => tracing::info!(%decision, "decided"),
        }
    }
    let moved = turn.is_some_and(|turn| !turn.moved.is_empty());
    let now = deps.clock.now();
    let Some(interval) = deps.config.metrics_interval else { return };
    if moved || state.printed.is_none_or(|at| now.since(at) >= interval) {
        state.printed = Some(now);
        let mut lines = metrics::lines(deps.here, &deps.config.regions, &state.verdicts, turn, now);
        for (region, book) in state.books.iter().flatten() {
            let Some(region) = deps.config.region(*region) else { continue };
            // What ended before this prober's first look was counted by the one before it.
            let counted = state.counted.insert(region.name, book.done).unwrap_or(book.done);
            lines.extend(metrics::room(deps.here, region, book, counted, now));
        }
        (deps.print)(&lines);
    }
}
