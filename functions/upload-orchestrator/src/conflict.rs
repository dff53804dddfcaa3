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

    /// Whether the destination has, or has had, one of the versions `above`, which were written on top of
    /// this row's here; `found` is what it shows.
    pub(crate) async fn is_overtaken(&self, above: &[String], found: Option<&Head>) -> Result<bool, Trouble> {
        let (here, there, key) = (self.deps.here, self.row().destination, self.source().key);
        let found = found.and_then(|head| self.write(self.destination, there, head));
        let shown =
            |ids: &[ObjectId]| found.as_ref().is_some_and(|w| w.ids.iter().any(|id| ids.contains(id)));
        let plain = |version: &String| ObjectId::of_version(here, &key, Some(version), "");
        if above.iter().any(|version| shown(&[plain(version)])) {
            return Ok(true);
        }
        let is_foreign = found.as_ref().is_some_and(|write| write.made_in != here);
        for version in above.iter().rev() {
            let row = self.deps.ledger.get(&plain(version), there).await;
            match row.map_err(|e| Trouble::unverified(chain(&e)))?.map(|row| row.value.phase) {
                Some(Phase::Verified { .. }) => return Ok(true),
                Some(Phase::Void { .. }) => continue,
                Some(Phase::Pending | Phase::Copying(_) | Phase::Failed { .. }) if is_foreign => continue,
                // Those above it wait for this one.
                Some(Phase::Pending | Phase::Copying(_) | Phase::Failed { .. }) => return Ok(false),
                None => {}
            }
            // An upload, or a copy of what was written elsewhere.
            self.keep_time()?;
            let head = self.at_source(self.own.head(&key, Some(version)).await)?;
            let Some(write) = head.and_then(|head| self.write(self.own, here, &head)) else { continue };
            let held = |row: &Versioned<Entry>| {
                row.value.destination == there && matches!(row.value.phase, Phase::Verified { .. })
            };
            if write.made_in == there || shown(&write.ids) || self.rows_of(&write).await?.iter().any(held) {
                return Ok(true);
            }
        }
        Ok(false)
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
