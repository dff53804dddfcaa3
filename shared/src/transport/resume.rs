//! Going on with an upload that an earlier run began, and leaving nothing behind at its end.
//!
//! The journal says where something was begun, the store says what it has of it. A part
//! counts as sent only if the store lists it with the size and checksum of what
//! would be sent in its place.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;

use super::{
    blocks::Block,
    calls::{Failed, Patience},
    journal::Journal,
};
use crate::{
    ports::{Objects, ObjectsError, OpenUpload, Part},
    region::RegionName,
    time::Timestamp,
    upload::{Begun, Leftover, Note},
};

/// How far the store's clock and ours may differ: S3 refuses requests whose date is further off.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest wait for one answer when nothing is waited for but tidiness.
const TIDY_LIMIT: Duration = Duration::from_secs(5);

/// The parts that the store has of an upload.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<u32, Part>);

impl Held {
    /// The part that the store has in place of this block, if it is the same.
    pub(super) fn part(&self, block: &Block) -> Option<&Part> {
        let same = |part: &&Part| {
            part.size_bytes == block.bytes.len() as u64 && part.checksum == Some(block.checksum)
        };
        self.0.get(&block.number).filter(same)
    }
}

/// The upload that an earlier run began in `region`, with what the store has of it; `None`
/// when there is none, or not any more.
pub(super) async fn earlier<O: Objects>(
    bucket: &O,
    key: &str,
    region: RegionName,
    journal: &dyn Journal,
    patience: Patience<'_>,
) -> Result<Option<(String, Held)>, Failed> {
    let noted = journal.unfinished().into_iter().find(|(noted, _)| journal.resumed() && *noted == region);
    let Some(upload) = noted.and_then(|(_, begun)| begun.upload) else { return Ok(None) };
    let held = patience.retry(|| parts(bucket, key, &upload)).await?;
    Ok(held.map(|held| (upload, held)))
}

async fn parts<O: Objects>(bucket: &O, key: &str, upload: &str) -> Result<Option<Held>, ObjectsError> {
    match bucket.parts(key, upload).await {
        Ok(parts) => Ok(Some(Held(parts.into_iter().map(|part| (part.number, part)).collect()))),
        Err(ObjectsError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives up what the journal still names, and what the store began without anybody having
/// heard of it; says what could not be freed.
///
/// To be called when the upload has ended, so that whatever is open is not in use. `seed` spreads
/// the waits of callers that failed together.
pub async fn tidy<O: Objects>(
    buckets: &BTreeMap<RegionName, O>,
    key: &str,
    journal: &dyn Journal,
    seed: u64,
) -> Vec<Leftover> {
    let patience = Patience { limit: TIDY_LIMIT, seed, purse: None, elsewhere: None };
    let cleared = journal.unfinished().into_iter().map(async |(region, begun)| {
        let Some(bucket) = buckets.get(&region).filter(|bucket| bucket.bucket() == begun.bucket) else {
            return Some(left(region, key, begun));
        };
        match clear(bucket, key, &begun, patience).await {
            Ok(()) => {
                journal.note(Note::Ended { region });
                // Ended once may mean that another, unheard of, is looked for now.
                let rest = journal.unfinished().into_iter().find(|(noted, _)| *noted == region);
                let (_, begun) = rest?;
                let cleared = clear(bucket, key, &begun, patience).await;
                cleared
                    .inspect(|()| journal.note(Note::Ended { region }))
                    .err()
                    .map(|_| left(region, key, begun))
            }
            Err(_) => Some(left(region, key, begun)),
        }
    });
    join_all(cleared).await.into_iter().flatten().collect()
}

fn left(region: RegionName, key: &str, begun: Begun) -> Leftover {
    Leftover { region, bucket: begun.bucket, key: key.to_owned(), upload: begun.upload }
}

async fn clear<O: Objects>(
    bucket: &O,
    key: &str,
    begun: &Begun,
    patience: Patience<'_>,
) -> Result<(), Failed> {
    if let Some(upload) = &begun.upload {
        return patience.once(bucket.abort(key, upload)).await;
    }
    let open = patience.once(bucket.uploads(key)).await?;
    for stray in open.iter().filter(|open| may_be_ours(open, key, begun)) {
        // Whoever sends parts to it has heard of it; ours was never sent any.
        let unused = patience.once(parts(bucket, key, &stray.upload)).await?;
        if unused.is_some_and(|held| held.0.is_empty()) {
            patience.once(bucket.abort(key, &stray.upload)).await?;
        }
    }
    Ok(())
}

/// Whether an open upload may be one that was asked for, by key and time.
fn may_be_ours(open: &OpenUpload, key: &str, begun: &Begun) -> bool {
    let apart = |at: Timestamp| open.begun.since(at).max(at.since(open.begun));
    let asked = std::iter::once(begun.at).chain(begun.strays.iter().copied());
    open.key == key && asked.into_iter().any(|at| apart(at) <= CLOCKS_APART_MAX)
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
