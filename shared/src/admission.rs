//! Taking, keeping and giving back leases, on the control table.
//!
//! Each step is one conditional write, made anew when another writer was first. A
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

/// Writes of one row that may be lost to others before the caller is told.
///
/// Of all who race for a row one wins each time, so this many uploaders may begin at once.
const TRIES_MAX: usize = 32;

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

/// Asks for a lease in `region`: held, or why not. Nothing is held after a refusal.
///
/// # Errors
/// When the control table does not answer; the lease may then be held all the same, and runs out.
pub async fn enter<R: Rows>(
    control: &ControlTable<R>,
    region: &Region,
    ask: &Ask,
    clock: &impl Clock,
) -> Result<Result<(), Refusal>, RowsError> {
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
/// When the control table does not answer; the lease may then be renewed all the same.
pub async fn renew<R: Rows>(
    control: &ControlTable<R>,
    region: RegionName,
    id: &str,
) -> Result<Result<(), Gone>, RowsError> {
    change(control, region, |book| book.renew(id).map(Some)).await
}

/// Gives the lease `id` back and says what came of it. It is fine if it is gone.
///
/// # Errors
/// When the control table does not answer: the lease runs out by itself, and counts as failed.
pub async fn leave<R: Rows>(
    control: &ControlTable<R>,
    region: RegionName,
    id: &str,
    outcome: Outcome,
) -> Result<(), RowsError> {
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

/// Writes what `make` makes of the region's leases, until no other writer was first.
async fn change<R: Rows, E>(
    control: &ControlTable<R>,
    region: RegionName,
    make: impl Fn(&Book) -> Result<Option<Book>, E>,
) -> Result<Result<(), E>, RowsError> {
    for _ in 0..TRIES_MAX {
        let next = match make(&control.leases(region).await?) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(Ok(())),
            Err(refused) => return Ok(Err(refused)),
        };
        match control.write_leases(region, &next).await {
            Ok(()) => return Ok(Ok(())),
            Err(RowsError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(RowsError::Conflict)
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
