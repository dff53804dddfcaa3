//! From a decision to the next record.

use std::time::Duration;

use super::{
    decision::Decision,
    phase::Phase,
    proposal::Proposal,
    record::{MOVES_KEPT, MOVES_WINDOW, PastMove, Reason, Record, Recovery, StartedBy, Step, Underway},
    watch::Moment,
};
use crate::{region::RegionName, time::millis};

/// Time after which ages that still matter are written down again, so that they
/// grow even when no controller lives long.
pub const AGES_KEPT_EVERY: Duration = Duration::from_secs(30);

/// The record to write for `decision`, and `None` when there is nothing to write.
///
/// The write must be conditional: on there being no record when `record` is
/// `None`, else on the version of `record`.
pub fn apply(record: Option<&Record>, decision: &Decision, moment: Moment) -> Option<Record> {
    match (record, decision) {
        (None, Decision::Initialize { active }) => Some(Record::first(*active, moment.now)),
        (None, _) => None,
        (Some(record), decision) => record.apply(decision, moment),
    }
}

impl Record {
    /// The record to write, conditionally on this one's version, for `decision`.
    ///
    /// `None` when there is nothing to write, or when the decision does not fit
    /// this record because it was made on another: applying it twice is
    /// therefore the same as once.
    pub fn apply(&self, decision: &Decision, moment: Moment) -> Option<Self> {
        let next = || self.rewritten(moment);
        match decision {
            Decision::Initialize { .. } => None,
            Decision::Stay { .. } | Decision::Hold { .. } => self.aging(moment).then(next),
            Decision::NoteRecovery { region } => {
                let known = self.recovery.is_some_and(|r| r.region == *region);
                let recovery = Some(Recovery { region: *region, age: Duration::ZERO });
                (!known && *region != self.active).then(|| Self { recovery, ..next() })
            }
            Decision::NoteRelapse { seen } => {
                let known = self.recovery.is_some_and(|r| r.region == seen.region);
                known.then(|| Self { recovery: None, ..next() })
            }
            Decision::Propose { from, to, reason, .. } => {
                let proposal = Proposal::of_automation(*to, reason.clone());
                let same = self.proposal.as_ref().is_some_and(|p| p.to == *to && p.reason == *reason);
                (!same && *from == self.active && *to != self.active)
                    .then(|| Self { proposal: Some(proposal), ..next() })
            }
            Decision::Withdraw { to, .. } => {
                let stands = self.proposal.as_ref().is_some_and(|p| p.to == *to);
                stands.then(|| Self { proposal: None, ..next() })
            }
            Decision::Start { from, to, into, reason, by, lag, loss_max, saw, .. } => {
                let underway = Underway {
                    from: *from,
                    to: *to,
                    reason: reason.clone(),
                    by: by.clone(),
                    lag_ms: lag.map(millis),
                    loss_max_ms: loss_max.map(millis),
                    saw: saw.clone(),
                    steps: Vec::new(),
                };
                let free = matches!(self.phase, Phase::Steady | Phase::Returning { .. });
                let fits = free && self.active == *from && from != to && into.target() == Some(*to);
                let fresh = self.underway.as_ref().is_none_or(|u| u.reason != *reason);
                (fits && fresh).then(|| Self {
                    underway: Some(underway),
                    proposal: None,
                    ..self.enter(*into, moment)
                })
            }
            Decision::Advance { from, into, lag, loss_max, .. } => {
                let next = (self.phase == *from).then(|| self.advance(*into, moment))??;
                let underway = next.underway.clone().map(|u| Underway {
                    lag_ms: lag.map(millis),
                    loss_max_ms: loss_max.map(millis),
                    ..u
                });
                Some(Self { underway, ..next })
            }
            Decision::Abandon { active, to, .. } => {
                let fits = self.phase.target() == Some(*to) && self.active == *active;
                fits.then(|| Self { underway: None, recovery: None, ..self.enter(Phase::Steady, moment) })
            }
        }
    }

    /// The next phase of the move under way; `None` where no phase leads there.
    fn advance(&self, into: Phase, moment: Moment) -> Option<Self> {
        let next = match (self.phase, into) {
            (Phase::Switching { to }, Phase::Verifying { from }) if from == self.active && to != from => {
                self.switch(to, into, moment)
            }
            (Phase::Verifying { .. }, Phase::Steady) => {
                return Some(Self { underway: None, ..self.enter(into, moment) });
            }
            (Phase::Returning { to, share }, Phase::Returning { to: same, share: larger })
                if to == same && share < larger =>
            {
                self.enter(into, moment)
            }
            (
                Phase::Returning { to, .. } | Phase::Draining { to },
                Phase::Draining { to: same } | Phase::Switching { to: same },
            ) if to == same && self.phase != into => self.enter(into, moment),
            _ => return None,
        };
        Some(next)
    }

    /// Makes `to` active: the one place where the epoch rises.
    fn switch(&self, to: RegionName, into: Phase, moment: Moment) -> Self {
        let mut next = self.enter(into, moment);
        let reason = self.underway.as_ref().map_or(&self.reason, |u| &u.reason).clone();
        let by_itself = self.underway.as_ref().is_none_or(|u| u.by == StartedBy::Automation);
        next.epoch += 1;
        next.active = to;
        next.recovery = None;
        next.moves.push(PastMove {
            epoch: next.epoch,
            at: moment.now,
            age: Duration::ZERO,
            from: self.active,
            to,
            automatic: by_itself && reason.is_automatic(),
            failback: matches!(reason, Reason::Failback { .. }),
        });
        let surplus = next.moves.len().saturating_sub(MOVES_KEPT);
        next.moves.drain(..surplus);
        next.reason = reason;
        next
    }

    /// The next version in phase `into`, with the phase that ends noted in the move.
    fn enter(&self, into: Phase, moment: Moment) -> Self {
        let mut next = self.rewritten(moment);
        if let Some(underway) = &mut next.underway {
            underway.steps.push(self.step(moment));
        }
        Self { phase: into, since: moment.now, phase_age: Duration::ZERO, ..next }
    }

    /// The present phase as a step that ends now.
    pub(super) fn step(&self, moment: Moment) -> Step {
        Step { phase: self.phase, at: self.since, took: self.in_phase(moment) }
    }

    /// Whether time that somebody still waits for has passed unwritten.
    fn aging(&self, moment: Moment) -> bool {
        let watched = moment.watched(self.version);
        let young = self.moves.last().is_some_and(|m| m.age < MOVES_WINDOW);
        let waited_for = self.recovery.is_some() || self.proposal.is_some() || self.phase != Phase::Steady;
        watched >= AGES_KEPT_EVERY && (young || waited_for)
    }
}
