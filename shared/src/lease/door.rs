//! Whether a region takes new uploads at all.

use std::fmt;

use crate::{
    failover::{Phase, Pin, Pins, Record},
    region::{Region, RegionName},
    time::Timestamp,
};

/// Why a region takes no new uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The configuration drains it.
    Offline,
    /// An operator drains it.
    Pinned(Pin),
    /// Work is leaving it.
    Draining {
        /// Where it goes.
        to: RegionName,
    },
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => write!(f, "its `status` is `offline`"),
            Self::Pinned(pin) => write!(f, "{pin}"),
            Self::Draining { to } => write!(f, "it is being drained, work moves to {to}"),
        }
    }
}

/// Whether `region` takes new uploads, by what is known now.
///
/// # Errors
/// With the reason, when it does not.
pub fn door(region: &Region, record: Option<&Record>, pins: &[Pin], now: Timestamp) -> Result<(), Closed> {
    if region.offline {
        return Err(Closed::Offline);
    }
    if let Some(pin) = Pins::new(pins, now).drain(region.name) {
        return Err(Closed::Pinned(pin.clone()));
    }
    match record.filter(|record| record.active == region.name).map(|record| record.phase) {
        Some(Phase::Draining { to } | Phase::Switching { to }) => Err(Closed::Draining { to }),
        Some(Phase::Steady | Phase::Returning { .. } | Phase::Verifying { .. }) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, failover::Rule};

    fn name(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    fn west(status: &str) -> Region {
        let document = format!(
            "{{primary_region: us-east-1, regions: [{{name: us-west-2, bucket: west, status: {status}}}, \
             {{name: us-east-1, bucket: east}}], health: {{voters_min: 1}}}}"
        );
        Config::read(Some(&document), std::iter::empty()).unwrap().regions[0].clone()
    }

    #[test]
    fn a_region_that_is_drained_in_any_way_takes_nothing_new() {
        let (now, open) = (Timestamp::from_millis(5), west("healthy"));
        let record = |phase| Record { phase, ..Record::first(name("us-west-2"), now) };
        let to = name("us-east-1");
        assert_eq!(door(&open, Some(&record(Phase::Steady)), &[], now), Ok(()));
        assert_eq!(door(&west("offline"), None, &[], now), Err(Closed::Offline));
        for phase in [Phase::Draining { to }, Phase::Switching { to }] {
            assert_eq!(door(&open, Some(&record(phase)), &[], now), Err(Closed::Draining { to }));
        }
        let elsewhere = Record { active: to, ..record(Phase::Draining { to: name("us-west-2") }) };
        assert_eq!(door(&open, Some(&elsewhere), &[], now), Ok(()));
    }

    #[test]
    fn only_a_drain_that_still_counts_shuts_the_door() {
        let pin = |rule, expires| Pin {
            region: name("us-west-2"),
            rule,
            owner: "ada".to_owned(),
            reason: "maintenance".to_owned(),
            expires: Timestamp::from_millis(expires),
        };
        let (now, region) = (Timestamp::from_millis(5), west("healthy"));
        let live = pin(Rule::Drain, 6);
        assert_eq!(door(&region, None, std::slice::from_ref(&live), now), Err(Closed::Pinned(live)));
        assert_eq!(door(&region, None, &[pin(Rule::Drain, 5), pin(Rule::Forbid, 6)], now), Ok(()));
    }
}
