//! The scenarios: what goes wrong, when, and what must come of it.
//!
//! Each draws its times and victims from the seed. Kills, frozen sandboxes and doubled
//! events happen in all of them; throttling and lost answers in a part of the seeds,
//! where what must come of the scenario allows for it.

mod outages;
mod plan;
mod troubles;

use std::{fmt, str::FromStr, time::Duration};

use sealane::{config::Config, region::RegionName};
use serde_json::{Value, json};

pub use plan::{Act, Crowd, Must, Plan, Slot, Timed, Watched};

use crate::{
    cloud::{Effect, Fault},
    dice::Dice,
};

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// A region is lost: all its services and its functions.
    RegionLoss,
    /// One service of one region is lost.
    ServiceLoss,
    /// One observer reaches nobody, or hardly.
    SickObserver,
    /// One request or answer in a hundred is lost, everywhere.
    Loss1Pct,
    /// Three in ten requests of one observer are lost.
    Loss30PctOneObserver,
    /// A region comes and goes every 20 s.
    Flapping20s,
    /// A region is cut off and lives on.
    Partition,
    /// Clocks are off by up to five minutes, and the primary region is lost.
    Skew5min,
    /// Replication out of the primary region stops, and then the region is lost.
    LagPaused,
    /// Every controller runs twice, alarms come besides, and the primary region is lost.
    TwoControllers,
    /// A region answers late.
    SlowRegion,
    /// New connections to a region fail; those that exist work.
    DnsEmpty,
    /// Old alarms are delivered over and over while nothing is wrong.
    StaleAlarmStorm,
    /// The primary region is lost while an operator's pin is in the way.
    OperatorPin,
    /// The primary region is lost and comes back.
    Failback,
    /// Workers share worksets and their locks while regions are lost, cut off and come back.
    Registry,
    /// The same on worksets whose replicas are strongly consistent.
    RegistryStrong,
}

impl Scenario {
    /// Every scenario, in the order of the report.
    pub const ALL: [Self; 17] = [
        Self::RegionLoss,
        Self::ServiceLoss,
        Self::SickObserver,
        Self::Loss1Pct,
        Self::Loss30PctOneObserver,
        Self::Flapping20s,
        Self::Partition,
        Self::Skew5min,
        Self::LagPaused,
        Self::TwoControllers,
        Self::SlowRegion,
        Self::DnsEmpty,
        Self::StaleAlarmStorm,
        Self::OperatorPin,
        Self::Failback,
        Self::Registry,
        Self::RegistryStrong,
    ];

    /// The name on the command line and in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegionLoss => "region_loss",
            Self::ServiceLoss => "service_loss",
            Self::SickObserver => "sick_observer",
            Self::Loss1Pct => "loss_1pct",
            Self::Loss30PctOneObserver => "loss_30pct_one_observer",
            Self::Flapping20s => "flapping_20s",
            Self::Partition => "partition",
            Self::Skew5min => "skew_5min",
            Self::LagPaused => "lag_paused",
            Self::TwoControllers => "two_controllers",
            Self::SlowRegion => "slow_region",
            Self::DnsEmpty => "dns_empty",
            Self::StaleAlarmStorm => "stale_alarm_storm",
            Self::OperatorPin => "operator_pin",
            Self::Failback => "failback",
            Self::Registry => "registry",
            Self::RegistryStrong => "registry_strong",
        }
    }

    /// Whether throttling and lost answers may be in the air besides: not where the loss
    /// itself is what is tried.
    const fn takes_noise(self) -> bool {
        match self {
            Self::RegionLoss
            | Self::ServiceLoss
            | Self::Flapping20s
            | Self::Partition
            | Self::Skew5min
            | Self::LagPaused
            | Self::TwoControllers
            | Self::StaleAlarmStorm
            | Self::OperatorPin
            | Self::Failback
            | Self::Registry
            | Self::RegistryStrong => true,
            Self::SickObserver
            | Self::Loss1Pct
            | Self::Loss30PctOneObserver
            | Self::SlowRegion
            | Self::DnsEmpty => false,
        }
    }

    /// What its configuration has besides the defaults.
    pub fn settings(self) -> Value {
        match self {
            Self::RegistryStrong => json!({"worksets": {"consistency": "strong"}}),
            Self::RegionLoss
            | Self::ServiceLoss
            | Self::SickObserver
            | Self::Loss1Pct
            | Self::Loss30PctOneObserver
            | Self::Flapping20s
            | Self::Partition
            | Self::Skew5min
            | Self::LagPaused
            | Self::TwoControllers
            | Self::SlowRegion
            | Self::DnsEmpty
            | Self::StaleAlarmStorm
            | Self::OperatorPin
            | Self::Failback
            | Self::Registry => Value::Null,
        }
    }

    /// The scenario as this seed has it.
    pub fn plan(self, config: &Config, dice: &Dice) -> Plan {
        let mut cast = Cast::new(config, dice.fork(self.name()));
        let mut plan = match self {
            Self::RegionLoss => outages::region_loss(&mut cast),
            Self::ServiceLoss => outages::service_loss(&mut cast),
            Self::SickObserver => troubles::sick_observer(&mut cast),
            Self::Loss1Pct => troubles::loss_everywhere(&mut cast),
            Self::Loss30PctOneObserver => troubles::loss_to_one_observer(&mut cast),
            Self::Flapping20s => outages::flapping(&mut cast),
            Self::Partition => outages::partition(&mut cast),
            Self::Skew5min => outages::skewed_loss(&mut cast),
            Self::LagPaused => outages::loss_behind(&mut cast),
            Self::TwoControllers => outages::loss_seen_twice(&mut cast),
            Self::SlowRegion => troubles::slow_region(&mut cast),
            Self::DnsEmpty => troubles::dns_empty(&mut cast),
            Self::StaleAlarmStorm => troubles::stale_alarms(&mut cast),
            Self::OperatorPin => outages::pinned_loss(&mut cast),
            Self::Failback => outages::failback(&mut cast),
            Self::Registry | Self::RegistryStrong => outages::shared_worksets(&mut cast),
        };
        if self.takes_noise() && cast.dice.chance(NOISY_PERCENT) {
            plan.acts.insert(0, noise(&mut cast.dice));
        }
        plan.acts.sort_by_key(|timed| timed.at);
        plan
    }
}

/// Seeds with noise, in percent of those that may have it.
const NOISY_PERCENT: f64 = 25.0;

/// The name of the noise among a plan's faults.
const NOISE: Slot = 255;

/// A little throttling and a few lost answers, everywhere and all the time.
fn noise(dice: &mut Dice) -> Timed {
    let everywhere = |effect| Fault { from: None, to: None, service: None, effect };
    let percent = if dice.chance(50.0) { 0.5 } else { 1.0 };
    let faults = vec![everywhere(Effect::Throttled { percent }), everywhere(Effect::Ambiguous { percent })];
    Timed { at: Duration::ZERO, act: Act::Break { slot: NOISE, faults, outage: None } }
}

/// Who can be struck, and the dice that say who is.
struct Cast {
    dice: Dice,
    primary: RegionName,
    /// The other regions that hold data, best standby first.
    others: Vec<RegionName>,
    /// Every region, witnesses too.
    all: Vec<RegionName>,
}

impl Cast {
    fn new(config: &Config, dice: Dice) -> Self {
        let primary = config.primary_region;
        let mut others: Vec<_> = config.full_regions().filter(|r| r.name != primary).collect();
        others.sort_by_key(|r| r.priority);
        Self {
            dice,
            primary,
            others: others.into_iter().map(|r| r.name).collect(),
            all: config.regions.iter().map(|r| r.name).collect(),
        }
    }

    /// When the trouble begins: after everyone was seen, at any point of a tick.
    fn begins(&mut self) -> Duration {
        self.dice.between(Duration::from_secs(32), Duration::from_secs(43))
    }

    /// The primary region most of the time, else another one that holds data.
    fn victim(&mut self) -> RegionName {
        if self.dice.chance(70.0) { self.primary } else { self.other() }
    }

    fn other(&mut self) -> RegionName {
        pick(&mut self.dice, &self.others).unwrap_or(self.primary)
    }

    fn any(&mut self) -> RegionName {
        pick(&mut self.dice, &self.all).unwrap_or(self.primary)
    }
}

fn pick(dice: &mut Dice, from: &[RegionName]) -> Option<RegionName> {
    let place = usize::try_from(dice.below(from.len() as u64)).ok()?;
    from.get(place).copied()
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no scenario of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownScenario(String);

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Scenario::ALL.iter().map(|s| format!("`{s}`")).collect();
        write!(f, "`{}` is not a scenario (want one of {})", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownScenario {}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| UnknownScenario(text.to_owned()))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
