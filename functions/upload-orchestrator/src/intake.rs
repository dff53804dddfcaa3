//! From a queue message to rows of the ledger.
//!
//! Events are hints: what counts is what the bucket holds now, and that is all versions of the key. A message is done once all that it
//! leads to is written down as owed; whether it can be paid at once is no matter of
//! the message. Deletes and delete markers are not replicated: a copy outlives its
//! source until somebody deletes it where it lies.

use std::collections::BTreeMap;

use futures::future::join_all;
use sealane::{
    ports::{Clock, Head, Objects, ObjectsError, Rows, RowsError},
    region::RegionName,
    replication::{
        Disposition, Entry, EventError, Hint, InvalidOrigin, Kind, META_UPLOAD, Message, ObjectId, Origin,
        Phase, Presence, payer,
    },
    store::Versioned,
    upload::is_system_key,
};

use crate::{
    Deps, Invocation, NoBucket,
    past::{Before, Write, owe_all},
    pay::Debt,
    relay::woken,
    source::{Depth, below, pinned, same_bytes},
    trouble::chain,
    wake::QueueMessage,
};

/// How often a delivery tries to find out what its message leads to.
const TRIES: usize = 4;

/// What a message led to.
#[derive(Debug)]
pub(crate) struct Taken {
    /// What the queue is told.
    pub(crate) disposition: Disposition,
    /// The rows that it led to, settled ones too, each with its source as it was just seen.
    pub(crate) debts: Vec<Debt>,
}

/// Why a hint did not lead to rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error("the message is no event that this function reads")]
    Event(#[source] EventError),
    #[error(
        "the event is about bucket `{found}`, and this function copies from `{own}`; check what the queue is subscribed to"
    )]
    ForeignBucket { found: String, own: String },
    #[error("the object does not say where it belongs")]
    Origin(#[source] InvalidOrigin),
    #[error("the source could not be read")]
    Source(#[source] ObjectsError),
    #[error("what is owed could not be written down")]
    Ledger(#[source] RowsError),
    #[error(transparent)]
    NoBucket(#[from] NoBucket),
}

impl IntakeError {
    /// Whether the same question may be answered a little later.
    const fn may_pass(&self) -> bool {
        match self {
            Self::Source(_) | Self::Ledger(_) => true,
            Self::Event(_) | Self::ForeignBucket { .. } | Self::Origin(_) | Self::NoBucket(_) => false,
        }
    }

    fn disposition(&self) -> Disposition {
        match self {
            Self::Event(_) | Self::ForeignBucket { .. } | Self::Origin(_) => Disposition::Poison(chain(self)),
            Self::Source(_) | Self::Ledger(_) | Self::NoBucket(_) => Disposition::Retry(chain(self)),
        }
    }
}

/// Reads one message and writes down what it leads to.
pub(crate) async fn take<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    message: &QueueMessage,
) -> Taken {
    let hints = match Message::parse(message.body.as_bytes()) {
        Ok(Message::Hints(hints)) => hints,
        Ok(Message::Test { bucket }) => {
            tracing::info!(bucket, "tested the connection");
            Vec::new()
        }
        Err(error) => {
            let disposition = IntakeError::Event(error).disposition();
            return Taken { disposition, debts: Vec::new() };
        }
    };
    let mut taken = Taken { disposition: Disposition::Done, debts: Vec::new() };
    for hint in &hints {
        match persist(deps, invocation, hint).await {
            Ok(debts) => taken.debts.extend(debts),
            // The rest is taken all the same: one bad record must not keep the others back.
            Err(error) => taken.disposition = error.disposition(),
        }
    }
    taken
}

/// The rows that a hint leads to. What may pass is waited for: each delivery that fails brings a message nearer to
/// the dead-letter queue.
async fn persist<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    hint: &Hint,
) -> Result<Vec<Debt>, IntakeError> {
    for _ in 1..TRIES {
        match follow(deps, hint).await {
            Err(error) if error.may_pass() && deps.has_time(invocation) => {
                tracing::info!(error = chain(&error), object.key = hint.key, "will ask again");
                (deps.pause)(deps.policy.ask_again_after).await;
            }
            answer => return answer,
        }
    }
    follow(deps, hint).await
}

/// The rows that a hint leads to.
async fn follow<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    hint: &Hint,
) -> Result<Vec<Debt>, IntakeError> {
    match hint.kind {
        // The probers' canaries are written every few seconds and belong to their region alone.
        Kind::Created if is_system_key(&hint.key) || deps.is_sentinel(&hint.key) => return Ok(Vec::new()),
        Kind::Created => {}
        Kind::Removed | Kind::DeleteMarker | Kind::Other => return Ok(Vec::new()),
    }
    let own = deps.own()?;
    if hint.bucket != own.bucket() {
        let (found, own) = (hint.bucket.clone(), own.bucket().to_owned());
        return Err(IntakeError::ForeignBucket { found, own });
    }
    let head = own.head(&hint.key, hint.version_id.as_deref()).await.map_err(IntakeError::Source)?;
    let Some(head) = head else {
        tracing::info!(object.key = hint.key, "left an object alone that is no longer there");
        return Ok(Vec::new());
    };
    let origin = origin(deps, &hint.key, &head).await?;
    match origin {
        Origin::System => Ok(Vec::new()),
        // A relay's copy has come: what waited for it may be paid.
        Origin::Copy { .. } => {
            let rows = woken(deps, &hint.key, &head, &origin).await?;
            Ok(rows.into_iter().map(|row| Debt { row, seen: None, ready: false }).collect())
        }
        // Its event may be the only one of several versions that came.
        Origin::Upload { .. } | Origin::Plain => owe_all(deps, &hint.key, Some((head, origin))).await,
    }
}

/// Writes down who lacks the version `write`, if it is for this region to pay. `before` is the version
/// below it that each destination shall hold.
pub(crate) async fn owe<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    write: &Write,
    before: &Before,
) -> Result<Vec<Versioned<Entry>>, IntakeError> {
    let (origin, head) = (&write.origin, &write.sight.head);
    let mut held = Vec::new();
    let belongs = deps.belongs(origin, deps.here, key, head).map_err(IntakeError::Origin)?;
    let mut lacking = belongs.regions.clone();
    if let Origin::Upload { id, wanted } = origin {
        let mut presence = look(deps, key, head, &lacking).await;
        if !write.sight.above.is_empty() {
            look_below(deps, key, head, id, &mut presence).await;
        }
        if payer(wanted, &presence).is_some_and(|region| region != deps.here) {
            return Ok(Vec::new());
        }
        held = lacking.extract_if(.., |region| presence.get(region) == Some(&Presence::Whole)).collect();
        // This region, too: a delete here is told from a copy that was never made.
        held.push(deps.here);
    }
    let mut rows = Vec::new();
    for destination in held {
        // Written down all the same: the next write of the key asks who has had this one.
        let Some(entry) = entry(deps, key, head, origin, destination)? else { continue };
        let held = Entry { phase: Phase::Verified { version_id: None }, ..entry };
        rows.push(deps.ledger.owe(&held).await.map_err(IntakeError::Ledger)?);
    }
    for destination in lacking {
        let Some(entry) = entry(deps, key, head, origin, destination)? else { continue };
        let entry = belongs.routed(entry, deps.clock.now().after(deps.policy.relay_after));
        let entry = entry.following(before.get(&destination).cloned());
        rows.push(record(deps, entry).await.map_err(IntakeError::Ledger)?);
    }
    Ok(rows)
}

/// Looks in the regions that show another version whether they hold the upload `id` below it.
async fn look_below<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    head: &Head,
    id: &str,
    presence: &mut BTreeMap<RegionName, Presence>,
) {
    for (region, presence) in presence.iter_mut().filter(|(_, presence)| **presence == Presence::Absent) {
        let Some(bucket) = deps.buckets.get(region) else { continue };
        let is_it = |found: &Head| {
            found.attributes.metadata.get(META_UPLOAD).is_some_and(|found| found == id)
                && is_whole(head, found)
        };
        *presence = match below(bucket, key, head.size_bytes, Depth::All, is_it).await {
            Ok(Some(_)) => Presence::Whole,
            Ok(None) => Presence::Absent,
            Err(_) => Presence::Unreachable,
        };
    }
}

/// Where the object that `head` describes came from.
///
/// A user who copies a copy onto itself, as to restore an older version of it, carries its mark
/// along. The ledger shows which version was proved under that mark; another one is a new write.
pub(crate) async fn origin<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    head: &Head,
) -> Result<Origin, IntakeError> {
    if deps.is_sentinel(key) {
        return Ok(Origin::System);
    }
    let origin = Origin::of(deps.here, key, &head.attributes.metadata).map_err(IntakeError::Origin)?;
    let Origin::Copy { region, version_id, epoch } = &origin else { return Ok(origin) };
    let object = ObjectId::of_version(*region, key, Some(version_id), "");
    let row = deps.ledger.get(&object, deps.here).await.map_err(IntakeError::Ledger)?;
    let carried = row.is_some_and(|row| match row.value.phase {
        Phase::Verified { version_id: Some(proved) } => {
            row.value.epoch == *epoch && head.version_id.as_ref().is_some_and(|found| *found != proved)
        }
        Phase::Verified { version_id: None }
        | Phase::Pending
        | Phase::Copying(_)
        | Phase::Failed { .. }
        | Phase::Void { .. } => false,
    });
    Ok(if carried { Origin::Plain } else { origin })
}

/// A fresh row for the object that `head` describes; `None` for what is never copied.
pub(crate) fn entry<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    head: &Head,
    origin: &Origin,
    destination: RegionName,
) -> Result<Option<Entry>, NoBucket> {
    let source = pinned(deps.own()?, deps.here, key, head);
    let now = deps.clock.now();
    let (object, since) = match origin {
        Origin::Upload { id, .. } => (ObjectId::of_upload(id), now.after(deps.policy.upload_grace)),
        Origin::Plain => {
            (ObjectId::of_version(deps.here, key, source.version_id.as_deref(), &source.etag), now)
        }
        Origin::Copy { .. } | Origin::System => return Ok(None),
    };
    Ok(Some(Entry::owed(object, destination, source, since)))
}

/// Writes `entry` down, and answers with the row that the ledger holds then.
pub(crate) async fn record<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    mut entry: Entry,
) -> Result<Versioned<Entry>, RowsError> {
    let held = deps.ledger.owe(&entry).await?;
    if held.value.source.key != entry.source.key {
        // An object that was copied to another key carries the upload's id along, and is another object.
        let source = &entry.source;
        entry.object =
            ObjectId::of_version(source.region, &source.key, source.version_id.as_deref(), &source.etag);
        return deps.ledger.owe(&entry).await;
    }
    match renewed(&held.value, &entry) {
        Some(fresh) => deps.ledger.swap(&held, &fresh).await,
        None => Ok(held),
    }
}

/// The row that has to take the place of `held`, which does not stand for the object of `wanted`.
fn renewed(held: &Entry, wanted: &Entry) -> Option<Entry> {
    let stands = match &held.phase {
        // The object is there, whatever was found when the row was given up; but what lies there in the
        // wrong order lies so for good.
        Phase::Void { .. } => held.is_missed(),
        Phase::Verified { .. } => same_bytes(&held.source, &wanted.source),
        Phase::Pending | Phase::Copying(_) | Phase::Failed { .. } => {
            let (held, wanted) = (&held.source, &wanted.source);
            let elsewhere = held.region != wanted.region;
            // An upload that its writer put twice, since the answer was lost: the row keeps its place in the order.
            let again = held.checksum.is_some() && held.checksum == wanted.checksum;
            held == wanted || (elsewhere || again) && same_bytes(held, wanted)
        }
    };
    (!stands).then(|| held.replaced_by(wanted.clone()))
}

/// What is known of the object in each of `regions`, and here.
pub(crate) async fn look<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    head: &Head,
    regions: &[RegionName],
) -> BTreeMap<RegionName, Presence> {
    let looks = regions.iter().map(async |region| {
        let found = match deps.buckets.get(region) {
            Some(bucket) => bucket.head(key, None).await,
            None => Ok(None),
        };
        let presence = match found {
            Ok(Some(found)) if is_whole(head, &found) => Presence::Whole,
            Ok(_) => Presence::Absent,
            Err(_) => Presence::Unreachable,
        };
        (*region, presence)
    });
    let mut presence: BTreeMap<_, _> = join_all(looks).await.into_iter().collect();
    presence.insert(deps.here, Presence::Whole);
    presence
}

/// Whether `found` has the size and the checksum of `head`; a checksum that nobody knows equals none.
pub(crate) fn is_whole(head: &Head, found: &Head) -> bool {
    found.size_bytes == head.size_bytes && head.checksum.is_some() && found.checksum == head.checksum
}
