//! Where an upload goes: what the rules of replication and whoever asks for it say together.
//!
//! Rule: the rule of an upload's first region holds for the whole upload as it would for an object that was put
//! there, so what is sent and what replication adds never contradict each other. Only the choice among regions that a
//! rule counts and does not name is the route's, since the writer sends those copies itself. The request may say
//! how many copies there are and in which class, and is stronger than a rule in that; the residency of a rule
//! is outranked by nothing. What cannot be had is refused with the rule's name, never done otherwise.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    region::{Region, RegionName},
    upload::{Classes, Plan, PlanError, Policy, StorageClass},
};

use super::{Goes, Rule, Rules};

/// What the request itself says, as opposed to the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Copies; `None`: as the rule says, else the settings.
    pub copies: Option<usize>,
    /// Verified copies that make a success; `None`: as the settings say, but no more than there are copies.
    pub min_copies: Option<usize>,
    /// Regions that come first.
    pub preferred: Vec<RegionName>,
    /// The storage class of every copy; `None`: as the rule says, else the store's own.
    pub class: Option<StorageClass>,
}

/// Where one upload goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// The rule of its first region; `None`: no rule fits.
    pub rule: Option<Named>,
    /// The regions.
    pub plan: Plan,
    /// How each copy is kept.
    pub classes: Classes,
    /// Regions that may hold no copy, for their residency.
    pub barred: Vec<RegionName>,
}

/// A rule as a person finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its place, from 0.
    pub place: usize,
    /// What it means, in words.
    pub which: String,
    /// Tags that it demands of a region.
    pub residency: Vec<String>,
}

impl Named {
    fn of((place, rule): (usize, &Rule)) -> Self {
        Self { place, which: rule.to_string(), residency: rule.residency.clone() }
    }

    fn tags(&self) -> String {
        self.residency.join("`, `")
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} of `replication.rules` ({})", self.place, self.which)
    }
}

/// What was asked for does not fit the rules, or the regions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// No region may hold the object.
    #[error("{rule} lets no usable region hold `{key}` (give a region the tags `{}`, or ship it under another key)", rule.tags())]
    Nowhere {
        /// The key.
        key: String,
        /// The rule that bars the first region.
        rule: Named,
    },
    /// A region that was asked for may hold no copy.
    #[error("{rule} lets no copy lie in `{region}`, which lacks a tag of `{}` (leave the region out, or ship under another key)", rule.tags())]
    Barred {
        /// The region.
        region: RegionName,
        /// The rule.
        rule: Named,
    },
    /// More copies were asked for than regions may hold one.
    #[error("{copies} copies are asked for, and {rule} lets only {regions} regions hold one, which have the tags `{}` (ask for {regions} at most)", rule.tags())]
    TooManyCopies {
        /// Copies asked for.
        copies: usize,
        /// Regions that may hold one.
        regions: usize,
        /// The rule.
        rule: Named,
    },
    /// More verified copies were asked for than the rule makes.
    #[error(
        "{min_copies} verified copies are asked for, and {rule} makes {copies} (say how many copies there shall be as well, or ask for {copies} at most)"
    )]
    MinCopies {
        /// Verified copies asked for.
        min_copies: usize,
        /// Copies that the rule makes.
        copies: usize,
        /// The rule.
        rule: Named,
    },
    /// The settings do not fit the regions.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Regions by whether they may hold an object, and the rule that decides.
struct Field<'a> {
    rule: Option<(usize, &'a Rule)>,
    /// The best region of the route.
    first: RegionName,
    /// In the order of the configuration, as `barred`.
    admitted: Vec<RegionName>,
    /// Each with the rule that bars it.
    barred: Vec<(RegionName, (usize, &'a Rule))>,
}

impl Rules {
    /// Where the upload of `key` goes over `route`, best region first; `usable` are the regions that there are.
    ///
    /// # Errors
    /// When what is asked for contradicts a rule or does not fit the regions.
    pub fn shipment(
        &self,
        key: &str,
        asked: &Asked,
        policy: &Policy,
        usable: &[Region],
        route: &[RegionName],
    ) -> Result<Shipment, Contradiction> {
        let field = self.field(key, usable, route)?;
        let barred = field.barred.iter().find(|(region, _)| asked.preferred.contains(region));
        if let Some((region, rule)) = barred {
            return Err(Contradiction::Barred { region: *region, rule: Named::of(*rule) });
        }
        let (eligible, copies) = field.meant(asked, policy, route)?;
        let policy = Policy { copies, min_copies: field.min_copies(asked, policy, copies)?, ..*policy };
        let plan = Plan::new(&policy, &eligible, route)?;
        Ok(Shipment {
            rule: field.rule.map(Named::of),
            classes: field.classes(asked, &plan),
            plan,
            barred: field.barred.iter().map(|(region, _)| *region).collect(),
        })
    }

    /// Whether the upload can be had over some route, before anything is asked of the network.
    ///
    /// # Errors
    /// As [`shipment`](Self::shipment), if it could be had by no order of the regions.
    pub fn can_ship(
        &self,
        key: &str,
        asked: &Asked,
        policy: &Policy,
        usable: &[Region],
    ) -> Result<(), Contradiction> {
        let names: Vec<_> = usable.iter().filter(|region| region.is_full()).map(|r| r.name).collect();
        let orders = (0..names.len().max(1)).map(|turn| [&names[turn..], &names[..turn]].concat());
        let mut tries = orders.map(|route| self.shipment(key, asked, policy, usable, &route).map(drop));
        let first = tries.next().unwrap_or(Ok(()));
        if first.is_err() && tries.any(|tried| tried.is_ok()) { Ok(()) } else { first }
    }

    fn field(&self, key: &str, usable: &[Region], route: &[RegionName]) -> Result<Field<'_>, Contradiction> {
        let full: Vec<_> = usable.iter().filter(|region| region.is_full()).collect();
        let open: Vec<_> = full.iter().filter(|region| self.admit(region, key)).collect();
        let best = route.iter().find_map(|name| open.iter().find(|region| region.name == *name));
        let Some(first) = best.or(open.first()) else {
            let barring = full.first().and_then(|region| self.rule_in(region, key));
            let nowhere = |rule| Contradiction::Nowhere { key: key.to_owned(), rule: Named::of(rule) };
            return Err(barring.map_or_else(|| PlanError::NoRoute.into(), nowhere));
        };
        let rule = self.rule_in(first, key);
        let barring = |region: &Region| {
            let bars = |rule: &(usize, &Rule)| !rule.1.admits(region);
            rule.filter(bars).or_else(|| self.rule_in(region, key).filter(bars))
        };
        let admitted = full.iter().filter(|region| barring(region).is_none()).map(|r| r.name).collect();
        let barred = full.iter().filter_map(|region| Some((region.name, barring(region)?))).collect();
        Ok(Field { rule, first: first.name, admitted, barred })
    }
}

impl Field<'_> {
    /// The regions that may get a copy, and how many there shall be.
    fn meant(
        &self,
        asked: &Asked,
        policy: &Policy,
        route: &[RegionName],
    ) -> Result<(Vec<RegionName>, usize), Contradiction> {
        let most = self.admitted.len();
        if let (Some(copies), Some((_, rule))) =
            (asked.copies.filter(|copies| *copies > most), self.barred.first())
        {
            return Err(Contradiction::TooManyCopies { copies, regions: most, rule: Named::of(*rule) });
        }
        let fitting = |copies: usize| if self.barred.is_empty() { copies } else { copies.min(most) };
        let (eligible, copies) = match self.rule.map(|(_, rule)| &rule.goes) {
            None | Some(Goes::Everywhere) => (self.admitted.clone(), fitting(policy.copies)),
            Some(Goes::Copies(copies)) => (self.admitted.clone(), (*copies).min(most)),
            Some(Goes::Regions(named)) => {
                let named = self.named(named, asked);
                let wanted = asked.copies.unwrap_or(named.len());
                (self.and_others(&named, wanted, route), named.len())
            }
        };
        Ok((eligible, asked.copies.unwrap_or(copies)))
    }

    /// The regions that a rule names, and the first one where the rule is about what is written there, or
    /// where it was asked for.
    fn named(&self, named: &[RegionName], asked: &Asked) -> Vec<RegionName> {
        let named: Vec<_> = self.admitted.iter().copied().filter(|region| named.contains(region)).collect();
        let of_bucket = self.rule.is_some_and(|(_, rule)| rule.bucket.is_some());
        let counts = of_bucket || asked.preferred.contains(&self.first) || named.is_empty();
        let first = Some(self.first).filter(|first| counts && !named.contains(first));
        first.into_iter().chain(named).collect()
    }

    /// `named`, and as many others as are wanted beyond them, best first.
    fn and_others(&self, named: &[RegionName], wanted: usize, route: &[RegionName]) -> Vec<RegionName> {
        let ranked = route.iter().chain(&self.admitted).filter(|region| self.admitted.contains(region));
        let mut regions = named.to_vec();
        for region in ranked {
            if regions.len() < wanted && !regions.contains(region) {
                regions.push(*region);
            }
        }
        regions
    }

    /// What is asked for has to be had; what the settings say of all uploads gives way to a rule that makes fewer copies.
    fn min_copies(
        &self,
        asked: &Asked,
        policy: &Policy,
        copies: usize,
    ) -> Result<Option<usize>, Contradiction> {
        match (asked.min_copies, asked.copies, self.rule) {
            (Some(min_copies), None, Some(rule)) if min_copies > copies => {
                Err(Contradiction::MinCopies { min_copies, copies, rule: Named::of(rule) })
            }
            (None, None, Some(_)) => Ok(policy.min_copies.map(|least| least.min(copies))),
            (asked, _, _) => Ok(asked.or(policy.min_copies)),
        }
    }

    /// The class of each copy. What lies in the first region is as it was written; the others are its copies.
    fn classes(&self, asked: &Asked, plan: &Plan) -> Classes {
        if let Some(class) = asked.class {
            return Classes::All(class);
        }
        let home = plan.lanes.first();
        let copies =
            plan.lanes.iter().chain(&plan.spare).chain(&plan.owed).filter(|region| Some(*region) != home);
        let class = |region: &RegionName| Some((*region, self.rule?.1.class.of(*region)?));
        let each: BTreeMap<_, _> = copies.filter_map(class).collect();
        if each.is_empty() { Classes::AsSource } else { Classes::Each(each) }
    }
}

#[cfg(test)]
#[path = "shipment_tests.rs"]
mod tests;
