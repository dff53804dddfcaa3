//! The decision about the active primary: a pure function that every controller computes.
//!
//! It never acts. What it decides becomes real only when [`Record::apply`]'s
//! result replaces the very version that was decided on, so losing that race is
//! normal and harmless, and a plan made on an old record cannot be carried out.

use std::{mem::discriminant, time::Duration};

use super::{
    Mode, Policy,
    decision::{Abandon, Because, Decision, Hold, Stay, Withdraw},
    phase::{Phase, Share},
    pins::{Pin, Pins},
    proposal::{PROPOSAL_TERM, Proposal},
    record::{MOVES_KEPT, Reason, Record, StartedBy, clip},
    saw::{Loads, Polls, saw},
    standing::{PRIMARY_NEEDS, Sighting, Standby, Standing, full, panics, sightings, standbys},
    watch::Moment,
};
use crate::{
    health::View,
    region::{Region, RegionName},
    route::capacity::Utilization,
};

/// Replication lag between two regions, as last measured.
pub trait Lags {
    /// How far `to` is behind `from`; `None`: not known.
    fn lag(&self, from: RegionName, to: RegionName) -> Option<Duration>;

    /// At most how old the oldest write of `from` is that `to` may lack; `None`: not known.
    fn loss_max(&self, from: RegionName, to: RegionName) -> Option<Duration>;
}

impl<F: Fn(RegionName, RegionName) -> Option<Duration>> Lags for F {
    fn lag(&self, from: RegionName, to: RegionName) -> Option<Duration> {
        self(from, to)
    }

    fn loss_max(&self, _from: RegionName, _to: RegionName) -> Option<Duration> {
        None
    }
}

/// All that a decision depends on besides the record.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a, L> {
    /// Every configured region.
    pub regions: &'a [Region],
    /// The verdicts.
    pub view: &'a View,
    /// Replication lag, by source and destination.
    pub lags: &'a L,
    /// Every pin, expired or not.
    pub pins: &'a [Pin],
    /// The settings.
    pub policy: &'a Policy,
    /// Where work belongs when all is well.
    pub primary: RegionName,
    /// What each region carries; a region that is not in it has a load that is not known.
    pub loads: &'a Loads,
    /// The votes behind how each region stands, for the record of a move; may be empty.
    pub polls: &'a Polls,
    /// Exclusive work in flight in the active region; `None`: not known, so a drain takes its full time.
    pub leases: Option<u64>,
    /// This controller's clock, and how long it has looked at the record.
    pub moment: Moment,
}

/// What to do now.
///
/// Safe to compute anywhere, any number of times: it names a change only in
/// terms of the record that was read.
pub fn decide<L: Lags>(record: Option<&Record>, inputs: &Inputs<'_, L>) -> Decision {
    let Some(record) = record else {
        return initialize(inputs);
    };
    let desk = Desk { record, inputs, pins: Pins::new(inputs.pins, inputs.moment.now) };
    match record.phase {
        Phase::Steady => desk.steady(),
        Phase::Returning { to, share } => desk.returning(to, share),
        Phase::Draining { to } => desk.draining(to),
        Phase::Switching { to } => desk.switching(to),
        Phase::Verifying { .. } => desk.verifying(),
    }
}

/// Work begins in the primary region whatever its health: a fresh deployment
/// has no votes yet, and no active region at all is worse than one to move from.
fn initialize<L>(inputs: &Inputs<'_, L>) -> Decision {
    let full = inputs.regions.iter().filter(|r| r.is_full());
    match full.min_by_key(|r| (r.name != inputs.primary, r.priority, r.name)) {
        Some(region) => Decision::Initialize { active: region.name },
        None => Decision::Hold { active: None, why: Hold::NoRegion },
    }
}

/// One record, looked at with one set of inputs.
pub(super) struct Desk<'a, L> {
    pub(super) record: &'a Record,
    pub(super) inputs: &'a Inputs<'a, L>,
    pub(super) pins: Pins<'a>,
}

impl<L: Lags> Desk<'_, L> {
    fn steady(&self) -> Decision {
        if let Some(decision) = self.approved().or_else(|| self.lapsed()) {
            return decision;
        }
        if let Some(relapse) = self.relapse() {
            return relapse;
        }
        if panics(self.inputs.view) {
            return self.hold(Hold::Panic);
        }
        let active = self.record.active;
        match self.standing(active) {
            Standing::Down { capability } => self.leave(Reason::Down { region: active, capability }),
            Standing::Offline => self.leave(self.drained(active)),
            standing @ Standing::Unknown { .. } => self.hold(Hold::unknown(active, standing)),
            Standing::Up | Standing::Degraded { .. } if self.pins.drain(active).is_some() => {
                self.leave(self.drained(active))
            }
            Standing::Up | Standing::Degraded { .. } => self.home(),
        }
    }

    /// A recovery counts only while it is unbroken: not through an outage, and not
    /// through a time in which nobody could tell.
    fn relapse(&self) -> Option<Decision> {
        let region = self.record.recovery?.region;
        let standing = self.standing(region);
        (!standing.is_up()).then_some(Decision::NoteRelapse { seen: Sighting { region, standing } })
    }

    fn drained(&self, region: RegionName) -> Reason {
        let note =
            self.pins.drain(region).map_or("its status is offline".to_owned(), |pin| clip(&pin.to_string()));
        Reason::Drained { region, note }
    }

    /// The active region is to be left: where to, and may it be now?
    pub(super) fn leave(&self, reason: Reason) -> Decision {
        let Inputs { regions, view, policy, .. } = *self.inputs;
        let active = self.record.active;
        if let Some(pin) = self.pins.stay(active) {
            return self.hold(Hold::Pinned(pin.clone()));
        }
        let Some(&best) = standbys(regions, view, self.pins, self.inputs.loads, active).first() else {
            let others = sightings(regions, view).into_iter().filter(|s| s.region != active);
            return self.hold(Hold::NowhereToGo(others.collect()));
        };
        let planned = matches!(reason, Reason::Drained { .. });
        let into = match policy.mode {
            Mode::Graceful | Mode::Manual if planned => Phase::Draining { to: best.region },
            Mode::Immediate | Mode::Graceful | Mode::Manual => Phase::Switching { to: best.region },
        };
        self.permitted(best, into, reason)
    }

    /// The active region is up: does work belong elsewhere?
    fn home(&self) -> Decision {
        let Inputs { primary, policy, moment, .. } = *self.inputs;
        let active = self.record.active;
        // What an operator proposed stands until an operator answers, or until it lapses.
        let failback = |p: &Proposal| matches!(p.reason, Reason::Failback { region } if region == primary);
        let moot = |p: &&Proposal| p.proposed_by.is_none() && !failback(p);
        if let Some(proposal) = self.record.proposal.as_ref().filter(moot) {
            return Decision::Withdraw { to: proposal.to, why: Withdraw::Moot };
        }
        let stay = |why| Decision::Stay { active, why };
        if active == primary {
            return stay(Stay::Home);
        }
        if !policy.failback {
            return stay(Stay::FailbackOff);
        }
        if !self.inputs.regions.iter().any(|r| r.is_full() && r.name == primary) {
            return stay(Stay::PrimaryNotFull(primary));
        }
        let seen = Sighting { region: primary, standing: self.standing(primary) };
        let recovered = self.record.recovered_for(primary, moment);
        match (seen.standing, recovered) {
            (Standing::Down { .. } | Standing::Offline, Some(_)) => Decision::NoteRelapse { seen },
            (Standing::Down { .. } | Standing::Offline, None) => stay(Stay::PrimaryNotUp(seen)),
            (Standing::Unknown { .. }, _) => self.hold(Hold::Unknown(seen)),
            (Standing::Up | Standing::Degraded { .. }, None) => Decision::NoteRecovery { region: primary },
            (Standing::Up | Standing::Degraded { .. }, Some(recovered)) => self.failback(recovered),
        }
    }

    /// The primary region has been up for `recovered`: may work return?
    fn failback(&self, recovered: Duration) -> Decision {
        let Inputs { primary, policy, moment, .. } = *self.inputs;
        let pin = self.pins.stay(self.record.active).or_else(|| self.pins.against(primary));
        if let Some(pin) = pin {
            return self.hold(Hold::Pinned(pin.clone()));
        }
        let moves = self.record.recent_moves(moment).count();
        let times = u32::try_from(moves.max(1)).unwrap_or(u32::MAX);
        let hold_down = policy.hold_down.saturating_mul(times).min(policy.hold_down_max);
        let calm = self.record.since_move(moment).map_or(recovered, |moved| moved.min(recovered));
        let left = hold_down.saturating_sub(calm);
        if !left.is_zero() {
            return self.hold(Hold::HoldDown { left, moves });
        }
        if let Some(hold) = self.lagging(primary) {
            return self.hold(hold);
        }
        if let Some(full) = self.full(primary) {
            return self.hold(Hold::NoRoom { region: primary, full });
        }
        let into = Phase::Returning { to: primary, share: Share::Tenth };
        let home = Standby { region: primary, full: None };
        self.permitted(home, into, Reason::Failback { region: primary })
    }

    /// Starts the move unless damping, the mode or an operator stands against it.
    fn permitted(&self, best: Standby, into: Phase, reason: Reason) -> Decision {
        let Inputs { policy, moment, .. } = *self.inputs;
        let Standby { region: to, full } = best;
        let moved = self.record.since_move(moment).unwrap_or(Duration::MAX);
        let left = policy.dwell.saturating_sub(moved);
        if !left.is_zero() {
            return self.hold(Hold::Dwell { left });
        }
        if let Some(rejected) = self.rejected(to, &reason) {
            return self.hold(rejected);
        }
        let because = if policy.mode == Mode::Manual || !policy.auto_failover {
            Some(Because::Manual)
        } else {
            self.rate_limit(&reason)
        };
        let Some(because) = because else {
            return self.start(to, into, reason, StartedBy::Automation);
        };
        let stands = |p: &&Proposal| (p.to == to && p.reason == reason) || p.proposed_by.is_some();
        match self.record.proposal.as_ref().filter(|p| p.waits()).filter(stands) {
            Some(p) => self.hold(Hold::AwaitingApproval { to: p.to }),
            None => Decision::Propose { from: self.record.active, to, reason, because, full },
        }
    }

    /// The hold for a move that an operator rejected not long ago.
    ///
    /// It is the same move for as long as it goes to the same region by the same rule:
    /// a second capability that falls is no new reason to overrule an operator.
    fn rejected(&self, to: RegionName, reason: &Reason) -> Option<Hold> {
        let same = |p: &&Proposal| p.to == to && discriminant(&p.reason) == discriminant(reason);
        let proposal = self.record.proposal.as_ref().filter(same)?;
        let by = proposal.rejected_by.clone()?;
        let left = PROPOSAL_TERM.saturating_sub(self.stood(proposal));
        (!left.is_zero()).then_some(Hold::Rejected { to, by, left })
    }

    /// Takes back what nobody approved in time, or what a rejection kept for long enough.
    ///
    /// What automation proposed waits for as long as its reason holds.
    fn lapsed(&self) -> Option<Decision> {
        let unapproved = |p: &&Proposal| p.approved_by.is_none();
        let proposal = self.record.proposal.as_ref().filter(unapproved)?;
        let ends = proposal.proposed_by.is_some() || proposal.rejected_by.is_some();
        let why = if proposal.to == self.record.active {
            Withdraw::AlreadyThere
        } else if ends && self.stood(proposal) >= PROPOSAL_TERM {
            Withdraw::Lapsed
        } else {
            return None;
        };
        Some(Decision::Withdraw { to: proposal.to, why })
    }

    /// How long a proposal has stood as it is.
    fn stood(&self, proposal: &Proposal) -> Duration {
        proposal.age.saturating_add(self.inputs.moment.watched(self.record.version))
    }

    /// The limit on automatic moves, if it is reached.
    ///
    /// It counts moves *away*. A failback spends none of it, or the one failover and
    /// its failback would leave work in a region that automation may not leave again
    /// within the hour; and it waits while none is left, so that work goes home only
    /// when it could leave once more. What damps failbacks is their hold-down, which
    /// grows with every move.
    ///
    /// A record full of moves within the hour counts too: it has forgotten older ones.
    fn rate_limit(&self, reason: &Reason) -> Option<Because> {
        let recent: Vec<_> = self.record.recent_moves(self.inputs.moment).collect();
        let moves = recent.iter().filter(|m| m.automatic && !m.failback).count();
        let allowed = usize::try_from(self.inputs.policy.moves_per_hour_max).unwrap_or(usize::MAX);
        let reached = moves >= allowed || recent.len() >= MOVES_KEPT;
        (reason.is_automatic() && reached).then_some(Because::RateLimited { moves })
    }

    /// What to do about a move that an operator asked for or approved.
    ///
    /// It skips damping and the hourly limit. It does not skip pins, which are
    /// other operators' rulings, nor the rule that its target must be up.
    pub(super) fn approved(&self) -> Option<Decision> {
        let policy = self.inputs.policy;
        let proposal = self.record.proposal.as_ref()?;
        let name = proposal.approved_by.clone()?;
        let (active, to) = (self.record.active, proposal.to);
        let withdraw = |why| Some(Decision::Withdraw { to, why });
        if to == active {
            return withdraw(Withdraw::AlreadyThere);
        }
        if let Some(pin) = self.pins.stay(active).or_else(|| self.pins.against(to)) {
            return withdraw(Withdraw::Pinned(pin.clone()));
        }
        let full = self.inputs.regions.iter().any(|r| r.is_full() && r.name == to);
        let seen = Sighting { region: to, standing: self.standing(to) };
        let failback = matches!(proposal.reason, Reason::Failback { .. });
        let wait = match seen.standing {
            Standing::Down { .. } | Standing::Offline => return withdraw(Withdraw::NotUp(seen)),
            Standing::Unknown { .. } => Some(Hold::Unknown(seen)),
            Standing::Up | Standing::Degraded { .. } if !full => return withdraw(Withdraw::NotUp(seen)),
            Standing::Up | Standing::Degraded { .. } if failback => self.lagging(to),
            Standing::Up | Standing::Degraded { .. } => None,
        };
        if let Some(hold) = wait {
            let expired = self.stood(proposal) >= policy.failover_timeout;
            return if expired { withdraw(Withdraw::Expired) } else { Some(self.hold(hold)) };
        }
        let into = if failback {
            Phase::Returning { to, share: Share::Tenth }
        } else if matches!(self.standing(active), Standing::Down { .. }) || policy.mode == Mode::Immediate {
            Phase::Switching { to }
        } else {
            Phase::Draining { to }
        };
        Some(self.start(to, into, proposal.reason.clone(), StartedBy::Operator { name }))
    }

    fn start(&self, to: RegionName, into: Phase, reason: Reason, by: StartedBy) -> Decision {
        let Inputs { regions, view, lags, loads, polls, .. } = *self.inputs;
        let from = self.record.active;
        let (lag, loss_max) = (lags.lag(from, to), lags.loss_max(from, to));
        let saw = saw(regions, view, polls, loads);
        Decision::Start { from, to, into, reason, by, lag, loss_max, saw, full: self.full(to) }
    }

    /// What `region` carries, if it is known to have no room.
    fn full(&self, region: RegionName) -> Option<Utilization> {
        full(self.inputs.regions.iter().find(|r| r.name == region)?, self.inputs.loads)
    }

    /// The hold for replication from the active region into `to`, unless it has caught up.
    pub(super) fn lagging(&self, to: RegionName) -> Option<Hold> {
        let lag = self.inputs.lags.lag(self.record.active, to);
        let max = self.inputs.policy.replication_lag_max;
        lag.is_none_or(|lag| lag > max).then_some(Hold::Lagging { lag, max })
    }

    pub(super) fn standing(&self, region: RegionName) -> Standing {
        let configured = self.inputs.regions.iter().find(|r| r.name == region);
        // Of a region that is configured no more, nothing is known.
        configured
            .map_or(Standing::Unknown { capability: PRIMARY_NEEDS[0] }, |r| Standing::of(self.inputs.view, r))
    }

    pub(super) fn hold(&self, why: Hold) -> Decision {
        Decision::Hold { active: Some(self.record.active), why }
    }

    pub(super) fn abandon(&self, to: RegionName, why: Abandon) -> Decision {
        Decision::Abandon { active: self.record.active, to, why }
    }
}
