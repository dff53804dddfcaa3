//! Copies that are sent on by a region that got its own.
//!
//! Rule: a row is changed by the region that pays it, and by no other while that one is at work. So the region
//! where an object was written keeps the rows that wait for a relay, and gives them to the relay once the
//! relay's own copy is proved. What waits too long is paid straight; what a relay has been given and
//! does not get to is taken back.

use std::collections::BTreeMap;

use sealane::{
    ports::{Clock, Head, Objects, Rows, RowsError},
    region::RegionName,
    replication::{Entry, ObjectId, Origin, Phase, Source},
    store::Versioned,
    upload::Reason,
};

use crate::{
    Deps,
    intake::IntakeError,
    source::{pinned, same_bytes},
    trouble::chain,
};

/// Who waits for the copy that a row makes.
#[derive(Debug)]
pub(crate) struct Fed {
    object: ObjectId,
    relay: RegionName,
}

impl Fed {
    /// Those that wait for the copy of `row`, if there are any.
    pub(crate) fn by(row: &Entry) -> Option<Self> {
        row.feeds().then(|| Self { object: row.object.clone(), relay: row.destination })
    }

    /// Gives the rows that wait for the relay's copy, which was just proved, to the relay. What fails
    /// here is found when the rows have waited long enough.
    pub(crate) async fn hand_over<O: Objects, R: Rows, C: Clock>(self, deps: &Deps<O, R, C>) {
        if let Err(error) = self.give(deps).await {
            tracing::warn!(error = chain(&error), region.name = %self.relay, "could not give a relay its rows");
        }
    }

    async fn give<O: Objects, R: Rows, C: Clock>(&self, deps: &Deps<O, R, C>) -> Result<(), RowsError> {
        let rows = deps.ledger.of_object(&self.object).await?;
        let own = rows.iter().find(|row| row.value.destination == self.relay);
        let Some(source) = (match own {
            Some(own) => copy_of(deps, &own.value).await,
            None => None,
        }) else {
            return Ok(());
        };
        for row in rows.iter().filter(|row| row.value.source.region == deps.here) {
            give(deps, row, source.clone()).await?;
        }
        Ok(())
    }
}

/// Gives `row` to the relay whose copy `source` is, if it waits for that; whether it did.
async fn give<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    row: &Versioned<Entry>,
    source: Source,
) -> Result<bool, RowsError> {
    let now = deps.clock.now();
    let Some(given) = row.value.clone().given(source, now, deps.policy.relay_after) else { return Ok(false) };
    match deps.ledger.swap(row, &given).await {
        // Another worker gave it, or pays it.
        Ok(_) | Err(RowsError::Conflict) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The proved copy that the row of a relay stands for, pinned; `None` if it is not there any more.
async fn copy_of<O: Objects, R: Rows, C: Clock>(deps: &Deps<O, R, C>, own: &Entry) -> Option<Source> {
    let Phase::Verified { version_id } = &own.phase else { return None };
    let bucket = deps.buckets.get(&own.destination)?;
    let head = bucket.head(&own.source.key, version_id.as_deref()).await.ok()??;
    let copy = pinned(bucket, own.destination, &own.source.key, &head);
    let is_named = version_id.is_some() && *version_id == copy.version_id;
    let is_summed = copy.checksum.is_some() && copy.checksum == own.source.checksum;
    ((is_named || is_summed) && same_bytes(&copy, &own.source)).then_some(copy)
}

/// `row` if it is to be paid here and now: it is this region's, and it waits for no relay or has waited long enough.
pub(crate) async fn ready<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    row: Versioned<Entry>,
) -> Option<Versioned<Entry>> {
    // As when a relay was given it, or an event led to a row that another region had written down: what
    // may lie on top of what is judged by who holds the source.
    if row.value.source.region != deps.here {
        return None;
    }
    let Some(relay) = row.value.awaits() else { return Some(row) };
    match wait(deps, &row, relay).await {
        Ok(true) => None,
        Ok(false) => {
            tracing::info!(region.name = %relay, copy = %row.value, "pays what a relay was waited for");
            Some(Versioned { value: row.value.straight(), version: row.version })
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), copy = %row.value, "could not look what a relay does");
            None
        }
    }
}

/// Whether `row` is left to `relay`, which is given it if it has its own copy.
async fn wait<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    row: &Versioned<Entry>,
    relay: RegionName,
) -> Result<bool, RowsError> {
    let (now, policy) = (deps.clock.now(), &deps.policy);
    let Some(own) = deps.ledger.get(&row.value.object, relay).await? else { return Ok(false) };
    match &own.value.phase {
        Phase::Verified { .. } => match copy_of(deps, &own.value).await {
            Some(source) => give(deps, row, source).await,
            None => Ok(false),
        },
        // A large copy takes long, and would be the dearest to pay twice.
        Phase::Copying(_) | Phase::Failed { reason: Reason::Stopped, .. }
            if now.since(row.value.since) < policy.relay_max =>
        {
            let later = row.value.clone().waiting_until(now.after(policy.relay_after));
            match deps.ledger.swap(row, &later).await {
                Ok(_) | Err(RowsError::Conflict) => Ok(true),
                Err(error) => Err(error),
            }
        }
        Phase::Copying(_) | Phase::Failed { .. } | Phase::Pending | Phase::Void { .. } => Ok(false),
    }
}

/// The rows that this region was given as a relay of the object whose copy `head` came, if it is one.
pub(crate) async fn woken<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    head: &Head,
    origin: &Origin,
) -> Result<Vec<Versioned<Entry>>, IntakeError> {
    let Origin::Copy { region, version_id, epoch: _ } = origin else { return Ok(Vec::new()) };
    let belongs = deps.belongs(origin, *region, key, head).map_err(IntakeError::Origin)?;
    if !belongs.is_relay(deps.here) {
        return Ok(Vec::new());
    }
    let object = ObjectId::of_version(*region, key, Some(version_id), "");
    let mut rows = deps.ledger.of_object(&object).await.map_err(IntakeError::Ledger)?;
    rows.retain(|row| row.value.source.region == deps.here && row.value.is_owed());
    Ok(rows)
}

/// Which destinations answered when they were asked for a row's sake.
#[derive(Debug, Default)]
pub(crate) struct Answering(BTreeMap<RegionName, bool>);

/// Takes `row` back from a relay that does not get to it, if it came from here; whether it did. While
/// its destination does not answer, no relay could.
pub(crate) async fn take_back<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    row: &Versioned<Entry>,
    answering: &mut Answering,
) -> bool {
    let now = deps.clock.now();
    let late = row.value.due().is_some_and(|due| now.since(due) >= deps.policy.relay_after);
    let is_ours = row.value.home().is_some_and(|home| home.region == deps.here);
    if !late || !is_ours || !answers(deps, &row.value, answering).await {
        return false;
    }
    let Some(back) = row.value.clone().taken_back(now) else { return false };
    match deps.ledger.swap(row, &back).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(error = chain(&error), copy = %row.value, "could not take a row back");
            false
        }
    }
}

async fn answers<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    row: &Entry,
    answering: &mut Answering,
) -> bool {
    let destination = row.destination;
    if let Some(known) = answering.0.get(&destination) {
        return *known;
    }
    let answers = match deps.buckets.get(&destination) {
        Some(bucket) => bucket.head(&row.source.key, None).await.is_ok(),
        None => false,
    };
    answering.0.insert(destination, answers);
    answers
}
