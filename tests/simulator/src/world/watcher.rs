//! What a live controller would conclude at each moment, found out without asking anyone.
//!
//! The rows that a controller in a region would read are taken out of that region's
//! replica as they are, and weighed by the functions' own code, each region with a
//! memory of its own. The moment at which the first of these verdicts calls something of the
//! watched region unhealthy that calls for what has to come is the detection; a controller that ticks then or later acts on it,
//! so the wait for its tick counts towards the switch.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    health::{Observation, Verdicts},
    outlook::{Memory, Trust, weigh},
    ports::Clock as _,
    region::{Capability, RegionName, Status},
};
use tokio::time::interval;

use super::Stage;
use crate::{cloud::Place, measure::Shown, scenario::Watched};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Time after which rows are weighed again although none has changed.
const WEIGH_EVERY: Duration = Duration::from_secs(1);

/// One region's rows, and what its controller remembers.
#[derive(Default)]
struct Seat {
    memory: Memory,
    versions: Vec<u64>,
    weighed: Duration,
}

/// Notes when the watched region is first found out, from `since` on, and whether it was
/// called unhealthy before.
pub(super) async fn watch(stage: Stage, watched: Watched, since: Duration) {
    let mut seats: BTreeMap<RegionName, Seat> = BTreeMap::new();
    let observers: Vec<RegionName> = stage.config.regions.iter().map(|r| r.name).collect();
    let mut looks = interval(LOOK_EVERY);
    while stage.is_open() && stage.log.shown.get().detected.is_none() {
        looks.tick().await;
        let live = observers.iter().filter(|r| **r != watched.region && stage.is_on(Place::Region(**r)));
        for region in live {
            let seat = seats.entry(*region).or_default();
            if let Some(verdicts) = seat.looks(&stage, *region) {
                let shown = note(stage.log.shown.get(), &verdicts, &watched, since, stage.cloud.now());
                stage.log.shown.set(shown);
            }
        }
    }
}

/// What is known after a look at `now` that came to these verdicts.
fn note(shown: Shown, verdicts: &Verdicts, watched: &Watched, since: Duration, now: Duration) -> Shown {
    let first = |among: &[Capability], status| {
        among.iter().copied().find(|c| verdicts.status(watched.region, *c) == status)
    };
    let unhealthy = first(&watched.lacks, Status::Unhealthy);
    if now < since {
        return Shown { early: shown.early.or(unhealthy.map(|capability| (now, capability))), ..shown };
    }
    let calls = first(&watched.calls, Status::Unhealthy);
    Shown {
        seen: shown.seen.or(unhealthy.map(|_| now)),
        detected: shown.detected.or(calls.map(|_| now)),
        degraded: shown.degraded.or(first(&watched.lacks, Status::Degraded).map(|_| now)),
        ..shown
    }
}

impl Seat {
    /// What a controller in `here` concludes that looks now; `None` when nothing is new.
    fn looks(&mut self, stage: &Stage, here: RegionName) -> Option<Verdicts> {
        let now = stage.cloud.now();
        let rows = stage.cloud.rows(&stage.config.tables.health, here);
        let rows: Vec<_> = rows.iter().filter(|row| row.key.partition == "observation").collect();
        let versions: Vec<u64> = rows.iter().map(|row| row.version).collect();
        if versions == self.versions && now.saturating_sub(self.weighed) < WEIGH_EVERY {
            return None;
        }
        self.versions = versions;
        self.weighed = now;
        let seen: Vec<Observation> =
            rows.iter().filter_map(|row| serde_json::from_str(&row.body).ok()).collect();
        let clock = stage.cloud.clock(Place::Region(here));
        Some(weigh(&stage.config, &seen, &mut self.memory, Trust::Advancing, clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use sealane::{
        config::Config,
        health::{Failure, Probe, judge},
        time::Timestamp,
    };

    use super::*;

    /// Verdicts of two outsiders who see these capabilities of the first region fail.
    fn verdicts(config: &Config, fails: &[Capability]) -> Verdicts {
        let region = &config.regions[0];
        let probe = |c: &Capability| {
            if fails.contains(c) {
                Probe::Bad(Failure::Timeout)
            } else {
                Probe::Good(Duration::from_millis(20))
            }
        };
        let row = |observer| {
            let each = (0..4).flat_map(|tick| region.capabilities().iter().map(move |c| (tick, c)));
            each.fold(Observation::new(observer), |row, (tick, c)| {
                row.observe(region, *c, probe(c), &config.health, Timestamp::from_millis(tick * 10_000))
            })
        };
        let rows: Vec<Observation> = config.regions[1..].iter().map(|r| row(r.name)).collect();
        let fresh: Vec<_> = rows.iter().map(|row| (row, true)).collect();
        judge(&fresh, &config.regions, &config.health, None)
    }

    #[test]
    fn a_lost_bucket_is_seen_and_does_not_call_for_a_move() {
        let config = crate::cloud::config(&serde_json::Value::Null);
        let (objects, tables) = (vec![Capability::ObjectWrite], vec![Capability::TableWrite]);
        let watched = Watched {
            region: config.regions[0].name,
            lacks: Capability::ALL.to_vec(),
            calls: tables.clone(),
            leaves: std::collections::BTreeSet::new(),
        };
        let s = Duration::from_secs;
        let look =
            |shown, fails: &[Capability], at| note(shown, &verdicts(&config, fails), &watched, s(40), s(at));
        let early = look(Shown::default(), &objects, 39);
        assert_eq!((early.early, early.seen), (Some((s(39), Capability::ObjectWrite)), None));
        let seen = look(look(Shown::default(), &[], 39), &objects, 44);
        assert_eq!((seen.early, seen.seen, seen.detected), (None, Some(s(44)), None));
        let detected = look(seen, &tables, 47);
        assert_eq!((detected.seen, detected.detected), (Some(s(44)), Some(s(47))));
    }
}
