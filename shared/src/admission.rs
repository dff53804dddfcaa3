//! Taking, keeping and giving back leases, on the control table.
//!
//! Each step is one conditional write. When another writer was first it is for the
//! caller to pause and ask again: that is contention, and no outage. A
//! lease counts only once its holder has looked at the record *after* writing it: a
//! drain that began in between either sees the lease or is seen by its holder.
//! Losing an answer does no harm: asking again for the same id takes one lease, and
//! one that nobody knows of runs out.

use std::{collections::BTreeMap, fmt};

use crate::{
    config::Config,
    lease::{Ask, Book, Closed, Full, Gone, Outcome, Watch, door},
    ports::{Clock, Rows, RowsError},
    region::{Region, RegionName},
    store::ControlTable,
};

/// Why a region does not let an upload in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It has no room.
    Full(Full),
    /// It takes no new uploads.
    Closed(Closed),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(full) => full.fmt(f),
            Self::Closed(closed) => write!(f, "it takes no new uploads: {closed}"),
        }
    }
}

/// Why a step was not carried out, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// The control table answers, and others write this region's leases at the same time. Nothing
    /// took effect: ask again after a pause.
    #[error("others write the region's leases at the same time")]
    Contended,
    /// The control table did not answer, so the step may have been carried out.
    #[error(transparent)]
    Unasked(#[from] RowsError),
}

/// Asks for a lease in `region`: held, or why not. Nothing is held after a refusal.
///
/// # Errors
/// When others write at the same time, or the control table does not answer; in both cases the
/// lease may be held all the same, and runs out.
pub async fn enter<R: Rows>(
    control: &ControlTable<R>,
    region: &Region,
    ask: &Ask,
    clock: &impl Clock,
) -> Result<Result<(), Refusal>, Unsettled> {
    if let Err(closed) = door(region, None, &[], clock.now()) {
        return Ok(Err(Refusal::Closed(closed)));
    }
    let taken = change(control, region.name, |book| book.acquire(ask, region.capacity)).await?;
    if let Err(full) = taken {
        return Ok(Err(Refusal::Full(full)));
    }
    let (record, pins) = futures::join!(control.record(), control.pins());
    let Err(closed) = door(region, record?.as_ref(), &pins?, clock.now()) else { return Ok(Ok(())) };
    leave(control, region.name, &ask.id, Outcome::Unused).await?;
    Ok(Err(Refusal::Closed(closed)))
}

/// Begins the lease `id` anew.
///
/// # Errors
/// When others write at the same time. When the control table does not answer: the lease may then
/// be renewed all the same.
pub async fn renew<R: Rows>(
    control: &ControlTable<R>,
    region: RegionName,
    id: &str,
) -> Result<Result<(), Gone>, Unsettled> {
    change(control, region, |book| book.renew(id).map(Some)).await
}

/// Gives the lease `id` back and says what came of it. It is fine if it is gone.
///
/// # Errors
/// When others write at the same time, or the control table does not answer: what is not given
/// back runs out by itself, and counts as failed.
pub async fn leave<R: Rows>(
    control: &ControlTable<R>,
    region: RegionName,
    id: &str,
    outcome: Outcome,
) -> Result<(), Unsettled> {
    let left = change(control, region, |book| Ok::<_, Gone>(book.release(id, outcome))).await?;
    // Releasing never refuses.
    left.or(Ok(()))
}

/// Reads every configured region's leases and drops those whose holders are gone.
///
/// `watches` is what this caller remembers of them between its looks. Losing a race is fine: the
/// next look decides anew.
///
/// # Errors
/// When the control table cannot be read. A write that fails leaves the leases as they were.
pub async fn reap<R: Rows>(
    config: &Config,
    control: &ControlTable<R>,
    watches: &mut BTreeMap<RegionName, Watch>,
    clock: &impl Clock,
) -> Result<BTreeMap<RegionName, Book>, RowsError> {
    let mut written = control.all_leases().await?;
    let now = clock.now();
    let mut books = BTreeMap::new();
    for region in config.full_regions().map(|region| region.name) {
        let read = written.remove(&region).unwrap_or_default();
        let aged = watches.entry(region).or_default().look(&read, now);
        let reaped = match aged.reap(&read) {
            Some(next) => control.write_leases(region, &next).await.is_ok().then_some(next),
            None => None,
        };
        books.insert(region, reaped.unwrap_or(aged));
    }
    Ok(books)
}

/// Writes what `make` makes of the region's leases, unless another writer is first.
async fn change<R: Rows, E>(
    control: &ControlTable<R>,
    region: RegionName,
    make: impl Fn(&Book) -> Result<Option<Book>, E>,
) -> Result<Result<(), E>, Unsettled> {
    let next = match make(&control.leases(region).await?) {
        Ok(Some(next)) => next,
        Ok(None) => return Ok(Ok(())),
        Err(refused) => return Ok(Err(refused)),
    };
    match control.write_leases(region, &next).await {
        Ok(()) => Ok(Ok(())),
        // The row was read a moment ago: a replica that slows its writers down, or finds one
        // under way in another region, is no silent one.
        Err(RowsError::Conflict | RowsError::Throttled { .. }) => Err(Unsettled::Contended),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
