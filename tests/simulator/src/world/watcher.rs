//! What a live controller would conclude at each moment, found out without asking anyone.
//!
//! The rows that a controller in a region would read are taken out of that region's
//! replica as they are, and weighed by the functions' own code, each region with a
//! memory of its own. The moment at which the first of these verdicts calls the watched
//! region unhealthy is the detection; a controller that ticks then or later acts on it,
//! so the wait for its tick counts towards the switch.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    health::Observation,
    outlook::{Memory, Trust, weigh},
    ports::Clock as _,
    region::{RegionName, Status},
};
use tokio::time::interval;

use super::Stage;
use crate::{cloud::Place, scenario::Watched};

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

/// Notes when the watched region is first found out, from `since` on.
pub(super) async fn watch(stage: Stage, watched: Watched, since: Duration) {
    let mut seats: BTreeMap<RegionName, Seat> = BTreeMap::new();
    let observers: Vec<RegionName> = stage.config.regions.iter().map(|r| r.name).collect();
    let mut looks = interval(LOOK_EVERY);
    while stage.is_open() && stage.log.detected.get().is_none() {
        looks.tick().await;
        let live = observers.iter().filter(|r| **r != watched.region && stage.is_on(Place::Region(**r)));
        for region in live {
            let seat = seats.entry(*region).or_default();
            let found = seat.finds(&stage, *region, &watched);
            if found && stage.cloud.now() >= since {
                stage.log.detected.set(Some(stage.cloud.now()));
                break;
            }
        }
    }
}

impl Seat {
    /// Whether a controller in `here` that looks now calls the watched region unhealthy.
    fn finds(&mut self, stage: &Stage, here: RegionName, watched: &Watched) -> bool {
        let now = stage.cloud.now();
        let rows = stage.cloud.rows(&stage.config.tables.health, here);
        let rows: Vec<_> = rows.iter().filter(|row| row.key.partition == "observation").collect();
        let versions: Vec<u64> = rows.iter().map(|row| row.version).collect();
        if versions == self.versions && now.saturating_sub(self.weighed) < WEIGH_EVERY {
            return false;
        }
        self.versions = versions;
        self.weighed = now;
        let seen: Vec<Observation> =
            rows.iter().filter_map(|row| serde_json::from_str(&row.body).ok()).collect();
        let clock = stage.cloud.clock(Place::Region(here));
        let verdicts = weigh(&stage.config, &seen, &mut self.memory, Trust::Advancing, clock.now());
        watched.lacks.iter().any(|c| verdicts.status(watched.region, *c) == Status::Unhealthy)
    }
}
