//! The slate: every region in name order, and how each passed the filters.
//!
//! It lies on the stack, so a pick does not allocate.

use crate::{
    health::{Seen, View},
    region::{Region, RegionName, Role, Status},
    route::{Policy, Request, Strategy, capacity::Utilization},
};

/// Regions that are looked at; those past it in name order are left out, and
/// the route says so. AWS has about 40.
pub const REGIONS_MAX: usize = 64;

/// The rule that took a region away for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Witness,
    Residency,
    Tried,
    Offline,
    Unhealthy,
    NoWeight,
    AtCapacity,
}

/// What is used first, in this order. See [`Tier::class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Healthy,
    Degraded,
    /// Healthy, for others: this request is outside the share.
    HealthyOutside,
    DegradedOutside,
    Unknown,
}

impl Tier {
    /// Regions of a class are used only when no better class has any.
    pub(super) const fn class(self) -> u8 {
        match self {
            Self::Healthy | Self::Degraded => 0,
            Self::HealthyOutside | Self::DegradedOutside => 1,
            Self::Unknown => 2,
        }
    }
}

/// A region and how it passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat<'a> {
    pub(super) region: &'a Region,
    pub(super) seen: Seen,
    pub(super) verdict: Result<Tier, Rule>,
    pub(super) held: bool,
}

/// Every region, in name order and judged.
#[derive(Debug)]
pub(super) struct Slate<'a> {
    seats: [Option<Seat<'a>>; REGIONS_MAX],
    class: u8,
    top: Option<Tier>,
}

impl<'a> Slate<'a> {
    pub(super) fn new(request: &Request, regions: &'a [Region], view: &View, policy: &Policy) -> Self {
        let mut seats = [None; REGIONS_MAX];
        // Both are in name order, so one walk along the view replaces a search a region.
        let mut known = view.of(request.needs).peekable();
        for (region, seat) in by_name(regions).iter().map_while(|region| *region).zip(&mut seats) {
            while known.next_if(|(name, _)| *name < region.name).is_some() {}
            let seen = known.next_if(|(name, _)| *name == region.name).map(|(_, seen)| seen);
            let seen = seen.unwrap_or(Seen { status: Status::Unknown, latency: None });
            *seat = Some(judge(request, region, seen, view.panics(request.needs), policy));
        }
        let tiers = || seats.iter().map_while(Option::as_ref).filter_map(|seat| seat.verdict.ok());
        let class = tiers().map(Tier::class).min().unwrap_or_default();
        let top = tiers().min();
        Self { seats, class, top }
    }

    /// All regions, in name order.
    pub(super) fn seats(&self) -> impl Iterator<Item = &Seat<'a>> + Clone {
        self.seats.iter().map_while(Option::as_ref)
    }

    /// Whether the region is used, and in which tier.
    pub(super) fn tier(&self, seat: &Seat<'_>) -> Option<Tier> {
        seat.verdict.ok().filter(|tier| seat.held || tier.class() == self.class)
    }

    /// The used regions of the best health, in name order.
    pub(super) fn top(&self) -> impl Iterator<Item = &Seat<'a>> + Clone {
        self.seats().filter(|seat| seat.verdict.ok().is_some_and(|tier| Some(tier) == self.top))
    }

    /// The tier of the best region, or `None` when there is none.
    pub(super) const fn best(&self) -> Option<Tier> {
        self.top
    }
}

/// The first [`REGIONS_MAX`] regions in name order, each name once.
///
/// An insertion sort: one pass when the settings list them in order, as they should.
fn by_name(regions: &[Region]) -> [Option<&Region>; REGIONS_MAX] {
    let mut sorted: [Option<&Region>; REGIONS_MAX] = [None; REGIONS_MAX];
    let mut len = 0;
    for region in regions {
        let mut at = len;
        while at > 0 && sorted[at - 1].is_some_and(|other| other.name > region.name) {
            at -= 1;
        }
        let doubled = at > 0 && sorted[at - 1].is_some_and(|other| other.name == region.name);
        if doubled || at == REGIONS_MAX {
            continue;
        }
        len = (len + 1).min(REGIONS_MAX);
        sorted[at..len].rotate_right(1);
        sorted[at] = Some(region);
    }
    sorted
}

fn judge<'a>(request: &Request, region: &'a Region, seen: Seen, panic: bool, policy: &Policy) -> Seat<'a> {
    let held = request.held == Some(region.name);
    let verdict = match barred(request, region, panic, seen.status, held, policy) {
        Some(rule) => Err(rule),
        None => Ok(tier(request, region.name, panic, seen.status, held)),
    };
    Seat { region, seen, verdict, held }
}

/// The first rule that takes `region` away. Residency comes before all that ranks.
fn barred(
    request: &Request,
    region: &Region,
    panic: bool,
    status: Status,
    held: bool,
    policy: &Policy,
) -> Option<Rule> {
    if region.role == Role::Witness {
        return Some(Rule::Witness);
    }
    if request.residency.iter().any(|tag| !region.residency.contains(tag)) {
        return Some(Rule::Residency);
    }
    if request.tried.contains(&region.name) {
        return Some(Rule::Tried);
    }
    match status {
        Status::Offline => return Some(Rule::Offline),
        Status::Unhealthy if !panic => return Some(Rule::Unhealthy),
        Status::Healthy | Status::Degraded | Status::Unhealthy | Status::Unknown => {}
    }
    if policy.strategy == Strategy::Weighted && region.weight == 0 && !held {
        return Some(Rule::NoWeight);
    }
    if !held && utilization(request, region).is_some_and(|it| it.is_full()) {
        return Some(Rule::AtCapacity);
    }
    None
}

fn tier(request: &Request, name: RegionName, panic: bool, status: Status, held: bool) -> Tier {
    let outside = !held && is_outside(request, name);
    match (status, panic, outside) {
        (Status::Healthy, _, false) | (_, true, false) => Tier::Healthy,
        (Status::Healthy, _, true) | (_, true, true) => Tier::HealthyOutside,
        (Status::Degraded, false, false) => Tier::Degraded,
        (Status::Degraded, false, true) => Tier::DegradedOutside,
        // `barred` let no other pass outside a panic.
        (Status::Unknown | Status::Unhealthy | Status::Offline, false, _) => Tier::Unknown,
    }
}

fn is_outside(request: &Request, name: RegionName) -> bool {
    // Most requests come with no share at all, and the hash is not free.
    let share = if request.shares.is_empty() { None } else { request.shares.get(&name) };
    share.is_some_and(|share| request.percentile(name) >= share.as_percent())
}

/// How full the region is, when the caller knows its load.
pub(super) fn utilization(request: &Request, region: &Region) -> Option<Utilization> {
    let load = if request.loads.is_empty() { None } else { request.loads.get(&region.name) };
    load.map(|load| Utilization { load: *load, capacity: region.capacity })
}
