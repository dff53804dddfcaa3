//! What is wrong with the network on purpose, and what that means for one gate.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// What a gate leads to in its destination region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Objects.
    S3,
    /// Tables.
    DynamoDb,
    /// The region's HTTP API.
    Api,
    /// Every other service: CloudWatch, SQS, SNS, Lambda and so on.
    Other,
}

impl Service {
    /// Every service, in the order in which gates are listed.
    pub const ALL: [Self; 4] = [Self::S3, Self::DynamoDb, Self::Api, Self::Other];

    /// The name used on the command line and in `cloud.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::DynamoDb => "dynamodb",
            Self::Api => "api",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not a service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a service (want `s3`, `dynamodb`, `api` or `other`)")]
pub struct UnknownService(String);

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(text: &str) -> Result<Self, UnknownService> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| UnknownService(text.to_owned()))
    }
}

/// Who talks through a gate: every client outside the cloud.
pub const CLIENT: &str = "client";

/// Which gate: who talks, to which region, about what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GateId {
    /// A region name, or [`CLIENT`].
    pub from: String,
    /// The destination region.
    pub to: String,
    /// What is asked there.
    pub service: Service,
}

/// What a fault does to the gates it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// New connections are refused and established ones are reset at once.
    Refuse,
    /// New connections are refused, as when a name resolves to nothing; those under way go on.
    RefuseNew,
    /// Connections are accepted and kept, and nothing ever comes through.
    Silence,
    /// Every chunk arrives this many milliseconds later, in each direction.
    SlowMs(u64),
}

/// One thing that is wrong on purpose.
///
/// With neither `service` nor `from` it is about the whole region: every gate to it and every gate
/// from it, its own included. With either, it is about what is sent to the region: of that service,
/// from that source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The region that suffers.
    pub region: String,
    /// Only this service of it.
    pub service: Option<Service>,
    /// Only what this source (a region or [`CLIENT`]) sends to it.
    pub from: Option<String>,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// Whether this fault is about `gate`.
    #[must_use]
    pub fn matches(&self, gate: &GateId) -> bool {
        if self.service.is_none() && self.from.is_none() {
            return gate.to == self.region || gate.from == self.region;
        }
        gate.to == self.region
            && self.service.is_none_or(|service| gate.service == service)
            && self.from.as_ref().is_none_or(|from| gate.from == *from)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = &self.region;
        match self.service {
            Some(service) => write!(f, "{service} of {region}")?,
            None => f.write_str(region)?,
        }
        match self.effect {
            Effect::Refuse => f.write_str(" is cut off")?,
            Effect::RefuseNew => f.write_str(" is closed to new connections")?,
            Effect::Silence => f.write_str(" is silent")?,
            Effect::SlowMs(ms) => write!(f, " is slow by {ms} ms each way")?,
        }
        self.from.as_ref().map_or(Ok(()), |from| write!(f, " for {from}"))
    }
}

/// How a gate behaves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Condition {
    /// Refuses and resets.
    pub refused: bool,
    /// Refuses new connections and carries on with the others; `refused` is stronger.
    #[serde(default)]
    pub new_refused: bool,
    /// Accepts and carries nothing; `refused` is stronger.
    pub silent: bool,
    /// Delay of each chunk in each direction.
    pub delay_ms: u64,
}

impl Condition {
    /// Whether the gate behaves as if it were not there.
    #[must_use]
    pub fn is_open(self) -> bool {
        self == Self::default()
    }

    /// Whether a new connection is refused.
    #[must_use]
    pub const fn is_shut(self) -> bool {
        self.refused || self.new_refused
    }

    /// Delay of each chunk in each direction.
    #[must_use]
    pub const fn delay(self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.refused, self.silent, self.delay_ms) {
            (true, _, _) => f.write_str("cut"),
            _ if self.new_refused => f.write_str("closed to new"),
            (false, true, _) => f.write_str("silent"),
            (false, false, 0) => f.write_str("open"),
            (false, false, delay_ms) => write!(f, "slow by {delay_ms} ms"),
        }
    }
}

/// The condition of `gate` under all `faults`: any cut cuts, and of several delays the longest counts.
#[must_use]
pub fn condition(gate: &GateId, faults: &[Fault]) -> Condition {
    faults.iter().filter(|fault| fault.matches(gate)).fold(Condition::default(), |now, fault| {
        match fault.effect {
            Effect::Refuse => Condition { refused: true, ..now },
            Effect::RefuseNew => Condition { new_refused: true, ..now },
            Effect::Silence => Condition { silent: true, ..now },
            Effect::SlowMs(ms) => Condition { delay_ms: now.delay_ms.max(ms), ..now },
        }
    })
}

/// The faults left after healing `region`, or all regions when it is `None`.
#[must_use]
pub fn healed(faults: Vec<Fault>, region: Option<&str>) -> Vec<Fault> {
    faults.into_iter().filter(|fault| region.is_some_and(|region| fault.region != region)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};

    const REGIONS: [&str; 3] = ["us-west-2", "us-east-1", "eu-west-1"];

    fn gate(from: &str, to: &str, service: Service) -> GateId {
        GateId { from: from.into(), to: to.into(), service }
    }

    fn whole(region: &str, effect: Effect) -> Fault {
        Fault { region: region.into(), service: None, from: None, effect }
    }

    fn effect() -> impl Strategy<Value = Effect> {
        prop_oneof![
            Just(Effect::Refuse),
            Just(Effect::RefuseNew),
            Just(Effect::Silence),
            (1..900_u64).prop_map(Effect::SlowMs)
        ]
    }

    fn any_gate() -> impl Strategy<Value = GateId> {
        let sources = vec![CLIENT, REGIONS[0], REGIONS[1], REGIONS[2]];
        (select(sources), select(REGIONS.to_vec()), select(Service::ALL.to_vec()))
            .prop_map(|(from, to, service)| gate(from, to, service))
    }

    fn any_fault() -> impl Strategy<Value = Fault> {
        let from = proptest::option::of(select(vec![CLIENT, REGIONS[0], REGIONS[1]]));
        (select(REGIONS.to_vec()), proptest::option::of(select(Service::ALL.to_vec())), from, effect())
            .prop_map(|(region, service, from, effect)| Fault {
                region: region.into(),
                service,
                from: from.map(str::to_owned),
                effect,
            })
    }

    proptest! {
        /// A cut region neither hears nor is heard, not even by itself; others do not notice.
        #[test]
        fn a_cut_region_is_cut_both_ways_and_alone(g in any_gate(), region in select(REGIONS.to_vec())) {
            let now = condition(&g, &[whole(region, Effect::Refuse)]);
            prop_assert_eq!(now.refused, g.to == region || g.from == region);
        }

        /// The order in which faults were made does not matter.
        #[test]
        fn faults_add_up_in_any_order(g in any_gate(), mut faults in prop::collection::vec(any_fault(), 0..5)) {
            let before = condition(&g, &faults);
            faults.reverse();
            prop_assert_eq!(before, condition(&g, &faults));
        }

        /// Healing one region leaves every fault of the others in force.
        #[test]
        fn healing_one_region_leaves_the_others(faults in prop::collection::vec(any_fault(), 0..5)) {
            let left = healed(faults.clone(), Some(REGIONS[0]));
            prop_assert!(left.iter().all(|f| f.region != REGIONS[0]));
            prop_assert_eq!(left.len(), faults.iter().filter(|f| f.region != REGIONS[0]).count());
        }

        /// After healing everything, every gate is open.
        #[test]
        fn healing_everything_opens_every_gate(g in any_gate(), faults in prop::collection::vec(any_fault(), 0..5)) {
            prop_assert!(condition(&g, &healed(faults, None)).is_open());
        }
    }

    #[test]
    fn one_service_can_be_cut_for_everyone() {
        let fault = Fault { service: Some(Service::S3), ..whole("us-west-2", Effect::Refuse) };
        assert!(fault.matches(&gate("eu-west-1", "us-west-2", Service::S3)));
        assert!(fault.matches(&gate("us-west-2", "us-west-2", Service::S3)));
        assert!(!fault.matches(&gate("us-west-2", "eu-west-1", Service::S3)));
        assert!(!fault.matches(&gate("eu-west-1", "us-west-2", Service::DynamoDb)));
    }

    #[test]
    fn one_direction_can_be_cut() {
        let fault = Fault { from: Some(CLIENT.into()), ..whole("us-west-2", Effect::Refuse) };
        assert!(fault.matches(&gate(CLIENT, "us-west-2", Service::Api)));
        assert!(!fault.matches(&gate("eu-west-1", "us-west-2", Service::Api)));
    }

    #[test]
    fn an_unknown_service_is_named_with_the_choices() {
        let error = "sns".parse::<Service>().expect_err("no such service");
        assert_eq!(error.to_string(), "`sns` is not a service (want `s3`, `dynamodb`, `api` or `other`)");
    }
}
