//! The two ways to ask: the whole route, or only its first region.

use crate::{
    health::View,
    region::{Region, RegionName, Role, Status},
    route::{
        Policy, Request, Route,
        explain::{Basis, Choice, Measure, Note, Outcome, Reason},
        geo::distance_km,
        policy::Strategy,
        rank::Ranking,
        slate::{REGIONS_MAX, Rule, Seat, Slate, Tier, utilization},
    },
};

/// The region to send `request` to, or `None` when there is none.
///
/// Always the first of [`route`], found without allocating. Quickest when
/// `regions` are in name order.
pub fn pick(request: &Request, regions: &[Region], view: &View, policy: &Policy) -> Option<RegionName> {
    let slate = Slate::new(request, regions, view, policy);
    let ranking = Ranking::new(request, &slate, policy);
    let used = slate.seats().filter_map(|seat| Some((seat, slate.tier(seat)?)));
    // The first of equals is kept, and the slate is in name order.
    used.min_by_key(|(seat, tier)| ranking.key(seat, *tier)).map(|(seat, _)| seat.region.name)
}

/// Every region for `request`: those to use, best first, and why the others are not.
pub fn route(request: &Request, regions: &[Region], view: &View, policy: &Policy) -> Route {
    let slate = Slate::new(request, regions, view, policy);
    let ranking = Ranking::new(request, &slate, policy);
    let used = slate.seats().filter_map(|seat| Some((ranking.key(seat, slate.tier(seat)?), seat)));
    let mut kept: Vec<_> = used.collect();
    // Stable, so that equals stay in name order.
    kept.sort_by_key(|(key, _)| *key);
    let basis = basis(&slate, view, request);
    let dropped = slate.seats().filter(|seat| slate.tier(seat).is_none());
    let first = kept.iter().enumerate().map(|(at, (_, seat))| Choice {
        region: seat.region.name,
        status: seat.seen.status,
        outcome: Outcome::Kept {
            place: at + 1,
            lead: ranking.lead(seat),
            measure: measure(&ranking, seat, request, policy.strategy),
        },
    });
    let last = dropped.map(|seat| Choice {
        region: seat.region.name,
        status: seat.seen.status,
        outcome: Outcome::Dropped(reason(request, seat)),
    });
    Route {
        needs: request.needs,
        strategy: policy.strategy,
        basis,
        ranked: kept.iter().map(|(_, seat)| seat.region.name).collect(),
        notes: notes(request, regions, policy.strategy, &ranking),
        choices: first.chain(last).collect(),
    }
}

fn basis(slate: &Slate<'_>, view: &View, request: &Request) -> Basis {
    if view.panics(request.needs) {
        return Basis::Panic;
    }
    let mut full = slate.seats().filter(|seat| seat.region.role == Role::Full);
    match slate.best() {
        None => Basis::Nothing,
        Some(Tier::Healthy | Tier::Degraded) => Basis::Health,
        Some(Tier::HealthyOutside | Tier::DegradedOutside) => Basis::ShareWaived,
        Some(Tier::Unknown)
            if full.all(|seat| view.status(seat.region.name, request.needs) == Status::Unknown) =>
        {
            Basis::Static
        }
        Some(Tier::Unknown) => Basis::LastResort,
    }
}

fn notes(request: &Request, regions: &[Region], strategy: Strategy, ranking: &Ranking<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    match strategy {
        Strategy::Geographic if request.client.is_none() => notes.push(Note::NoClientCoordinates),
        Strategy::Cost if ranking.price_out.is_none() => {
            notes.push(Note::NoPrice { data_in: request.data_in });
        }
        Strategy::RoundRobin
        | Strategy::Weighted
        | Strategy::Latency
        | Strategy::Geographic
        | Strategy::Priority
        | Strategy::Cost => {}
    }
    notes.extend(ranking.stay.map(|current| Note::Stays { current }));
    if regions.len() > REGIONS_MAX {
        notes.push(Note::TooManyRegions { listed: regions.len() });
    }
    notes
}

fn measure(ranking: &Ranking<'_>, seat: &Seat<'_>, request: &Request, strategy: Strategy) -> Measure {
    let region = seat.region;
    match strategy {
        Strategy::RoundRobin => Measure::Turn,
        Strategy::Weighted => Measure::Weight(region.weight),
        Strategy::Latency => Measure::LatencyMs(seat.seen.latency.map(|latency| latency.as_secs_f64() * 1e3)),
        Strategy::Geographic => {
            let ends = request.client.zip(region.coordinates);
            Measure::DistanceKm(ends.map(|(client, there)| distance_km(client, there)))
        }
        Strategy::Priority => Measure::Priority(region.priority),
        Strategy::Cost => Measure::UsdPerGb(ranking.price(region.name)),
    }
}

fn reason(request: &Request, seat: &Seat<'_>) -> Reason {
    let region = seat.region;
    match seat.verdict {
        Err(Rule::Witness) => Reason::Witness,
        Err(Rule::Residency) => {
            let missing = request.residency.iter().filter(|tag| !region.residency.contains(tag));
            Reason::Residency { missing: missing.cloned().collect() }
        }
        Err(Rule::Tried) => Reason::Tried,
        Err(Rule::Offline) => Reason::Offline,
        Err(Rule::Unhealthy) => Reason::Unhealthy { needs: request.needs },
        Err(Rule::NoWeight) => Reason::NoWeight,
        Err(Rule::AtCapacity) => Reason::AtCapacity { utilization: utilization(request, region) },
        Ok(Tier::HealthyOutside | Tier::DegradedOutside) => Reason::OutsideShare {
            percent: request.shares.get(&region.name).map_or(100, |share| share.as_percent()),
            stands_at: request.percentile(region.name),
        },
        // `Healthy` and `Degraded` are the best class there is, so they are never dropped.
        Ok(Tier::Unknown | Tier::Healthy | Tier::Degraded) => Reason::Unknown { needs: request.needs },
    }
}
