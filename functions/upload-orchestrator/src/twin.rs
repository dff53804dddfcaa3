//! Copies that an upload's own write made superfluous.
//!
//! Rule: an upload is one version in each region. Where one of its lanes ends long after the others, replication has
//! paid what it lacked, and the lane's write lies on top of that copy. The copy is taken away: of the two it
//! is the lane's version that users were told of. Only what replication made is taken away, only from right
//! below the upload's own write, and only if their stores' checksums are equal.

use sealane::{
    ports::{Clock, Head, Objects, ObjectsError, Rows, RowsError, Versions},
    replication::{META_UPLOAD, ObjectId, Origin, twins},
};

use crate::{
    Deps,
    intake::{IntakeError, is_whole},
    trouble::chain,
};

/// Takes the copies away on top of which their own upload lies, as the listing `page` of `key` shows it: below `first`
/// if that was looked at already, else wherever they lie.
pub(crate) async fn take_away<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    page: &Versions,
    first: Option<&(Head, Origin)>,
) -> Result<(), IntakeError> {
    let own = deps.own()?;
    for (upper, lower) in twins(key, page) {
        let seen = first.map(|(head, _)| head);
        let upper = match seen {
            Some(seen) if seen.version_id.as_deref() == Some(upper) => Some(seen.clone()),
            Some(_) => None,
            None => own.head(key, Some(upper)).await.map_err(IntakeError::Source)?,
        };
        let Some(upper) = upper else { continue };
        let Some(id) = upload(deps, key, &upper) else { continue };
        let found = own.head(key, Some(lower)).await.map_err(IntakeError::Source)?;
        let Some(found) = found.filter(|found| is_copy_of(deps, key, id, found)) else { continue };
        if !is_whole(&upper, &found) {
            continue;
        }
        match own.remove(key, lower).await {
            Ok(()) => {}
            // As of an object that is locked: asking again changes nothing.
            Err(error @ ObjectsError::Refused { .. }) => {
                tracing::warn!(error = chain(&error), object.key = key, "left a copy below its upload");
                continue;
            }
            Err(error) => return Err(IntakeError::Source(error)),
        }
        tracing::info!(object.key = key, upload.id = id, "took a copy away that its upload lies on top of");
        restate(deps, &ObjectId::of_upload(id), lower, &upper).await.map_err(IntakeError::Ledger)?;
    }
    Ok(())
}

/// The id of the upload that wrote `head` itself, if one did.
fn upload<'a, O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    head: &'a Head,
) -> Option<&'a str> {
    let metadata = &head.attributes.metadata;
    match Origin::of(deps.here, key, metadata).ok()? {
        Origin::Upload { .. } => metadata.get(META_UPLOAD).map(String::as_str),
        Origin::Copy { .. } | Origin::Plain | Origin::System => None,
    }
}

/// Whether replication made `head`, of the upload `id`.
fn is_copy_of<O: Objects, R: Rows, C: Clock>(deps: &Deps<O, R, C>, key: &str, id: &str, head: &Head) -> bool {
    let metadata = &head.attributes.metadata;
    matches!(Origin::of(deps.here, key, metadata), Ok(Origin::Copy { .. }))
        && metadata.get(META_UPLOAD).is_some_and(|found| found == id)
}

/// Lets the row of `object` name the version that is left, if it named the one that was taken away.
async fn restate<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    object: &ObjectId,
    from: &str,
    left: &Head,
) -> Result<(), RowsError> {
    let Some(row) = deps.ledger.get(object, deps.here).await? else { return Ok(()) };
    let Some(moved) = row.value.clone().moved(from, left.version_id.clone()) else { return Ok(()) };
    match deps.ledger.swap(&row, &moved).await {
        // Whoever moved it on has seen what is there now, or will.
        Ok(_) | Err(RowsError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}
