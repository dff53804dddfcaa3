//! What must be true of the buckets once everything is mended and the work has come to rest.

use std::{fmt, sync::Arc};

use sealane::{region::RegionName, replication::META_ORIGIN};

use super::{
    stage::Stage,
    story::{Done, Story},
};
use crate::cloud::ObjectState;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// What was acknowledged last does not lie on top of its key in a region.
    Missing {
        /// The key.
        key: String,
        /// The region.
        region: RegionName,
    },
    /// A region holds the same write so many times instead of once.
    Copies {
        /// The key.
        key: String,
        /// The region.
        region: RegionName,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A copy came back to the region that its original was written in.
    Loop {
        /// The key.
        key: String,
    },
    /// What was deleted everywhere is there again.
    Resurrected {
        /// The key.
        key: String,
        /// The region.
        region: RegionName,
    },
    /// A message came to rest in the dead-letter queue.
    Dead {
        /// The region.
        region: RegionName,
    },
    /// Something is owed still, or queued, long after everything was mended.
    Restless {
        /// What is owed, in words.
        owed: Vec<String>,
    },
    /// Something panicked.
    Panicked {
        /// What it said.
        words: String,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key, region } => write!(f, "{region} lacks the last write of `{key}`"),
            Self::Copies { key, region, found, most } => {
                write!(f, "{region} holds a write of `{key}` {found} times, and {most} is the most")
            }
            Self::Loop { key } => write!(f, "a copy of `{key}` came back to where it was written"),
            Self::Resurrected { key, region } => write!(f, "`{key}` was deleted and is back in {region}"),
            Self::Dead { region } => write!(f, "a message died in {region}"),
            Self::Restless { owed } => write!(f, "the work never came to rest: {owed:?}"),
            Self::Panicked { words } => write!(f, "a panic: {words}"),
        }
    }
}

/// The promises that were not kept.
pub(super) fn broken(stage: &Stage, story: &Story) -> Vec<Broken> {
    let regions = stage.regions();
    let mut broken = Vec::new();
    for (key, home, done) in story.keys() {
        for (place, region) in regions.iter().enumerate() {
            let versions = stage.cloud.objects(*region).get(&key).cloned().unwrap_or_default();
            broken.extend(at_rest(&key, *region, &versions, &done));
            let came_back = versions.iter().any(|v| v.attributes.metadata.contains_key(META_ORIGIN));
            broken.extend((place == home && came_back).then(|| Broken::Loop { key: key.clone() }));
        }
    }
    let dead = regions.into_iter().filter(|region| !stage.cloud.dead_letters(*region).is_empty());
    broken.extend(dead.map(|region| Broken::Dead { region }));
    broken
}

/// What is wrong with the versions of one key in one region.
fn at_rest(key: &str, region: RegionName, versions: &[Arc<ObjectState>], done: &[Done]) -> Vec<Broken> {
    let key = || key.to_owned();
    let newest = versions.last().filter(|newest| !newest.is_marker);
    let mut broken = Vec::new();
    match done.last() {
        Some(Done::Wrote { body, .. }) if newest.is_none_or(|newest| newest.body != *body) => {
            broken.push(Broken::Missing { key: key(), region });
        }
        Some(Done::Deleted) if newest.is_some() => broken.push(Broken::Resurrected { key: key(), region }),
        Some(Done::Wrote { .. } | Done::Deleted) | None => {}
    }
    for one in done {
        let Done::Wrote { body, tries } = one else { continue };
        // Who tries again after a lost answer may have written twice.
        let most = tries.get(&region).copied().unwrap_or(1);
        let found = versions.iter().filter(|v| !v.is_marker && v.body == *body).count();
        if found > most {
            broken.push(Broken::Copies { key: key(), region, found, most });
        }
    }
    broken
}
