//! The whole route: every region, kept or dropped, and why.

use crate::{
    health::View,
    region::Region,
    route::{
        Policy, Request, Route,
        explain::{Basis, Choice, Measure, Note, Outcome, Reason},
        geo::distance_km,
        policy::Strategy,
        rank::Ranking,
        roster::{REGIONS_MAX, Roster},
        slate::{Rule, Slate, Tier},
    },
};

/// Every region for `request`: those to use, best first, and why the others are not.
///
/// Whoever asks often keeps a [`Roster`].
pub fn route(request: &Request, regions: &[Region], view: &View, policy: &Policy) -> Route {
    Roster::new(regions, view, policy).route(request)
}

impl Roster {
    /// Every region for `request`: those to use, best first, and why the others are not.
    pub fn route(&self, request: &Request) -> Route {
        let slate = Slate::new(self, request);
        let ranking = Ranking::new(self, request, slate.top());
        let used =
            (0..self.seats.len()).filter_map(|at| Some((ranking.key(&slate, at, slate.tier(at)?), at)));
        let mut kept: Vec<_> = used.collect();
        // Stable, so that equals stay in name order.
        kept.sort_by_key(|(key, _)| *key);
        let dropped = (0..self.seats.len()).filter(|at| slate.tier(*at).is_none());
        let first = kept.iter().enumerate().map(|(place, (_, at))| {
            let outcome = Outcome::Kept {
                place: place + 1,
                lead: ranking.lead(&slate, *at),
                measure: self.measure(&ranking, request, *at),
            };
            self.choice(request, *at, outcome)
        });
        let last =
            dropped.map(|at| self.choice(request, at, Outcome::Dropped(self.reason(&slate, request, at))));
        Route {
            needs: request.needs,
            strategy: self.policy.strategy,
            basis: self.basis(&slate, request),
            ranked: kept.iter().map(|(_, at)| self.seats[*at].name).collect(),
            notes: self.notes(request, &ranking),
            choices: first.chain(last).collect(),
        }
    }

    fn choice(&self, request: &Request, at: usize, outcome: Outcome) -> Choice {
        let health = self.health(request.needs);
        let (region, status) = (self.seats[at].name, health.seen[at].status);
        Choice { region, status, outcome, ejected: health.ejections[at] }
    }

    fn basis(&self, slate: &Slate, request: &Request) -> Basis {
        let health = self.health(request.needs);
        if health.panic {
            return Basis::Panic;
        }
        match slate.best() {
            None => Basis::Nothing,
            Some(Tier::Healthy | Tier::Degraded | Tier::Ejected) => Basis::Health,
            Some(Tier::HealthyOutside | Tier::DegradedOutside | Tier::EjectedOutside) => Basis::ShareWaived,
            Some(Tier::Unknown | Tier::EjectedUnknown) if self.full & health.known() == 0 => Basis::Static,
            Some(Tier::Unknown | Tier::EjectedUnknown) => Basis::LastResort,
        }
    }

    fn notes(&self, request: &Request, ranking: &Ranking<'_>) -> Vec<Note> {
        let mut notes = Vec::new();
        match self.policy.strategy {
            Strategy::Geographic if request.client.is_none() => notes.push(Note::NoClientCoordinates),
            Strategy::Cost if ranking.price_out().is_none() => {
                notes.push(Note::NoPrice { data_in: request.data_in });
            }
            Strategy::RoundRobin
            | Strategy::Weighted
            | Strategy::Latency
            | Strategy::Geographic
            | Strategy::Priority
            | Strategy::Cost => {}
        }
        notes.extend(ranking.stays().map(|current| Note::Stays { current }));
        if self.listed > REGIONS_MAX {
            notes.push(Note::TooManyRegions { listed: self.listed });
        }
        notes
    }

    fn measure(&self, ranking: &Ranking<'_>, request: &Request, at: usize) -> Measure {
        let seat = &self.seats[at];
        match self.policy.strategy {
            Strategy::RoundRobin => Measure::Turn,
            Strategy::Weighted => Measure::Weight(seat.weight),
            Strategy::Latency => {
                let latency = self.health(request.needs).seen[at].latency;
                Measure::LatencyMs(latency.map(|latency| latency.as_secs_f64() * 1e3))
            }
            Strategy::Geographic => {
                let ends = request.client.zip(seat.coordinates);
                Measure::DistanceKm(ends.map(|(client, there)| distance_km(client, there)))
            }
            Strategy::Priority => Measure::Priority(seat.priority),
            Strategy::Cost => Measure::UsdPerGb(ranking.price(at)),
        }
    }

    fn reason(&self, slate: &Slate, request: &Request, at: usize) -> Reason {
        let seat = &self.seats[at];
        match slate.verdict(at) {
            Err(Rule::Witness) => Reason::Witness,
            Err(Rule::Residency) => {
                let missing = request.residency.iter().filter(|tag| self.tagged(tag) >> at & 1 == 0);
                Reason::Residency { missing: missing.cloned().collect() }
            }
            Err(Rule::Tried) => Reason::Tried,
            Err(Rule::Offline) => Reason::Offline,
            Err(Rule::Unhealthy) => Reason::Unhealthy { needs: request.needs },
            Err(Rule::NoWeight) => Reason::NoWeight,
            Err(Rule::AtCapacity) => {
                let load = request.loads.get(&seat.name);
                Reason::AtCapacity { utilization: load.map(|load| seat.utilization(*load)) }
            }
            Ok(Tier::HealthyOutside | Tier::DegradedOutside | Tier::EjectedOutside) => Reason::OutsideShare {
                percent: request.shares.get(&seat.name).map_or(100, |share| share.as_percent()),
                stands_at: Request::percentile(request.key(), seat.name_hash),
            },
            // Those of the best class there is are never dropped.
            Ok(Tier::Unknown | Tier::EjectedUnknown | Tier::Healthy | Tier::Degraded | Tier::Ejected) => {
                Reason::Unknown { needs: request.needs }
            }
        }
    }
}
