//! Decisions while a move is under way: go on, wait, or give it up.
//!
//! Any controller may find a move at any phase, since the one that started it
//! may have died. Each phase is therefore judged from the record and the inputs
//! alone, and each ends: by going on, by being given up, or by its time limit.

use std::time::Duration;

use super::{
    Mode,
    decide::{Desk, Inputs, Lags},
    decision::{Abandon, Advance, Decision, Hold},
    phase::{Phase, Share},
    record::{Reason, StartedBy},
    standing::{Sighting, Standing, panics},
};
use crate::region::RegionName;

/// Time after a switch before a verdict says something about it: the verdict
/// of the same instant is the one that the switch was made on.
pub const VERIFY_AFTER: Duration = Duration::from_secs(1);

impl<L: Lags> Desk<'_, L> {
    /// A returning region takes part of the traffic: more of it, or is it time to move?
    pub(super) fn returning(&self, to: RegionName, share: Share) -> Decision {
        let policy = self.inputs.policy;
        if let Some(decision) = self.approved() {
            return decision;
        }
        if panics(self.inputs.view) {
            return self.patient(to, policy.failback_step, Hold::Panic);
        }
        let active = self.record.active;
        match self.standing(active) {
            Standing::Down { .. } => return self.abandon(to, Abandon::ActiveDown),
            Standing::Unknown { .. } | Standing::Offline | Standing::Up | Standing::Degraded { .. } => {}
        }
        if let Some(decision) = self.target_lost(to, policy.failback_step) {
            return decision;
        }
        if let Some(hold) = self.unknown(active).or_else(|| self.lagging(to)) {
            return self.patient(to, policy.failback_step, hold);
        }
        let left = policy.failback_step.saturating_sub(self.elapsed());
        if !left.is_zero() {
            return self.hold(Hold::Step { left });
        }
        let into = match (share.next(), policy.mode) {
            (Some(share), _) => Phase::Returning { to, share },
            (None, Mode::Immediate) => Phase::Switching { to },
            (None, Mode::Graceful | Mode::Manual) => Phase::Draining { to },
        };
        self.advance(into, Advance::StepDone)
    }

    /// Work in flight is being finished: is it, or has it had its time?
    pub(super) fn draining(&self, to: RegionName) -> Decision {
        if let Some(decision) = self.recheck(to) {
            return decision;
        }
        let into = Phase::Switching { to };
        let left = self.inputs.policy.drain_timeout.saturating_sub(self.elapsed());
        match (self.standing(self.record.active), self.inputs.leases) {
            (Standing::Down { .. }, _) => self.advance(into, Advance::ActiveDown),
            (_, Some(0)) => self.advance(into, Advance::Drained),
            _ if left.is_zero() => self.advance(into, Advance::DrainTimedOut),
            (_, leases) => self.hold(Hold::Draining { leases, left }),
        }
    }

    /// The last look before the active region changes.
    pub(super) fn switching(&self, to: RegionName) -> Decision {
        if let Some(decision) = self.recheck(to) {
            return decision;
        }
        let failback = matches!(self.reason(), Some(Reason::Failback { .. }));
        match self.lagging(to).filter(|_| failback) {
            Some(hold) => self.patient(to, Duration::ZERO, hold),
            None => self.advance(Phase::Verifying { from: self.record.active }, Advance::Rechecked),
        }
    }

    /// The new region is active: has it been seen working since?
    ///
    /// Ends in steady either way. Should the new region be down, the steady
    /// rules say where to go next, with the dwell time between.
    pub(super) fn verifying(&self) -> Decision {
        let elapsed = self.elapsed();
        let active = self.record.active;
        let standing = self.standing(active);
        if elapsed >= VERIFY_AFTER && standing.is_up() && !panics(self.inputs.view) {
            return self.advance(Phase::Steady, Advance::Verified);
        }
        if elapsed >= self.inputs.policy.failover_timeout {
            return self.advance(Phase::Steady, Advance::VerifyTimedOut);
        }
        match standing {
            Standing::Unknown { .. } => self.hold(Hold::unknown(active, standing)),
            Standing::Up | Standing::Degraded { .. } | Standing::Offline | Standing::Down { .. } => {
                self.hold(Hold::Verifying)
            }
        }
    }

    /// Whether a move that was started may still go on: its target, the pins and its reason.
    fn recheck(&self, to: RegionName) -> Option<Decision> {
        let active = self.record.active;
        let by_operator = self.record.underway.as_ref().is_some_and(|u| u.by != StartedBy::Automation);
        if panics(self.inputs.view) && !by_operator {
            return Some(self.patient(to, Duration::ZERO, Hold::Panic));
        }
        if let Some(decision) = self.target_lost(to, Duration::ZERO) {
            return Some(decision);
        }
        // A phase without its move is a record that somebody damaged: start over from steady.
        let Some(reason) = self.reason() else {
            return Some(self.abandon(to, Abandon::Moot));
        };
        let drained = self.pins.drain(active).is_some();
        let why = match (reason, self.standing(active)) {
            (Reason::Asked { .. } | Reason::Began, _) => return None,
            (_, standing @ Standing::Unknown { .. }) => {
                return Some(self.patient(to, Duration::ZERO, Hold::unknown(active, standing)));
            }
            (Reason::Failback { .. }, Standing::Down { .. }) => Abandon::ActiveDown,
            (Reason::Down { .. }, Standing::Up | Standing::Degraded { .. }) => Abandon::Moot,
            (Reason::Drained { .. }, Standing::Up | Standing::Degraded { .. }) if !drained => Abandon::Moot,
            (Reason::Failback { .. }, Standing::Up | Standing::Degraded { .. } | Standing::Offline)
            | (Reason::Down { .. }, Standing::Down { .. } | Standing::Offline)
            | (
                Reason::Drained { .. },
                Standing::Up | Standing::Degraded { .. } | Standing::Down { .. } | Standing::Offline,
            ) => return None,
        };
        Some(self.abandon(to, why))
    }

    /// What to do when `to` is not up or no longer open.
    fn target_lost(&self, to: RegionName, allowance: Duration) -> Option<Decision> {
        if let Some(pin) = self.pins.stay(self.record.active).or_else(|| self.pins.against(to)) {
            return Some(self.abandon(to, Abandon::Pinned(pin.clone())));
        }
        let seen = Sighting { region: to, standing: self.standing(to) };
        match seen.standing {
            Standing::Up | Standing::Degraded { .. } => None,
            Standing::Unknown { .. } => Some(self.patient(to, allowance, Hold::Unknown(seen))),
            Standing::Offline | Standing::Down { .. } => Some(self.abandon(to, Abandon::NotUp(seen))),
        }
    }

    /// Waits for `why` to pass, but gives the move up once its phase has outlasted
    /// `allowance` and the longest time a phase may be stuck.
    ///
    /// Nobody takes writes in the middle of a switch. A return is optional, since work is well where it
    /// is: it stops writes for no longer than a drain does, and is tried again from its first step.
    fn patient(&self, to: RegionName, allowance: Duration, why: Hold) -> Decision {
        let policy = self.inputs.policy;
        let returns = matches!(self.reason(), Some(Reason::Failback { .. }));
        let limit = match self.record.phase {
            Phase::Switching { .. } if returns => policy.drain_timeout,
            Phase::Switching { .. }
            | Phase::Steady
            | Phase::Returning { .. }
            | Phase::Draining { .. }
            | Phase::Verifying { .. } => policy.failover_timeout.saturating_add(allowance),
        };
        if self.elapsed() < limit { self.hold(why) } else { self.abandon(to, Abandon::Stuck(why)) }
    }

    fn advance(&self, into: Phase, why: Advance) -> Decision {
        let Inputs { lags, .. } = *self.inputs;
        let target = self.record.phase.target();
        let lag = target.and_then(|to| lags.lag(self.record.active, to));
        let loss_max = match (self.record.phase, target) {
            // What could be lost by now, less the time since the switch: this controller may know
            // what the one that switched did not.
            (Phase::Verifying { from }, _) => lags
                .loss_max(from, self.record.active)
                .map(|loss_max| loss_max.saturating_sub(self.elapsed())),
            (_, Some(to)) => lags.loss_max(self.record.active, to),
            (
                Phase::Steady | Phase::Returning { .. } | Phase::Draining { .. } | Phase::Switching { .. },
                None,
            ) => None,
        };
        Decision::Advance { from: self.record.phase, into, why, lag, loss_max }
    }

    fn unknown(&self, region: RegionName) -> Option<Hold> {
        let standing = self.standing(region);
        matches!(standing, Standing::Unknown { .. }).then(|| Hold::unknown(region, standing))
    }

    fn reason(&self) -> Option<&Reason> {
        self.record.underway.as_ref().map(|u| &u.reason)
    }

    fn elapsed(&self) -> Duration {
        self.record.in_phase(self.inputs.moment)
    }
}
