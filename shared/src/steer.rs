//! One controller's turn at the wheel: read what stands, decide, write what follows.
//!
//! The prober's tick and the alarm's handler both come through here, in every
//! region, so doubled, late and stale triggers do no harm: a turn depends only on
//! what the tables say now, and a write only succeeds on the record it was decided on.

use crate::{
    config::Config,
    failover::{Decision, Inputs, Moment, Moved, Phase, Record, Watch, apply, decide},
    health::Verdicts,
    lease::in_flight,
    ports::{Clock, Rows, RowsError},
    region::RegionName,
    store::ControlTable,
};

/// Writes in one turn: a move off a dead region takes two, and lost races a few more.
const WRITES_MAX: usize = 4;

/// What a turn came to.
#[derive(Debug, Clone)]
pub struct Turn {
    /// What was decided, in order; the last one is how things stand.
    pub decisions: Vec<Decision>,
    /// The record after the turn.
    pub record: Option<Record>,
    /// The moves of the active region that this turn made: from, to.
    pub moved: Vec<(RegionName, RegionName)>,
}

/// Decides and writes until nothing is left to write now.
///
/// `watch` is what this controller remembers of the record between its turns.
///
/// # Errors
/// When the control table does not answer: nothing is then decided, and every
/// route stays as it was.
pub async fn steer<R: Rows>(
    config: &Config,
    here: RegionName,
    verdicts: &Verdicts,
    control: &ControlTable<R>,
    watch: &mut Watch,
    clock: &impl Clock,
) -> Result<Turn, RowsError> {
    let pins = control.pins().await?;
    let view = verdicts.view(here);
    let lags = |from, to| verdicts.lag(from, to);
    let mut turn = Turn { decisions: Vec::new(), record: None, moved: Vec::new() };
    for _ in 0..WRITES_MAX {
        let record = control.record().await?;
        // Read after the answer: a version must not look older than it is.
        let moment = watch.look(record.as_ref().map_or(0, |r| r.version), clock.now());
        let leases = waited_for(config, control, record.as_ref(), moment).await;
        let decision = decide(
            record.as_ref(),
            &Inputs {
                regions: &config.regions,
                view: &view,
                lags: &lags,
                pins: &pins,
                policy: &config.failover,
                primary: config.primary_region,
                leases,
                moment,
            },
        );
        let next = apply(record.as_ref(), &decision, moment);
        turn.decisions.push(decision);
        let Some(next) = next else {
            turn.record = record;
            return Ok(turn);
        };
        match write(control, record.as_ref(), &next, turn.decisions.last(), moment).await {
            Ok(()) => {
                let before = record.as_ref().map(|r| r.active).filter(|active| *active != next.active);
                turn.moved.extend(before.map(|from| (from, next.active)));
                let _watched = watch.look(next.version, clock.now());
                turn.record = Some(next);
            }
            // Another controller was first, which is as good: read again and decide anew.
            Err(RowsError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(turn)
}

/// The work in flight that a drain waits for; `None` when it is not known, or nothing drains.
///
/// Read after the record: an uploader takes its lease before it looks at the record,
/// so no lease is missed whose holder did not see the drain.
async fn waited_for<R: Rows>(
    config: &Config,
    control: &ControlTable<R>,
    record: Option<&Record>,
    moment: Moment,
) -> Option<u64> {
    let record = record.filter(|record| match record.phase {
        Phase::Draining { .. } => true,
        Phase::Steady | Phase::Returning { .. } | Phase::Switching { .. } | Phase::Verifying { .. } => false,
    })?;
    let book = control.leases(record.active).await;
    if let Err(error) = &book {
        tracing::warn!(region.name = %record.active, %error, "leases were not read: the drain takes its full time");
    }
    in_flight(book.ok().map(|book| book.load().uploads), record.in_phase(moment), config.api.cache_ttl)
}

/// Writes the next record, and before it the account of the move that it ends: a
/// crash in between leaves an account to be written again, never a move without one.
async fn write<R: Rows>(
    control: &ControlTable<R>,
    record: Option<&Record>,
    next: &Record,
    decision: Option<&Decision>,
    moment: Moment,
) -> Result<(), RowsError> {
    let ended = record.zip(decision).and_then(|(record, d)| Moved::ended_by(d, record, moment));
    if let Some(moved) = ended {
        control.log(&moved).await?;
    }
    control.swap(record, next).await
}

#[cfg(test)]
#[path = "steer_tests.rs"]
mod tests;
