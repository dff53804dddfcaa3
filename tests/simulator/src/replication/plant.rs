//! Mistakes that are planted to see whether they are found.

use sealane::{
    aws::Limits,
    checksum::Checksum,
    ports::{Attributes, Objects as _},
    region::RegionName,
    replication::{META_ORIGIN, origin_value},
};
use std::time::Duration;

use super::{
    stage::Stage,
    story::{Done, Story},
};
use crate::cloud::Place;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A copy is lost.
    Loss,
    /// A copy is made twice.
    Double,
    /// A copy is sent back to where its original lies.
    Loop,
    /// A copy lands after everything was deleted.
    Late,
    /// A copy below the newest one is lost.
    Skip,
    /// An older version is copied once more on top of the newest one.
    Swap,
}

impl Plant {
    /// Makes the mistake with the first key that allows for it.
    pub(super) async fn sow(self, stage: &Stage, story: &Story) {
        let wrong = |done: &[Done]| match (self, done.last()) {
            (Self::Late, last) => matches!(last, Some(Done::Deleted)),
            (Self::Loss | Self::Double | Self::Loop, last) => matches!(last, Some(Done::Wrote { .. })),
            (Self::Skip | Self::Swap, _) => matches!(done, [.., Done::Wrote { .. }, Done::Wrote { .. }]),
        };
        let Some((key, home, done)) = story.keys().into_iter().find(|(_, _, done)| wrong(done)) else {
            return;
        };
        let regions = stage.regions();
        let (home, other) = (regions[home], regions[(home + 1) % regions.len()]);
        let below = usize::from(matches!(self, Self::Skip | Self::Swap));
        let mut bodies = done.iter().rev().filter_map(|done| match done {
            Done::Wrote { body, .. } => Some(body.clone()),
            Done::Deleted => None,
        });
        let body = bodies.nth(below);
        let body = body.unwrap_or_default();
        let at = match self {
            Self::Loss => return stage.cloud.hide(other, &key),
            Self::Skip => return lose(stage, other, &key, &body).await,
            Self::Double | Self::Late | Self::Swap => other,
            Self::Loop => home,
        };
        put(stage, at, &key, body, home).await;
    }
}

/// A copy as replication makes it.
async fn put(stage: &Stage, at: RegionName, key: &str, body: bytes::Bytes, from: RegionName) {
    let aws = stage.cloud.aws(Place::Client(0));
    let limits = Limits::data(Duration::from_secs(20));
    let Some(bucket) = stage.config.region(at).and_then(|r| aws.objects(r, None, limits)) else { return };
    let mark = origin_value(from, "v0", 1, at, key);
    let metadata = [(META_ORIGIN.to_owned(), mark)].into();
    let sum = Checksum::of(&body);
    let stored = bucket.put(key, body, sum, &Attributes { metadata, ..Attributes::default() }).await;
    debug_assert!(stored.is_ok(), "{stored:?}");
}

/// Takes the versions of these bytes away for good.
async fn lose(stage: &Stage, at: RegionName, key: &str, body: &bytes::Bytes) {
    let aws = stage.cloud.aws(Place::Client(0));
    let limits = Limits::data(Duration::from_secs(20));
    let Some(bucket) = stage.config.region(at).and_then(|r| aws.objects(r, None, limits)) else { return };
    let objects = stage.cloud.objects(at);
    for version in objects.get(key).into_iter().flatten().filter(|version| version.body == *body) {
        let removed = bucket.remove(key, &version.version_id).await;
        debug_assert!(removed.is_ok(), "{removed:?}");
    }
}
