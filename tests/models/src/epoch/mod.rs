//! The epoch: controllers that read the record, decide, and write under a condition.
//!
//! What is decided and written is [`decide`] and [`apply`] themselves. The model holds the
//! table, delays each write after its read for as long as it likes, lets controllers die
//! and forget, doubles writes whose answer was lost, and shows each controller whatever
//! verdicts it likes: true, stale, or never true. A region that was active and heard of no
//! successor believes in its epoch for ever, so every pair of epoch and active region that
//! was ever written is kept and compared.
//!
//! Durations of the policy are one or two ticks, and longer ages are the same as two.
//! Fields of the record that are for people only are blanked: no decision reads them.

mod held;
mod steps;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sealane::{
    config::Config,
    failover::{
        Advance, Decision, Inputs, Mode, Moment, PRIMARY_NEEDS, Phase, Policy, Record, Standing, Watch,
        apply, decide,
    },
    health::{Seen, View},
    region::{Region, RegionName, Status},
    time::Timestamp,
};

use held::Held;

/// The unit of time of the model.
const TICK: Duration = Duration::from_secs(1);

/// Ages from which on nothing changes any more, in ticks.
const TICKS_MAX: u64 = 2;

const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west", "priority": 1},
    {"name": "us-east-1", "bucket": "east", "priority": 2},
    {"name": "eu-west-1", "bucket": "europe", "priority": 3}]}"#;

/// A mistake that the protocol exists to prevent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// None: the protocol as it is.
    None,
    /// Writes carry no condition.
    NoCondition,
    /// The condition names the version that is there when the write arrives, not the one
    /// that was decided on.
    ConditionOfTheMoment,
    /// The table is a default global table: each controller writes in its own replica, and
    /// the last writer wins when they meet.
    LastWriterWins,
    /// The active region changes, and the epoch does not.
    EpochNotRaised,
    /// The last look before the switch is left out.
    NotRechecked,
}

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Broken {
    TwoActives,
    EpochOutOfOrder,
    NotUp,
    NoActive,
    StalePlan,
}

/// A write that was decided on and has not yet arrived.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Plan {
    /// The version that was decided on; 0: there was none.
    read: u64,
    next: Held,
    /// The verdicts that were decided on.
    view: usize,
}

/// A controller's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Controller {
    /// The version it looks at, and for how many ticks.
    watched: Option<(u64, u64)>,
    plan: Option<Plan>,
}

/// The tables and the controllers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// One table, or two replicas of it where the last writer wins.
    tables: Vec<Option<Held>>,
    /// The replica that was written last.
    last: usize,
    controllers: Vec<Controller>,
    /// The active region of every epoch that was ever written anywhere.
    actives: BTreeMap<u64, RegionName>,
    broken: BTreeSet<Broken>,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A controller reads the record and decides on the verdicts of this number.
    Look(usize, usize),
    /// An operator at a controller's place asks for a move to the last region.
    Ask(usize),
    /// A controller's write arrives.
    Write(usize),
    /// A controller's write arrives, and the answer is lost: it will be sent again.
    WriteUnheard(usize),
    /// A controller dies, and another starts in its place.
    Die(usize),
    /// Time passes for everyone.
    Tick,
    /// The replicas meet.
    Meet,
}

/// Some controllers on one table.
#[derive(Debug)]
pub struct Epoch {
    flaw: Flaw,
    controllers: usize,
    /// Writes after which a run is not followed any further.
    versions_max: u64,
    operator: bool,
    start: Option<Record>,
    config: Config,
    policy: Policy,
    views: Vec<View>,
}

impl Epoch {
    /// From an empty table through a failover.
    ///
    /// # Panics
    /// Never: the configuration is fixed, and a test of this crate reads it.
    pub fn failover(flaw: Flaw, controllers: usize, versions_max: u64) -> Self {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap_or_else(|e| panic!("{e}"));
        let policy = Policy {
            auto_failover: true,
            mode: Mode::Immediate,
            drain_timeout: TICK,
            failover_timeout: 2 * TICK,
            dwell: TICK,
            hold_down: TICK,
            hold_down_max: TICK,
            moves_per_hour_max: 8,
            failback: true,
            replication_lag_max: TICK,
            failback_step: TICK,
        };
        use Status::{Healthy as Up, Unhealthy as Down, Unknown};
        let views = [[Up, Up, Up], [Down, Up, Up], [Down, Down, Up], [Up, Down, Up], [Unknown, Up, Up]];
        let views = views.iter().map(|statuses| view(&config.regions, statuses)).collect();
        Self { flaw, controllers, versions_max, operator: false, start: None, config, policy, views }
    }

    /// From a record that a failover left behind, through the return in steps.
    pub fn failback(flaw: Flaw, controllers: usize, versions_max: u64) -> Self {
        let mut model = Self { views: Vec::new(), ..Self::failover(flaw, controllers, versions_max) };
        let regions = &model.config.regions;
        use Status::{Healthy as Up, Unhealthy as Down};
        model.views = vec![view(regions, &[Up, Up, Up]), view(regions, &[Down, Up, Up])];
        let (west, east) = (regions[0].name, regions[1].name);
        let down = Decision::Start {
            from: west,
            to: east,
            into: Phase::Switching { to: east },
            reason: sealane::failover::Reason::Down { region: west, capability: PRIMARY_NEEDS[0] },
            by: sealane::failover::StartedBy::Automation,
            lag: None,
            saw: Vec::new(),
        };
        let advance = |from, into| Decision::Advance { from, into, why: Advance::Rechecked, lag: None };
        let verifying = Phase::Verifying { from: west };
        let steps =
            [down, advance(Phase::Switching { to: east }, verifying), advance(verifying, Phase::Steady)];
        let first = Record::first(west, Timestamp::default());
        let moved = steps.iter().fold(first, |record, decision| {
            let moment =
                Moment { watched: TICK, ..Moment::first_sight(record.version, Timestamp::default()) };
            record.apply(decision, moment).unwrap_or(record)
        });
        // Versions are counted from here on.
        model.start = Some(Record { version: 1, ..moved });
        model
    }

    /// The same with an operator who asks for moves.
    #[must_use]
    pub fn with_operator(self) -> Self {
        Self { operator: true, ..self }
    }

    /// A state with the same future: controllers differ in nothing but their number.
    ///
    /// Not for [`Flaw::LastWriterWins`], where the number says which replica is near.
    pub fn representative(state: &State) -> State {
        let mut same = state.clone();
        same.controllers.sort_unstable();
        same
    }

    fn place(&self, who: usize) -> usize {
        if self.flaw == Flaw::LastWriterWins { who % 2 } else { 0 }
    }

    /// What this controller decides now, and the record that it would write.
    fn plan(&self, state: &State, who: usize, view: usize) -> (Option<(u64, u64)>, Option<Plan>) {
        let record = state.tables[self.place(who)].as_ref().map(|held| &*held.record);
        let version = record.map_or(0, |r| r.version);
        let (watched, moment) = look(state.controllers[who].watched, version);
        let decision = match record.map(|r| r.phase) {
            Some(from @ Phase::Switching { .. }) if self.flaw == Flaw::NotRechecked => {
                let into = Phase::Verifying { from: record.map_or(self.config.primary_region, |r| r.active) };
                Decision::Advance { from, into, why: Advance::Rechecked, lag: None }
            }
            _ => self.decide(record, view, moment),
        };
        let next = apply(record, &decision, moment).map(|next| self.flawed(record, next));
        (Some(watched), next.map(|next| Plan { read: version, next: Held::new(next), view }))
    }

    fn decide(&self, record: Option<&Record>, view: usize, moment: Moment) -> Decision {
        decide(
            record,
            &Inputs {
                regions: &self.config.regions,
                view: &self.views[view],
                lags: &|_, _| Some(Duration::ZERO),
                pins: &[],
                policy: &self.policy,
                primary: self.config.primary_region,
                leases: None,
                moment,
            },
        )
    }

    fn flawed(&self, record: Option<&Record>, next: Record) -> Record {
        let epoch = match self.flaw {
            Flaw::EpochNotRaised => record.map_or(next.epoch, |r| r.epoch),
            Flaw::None
            | Flaw::NoCondition
            | Flaw::ConditionOfTheMoment
            | Flaw::LastWriterWins
            | Flaw::NotRechecked => next.epoch,
        };
        Record { epoch, ..next }
    }

    /// The state after this controller's write arrived, which may be refused.
    fn write(&self, mut state: State, who: usize, heard: bool) -> Option<State> {
        let plan = state.controllers[who].plan.clone()?;
        let place = self.place(who);
        let old = state.tables[place].clone();
        let version = old.as_ref().map_or(0, |held| held.record.version);
        let mut next = plan.next.clone();
        let holds = match self.flaw {
            Flaw::NoCondition => true,
            Flaw::ConditionOfTheMoment => {
                next = Held::new(Record { version: version + 1, ..(*next.record).clone() });
                true
            }
            Flaw::None | Flaw::LastWriterWins | Flaw::EpochNotRaised | Flaw::NotRechecked => {
                plan.read == version
            }
        };
        if heard {
            state.controllers[who].plan = None;
        }
        if !holds {
            return Some(state);
        }
        if heard {
            state.controllers[who].watched = Some((next.record.version, 0));
        }
        self.judge(&mut state, old.as_ref(), &plan, &next);
        state.tables[place] = Some(next);
        state.last = place;
        Some(state)
    }

    /// Notes which rules this write breaks.
    fn judge(&self, state: &mut State, old: Option<&Held>, plan: &Plan, next: &Held) {
        let (old, next) = (old.map(|held| &*held.record), &*next.record);
        let mut breaks = |broken, breaks| {
            if breaks {
                state.broken.insert(broken);
            }
        };
        let known = *state.actives.entry(next.epoch).or_insert(next.active);
        breaks(Broken::TwoActives, known != next.active);
        let (epoch, active) = old.map_or((0, None), |r| (r.epoch, Some(r.active)));
        let moves = active != Some(next.active);
        breaks(Broken::EpochOutOfOrder, next.epoch != epoch + u64::from(moves));
        breaks(Broken::StalePlan, plan.read != old.map_or(0, |r| r.version));
        let region = self.config.region(next.active).filter(|r| r.is_full());
        breaks(Broken::NoActive, region.is_none());
        let up = region.is_some_and(|r| Standing::of(&self.views[plan.view], r).is_up());
        breaks(Broken::NotUp, active.is_some() && moves && !up);
    }
}

/// The verdicts that give each region this status in everything.
fn view(regions: &[Region], statuses: &[Status]) -> View {
    let mut view = View::default();
    for (region, status) in regions.iter().zip(statuses) {
        for capability in region.capabilities() {
            view.set(region.name, *capability, Seen { status: *status, latency: None });
        }
    }
    view
}

/// A look by the watch of the code under test, told in ticks.
fn look(watched: Option<(u64, u64)>, version: u64) -> ((u64, u64), Moment) {
    let (mut watch, start) = (Watch::default(), Timestamp::default());
    let now = watched.map_or(start, |(seen, ticks)| {
        watch.look(seen, start);
        start.after(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
    });
    let moment = watch.look(version, now);
    ((version, moment.watched.as_secs()), Moment { now: start, ..moment })
}
