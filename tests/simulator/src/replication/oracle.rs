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
    /// A region lacks versions that were written over, and nothing says so.
    Skipped {
        /// The key.
        key: String,
        /// The region.
        region: RegionName,
        /// How many it lacks.
        lacking: usize,
        /// How many of them the ledger calls missed.
        told: usize,
    },
    /// A region holds versions in another order than they were written in.
    Disordered {
        /// The key.
        key: String,
        /// The region.
        region: RegionName,
        /// The places, among what was written, of what it holds.
        found: Vec<usize>,
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
            Self::Skipped { key, region, lacking, told } => {
                write!(f, "{region} lacks {lacking} older versions of `{key}`, and {told} are told as missed")
            }
            Self::Disordered { key, region, found } => {
                write!(f, "{region} holds the versions of `{key}` in the order {found:?}")
            }
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
        let written = regions.iter().map(|region| held(stage, *region, &key)).collect::<Vec<_>>();
        for (place, (region, versions)) in regions.iter().zip(&written).enumerate() {
            broken.extend(at_rest(&key, *region, versions, &done));
            broken.extend(once(&key, (place, &regions), &written, &done));
            let missed = stage.missed(*region).into_iter().filter(|missed| *missed == key).count();
            broken.extend(in_order(&key, *region, versions, &done, missed));
            let came_back =
                versions.iter().any(|v| is_copy(v) && wrote_plainly(&done, *region, home == place, v));
            broken.extend(came_back.then(|| Broken::Loop { key: key.clone() }));
        }
    }
    let dead = regions.into_iter().filter(|region| !stage.cloud.dead_letters(*region).is_empty());
    broken.extend(dead.map(|region| Broken::Dead { region }));
    broken
}

fn held(stage: &Stage, region: RegionName, key: &str) -> Vec<Arc<ObjectState>> {
    stage.cloud.objects(region).get(key).cloned().unwrap_or_default()
}

fn is_copy(version: &ObjectState) -> bool {
    version.attributes.metadata.contains_key(META_ORIGIN)
}

/// Whether a copy of `version` has no business in `region`, since users wrote it just there.
fn wrote_plainly(done: &[Done], region: RegionName, is_home: bool, version: &ObjectState) -> bool {
    let of = done.iter().find_map(|one| match one {
        Done::Wrote { body, tries, is_upload } if *body == version.body => Some((tries, *is_upload)),
        Done::Wrote { .. } | Done::Deleted => None,
    });
    match of {
        Some((tries, is_upload)) => tries.contains_key(&region) && (is_home || !is_upload),
        None => false,
    }
}

/// What is wrong with what one region shows of one key.
fn at_rest(key: &str, region: RegionName, versions: &[Arc<ObjectState>], done: &[Done]) -> Option<Broken> {
    let key = || key.to_owned();
    let newest = versions.last().filter(|newest| !newest.is_marker);
    match done.last() {
        Some(Done::Wrote { body, .. }) if newest.is_none_or(|newest| newest.body != *body) => {
            Some(Broken::Missing { key: key(), region })
        }
        Some(Done::Deleted) if newest.is_some() => Some(Broken::Resurrected { key: key(), region }),
        Some(Done::Wrote { .. } | Done::Deleted) | None => None,
    }
}

/// What one region holds more than once.
fn once(
    key: &str,
    (place, regions): (usize, &[RegionName]),
    held: &[Vec<Arc<ObjectState>>],
    done: &[Done],
) -> Vec<Broken> {
    let (region, key) = (regions[place], || key.to_owned());
    let mut broken = Vec::new();
    for one in done {
        let Done::Wrote { body, tries, .. } = one else { continue };
        let alike = |place: usize| held[place].iter().filter(|v| !v.is_marker && v.body == *body);
        // Who tries again after a lost answer may have written twice, and each is a version of its own.
        let written = |place: usize| alike(place).filter(|v| !is_copy(v)).count();
        let elsewhere = (0..regions.len()).map(written).max().unwrap_or_default();
        let most = tries.get(&region).copied().unwrap_or(elsewhere.max(1));
        let found = alike(place).count();
        if found > most {
            broken.push(Broken::Copies { key: key(), region, found, most });
        }
    }
    broken
}

/// What is wrong with the versions of one region below the newest: all that was acknowledged since the
/// last delete is there, in the order in which it was written.
fn in_order(
    key: &str,
    region: RegionName,
    versions: &[Arc<ObjectState>],
    done: &[Done],
    told: usize,
) -> Vec<Broken> {
    let since = done.iter().rposition(|one| *one == Done::Deleted).map_or(0, |deleted| deleted + 1);
    let wanted = done[since..].iter().filter_map(|one| match one {
        Done::Wrote { body, .. } => Some(body),
        Done::Deleted => None,
    });
    let wanted: Vec<_> = wanted.collect();
    let place = |version: &Arc<ObjectState>| wanted.iter().position(|body| **body == version.body);
    let found: Vec<usize> = versions.iter().filter(|v| !v.is_marker).filter_map(place).collect();
    let lacking = (0..wanted.len().saturating_sub(1)).filter(|n| !found.contains(n)).count();
    let key = || key.to_owned();
    let mut broken = Vec::new();
    if lacking > told {
        broken.push(Broken::Skipped { key: key(), region, lacking, told });
    }
    if !found.is_sorted() {
        broken.push(Broken::Disordered { key: key(), region, found });
    }
    broken
}
