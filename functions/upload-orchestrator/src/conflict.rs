//! Two regions that wrote the same key: which write may lie on top of which.
//!
//! Rule: a write lies on top of another one only where the ledger shows that its own region has
//! had the other one, and so wrote later. No clocks are compared. If neither region has had
//! the other's write, neither is copied over the other: both stay where they are, and both rows
//! stay owed and say so, until the same bytes lie in both regions or one of them is deleted.

use sealane::{
    ports::{Clock, Head, Objects, Rows},
    region::RegionName,
    replication::{Entry, META_UPLOAD, ObjectId, Origin, Phase, Source},
    store::Versioned,
};

use crate::{
    job::Job,
    source::{pinned, same_bytes},
    trouble::{Trouble, chain},
};

/// What is found at a key: where it was written first, and its names in the ledger.
pub(crate) struct Write {
    /// The region that it was written in, or a region that was copied from.
    pub(crate) made_in: RegionName,
    ids: Vec<ObjectId>,
    source: Source,
}

impl<O: Objects, R: Rows, C: Clock> Job<'_, O, R, C> {
    /// Refuses to copy on top of `found`, unless this region has had it.
    pub(crate) async fn bury(&self, found: &Head) -> Result<(), Trouble> {
        let there = self.row().destination;
        let write = self.write(self.destination, there, found);
        let write = write.ok_or_else(|| {
            Trouble::unverified("the destination holds an object that does not say where it belongs")
        })?;
        let here = self.deps.here;
        if write.made_in == here || write.ids.contains(&self.row().object) {
            return Ok(());
        }
        let copied = write.made_in != there;
        if self.rows_of(&write).await?.iter().any(|row| shows(&row.value, here, copied)) {
            return Ok(());
        }
        Err(Trouble::unverified(format!(
            "the destination holds a write of {} that {here} has not got yet; if both stay, write the one \
             that shall win into both regions, or delete the other one",
            write.made_in
        )))
    }

    /// Leaves the destination to the copy `newest` that took this row's place in its own bucket,
    /// if that was written by a region that has had this row's object.
    pub(crate) async fn give_way_to_copy(&self, newest: &Write) -> Result<(), Trouble> {
        let (row, winner) = (self.row(), newest.made_in);
        let known = self.deps.ledger.of_object(&row.object).await;
        let known = known.map_err(|e| Trouble::unverified(chain(&e)))?;
        if !known.iter().any(|row| shows(&row.value, winner, false)) {
            return Err(Trouble::unverified(format!(
                "a copy from {winner} took its place, and {winner} has not got it; write the one that shall \
                 win into both regions, or delete the other one"
            )));
        }
        // This row's copy may have been written on top of that one's.
        for held in self.rows_of(newest).await? {
            match held.value.phase {
                Phase::Verified { .. } if held.value.destination == row.destination => {
                    let again = held.value.clone().reowed(self.deps.clock.now());
                    let again = self.deps.ledger.swap(&held, &again).await;
                    again.map_err(|e| Trouble::unverified(chain(&e)))?;
                }
                Phase::Copying(_) if held.value.destination == row.destination => {
                    return Err(Trouble::unverified("the newer version that took its place is being copied"));
                }
                Phase::Verified { .. }
                | Phase::Copying(_)
                | Phase::Pending
                | Phase::Failed { .. }
                | Phase::Void { .. } => {}
            }
        }
        Ok(())
    }

    /// The write that `head` describes, found in `bucket` of region `at`; `None` if it does not say.
    pub(crate) fn write(&self, bucket: &O, at: RegionName, head: &Head) -> Option<Write> {
        let key = &self.row().source.key;
        let source = pinned(bucket, at, key, head);
        let (made_in, version) = match Origin::of(at, key, &head.attributes.metadata).ok()? {
            Origin::Copy { region, version_id, epoch: _ } => (region, Some(version_id)),
            Origin::Plain | Origin::Upload { .. } | Origin::System => (at, source.version_id.clone()),
        };
        let mut ids = vec![ObjectId::of_version(made_in, key, version.as_deref(), &source.etag)];
        // A copy of an uploaded object carries the upload's id along.
        ids.extend(head.attributes.metadata.get(META_UPLOAD).map(|id| ObjectId::of_upload(id)));
        Some(Write { made_in, ids, source })
    }

    /// The rows of `write`, under any of its names.
    async fn rows_of(&self, write: &Write) -> Result<Vec<Versioned<Entry>>, Trouble> {
        let mut rows = Vec::new();
        for id in &write.ids {
            let held = self.deps.ledger.of_object(id).await;
            rows.extend(held.map_err(|e| Trouble::unverified(chain(&e)))?);
        }
        // An upload's id may have gone to another key, or have been used twice.
        rows.retain(|row| {
            row.value.source.key == write.source.key && same_bytes(&row.value.source, &write.source)
        });
        Ok(rows)
    }
}

/// Whether `row` shows that `region` has had the row's object: as what was copied from, or as
/// what got it. A copy whose own region gave the row up counts too: it was replaced or deleted there.
fn shows(row: &Entry, region: RegionName, copied: bool) -> bool {
    let settled = match row.phase {
        Phase::Verified { .. } => true,
        Phase::Void { .. } => copied,
        Phase::Pending | Phase::Copying(_) | Phase::Failed { .. } => false,
    };
    row.source.region == region || row.destination == region && settled
}
