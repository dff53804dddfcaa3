//! The scenarios of the live drill: what is broken, where one looks, and what has to come of it.

use crate::{
    cloud::region::{PRIMARY, REGIONS},
    demo::scene::{FULL, READER, STANDBY},
    gates::fault::{Effect, Fault, Service},
};

/// Milliseconds that are added each way to make a region slow: an answer takes longer than a healthy one
/// may, and less than a probe waits.
const SLOW_MS: u64 = 400;

/// One kind of outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Scenario {
    /// The primary region is cut off from everyone
    RegionLoss,
    /// One service of the primary region is lost: first its objects, then its tables
    ServiceLoss,
    /// The primary region answers late
    SlowRegion,
    /// One observer reaches no other region, and everyone else does
    SickObserver,
    /// The primary region and the others do not reach each other; clients reach both sides
    Partition,
    /// The primary region takes no new connections, and those under way go on
    DnsEmpty,
    /// Every region is told of old alarms, many times, while all is well
    StaleAlarmStorm,
    /// The primary region is lost while an operator has pinned it, and the pin is taken away
    OperatorPin,
    /// The primary region comes back after a loss, and work returns to it
    Failback,
    /// Clients share worksets through the API while regions are cut and functions killed, and what they were told is judged
    Registry,
}

/// What has to happen to the active region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It changes, once.
    Moves,
    /// It stays, and requests that need what is broken go elsewhere.
    Routes,
    /// Nothing happens for as long as is watched.
    Nothing,
}

/// How the verdict on the primary region has to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// This capability does not work.
    Down(&'static str),
    /// This one is slow.
    Slow(&'static str),
}

/// One outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What is broken.
    pub faults: Vec<Fault>,
    /// The regions whose APIs are asked: those that the outage leaves alone.
    pub asked: Vec<&'static str>,
    /// What the verdict has to say; `None` when there is nothing to see.
    pub sign: Option<Sign>,
    /// What has to come of it.
    pub expect: Expect,
}

impl Scenario {
    /// Those that run when none is named: the heart of the matter, in some minutes.
    pub const DEFAULT: [Self; 4] = [Self::RegionLoss, Self::ServiceLoss, Self::SickObserver, Self::Failback];

    /// The name, as in the simulator's report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegionLoss => "region_loss",
            Self::ServiceLoss => "service_loss",
            Self::SlowRegion => "slow_region",
            Self::SickObserver => "sick_observer",
            Self::Partition => "partition",
            Self::DnsEmpty => "dns_empty",
            Self::StaleAlarmStorm => "stale_alarm_storm",
            Self::OperatorPin => "operator_pin",
            Self::Failback => "failback",
            Self::Registry => "registry",
        }
    }

    /// The outages of it, unless it draws them; each is an episode that begins with every region up.
    #[must_use]
    pub fn acts(self) -> Vec<Act> {
        let survivors = vec![STANDBY, READER];
        let lost =
            |faults, sign| Act { faults, asked: survivors.clone(), sign: Some(sign), expect: Expect::Moves };
        let primary =
            |service, effect| vec![Fault { region: PRIMARY.to_owned(), service, from: None, effect }];
        match self {
            Self::RegionLoss | Self::OperatorPin | Self::Failback => {
                vec![lost(primary(None, Effect::Refuse), Sign::Down("table_write"))]
            }
            Self::ServiceLoss => {
                let objects = primary(Some(Service::S3), Effect::Refuse);
                let sign = Some(Sign::Down("object_write"));
                let tables = primary(Some(Service::DynamoDb), Effect::Refuse);
                vec![
                    Act { faults: objects, asked: survivors.clone(), sign, expect: Expect::Routes },
                    lost(tables, Sign::Down("table_write")),
                ]
            }
            Self::SlowRegion => {
                let sign = Some(Sign::Slow("object_write"));
                let faults = primary(None, Effect::SlowMs(SLOW_MS));
                vec![Act { faults, asked: survivors, sign, expect: Expect::Routes }]
            }
            Self::SickObserver => {
                let faults = directions(READER, |from, _| from == READER);
                vec![Act { faults, asked: vec![PRIMARY, STANDBY], sign: None, expect: Expect::Nothing }]
            }
            Self::Partition => {
                let apart = directions(PRIMARY, |from, to| from == PRIMARY || to == PRIMARY);
                vec![lost(apart, Sign::Down("table_write"))]
            }
            Self::DnsEmpty => vec![lost(primary(None, Effect::RefuseNew), Sign::Down("table_write"))],
            Self::StaleAlarmStorm => {
                vec![Act { faults: Vec::new(), asked: FULL.to_vec(), sign: None, expect: Expect::Nothing }]
            }
            // It draws what goes wrong, and is no episode.
            Self::Registry => Vec::new(),
        }
    }
}

/// Cuts between `region` and each other one, of those that `broken` picks by source and destination.
/// Clients, and what a region asks of itself, are left alone.
pub(super) fn directions(region: &str, broken: impl Fn(&str, &str) -> bool) -> Vec<Fault> {
    let others = REGIONS.iter().map(|other| other.name).filter(|other| *other != region);
    let both = others.flat_map(|other| [(region, other), (other, region)]);
    let cut = |(from, to): (&str, &str)| Fault {
        region: to.to_owned(),
        service: None,
        from: Some(from.to_owned()),
        effect: Effect::Refuse,
    };
    both.filter(|(from, to)| broken(from, to)).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::fault::{CLIENT, GateId, condition};
    use clap::ValueEnum;

    fn is_cut(act: &Act, from: &str, to: &str) -> bool {
        Service::ALL.into_iter().all(|service| {
            condition(&GateId { from: from.into(), to: to.into(), service }, &act.faults).refused
        })
    }

    #[test]
    fn scenarios_are_called_on_the_command_line_as_in_the_report() {
        for scenario in Scenario::value_variants() {
            let shown = scenario.to_possible_value().expect("shown");
            assert_eq!(shown.get_name(), scenario.name());
        }
    }

    #[test]
    fn a_sick_observer_hears_nobody_and_is_heard_by_everyone() {
        let act = &Scenario::SickObserver.acts()[0];
        for other in [PRIMARY, STANDBY, "us-east-2"] {
            assert!(is_cut(act, READER, other));
            assert!(!is_cut(act, other, READER));
        }
        assert!(!is_cut(act, READER, READER) && !is_cut(act, CLIENT, READER));
    }

    #[test]
    fn a_partition_leaves_the_clients_on_both_sides() {
        let act = &Scenario::Partition.acts()[0];
        for other in [STANDBY, READER, "us-east-2"] {
            assert!(is_cut(act, PRIMARY, other) && is_cut(act, other, PRIMARY));
            assert!(!is_cut(act, CLIENT, other));
        }
        assert!(!is_cut(act, CLIENT, PRIMARY) && !is_cut(act, STANDBY, READER));
    }

    #[test]
    fn only_regions_that_the_outage_leaves_alone_are_asked() {
        for scenario in Scenario::value_variants() {
            for act in scenario.acts() {
                for asked in &act.asked {
                    assert!(!is_cut(&act, CLIENT, asked), "{} asks {asked}", scenario.name());
                }
            }
        }
    }
}
