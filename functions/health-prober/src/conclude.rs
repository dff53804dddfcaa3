//! Everyone's rows, what they come to, and one turn at the wheel.
//!
//! Rows are read each second, since a verdict may be reached by what others write. A
//! turn is taken in each tick, while a move is under way, and whenever a status changed.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    admission::reap,
    failover::{Decision, Phase},
    health::{Observation, Verdicts},
    lease::Book,
    outlook::{Trust, weigh},
    ports::{Clock, Rows},
    region::{Capability, RegionName, Status},
    steer::{Turn, steer},
};
use tokio::time::timeout;

use crate::{Deps, State, metrics, row::OWN_ANSWER_MAX};

/// Longest turn at the wheel. Every write in it is conditional, so it may end anywhere.
const TURN_MAX: Duration = Duration::from_secs(10);

/// Turns that are tried again, a second apart, when control did not answer one.
const TURNS_AGAIN_MAX: u32 = 2;

/// Longest look at the leases: nothing waits for them, and the next tick must not.
const LEASES_MAX: Duration = Duration::from_secs(2);

/// When a turn at the wheel is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Whatever the rows say.
    Always,
    /// If a status changed, or a move is under way.
    Needed,
}

/// Reads everyone's rows and takes a turn at the wheel; gives what a peer newly doubts
/// and is worth a look of one's own.
pub(crate) async fn conclude<D, R: Rows, C: Clock>(
    deps: &Deps<D, R, C>,
    state: &mut State,
    when: When,
) -> BTreeMap<RegionName, Vec<Capability>> {
    // From before the read: no row may look younger than it is.
    let now = deps.clock.now();
    let Some(rows) = read(deps).await else { return BTreeMap::new() };
    for row in rows.iter().filter(|row| row.observer() != deps.here) {
        state.observation = state.observation.clone().hear(row.observer(), row.seq());
    }
    let before = statuses(&state.verdicts);
    state.verdicts = weigh(&deps.config, &rows, &mut state.memory, Trust::Advancing, now);
    let settled = state.memory.has_settled(&deps.config, now);
    if settled && (when == When::Always || state.moving || statuses(&state.verdicts) != before) {
        let turn = steer_once(deps, state).await;
        if when == When::Always {
            // After the turn, which must not wait for it; and not where control was silent a moment ago.
            state.books = match turn {
                Some(_) => tend(deps, state).await,
                None => None,
            };
        }
        report(deps, state, turn.as_ref());
    }
    let fresh = |row: &&Observation| state.memory.is_fresh(row.observer(), &deps.config.health, now);
    let fresh: Vec<&Observation> = rows.iter().filter(fresh).collect();
    let wanted = state.heed.hear(&fresh, &state.observation).into_iter();
    wanted.map(|(region, capabilities)| (region, capabilities.into_iter().collect())).collect()
}

/// Everyone's rows; `None` when they could not be read.
pub(crate) async fn read<D, R: Rows, C>(deps: &Deps<D, R, C>) -> Option<Vec<Observation>> {
    match timeout(OWN_ANSWER_MAX, deps.own.observations()).await {
        Ok(Ok(rows)) => Some(rows),
        Ok(Err(error)) => {
            tracing::warn!(%error, "observations were not read: nothing is decided");
            None
        }
        Err(_) => {
            tracing::warn!("observations were not read in time: nothing is decided");
            None
        }
    }
}

fn statuses(verdicts: &Verdicts) -> Vec<(RegionName, Capability, Status)> {
    verdicts.iter().map(|v| (v.region, v.capability, v.status)).collect()
}

async fn steer_once<D, R: Rows, C: Clock>(deps: &Deps<D, R, C>, state: &mut State) -> Option<Turn> {
    let turn = steer(&deps.config, deps.here, &state.verdicts, &deps.control, &mut state.watch, &deps.clock);
    match timeout(TURN_MAX, turn).await {
        Ok(Ok(turn)) => {
            state.unanswered = 0;
            state.moving = turn.record.as_ref().is_some_and(|record| is_moving(record.phase));
            return Some(turn);
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "control was not reached: nothing is decided, every route stays");
        }
        Err(_) => {
            tracing::warn!("control was too slow: the turn was given up, and the next one goes on from there")
        }
    }
    // The next reading tries again: what called for this turn still does. A control table
    // that stays silent is left alone until the next tick.
    state.unanswered += 1;
    state.moving = !state.unanswered.is_multiple_of(TURNS_AGAIN_MAX + 1);
    None
}

/// Frees the slots of uploaders that are gone, and gives the leases as they then are.
async fn tend<D, R: Rows, C: Clock>(
    deps: &Deps<D, R, C>,
    state: &mut State,
) -> Option<BTreeMap<RegionName, Book>> {
    let reaping = reap(&deps.config, &deps.control, &mut state.leases, &deps.clock);
    match timeout(LEASES_MAX, reaping).await {
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
            Decision::Initialize { .. }
            | Decision::Hold { .. }
            | Decision::NoteRecovery { .. }
            | Decision::NoteRelapse { .. }
            | Decision::Propose { .. }
            | Decision::Withdraw { .. }
            | Decision::Start { .. }
            | Decision::Advance { .. }
            | Decision::Abandon { .. } => tracing::info!(%decision, "decided"),
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
