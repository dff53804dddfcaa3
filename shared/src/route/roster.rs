//! The roster: regions, health and settings laid out so that a pick is cheap.
//!
//! Built once for each new [`View`], which is seconds apart; picks in between
//! judge nothing anew. A set of regions is one bit each of a word, so a filter is
//! one operation for all regions, and what a hash or an angle needs is kept ready.

use crate::{
    health::{Ejection, Ejections, Seen, View},
    region::{Capability, Capacity, Coordinates, Region, RegionName, Role, Status},
    route::{
        Policy, Request, Strategy,
        capacity::{Load, Utilization},
        geo::Point,
        rank::Ranking,
        slate::Slate,
        sticky::stable_hash,
    },
};

/// Regions that are looked at; those past it in name order are left out, and
/// the route says so. AWS has about 40.
pub const REGIONS_MAX: usize = 64;

/// A set of regions: bit `i` is the `i`th in name order.
pub(super) type Mask = u64;

/// The places in a set, in name order.
pub(super) fn places(mut mask: Mask) -> impl Iterator<Item = usize> + Clone {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize);
        mask &= mask.wrapping_sub(1);
        place
    })
}

/// Every region as one view and one policy have it, ready for many requests.
///
/// ```
/// use sealane::{health::View, region::Capability, route};
///
/// let roster = route::Roster::new(&[], &View::default(), &route::Policy::default());
/// assert_eq!(roster.pick(&route::Request::new(Capability::ObjectWrite)), None);
/// ```
#[derive(Debug, Clone)]
pub struct Roster {
    pub(super) policy: Policy,
    /// In name order, each name once.
    pub(super) seats: Vec<Seat>,
    /// How many regions were listed.
    pub(super) listed: usize,
    /// Those that hold data.
    pub(super) full: Mask,
    /// Those of weight 0.
    pub(super) weightless: Mask,
    /// Places of [`Policy::preferred_regions`], best first.
    pub(super) preferred: Vec<usize>,
    /// Who has each residency tag.
    tags: Vec<(String, Mask)>,
    health: [Health; Capability::ALL.len()],
}

/// What a pick reads of one region.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) name: RegionName,
    pub(super) name_hash: u64,
    pub(super) weight: u32,
    pub(super) priority: u32,
    pub(super) capacity: Capacity,
    pub(super) coordinates: Option<Coordinates>,
    pub(super) point: Option<Point>,
    /// Dollars per GB; never negative.
    pub(super) price_out: Option<f64>,
}

/// How all regions stand for one capability.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    pub(super) panic: bool,
    pub(super) healthy: Mask,
    pub(super) degraded: Mask,
    pub(super) unhealthy: Mask,
    pub(super) offline: Mask,
    /// Those that this process keeps away from, whatever the verdict.
    pub(super) ejected: Mask,
    pub(super) seen: Vec<Seen>,
    pub(super) ejections: Vec<Option<Ejection>>,
}

impl Roster {
    /// The roster of `regions` as `view` has them. The order of the list does not matter.
    pub fn new(regions: &[Region], view: &View, policy: &Policy) -> Self {
        let mut sorted: Vec<&Region> = regions.iter().collect();
        sorted.sort_by_key(|region| region.name);
        sorted.dedup_by_key(|region| region.name);
        sorted.truncate(REGIONS_MAX);
        let place = |name: &RegionName| sorted.binary_search_by_key(name, |region| region.name).ok();
        Self {
            policy: policy.clone(),
            seats: sorted.iter().map(|region| Seat::new(region)).collect(),
            listed: regions.len(),
            full: mask(&sorted, |region| region.role == Role::Full),
            weightless: mask(&sorted, |region| region.weight == 0),
            preferred: policy.preferred_regions.iter().filter_map(place).collect(),
            tags: tags(&sorted),
            health: Capability::ALL.map(|capability| Health::new(&sorted, view, capability)),
        }
    }

    /// The same, with the regions that this process keeps away from ranked behind all that are up.
    ///
    /// They are named apart from the view, so that nothing that decides on moves can see them.
    #[must_use]
    pub fn shunning(mut self, ejections: &Ejections) -> Self {
        for (region, capability, ejection) in ejections.iter() {
            let Some(place) = self.place(region) else { continue };
            let health = &mut self.health[capability as usize];
            health.ejected |= 1 << place;
            health.ejections[place] = Some(ejection);
        }
        self
    }

    /// The region to send `request` to, or `None` when there is none.
    ///
    /// Always the first of [`route`](Self::route), found without allocating.
    pub fn pick(&self, request: &Request) -> Option<RegionName> {
        let slate = Slate::new(self, request);
        let place = slate.held().or_else(|| Ranking::new(self, request, slate.top()).first())?;
        Some(self.seats[place].name)
    }

    /// Where a region sits.
    pub(super) fn place(&self, name: RegionName) -> Option<usize> {
        self.seats.binary_search_by_key(&name, |seat| seat.name).ok()
    }

    /// The set of one region; empty when it is not on the roster.
    pub(super) fn only(&self, name: Option<RegionName>) -> Mask {
        name.and_then(|name| self.place(name)).map_or(0, |place| 1 << place)
    }

    /// All regions.
    pub(super) fn all(&self) -> Mask {
        u32::try_from(self.seats.len()).ok().and_then(|len| Mask::MAX.checked_shr(64 - len)).unwrap_or(0)
    }

    pub(super) fn health(&self, needs: Capability) -> &Health {
        &self.health[needs as usize]
    }

    /// Those that have the residency tag.
    pub(super) fn tagged(&self, tag: &str) -> Mask {
        self.tags.iter().find(|(known, _)| known == tag).map_or(0, |(_, who)| *who)
    }

    /// Those that have no room for one more upload.
    pub(super) fn at_capacity(&self, request: &Request) -> Mask {
        self.joined(request.loads.iter(), |seat, load| seat.utilization(*load).is_full())
    }

    /// Those whose share leaves this request out.
    pub(super) fn outside(&self, request: &Request) -> Mask {
        if request.shares.is_empty() {
            return 0;
        }
        let key = request.key();
        let outside = |seat: &Seat, share: &crate::route::Share| {
            Request::percentile(key, seat.name_hash) >= share.as_percent()
        };
        self.joined(request.shares.iter(), outside)
    }

    /// Those for which `is` holds of what a map has of them. Both are in name order, so it is one walk.
    fn joined<'a, T: 'a>(
        &self,
        map: impl Iterator<Item = (&'a RegionName, &'a T)>,
        is: impl Fn(&Seat, &T) -> bool,
    ) -> Mask {
        let mut seats = self.seats.iter().enumerate().peekable();
        let mut found = 0;
        for (name, value) in map {
            while seats.next_if(|(_, seat)| seat.name < *name).is_some() {}
            if let Some((place, seat)) = seats.next_if(|(_, seat)| seat.name == *name) {
                found |= Mask::from(is(seat, value)) << place;
            }
        }
        found
    }

    /// Whether the strategy goes by weight.
    pub(super) fn is_weighted(&self) -> bool {
        self.policy.strategy == Strategy::Weighted
    }
}

impl Seat {
    fn new(region: &Region) -> Self {
        Self {
            name: region.name,
            name_hash: stable_hash(region.name.as_str().as_bytes()),
            weight: region.weight,
            priority: region.priority,
            capacity: region.capacity,
            coordinates: region.coordinates,
            point: region.coordinates.map(Point::new),
            price_out: region.transfer_out_usd_per_gb.filter(|price| *price >= 0.0),
        }
    }

    /// How full the region is under this load.
    pub(super) const fn utilization(&self, load: Load) -> Utilization {
        Utilization { load, capacity: self.capacity }
    }
}

impl Health {
    fn new(regions: &[&Region], view: &View, capability: Capability) -> Self {
        let seen: Vec<Seen> = regions.iter().map(|region| view.seen(region.name, capability)).collect();
        let are = |status| mask(&seen, |seen: &Seen| seen.status == status);
        Self {
            panic: view.panics(capability),
            healthy: are(Status::Healthy),
            degraded: are(Status::Degraded),
            unhealthy: are(Status::Unhealthy),
            offline: are(Status::Offline),
            ejected: 0,
            ejections: vec![None; seen.len()],
            seen,
        }
    }

    /// Those of which anything is known.
    pub(super) const fn known(&self) -> Mask {
        self.healthy | self.degraded | self.unhealthy | self.offline
    }
}

fn mask<T>(items: &[T], is: impl Fn(&T) -> bool) -> Mask {
    items.iter().enumerate().fold(0, |mask, (place, item)| mask | Mask::from(is(item)) << place)
}

fn tags(regions: &[&Region]) -> Vec<(String, Mask)> {
    let mut tags: Vec<&String> = regions.iter().flat_map(|region| &region.residency).collect();
    tags.sort();
    tags.dedup();
    let who = |tag: &String| mask(regions, |region| region.residency.contains(tag));
    tags.into_iter().map(|tag| (tag.clone(), who(tag))).collect()
}
