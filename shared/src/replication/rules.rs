//! Where objects go: how many copies, in which regions, in which storage class.
//!
//! The first rule that fits an object decides; an object that none fits goes to every full region. What an object
//! says of itself (`sealane-regions`) is stronger than a rule, but for residency, which nothing outranks:
//! a copy is never sent to a region without all tags that the rule demands.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    config::known,
    region::{Region, RegionName},
    upload::{Classes, cost::reading_usd_per_gb},
};

use super::relay::{Market, Price, Tree};

/// Whether copies are sent on from cheaper regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relaying {
    /// Every copy comes straight from its source.
    Off,
    /// Where that is cheaper.
    #[default]
    Cost,
}

/// Where objects go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The rules; the first that fits decides.
    pub rules: Vec<Rule>,
    /// Whether copies are sent on from cheaper regions.
    pub relay: Relaying,
}

/// Which objects are meant, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The bucket that they are written to; `None`: any.
    pub bucket: Option<String>,
    /// What their keys begin with; empty: any.
    pub prefix: String,
    /// Where their copies go.
    pub goes: Goes,
    /// Tags that a region must have to get a copy, all of them.
    pub residency: Vec<String>,
    /// The storage class of the copies.
    pub class: Classes,
}

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goes {
    /// To every full region.
    Everywhere,
    /// To so many regions that there are this many copies, the written one included. At least 1.
    Copies(usize),
    /// To these, best first.
    Regions(Vec<RegionName>),
}

impl Rule {
    /// Whether the object `key` of `bucket` is meant.
    pub fn fits(&self, bucket: &str, key: &str) -> bool {
        self.is_of(bucket) && key.starts_with(&self.prefix)
    }

    /// Whether objects of `bucket` are meant.
    pub fn is_of(&self, bucket: &str) -> bool {
        self.bucket.as_deref().is_none_or(|own| own == bucket)
    }

    /// Whether every object that `other` means is meant by this one.
    pub fn covers(&self, other: &Self) -> bool {
        other.prefix.starts_with(&self.prefix) && (self.bucket.is_none() || self.bucket == other.bucket)
    }

    /// Whether a copy may lie in `region`.
    pub fn admits(&self, region: &Region) -> bool {
        self.residency.iter().all(|tag| region.residency.contains(tag))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => write!(f, "any key")?,
            prefix => write!(f, "`{prefix}`")?,
        }
        self.bucket.iter().try_for_each(|bucket| write!(f, " of `{bucket}`"))
    }
}

/// Where one object goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The place of the rule that decided, from 0; `None`: no rule fits.
    pub rule: Option<usize>,
    /// Who copies from whom.
    pub tree: Tree,
    /// Regions that were left out for their residency.
    pub barred: Vec<RegionName>,
    /// Copies that the rule wants beyond those that there is a region for.
    pub lacking: usize,
}

impl Rules {
    /// Whether an object `key` that is written in `region` may lie there, by the residency that its rule demands.
    pub fn admit(&self, region: &Region, key: &str) -> bool {
        self.rule_in(region, key).is_none_or(|(_, rule)| rule.admits(region))
    }

    /// The first rule that fits the object `key` that is written in `region`.
    pub(super) fn rule_in(&self, region: &Region, key: &str) -> Option<(usize, &Rule)> {
        self.rule_for(region.bucket.as_deref()?, key)
    }

    /// The first rule that fits the object `key` of `bucket`, with its place from 0.
    pub fn rule_for(&self, bucket: &str, key: &str) -> Option<(usize, &Rule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.fits(bucket, key))
    }

    /// Where the object `key`, which was written in `from`, goes; `own` is what it says of itself.
    pub fn placement(
        &self,
        from: &Region,
        key: &str,
        own: Option<&[RegionName]>,
        regions: &[Region],
    ) -> Placement {
        self.placement_by(self.rule_in(from, key), from, own, regions)
    }

    /// The same by a given rule, or by none.
    pub fn placement_by(
        &self,
        rule: Option<(usize, &Rule)>,
        from: &Region,
        own: Option<&[RegionName]>,
        regions: &[Region],
    ) -> Placement {
        let (place, rule) = rule.unzip();
        let admits = |region: &&Region| rule.is_none_or(|rule| rule.admits(region));
        let (admitted, barred): (Vec<_>, Vec<_>) =
            meant(rule, from, own, regions).into_iter().partition(admits);
        let names = names(&admitted);
        let price = |sender: RegionName, to: RegionName| {
            let sender = regions.iter().find(|region| region.name == sender)?;
            let fee = if sender.name == from.name { Some(0.0) } else { relay_fee(sender, rule) };
            let out = known::transfer_usd_per_gb(sender.name, sender.transfer_out_usd_per_gb, to);
            Price::of_usd(out? + fee?)
        };
        let relays = self.relay == Relaying::Cost;
        let market = Market { source: from.name, destinations: &names, price, relays };
        let count = match (own, rule.map(|rule| &rule.goes)) {
            (None, Some(Goes::Copies(copies))) => copies.saturating_sub(1),
            (Some(_), _) | (None, Some(Goes::Everywhere | Goes::Regions(_)) | None) => names.len(),
        };
        Placement {
            rule: place,
            tree: market.to_cheapest(count),
            barred: self::names(&barred),
            lacking: count.saturating_sub(names.len()),
        }
    }
}

/// The other full regions that an object is meant for, before residency is looked at.
fn meant<'a>(
    rule: Option<&Rule>,
    from: &Region,
    own: Option<&[RegionName]>,
    regions: &'a [Region],
) -> Vec<&'a Region> {
    let others = || regions.iter().filter(|region| region.is_full() && region.name != from.name);
    let named = match (own, rule.map(|rule| &rule.goes)) {
        (Some(own), _) => own,
        (None, Some(Goes::Regions(names))) => names,
        (None, Some(Goes::Everywhere | Goes::Copies(_)) | None) => return others().collect(),
    };
    named.iter().filter_map(|name| others().find(|region| region.name == *name)).collect()
}

/// The names of `regions`, each once.
fn names(regions: &[&Region]) -> Vec<RegionName> {
    regions.iter().fold(Vec::new(), |mut names, region| {
        if !names.contains(&region.name) {
            names.push(region.name);
        }
        names
    })
}

/// Dollars for each GB that a relay's copy is read for; `None` where it is not sent on: an archived copy has to
/// be restored first, one of a class that only its region has would pass that class on, and a drained
/// region may get its own late.
fn relay_fee(relay: &Region, rule: Option<&Rule>) -> Option<f64> {
    let fee = match rule.map(|rule| &rule.class) {
        None | Some(Classes::AsSource) => Some(0.0),
        Some(Classes::All(class)) => reading_usd_per_gb(*class),
        Some(Classes::Each(classes)) => (!classes.contains_key(&relay.name)).then_some(0.0),
    };
    fee.filter(|_| !relay.offline)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
