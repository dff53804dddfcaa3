//! The append-only record of a finished move.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    decision::{Advance, Decision},
    phase::Phase,
    record::{Reason, Record, StartedBy, Step},
    saw::Saw,
    watch::Moment,
};
use crate::{
    audit::Link,
    region::RegionName,
    time::{Human, Timestamp, millis},
};

/// A finished move: what was seen, which rule moved it, who started it, and how long each phase took.
///
/// Its key is its epoch. Write it, if there is none yet, *before* the record
/// that ends the move: whoever finds the move unfinished after a crash writes
/// the same again, and no move is left without its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The epoch that it began.
    pub epoch: u64,
    /// Where work was.
    pub from: RegionName,
    /// Where it went.
    pub to: RegionName,
    /// The rule that moved it.
    pub reason: Reason,
    /// Who started it.
    pub started_by: StartedBy,
    /// Replication lag from `from` into `to` at the switch; `None`: it could not be measured.
    pub lag_ms: Option<u64>,
    /// The recovery point: at most how old the oldest write of `from` was at the switch
    /// that `to` may have lacked; `None`: nobody could tell.
    #[serde(default)]
    pub loss_max_ms: Option<u64>,
    /// What was seen of every region when it started: how it stood, the votes behind that, and its load.
    pub saw: Vec<Saw>,
    /// Its phases, in order.
    pub steps: Vec<Step>,
    /// Whether the new region was seen working before the move ended.
    pub verified: bool,
    /// When it ended, on the clock of the controller that ended it. For people only.
    pub ended: Timestamp,
    /// What ties it to the account before; made when it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Link>,
}

impl Moved {
    /// The record of the move that `decision` ends; `None` when it ends none.
    pub fn ended_by(decision: &Decision, record: &Record, moment: Moment) -> Option<Self> {
        let Decision::Advance { from: phase, into: Phase::Steady, why, loss_max, .. } = decision else {
            return None;
        };
        let underway = record.underway.as_ref().filter(|_| record.phase == *phase)?;
        let mut steps = underway.steps.clone();
        steps.push(record.step(moment));
        Some(Self {
            epoch: record.epoch,
            from: underway.from,
            to: underway.to,
            reason: underway.reason.clone(),
            started_by: underway.by.clone(),
            lag_ms: underway.lag_ms,
            loss_max_ms: underway.loss_max_ms.or(loss_max.map(millis)),
            saw: underway.saw.clone(),
            steps,
            verified: *why == Advance::Verified,
            ended: moment.now,
            chain: None,
        })
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, from, to, reason, started_by, .. } = self;
        write!(f, "epoch {epoch}: moved from {from} to {to}: {reason} (started by {started_by}); saw")?;
        self.saw.iter().try_for_each(|s| write!(f, " [{s}]"))?;
        match self.lag_ms {
            Some(ms) => write!(f, "; replication was {ms} ms behind")?,
            None => write!(f, "; replication lag not known")?,
        }
        if let Some(ms) = self.loss_max_ms {
            write!(f, "; nothing older than {ms} ms can be missing")?;
        }
        for step in &self.steps {
            write!(f, "; {} {}", step.phase.as_str(), Human(step.took))?;
        }
        f.write_str(if self.verified { "; seen working" } else { "; not seen working in time" })
    }
}
