//! The order of the regions that passed: strategy, preference, stickiness.

use std::time::Duration;

use crate::{
    region::RegionName,
    route::{
        Lead, Policy, Request, Strategy, Turn,
        geo::Point,
        roster::{Health, Mask, Roster, Seat, places},
        slate::{Slate, Tier},
        sticky::{least_lot, lot_of},
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
    roster: &'a Roster,
    request: &'a Request,
    health: &'a Health,
    /// The regions of the best tier.
    top: Mask,
    /// The place of the region whose turn it is; the others follow it in name order.
    head: usize,
    /// The region of the session.
    home: Option<usize>,
    /// The current region, when no other is faster by enough.
    stay: Option<usize>,
    origin: Option<Point>,
    /// The place of the region where the data is.
    source: Option<usize>,
}

impl<'a> Ranking<'a> {
    pub(super) fn new(roster: &'a Roster, request: &'a Request, top: Mask) -> Self {
        let policy = &roster.policy;
        let is = |wanted| policy.strategy == wanted;
        let health = roster.health(request.needs);
        let key = request.session.as_deref().filter(|_| policy.sticky_sessions);
        let key = key.map(|session| policy.session(session, request.at).key);
        let current = request.current.filter(|_| is(Strategy::Latency)).and_then(|name| roster.place(name));
        Self {
            roster,
            request,
            health,
            top,
            head: head(request.turn, roster, top),
            home: key.and_then(|key| least_lot(key, draws(roster, top, true))),
            stay: current.filter(|place| stays(*place, health, top, policy)),
            origin: request.client.filter(|_| is(Strategy::Geographic)).map(Point::new),
            source: request.data_in.filter(|_| is(Strategy::Cost)).and_then(|name| roster.place(name)),
        }
    }

    /// The first of the best tier: the least [`Key`] there, found without computing all of them.
    pub(super) fn first(&self) -> Option<usize> {
        let preferred = || self.roster.preferred.iter().copied().find(|place| self.top >> place & 1 == 1);
        self.home.or_else(preferred).or_else(|| self.least())
    }

    /// The first by the strategy alone, and by name among equals.
    fn least(&self) -> Option<usize> {
        let spread = match self.roster.policy.strategy {
            Strategy::RoundRobin => Some(false),
            Strategy::Weighted => Some(true),
            Strategy::Latency | Strategy::Geographic | Strategy::Priority | Strategy::Cost => None,
        };
        match (spread, self.request.turn) {
            (Some(weighted), Turn::Key(key)) => {
                least_lot(key, draws(self.roster, self.top, weighted)).or_else(|| places(self.top).next())
            }
            (Some(_), Turn::Counter(_) | Turn::Region { .. }) => {
                places(self.top & (Mask::MAX.checked_shl(u32::try_from(self.head).ok()?).unwrap_or(0)))
                    .chain(places(self.top))
                    .next()
            }
            // The first of equals is kept, and places are in name order.
            (None, _) => places(self.top).min_by_key(|place| self.score(*place)),
        }
    }

    pub(super) fn key(&self, slate: &Slate, place: usize, tier: Tier) -> Key {
        Key {
            not_held: !slate.is_held(place),
            tier,
            not_home: self.home != Some(place),
            preferred: self.preferred(place).unwrap_or(usize::MAX),
            score: self.score(place),
        }
    }

    /// What put the region before the order of the strategy, if anything did.
    pub(super) fn lead(&self, slate: &Slate, place: usize) -> Option<Lead> {
        if slate.is_held(place) {
            return Some(Lead::Held);
        }
        if self.home == Some(place) {
            let session = self.request.session.as_deref().unwrap_or_default();
            let left = self.roster.policy.session(session, self.request.at).left;
            return Some(Lead::Sticky { left_s: left.as_secs() });
        }
        self.preferred(place).map(|at| Lead::Preferred { place: at + 1 })
    }

    /// The current region, when no other is faster by enough.
    pub(super) fn stays(&self) -> Option<RegionName> {
        self.stay.map(|place| self.seat(place).name)
    }

    /// Dollars per GB of sending there from where the data is; within a region it is free.
    pub(super) fn price(&self, place: usize) -> Option<f64> {
        if self.request.data_in == Some(self.seat(place).name) { Some(0.0) } else { self.price_out() }
    }

    /// The price of sending out of the region where the data is; `None` when it is not configured.
    pub(super) fn price_out(&self) -> Option<f64> {
        self.source.and_then(|place| self.seat(place).price_out)
    }

    fn seat(&self, place: usize) -> &Seat {
        &self.roster.seats[place]
    }

    fn preferred(&self, place: usize) -> Option<usize> {
        self.roster.preferred.iter().position(|preferred| *preferred == place)
    }

    fn score(&self, place: usize) -> u64 {
        let seat = self.seat(place);
        match self.roster.policy.strategy {
            Strategy::RoundRobin => self.turn_score(place, 1),
            Strategy::Weighted => self.turn_score(place, seat.weight),
            Strategy::Latency if self.stay == Some(place) => 0,
            Strategy::Latency => self.health.seen[place].latency.map_or(UNKNOWN, nanos),
            Strategy::Geographic => match (self.origin, seat.point) {
                (Some(origin), Some(at)) => ordered(origin.chord_squared_to(at)),
                (None, _) | (_, None) => UNKNOWN,
            },
            Strategy::Priority => u64::from(seat.priority),
            Strategy::Cost => self.price(place).map_or(UNKNOWN, ordered),
        }
    }

    fn turn_score(&self, place: usize, weight: u32) -> u64 {
        match self.request.turn {
            Turn::Key(key) => ordered(lot_of(key, self.seat(place).name_hash, weight)),
            Turn::Counter(_) | Turn::Region { .. } => u64::from(place < self.head),
        }
    }
}

/// Who draws lots: place, hash of the name, and weight (1 each when not `weighted`).
fn draws(roster: &Roster, who: Mask, weighted: bool) -> impl Iterator<Item = (usize, u64, u32)> + '_ {
    places(who).map(move |place| {
        let seat = &roster.seats[place];
        (place, seat.name_hash, if weighted { seat.weight } else { 1 })
    })
}

/// The place of the region whose turn it is among those of the best tier; 0 when turns do not matter.
fn head(turn: Turn, roster: &Roster, top: Mask) -> usize {
    let found = match (roster.policy.strategy, turn) {
        (Strategy::RoundRobin | Strategy::Weighted, Turn::Region { region, .. }) => {
            Some(roster.seats.partition_point(|seat| seat.name < region))
        }
        (Strategy::RoundRobin, Turn::Counter(n)) => at_turn(n, top),
        (Strategy::Weighted, Turn::Counter(n)) => at_share(n, roster, top),
        (Strategy::RoundRobin | Strategy::Weighted, Turn::Key(_))
        | (Strategy::Latency | Strategy::Geographic | Strategy::Priority | Strategy::Cost, _) => None,
    };
    found.unwrap_or(0)
}

/// Who holds turn `n` when each has one.
fn at_turn(n: u64, top: Mask) -> Option<usize> {
    let turn = n.checked_rem(u64::from(top.count_ones()))?;
    places(top).nth(usize::try_from(turn).ok()?)
}

/// Lays the regions' weights end to end and says who holds turn `n`.
fn at_share(n: u64, roster: &Roster, top: Mask) -> Option<usize> {
    let weight = |place: usize| u64::from(roster.seats[place].weight);
    let total = places(top).map(weight).sum();
    let mut left = scaled(n.wrapping_mul(GOLDEN), total);
    for place in places(top) {
        match left.checked_sub(weight(place)) {
            Some(rest) => left = rest,
            None => return Some(place),
        }
    }
    None
}

/// `point / 2^64` of `total`, rounded down.
fn scaled(point: u64, total: u64) -> u64 {
    u64::try_from((u128::from(point) * u128::from(total)) >> 64).unwrap_or(u64::MAX)
}

/// Whether the region at `current` is of the best tier and none there is faster by enough.
///
/// With its latency unknown no gain can be shown, so it stays.
fn stays(current: usize, health: &Health, top: Mask, policy: &Policy) -> bool {
    if top >> current & 1 == 0 {
        return false;
    }
    let Some(now) = health.seen[current].latency else { return true };
    let others = places(top).filter_map(|place| health.seen[place].latency);
    // No other shows a greater gain than the fastest.
    !others.min().is_some_and(|fastest| is_clear_gain(now, fastest, policy))
}

/// Whether `other` beats `now` by more than both thresholds.
fn is_clear_gain(now: Duration, other: Duration, policy: &Policy) -> bool {
    let gain = now.saturating_sub(other);
    gain > policy.latency_gain_min && gain.as_secs_f64() > now.as_secs_f64() * policy.latency_gain_ratio_min
}

fn nanos(latency: Duration) -> u64 {
    // 0 belongs to the region that stays.
    u64::try_from(latency.as_nanos()).unwrap_or(UNKNOWN).clamp(1, UNKNOWN - 1)
}

/// The bits of a number that is not negative: they sort as the number does.
fn ordered(number: f64) -> u64 {
    if number.is_nan() { UNKNOWN } else { number.max(0.0).to_bits() }
}
