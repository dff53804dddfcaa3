//! What replication costs as there are more objects.

use std::time::Duration;

use tokio::time::sleep;
use upload_orchestrator::Policy;

use super::{
    alone,
    healing::{WORKERS, per, places, requests, write},
    stage::Stage,
};
use crate::trace::Trace;

/// When all must be there by.
const WITHIN: Duration = Duration::from_secs(7200);

/// What so many objects took, each told of once.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// Objects that were written.
    pub objects: usize,
    /// Copies that lay in the other regions in the end.
    pub copies: usize,
    /// Requests to buckets.
    pub s3: u64,
    /// Requests to tables.
    pub dynamodb: u64,
    /// Simulated time from the first write to rest; `None`: it never came.
    pub took: Option<Duration>,
}

impl Growth {
    /// Requests to buckets for each copy.
    pub fn s3_per_copy(&self) -> f64 {
        per(self.s3, self.copies)
    }

    /// Requests to tables for each copy.
    pub fn dynamodb_per_copy(&self) -> f64 {
        per(self.dynamodb, self.copies)
    }
}

/// Writes `objects` objects and waits until every region holds each.
pub fn grow(seed: u64, objects: usize) -> Growth {
    alone(seed, async {
        let stage = Stage::new(seed, &Policy::default(), &Trace::new());
        stage.employ(WORKERS);
        stage.cloud.repeat_events(1);
        let [first, second, home] = places(&stage);
        let before = requests(&stage);
        write(&stage, home, objects);
        stage.start();
        sleep(Duration::from_secs(1)).await;
        let took = stage.settle(WITHIN).await;
        let after = requests(&stage);
        // What the schedules ask for when there is nothing to do is no cost of a copy.
        sleep(took.unwrap_or_default()).await;
        let idle = requests(&stage);
        let own = |service: usize| {
            (after[service] - before[service]).saturating_sub(idle[service] - after[service])
        };
        let copies = [first, second].map(|region| stage.cloud.objects(region).len()).iter().sum();
        Growth { objects, copies, s3: own(0), dynamodb: own(1), took }
    })
}
