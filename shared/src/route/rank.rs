//! The order of the regions that passed: strategy, preference, stickiness.

use std::time::Duration;

use crate::{
    region::RegionName,
    route::{
        Lead, Policy, Request, Strategy, Turn,
        geo::Origin,
        slate::{Seat, Slate, Tier},
        sticky::{lot, stable_hash},
    },
};

/// Sorts last: nothing is known that the strategy could rank by.
const UNKNOWN: u64 = u64::MAX;

/// 2^64 divided by the golden ratio: multiples of it spread over the circle more
/// evenly than those of any other number (D. Knuth, TAOCP 3, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Smaller is better; equal keys go by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    not_held: bool,
    tier: Tier,
    not_home: bool,
    preferred: usize,
    score: u64,
}

/// What the strategy has to know before it can compare two regions.
#[derive(Debug)]
pub(super) struct Ranking<'a> {
    request: &'a Request,
    policy: &'a Policy,
    /// The region whose turn it is; the others follow it in name order.
    head: Option<RegionName>,
    /// The region of the session.
    home: Option<RegionName>,
    /// The current region, when no other is faster by enough.
    pub(super) stay: Option<RegionName>,
    origin: Option<Origin>,
    /// Dollars per GB out of the region where the data is.
    pub(super) price_out: Option<f64>,
}

impl<'a> Ranking<'a> {
    pub(super) fn new(request: &'a Request, slate: &Slate<'_>, policy: &'a Policy) -> Self {
        let strategy = policy.strategy;
        let is = |wanted| strategy == wanted;
        Self {
            request,
            policy,
            head: head(request.turn, slate, strategy),
            home: request.session.as_deref().filter(|_| policy.sticky_sessions).and_then(|s| home(s, slate)),
            stay: request.current.filter(|name| is(Strategy::Latency) && stays(*name, slate, policy)),
            origin: request.client.filter(|_| is(Strategy::Geographic)).map(Origin::new),
            price_out: request.data_in.filter(|_| is(Strategy::Cost)).and_then(|name| price_out(name, slate)),
        }
    }

    pub(super) fn key(&self, seat: &Seat<'_>, tier: Tier) -> Key {
        let name = seat.region.name;
        Key {
            not_held: !seat.held,
            tier,
            not_home: self.home != Some(name),
            preferred: self.preferred(name).unwrap_or(usize::MAX),
            score: self.score(seat),
        }
    }

    /// What put the region before the order of the strategy, if anything did.
    pub(super) fn lead(&self, seat: &Seat<'_>) -> Option<Lead> {
        let name = seat.region.name;
        if seat.held {
            return Some(Lead::Held);
        }
        if self.home == Some(name) {
            return Some(Lead::Sticky);
        }
        self.preferred(name).map(|at| Lead::Preferred { place: at + 1 })
    }

    fn preferred(&self, name: RegionName) -> Option<usize> {
        self.policy.preferred_regions.iter().position(|preferred| *preferred == name)
    }

    fn score(&self, seat: &Seat<'_>) -> u64 {
        let region = seat.region;
        match self.policy.strategy {
            Strategy::RoundRobin => self.turn_score(region.name, 1),
            Strategy::Weighted => self.turn_score(region.name, region.weight),
            Strategy::Latency if self.stay == Some(region.name) => 0,
            Strategy::Latency => seat.seen.latency.map_or(UNKNOWN, nanos),
            Strategy::Geographic => match (self.origin, region.coordinates) {
                (Some(origin), Some(at)) => ordered(origin.haversine_to(at)),
                (None, _) | (_, None) => UNKNOWN,
            },
            Strategy::Priority => u64::from(region.priority),
            Strategy::Cost => self.price(region.name).map_or(UNKNOWN, ordered),
        }
    }

    fn turn_score(&self, name: RegionName, weight: u32) -> u64 {
        match self.request.turn {
            Turn::Key(key) => ordered(lot(key, name, weight)),
            Turn::Counter(_) | Turn::Region { .. } => u64::from(self.head.is_some_and(|head| name < head)),
        }
    }

    /// Dollars per GB of sending to `name` from where the data is; within a region it is free.
    pub(super) fn price(&self, name: RegionName) -> Option<f64> {
        if self.request.data_in == Some(name) { Some(0.0) } else { self.price_out }
    }
}

/// The region whose turn it is among those of the best health.
fn head(turn: Turn, slate: &Slate<'_>, strategy: Strategy) -> Option<RegionName> {
    match (strategy, turn) {
        (Strategy::RoundRobin | Strategy::Weighted, Turn::Region { region, .. }) => Some(region),
        (Strategy::RoundRobin, Turn::Counter(n)) => at_share(n, slate, false),
        (Strategy::Weighted, Turn::Counter(n)) => at_share(n, slate, true),
        (Strategy::RoundRobin | Strategy::Weighted, Turn::Key(_))
        | (Strategy::Latency | Strategy::Geographic | Strategy::Priority | Strategy::Cost, _) => None,
    }
}

/// Lays the regions' weights (1 each when not `weighted`) end to end and says who holds turn `n`.
fn at_share(n: u64, slate: &Slate<'_>, weighted: bool) -> Option<RegionName> {
    let weight = |seat: &Seat<'_>| if weighted { u64::from(seat.region.weight) } else { 1 };
    let total: u64 = slate.top().map(weight).sum();
    let mut left = if weighted { scaled(n.wrapping_mul(GOLDEN), total) } else { n.checked_rem(total)? };
    for seat in slate.top() {
        match left.checked_sub(weight(seat)) {
            Some(rest) => left = rest,
            None => return Some(seat.region.name),
        }
    }
    None
}

/// `point / 2^64` of `total`, rounded down.
fn scaled(point: u64, total: u64) -> u64 {
    u64::try_from((u128::from(point) * u128::from(total)) >> 64).unwrap_or(u64::MAX)
}

/// The region of a session among those of the best health.
fn home(session: &str, slate: &Slate<'_>) -> Option<RegionName> {
    let key = stable_hash(session.as_bytes());
    let lots = slate.top().map(|seat| (lot(key, seat.region.name, seat.region.weight), seat.region.name));
    let drawn = lots.filter(|(lot, _)| lot.is_finite());
    drawn.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Whether `current` is of the best health and no region of that health is faster by enough.
///
/// With its latency unknown no gain can be shown, so it stays.
fn stays(current: RegionName, slate: &Slate<'_>, policy: &Policy) -> bool {
    let Some(seat) = slate.top().find(|seat| seat.region.name == current) else { return false };
    let Some(now) = seat.seen.latency else { return true };
    !slate.top().filter_map(|seat| seat.seen.latency).any(|other| is_clear_gain(now, other, policy))
}

/// Whether `other` beats `now` by more than both thresholds.
fn is_clear_gain(now: Duration, other: Duration, policy: &Policy) -> bool {
    let gain = now.saturating_sub(other);
    gain > policy.latency_gain_min && gain.as_secs_f64() > now.as_secs_f64() * policy.latency_gain_ratio_min
}

/// The price of sending out of `name`; `None` when it is not configured.
fn price_out(name: RegionName, slate: &Slate<'_>) -> Option<f64> {
    let source = slate.seats().find(|seat| seat.region.name == name)?;
    source.region.transfer_out_usd_per_gb.filter(|price| *price >= 0.0)
}

fn nanos(latency: Duration) -> u64 {
    // 0 belongs to the region that stays.
    u64::try_from(latency.as_nanos()).unwrap_or(UNKNOWN).clamp(1, UNKNOWN - 1)
}

/// The bits of a number that is not negative: they sort as the number does.
fn ordered(number: f64) -> u64 {
    if number.is_nan() { UNKNOWN } else { number.max(0.0).to_bits() }
}
