//! Pins: what operators have ruled, which beats what automation would do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{region::RegionName, time::Timestamp};

/// What a pin says about its region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Work stays there; while it is elsewhere, there is nowhere else it may go.
    Stay,
    /// Work never moves there.
    Forbid,
    /// The region is being emptied: work leaves it and does not come back.
    Drain,
}

/// One ruling of an operator.
///
/// Its end is a date that a person chose, read on the reader's clock, so a skewed
/// clock ends it early or late by the skew, and readers may disagree for that long.
/// An age, as the record keeps, would not do: readers that start cold begin to count
/// anew, and a pin that nobody rewrites would never end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The region it is about.
    pub region: RegionName,
    /// What it says.
    pub rule: Rule,
    /// Who ruled.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub expires: Timestamp,
}

impl Pin {
    /// Whether it still counts.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ruling = match self.rule {
            Rule::Stay => "stay in",
            Rule::Forbid => "never move to",
            Rule::Drain => "drain",
        };
        write!(f, "{} ruled `{ruling} {}`: {}", self.owner, self.region, self.reason)
    }
}

/// The pins that count at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Pins<'a> {
    all: &'a [Pin],
    now: Timestamp,
}

impl<'a> Pins<'a> {
    /// Those of `all` that have not expired at `now`.
    pub const fn new(all: &'a [Pin], now: Timestamp) -> Self {
        Self { all, now }
    }

    /// The pin that keeps work in `region`.
    pub fn stay(self, region: RegionName) -> Option<&'a Pin> {
        self.live(Rule::Stay).find(|pin| pin.region == region)
    }

    /// The pin that empties `region`.
    pub fn drain(self, region: RegionName) -> Option<&'a Pin> {
        self.live(Rule::Drain).find(|pin| pin.region == region)
    }

    /// The regions that are being emptied.
    pub fn drained(self) -> impl Iterator<Item = RegionName> + 'a {
        self.live(Rule::Drain).map(|pin| pin.region)
    }

    /// The pin that keeps work out of `region`: one against it, or one for another region only.
    pub fn against(self, region: RegionName) -> Option<&'a Pin> {
        let forbid = self.live(Rule::Forbid).find(|pin| pin.region == region);
        let elsewhere = || match self.stay(region) {
            Some(_) => None,
            None => self.live(Rule::Stay).next(),
        };
        forbid.or_else(|| self.drain(region)).or_else(elsewhere)
    }

    fn live(self, rule: Rule) -> impl Iterator<Item = &'a Pin> + 'a {
        self.all.iter().filter(move |pin| pin.rule == rule && pin.is_live(self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(region: &str, rule: Rule, expires_s: u64) -> Pin {
        Pin {
            region: region.parse().unwrap(),
            rule,
            owner: "ada".into(),
            reason: "maintenance".into(),
            expires: Timestamp::from_millis(expires_s * 1000),
        }
    }

    #[test]
    fn an_expired_pin_says_nothing() {
        let all = [pin("us-east-1", Rule::Forbid, 60)];
        let region = "us-east-1".parse().unwrap();
        assert!(Pins::new(&all, Timestamp::from_millis(59_999)).against(region).is_some());
        assert!(Pins::new(&all, Timestamp::from_millis(60_000)).against(region).is_none());
    }

    #[test]
    fn a_pin_to_one_region_shuts_the_others() {
        let all = [pin("us-east-1", Rule::Stay, 60)];
        let pins = Pins::new(&all, Timestamp::default());
        assert!(pins.against("us-east-1".parse().unwrap()).is_none());
        assert!(pins.against("eu-west-1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_pin_prints_who_ruled_and_why() {
        let text = pin("us-east-1", Rule::Forbid, 60).to_string();
        assert_eq!(text, "ada ruled `never move to us-east-1`: maintenance");
    }
}
