//! The route and its reasons, for people ([`std::fmt::Display`]) and as JSON.

use std::fmt;

use serde::Serialize;

use crate::{
    health::Ejection,
    region::{Capability, RegionName, Status},
    route::{Strategy, capacity::Utilization},
};

/// The regions for one request, and why.
///
/// ```
/// use sealane::{health::View, region::Capability, route};
///
/// let request = route::Request::new(Capability::ObjectWrite);
/// let route = route::route(&request, &[], &View::default(), &route::Policy::default());
/// assert_eq!(route.to_string(), "object_write by round_robin: no region\nno region is left");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Route {
    /// What the regions have to be able to do.
    pub needs: Capability,
    /// How they were ranked.
    pub strategy: Strategy,
    /// What the choice rests on.
    pub basis: Basis,
    /// The regions to use, best first.
    pub ranked: Vec<RegionName>,
    /// What to know about the ranking.
    pub notes: Vec<Note>,
    /// Every region: the ranked ones in order, then the dropped ones by name.
    pub choices: Vec<Choice>,
}

/// What the choice rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Regions that are up.
    Health,
    /// Every region that is up asks for a smaller share than this request; the shares are waived.
    ShareWaived,
    /// Nothing that is up is left, so regions of unknown health are the last resort.
    LastResort,
    /// Nothing is known of any region: fail static, as the settings say.
    Static,
    /// Most regions look down at once, so health is ignored.
    Panic,
    /// No region passed.
    Nothing,
}

/// Something about the ranking that no single region shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// `geographic` without the client's coordinates.
    NoClientCoordinates,
    /// `cost` without a known price of sending from where the data is.
    NoPrice {
        /// Where the data is, when the request said so.
        data_in: Option<RegionName>,
    },
    /// No region is faster than the current one by enough to switch.
    Stays {
        /// The region that served the caller last.
        current: RegionName,
    },
    /// More regions are listed than are looked at.
    TooManyRegions {
        /// How many are listed.
        listed: usize,
    },
}

/// What became of one region.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// The region.
    pub region: RegionName,
    /// How it stands for the needed capability.
    pub status: Status,
    /// Kept or dropped, and why.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why this process keeps away from it, whatever the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejected: Option<Ejection>,
}

/// Kept or dropped.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Part of the ranking.
    Kept {
        /// Its place, from 1.
        place: usize,
        /// What put it before the order of the strategy.
        lead: Option<Lead>,
        /// What the strategy ranked it by.
        measure: Measure,
    },
    /// Not to be used for this request.
    Dropped(Reason),
}

/// What puts a region before the order of the strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lead {
    /// It holds work in progress.
    Held,
    /// It is the session's own.
    Sticky {
        /// Seconds until the session's region is drawn anew.
        left_s: u64,
    },
    /// The settings prefer it.
    Preferred {
        /// Its place among the preferred, from 1.
        place: usize,
    },
}

/// What a strategy ranks by; `None` is unknown, and last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Its place in the turn.
    Turn,
    /// Its weight.
    Weight(u32),
    /// Smoothed latency in milliseconds.
    LatencyMs(Option<f64>),
    /// Distance from the client in kilometres.
    DistanceKm(Option<f64>),
    /// Its priority number, 1 is best.
    Priority(u32),
    /// The price of sending there, in dollars per GB.
    UsdPerGb(Option<f64>),
}

/// The rule that dropped a region.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Reason {
    /// It holds no data.
    Witness,
    /// It lacks residency tags that the request demands.
    Residency {
        /// The tags it lacks.
        missing: Vec<String>,
    },
    /// It failed this request already.
    Tried,
    /// An operator drained it.
    Offline,
    /// It is down for what is needed.
    Unhealthy {
        /// What is needed.
        needs: Capability,
    },
    /// Too little is known of it, and others are up.
    Unknown {
        /// What is needed.
        needs: Capability,
    },
    /// Its weight is 0, and the strategy goes by weight.
    NoWeight,
    /// It has no room for one more upload.
    AtCapacity {
        /// How full it is.
        utilization: Option<Utilization>,
    },
    /// It is returning, and takes only part of its traffic yet.
    OutsideShare {
        /// The part that it takes.
        percent: u8,
        /// Where this request stands in its traffic, 0 to 99.
        stands_at: u8,
    },
}

impl fmt::Display for Route {
    /// One line for the result, one a note, one a region.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}: ", self.needs, self.strategy)?;
        match self.ranked.first() {
            Some(first) => write!(f, "{first}, {} of {} regions", self.ranked.len(), self.choices.len())?,
            None => f.write_str("no region")?,
        }
        if self.basis != Basis::Health {
            write!(f, "\n{}", self.basis)?;
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        for choice in &self.choices {
            write!(f, "\n{choice}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Health => "by health",
            Self::ShareWaived => "only returning regions are up: their shares are waived",
            Self::LastResort => "nothing that is up is left: regions of unknown health are the last resort",
            Self::Static => "health unknown everywhere: static, by the settings alone",
            Self::Panic => "PANIC: most regions look down at once, health is ignored",
            Self::Nothing => "no region is left",
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClientCoordinates => f.write_str("no client coordinates: in name order"),
            Self::NoPrice { data_in: Some(region) } => {
                write!(f, "no price for sending out of {region}: the others in name order")
            }
            Self::NoPrice { data_in: None } => f.write_str("not said where the data is: in name order"),
            Self::Stays { current } => write!(f, "stays with {current}: no region is faster by enough"),
            Self::TooManyRegions { listed } => {
                write!(
                    f,
                    "{listed} regions listed: only the first {} in name order count",
                    super::REGIONS_MAX
                )
            }
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, status, outcome, ejected } = self;
        match outcome {
            Outcome::Kept { place, lead, measure } => {
                write!(f, "{place:>2}. {region}: {status}, {measure}")?;
                lead.map_or(Ok(()), |lead| write!(f, ", {lead}"))?;
            }
            Outcome::Dropped(reason) => write!(f, " -  {region}: dropped, {reason}")?,
        }
        ejected.map_or(Ok(()), |ejected| write!(f, ", {ejected}"))
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("first because it holds work in progress"),
            Self::Sticky { left_s } => {
                write!(f, "first because it is the session's own for {} more", span(*left_s))
            }
            Self::Preferred { place } => write!(f, "preferred ({place})"),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn => f.write_str("in its turn"),
            Self::Weight(weight) => write!(f, "weight {weight}"),
            Self::LatencyMs(Some(ms)) => write!(f, "{ms:.1} ms"),
            Self::LatencyMs(None) => f.write_str("latency unknown"),
            Self::DistanceKm(Some(km)) => write!(f, "{km:.0} km"),
            Self::DistanceKm(None) => f.write_str("distance unknown"),
            Self::Priority(priority) => write!(f, "priority {priority}"),
            Self::UsdPerGb(Some(price)) => write!(f, "{price:.3} $/GB"),
            Self::UsdPerGb(None) => f.write_str("price unknown"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Witness => f.write_str("a witness holds no data"),
            Self::Residency { missing } => write!(f, "lacks residency `{}`", missing.join("`, `")),
            Self::Tried => f.write_str("already tried"),
            Self::Offline => f.write_str("drained by an operator"),
            Self::Unhealthy { needs } => write!(f, "{needs} is unhealthy"),
            Self::Unknown { needs } => write!(f, "{needs} is unknown, and others are up"),
            Self::NoWeight => f.write_str("weight 0"),
            Self::AtCapacity { utilization: Some(it) } => {
                write!(f, "at capacity: {it} ({:.0}%)", it.ratio() * 100.0)
            }
            Self::AtCapacity { utilization: None } => f.write_str("at capacity"),
            Self::OutsideShare { percent, stands_at } => {
                write!(f, "returning at {percent}%, and this request stands at {stands_at}")
            }
        }
    }
}

/// Seconds in the largest unit that they fill.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
