//! One controller's turn at the wheel: read what stands, decide, write what follows.
//!
//! The prober's tick and the alarm's handler both come through here, in every
//! region, so doubled, late and stale triggers do no harm: a turn depends only on
//! what the tables say now, and a write only succeeds on the record it was decided on.

use std::time::Duration;

use crate::{
    config::Config,
    failover::{
        Decision, Hold, Inputs, Lags, Loads, Moment, Moved, Phase, Record, Watch, apply, decide, polls,
    },
    health::Verdicts,
    lease::in_flight,
    ports::{Clock, Rows, RowsError},
    region::RegionName,
    store::ControlTable,
    time::Timestamp,
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

/// What the verdicts say of replication at this moment.
struct Measured<'a> {
    verdicts: &'a Verdicts,
    now: Timestamp,
}

impl Lags for Measured<'_> {
    fn lag(&self, from: RegionName, to: RegionName) -> Option<Duration> {
        self.verdicts.lag(from, to)
    }

    fn loss_max(&self, from: RegionName, to: RegionName) -> Option<Duration> {
        self.verdicts.loss_max(from, to, self.now)
    }
}

/// Decides and writes until nothing is left to write now.
///
/// `watch` is what this controller remembers of the record between its turns.
///
/// # Errors
/// When the control table does not answer before anything was written: nothing is then
/// decided, and every route stays as it was.
pub async fn steer<R: Rows>(
    config: &Config,
    here: RegionName,
    verdicts: &Verdicts,
    control: &ControlTable<R>,
    watch: &mut Watch,
    clock: &impl Clock,
) -> Result<Turn, RowsError> {
    let view = verdicts.view(here);
    let polls = polls(verdicts, &view, &config.regions);
    let mut turn = Turn { decisions: Vec::new(), record: None, moved: Vec::new() };
    for _ in 0..WRITES_MAX {
        // The pins anew each time: a ruling binds the very next write.
        let (pins, record) = match futures::join!(control.pins(), control.record()) {
            (Ok(pins), Ok(record)) => (pins, record),
            (Err(error), _) | (_, Err(error)) => return broken_off(turn, error),
        };
        // Read after the answer: a version must not look older than it is.
        let moment = watch.look(record.as_ref().map_or(0, |r| r.version), clock.now());
        let leases = waited_for(config, control, record.as_ref(), moment).await;
        let decide = |loads: &Loads| {
            let inputs = Inputs {
                regions: &config.regions,
                view: &view,
                lags: &Measured { verdicts, now: clock.now() },
                pins: &pins,
                policy: &config.failover,
                primary: config.primary_region,
                loads,
                polls: &polls,
                leases,
                moment,
            };
            decide(record.as_ref(), &inputs)
        };
        let mut decision = decide(&Loads::new());
        // Only who is about to leave needs to know where there is room.
        if chooses(&decision) {
            decision = decide(&room(control).await);
        }
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
            Err(error) => return broken_off(turn, error),
        }
    }
    Ok(turn)
}

/// A turn that control did not answer to its end: what was written stands, and is to be told.
fn broken_off(turn: Turn, error: RowsError) -> Result<Turn, RowsError> {
    if turn.record.is_none() {
        return Err(error);
    }
    tracing::warn!(%error, "control fell silent in the middle of a turn: the next one goes on from there");
    Ok(turn)
}

/// Whether the decision depends on which standby is best, and so on where there is room.
const fn chooses(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Start { .. }
            | Decision::Propose { .. }
            | Decision::Hold { why: Hold::Rejected { .. } | Hold::AwaitingApproval { .. }, .. }
    )
}

/// What each region carries; nothing when the leases cannot be read, and then every
/// region counts as one with room.
async fn room<R: Rows>(control: &ControlTable<R>) -> Loads {
    match control.all_leases().await {
        Ok(books) => books.into_iter().map(|(region, book)| (region, book.load())).collect(),
        Err(error) => {
            tracing::warn!(%error, "leases were not read: a standby is chosen without knowing its load");
            Loads::new()
        }
    }
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
    in_flight(book.ok().map(|book| book.load().uploads), record.in_phase(moment), config.api.settle())
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
