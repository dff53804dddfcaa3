//! A destination that was lost comes back, and much is owed to it.

use std::time::Duration;

use sealane::region::RegionName;
use tokio::time::sleep;
use upload_orchestrator::Policy;

use super::{alone, stage::Stage};
use crate::{cloud::Service, measure::Spread, trace::Trace};

/// Workers at each queue, as the template allows.
pub(super) const WORKERS: usize = 20;
/// Size of each object, in bytes.
const BYTES: usize = 256;
/// When all must be paid by.
const WITHIN: Duration = Duration::from_secs(3600);

/// How soon a destination that came back held what was owed to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Healing {
    /// Times from its return to the copies that were owed.
    pub waits: Spread,
    /// Until the ledger called each of them verified; `None`: it never did.
    pub settled: Option<Duration>,
    /// Requests to buckets from the return to rest, for each copy.
    pub s3: f64,
    /// Requests to tables from the return to rest, for each copy.
    pub dynamodb: f64,
}

/// Writes `objects` objects while a region is lost, gives it back and waits.
pub fn heal(seed: u64, objects: usize) -> Healing {
    alone(seed, async {
        let stage = Stage::new(seed, &Policy::default(), &Trace::new());
        stage.employ(WORKERS);
        stage.start();
        let [lost, _, home] = places(&stage);
        stage.lose(lost);
        write(&stage, home, objects);
        while stage.cloud.queued(home) > 0 || stage.owed_to(home, lost) < objects {
            sleep(Duration::from_secs(10)).await;
        }
        // At any moment of the minute between two sweeps.
        sleep(Duration::from_secs(120 + seed % 60)).await;
        let before = requests(&stage);
        let back = stage.cloud.now();
        stage.give_back(lost);
        let settled = stage.settle(WITHIN).await;
        let after = requests(&stage);
        let copies = stage.cloud.objects(lost);
        let waits = Spread::of(copies.values().flatten().map(|copy| copy.at.saturating_sub(back)));
        let each = |n: u64| per(n, objects);
        Healing { waits, settled, s3: each(after[0] - before[0]), dynamodb: each(after[1] - before[1]) }
    })
}

/// The regions, by name.
pub(super) fn places(stage: &Stage) -> [RegionName; 3] {
    let regions = stage.regions();
    [regions[0], regions[1], regions[2]]
}

/// Lets users write so many objects into `home`, each under a key of its own.
pub(super) fn write(stage: &Stage, home: RegionName, objects: usize) {
    for number in 0..objects {
        let mut body = vec![0; BYTES];
        body[..8].copy_from_slice(&(number as u64).to_le_bytes());
        stage.cloud.store(home, &format!("run/{number:06}"), body.into());
    }
}

/// Requests of the functions so far: to buckets, and to tables.
pub(super) fn requests(stage: &Stage) -> [u64; 2] {
    [Service::S3, Service::DynamoDb].map(|service| stage.cloud.requests(service))
}

/// `n` for each of so many.
#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^53")]
pub(super) fn per(n: u64, objects: usize) -> f64 {
    n as f64 / objects.max(1) as f64
}
