//! Drawings of a small world for the rules of failover: three regions and a witness.

use std::{sync::LazyLock, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::{
    Decision, Inputs, Loads, Mode, Moment, Pin, Policy, Polls, Record, Rule, Standing, Watch, apply, decide,
};
use crate::{
    health::{Seen, View},
    region::{Capability, Capacity, Endpoints, HealthCheck, Region, RegionName, Role, Status},
    route::capacity::Load,
    time::Timestamp,
};

/// The settings that rules and corners are checked with.
pub(super) const POLICY: Policy = Policy {
    auto_failover: true,
    mode: Mode::Graceful,
    drain_timeout: Duration::from_secs(5),
    failover_timeout: Duration::from_secs(30),
    dwell: Duration::from_secs(30),
    hold_down: Duration::from_secs(30),
    hold_down_max: Duration::from_secs(300),
    moves_per_hour_max: 2,
    failback: true,
    replication_lag_max: Duration::from_secs(4),
    failback_step: Duration::from_secs(10),
};

/// The regions that hold data, the primary first.
pub(super) const NAMES: [&str; 3] = ["us-west-2", "us-east-1", "eu-west-1"];

pub(super) fn name(index: usize) -> RegionName {
    NAMES[index].parse().unwrap()
}

fn region(text: &str, role: Role, priority: u32) -> Region {
    Region {
        name: text.parse().unwrap(),
        role,
        offline: false,
        bucket: None,
        kms_key: None,
        priority,
        weight: 1,
        coordinates: None,
        residency: Vec::new(),
        capacity: Capacity { max_concurrent_uploads: 1, max_bandwidth_mbps: 1 },
        health_check: HealthCheck::default(),
        endpoints: Endpoints { api: Some(format!("https://{text}.example")), ..Endpoints::default() },
        transfer_out_usd_per_gb: None,
    }
}

pub(super) fn regions() -> &'static [Region] {
    static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(|| {
        let full = NAMES.iter().zip(1..).map(|(text, priority)| region(text, Role::Full, priority));
        full.chain([region("us-east-2", Role::Witness, 0)]).collect()
    });
    &REGIONS
}

/// Everything a decision looks at besides the record, at one instant.
#[derive(Debug, Clone)]
pub(super) struct Tick {
    /// True time since the tick before.
    pub(super) gap: Duration,
    pub(super) statuses: Vec<(Capability, Status)>,
    pub(super) panic: bool,
    pub(super) lag: Option<Duration>,
    pub(super) leases: Option<u64>,
    /// A pin that lasts for this tick: the region's index and the rule.
    pub(super) pin: Option<(usize, Rule)>,
    /// An operator asks to move to this region before the tick.
    pub(super) ask: Option<usize>,
    /// The regions that are known to be full; the others are known to be empty.
    pub(super) full: Vec<usize>,
}

impl Tick {
    /// All regions up, nothing in flight, nothing behind.
    pub(super) fn calm(gap_s: u64) -> Self {
        Self {
            gap: Duration::from_secs(gap_s),
            statuses: vec![(Capability::Api, Status::Healthy); NAMES.len()],
            panic: false,
            lag: Some(Duration::ZERO),
            leases: Some(0),
            pin: None,
            ask: None,
            full: Vec::new(),
        }
    }

    pub(super) fn with(mut self, index: usize, status: Status) -> Self {
        self.statuses[index] = (Capability::TableWrite, status);
        self
    }

    pub(super) fn view(&self) -> View {
        let mut view = View::default();
        view.panic = self.panic;
        for (index, (odd, status)) in self.statuses.iter().enumerate() {
            for capability in Capability::ALL {
                let status = if capability == *odd { *status } else { Status::Healthy };
                view.set(name(index), capability, Seen { status, latency: None });
            }
        }
        view
    }

    pub(super) fn pins(&self) -> Vec<Pin> {
        let pin = |(index, rule)| Pin {
            region: name(index),
            rule,
            owner: "ada".into(),
            reason: "maintenance".into(),
            expires: Timestamp::from_millis(u64::MAX),
        };
        self.pin.map(pin).into_iter().collect()
    }

    /// Every region can carry one upload (see [`region`]).
    pub(super) fn loads(&self) -> Loads {
        let load = |index| Load { uploads: u32::from(self.full.contains(&index)), bandwidth_mbps: 0 };
        (0..NAMES.len()).map(|index| (name(index), load(index))).collect()
    }

    pub(super) fn standing(&self, region: RegionName) -> Standing {
        let regions = regions();
        let region = regions.iter().find(|r| r.name == region).unwrap();
        Standing::of(&self.view(), region)
    }

    pub(super) fn decide(&self, record: Option<&Record>, policy: &Policy, moment: Moment) -> Decision {
        let (regions, view, pins) = (regions(), self.view(), self.pins());
        let lag = self.lag;
        decide(
            record,
            &Inputs {
                regions,
                view: &view,
                lags: &move |_, _| lag,
                pins: &pins,
                policy,
                primary: name(0),
                loads: &self.loads(),
                polls: &Polls::new(),
                leases: self.leases,
                moment,
            },
        )
    }
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        5 => Just(Status::Healthy),
        1 => Just(Status::Degraded),
        4 => Just(Status::Unhealthy),
        1 => Just(Status::Unknown),
        1 => Just(Status::Offline),
    ]
}

pub(super) fn tick() -> impl Strategy<Value = Tick> {
    let odd = select(&[Capability::TableWrite, Capability::TableRead, Capability::Api][..]);
    let lag = prop_oneof![4 => (0..6_u64).prop_map(Some), 1 => Just(None)];
    let gap_s = prop_oneof![6 => 0..40_u64, 1 => 40..2000_u64];
    let pin = (0..NAMES.len(), select(&[Rule::Stay, Rule::Forbid, Rule::Drain][..]));
    (
        gap_s,
        vec((odd, status()), NAMES.len()),
        proptest::bool::weighted(0.05),
        lag,
        proptest::option::of(0..2_u64),
        proptest::option::weighted(0.1, pin),
        proptest::option::weighted(0.05, 0..NAMES.len()),
        subsequence(vec![0, 1, 2], 0..=2),
    )
        .prop_map(|(gap_s, statuses, panic, lag_s, leases, pin, ask, full)| Tick {
            gap: Duration::from_secs(gap_s),
            statuses,
            panic,
            lag: lag_s.map(Duration::from_secs),
            leases,
            pin,
            ask,
            full,
        })
}

/// Weather that lasts: each drawing is repeated for a while, so that moves get to their end.
pub(super) fn weather(spells: usize) -> impl Strategy<Value = Vec<Tick>> {
    let spell = (tick(), 1..12_usize).prop_map(|(tick, times)| {
        let rest = Tick { ask: None, gap: tick.gap.min(Duration::from_secs(20)), ..tick.clone() };
        std::iter::once(tick).chain(std::iter::repeat_n(rest, times)).collect::<Vec<_>>()
    });
    vec(spell, 1..spells).prop_map(|spells| spells.into_iter().flatten().collect())
}

/// One decision of one controller and what came of it, at a true time.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) at: Timestamp,
    pub(super) tick: Tick,
    pub(super) moment: Moment,
    pub(super) before: Option<Record>,
    pub(super) decision: Decision,
    pub(super) after: Option<Record>,
}

impl Turn {
    /// The region left and the region entered, if this turn changed the active one.
    pub(super) fn moved(&self) -> Option<(RegionName, RegionName)> {
        let (before, after) = (self.before.as_ref()?.active, self.after.as_ref()?.active);
        (before != after).then_some((before, after))
    }
}

/// One controller's walk through `ticks`, from `record` on.
pub(super) fn walk(mut record: Option<Record>, ticks: &[Tick], policy: &Policy) -> Vec<Turn> {
    let (mut watch, mut now) = (Watch::default(), Timestamp::from_millis(1_700_000_000_000));
    let mut turns = Vec::new();
    for tick in ticks {
        now = now.after(tick.gap);
        let look = |watch: &mut Watch, record: &Option<Record>| {
            watch.look(record.as_ref().map_or(0, |r| r.version), now)
        };
        let moment = look(&mut watch, &record);
        let asked = tick.ask.zip(record.as_ref()).and_then(|(to, r)| r.ask(name(to), "ada", "drill", moment));
        record = asked.or(record);
        let moment = look(&mut watch, &record);
        let decision = tick.decide(record.as_ref(), policy, moment);
        let after = apply(record.as_ref(), &decision, moment);
        turns.push(Turn {
            at: now,
            tick: tick.clone(),
            moment,
            before: record.clone(),
            decision,
            after: after.clone(),
        });
        if after.is_some() {
            record = after;
            look(&mut watch, &record);
        }
    }
    turns
}

/// The record at the end of a walk.
pub(super) fn last(turns: &[Turn]) -> Option<Record> {
    let turn = turns.last()?;
    turn.after.clone().or(turn.before.clone())
}
