//! Copying an object from bucket to bucket: the bytes go from store to store, never through here.
//!
//! A copy is written only on top of what was found before, so that one that is made twice, or by a
//! worker that was presumed dead, lands once. The source is pinned by version and entity tag. A large object goes in
//! ranges; the multipart upload that gathers them is written into the row
//! before the first one, so that a successor goes on from what the store lists.

use std::collections::BTreeMap;

use futures::stream::{FuturesUnordered, StreamExt as _};
use sealane::{
    ports::{Attributes, Clock, CopySource, Objects, ObjectsError, Onto, Part, Rows, Stored},
    replication::CopyPlan,
    units::ByteSize,
    upload::{self, Layout, Reason},
};

use crate::{
    job::Job,
    trouble::{Trouble, chain},
};

impl<O: Objects, R: Rows, C: Clock> Job<'_, O, R, C> {
    /// Copies the source to the destination.
    pub(crate) async fn copy(&mut self, attributes: &Attributes, onto: &Onto) -> Result<Stored, Trouble> {
        self.keep().await?;
        let source = self.source();
        let pin = CopySource {
            bucket: source.bucket,
            key: source.key,
            version_id: source.version_id,
            etag: Some(source.etag).filter(|etag| !etag.is_empty()),
        };
        let policy = &self.deps.policy;
        if source.size <= policy.whole_max {
            return self.at_destination(self.destination.copy(&pin, &pin.key, attributes, onto).await);
        }
        let layout = Layout::new(source.size, policy.part_target);
        let layout = layout.map_err(|e| Trouble::Failure(Reason::Refused { detail: e.to_string() }))?;
        self.copy_ranges(&pin, layout, attributes, onto).await
    }

    async fn copy_ranges(
        &mut self,
        pin: &CopySource,
        layout: Layout,
        attributes: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, Trouble> {
        let (upload, mut parts) = self.open(pin, layout, attributes).await?;
        let done = parts.iter().map(|(number, part)| (*number, ByteSize(part.size_bytes))).collect();
        let missing = CopyPlan::Ranges(layout).missing(&done);
        let copied = self.copy_parts(pin, &upload, &missing, &mut parts).await?;
        self.or_restart(copied).await?;
        self.keep().await?;
        // The parts took their time, and somebody may have written there meanwhile: the next try looks
        // closer at that, and has the parts still.
        let found = self.at_destination(self.destination.head(&pin.key, None).await)?;
        if found.and_then(|found| found.etag).map_or(Onto::Nothing, Onto::Tag) != *onto {
            return Err(Trouble::unverified("something was written there while its parts were copied"));
        }
        self.keep().await?;
        let parts: Vec<Part> = parts.into_values().collect();
        let checksum = self.source().checksum;
        let completed = self.destination.complete(&pin.key, &upload, &parts, checksum, onto).await;
        self.or_restart(completed).await
    }

    /// Copies `missing` parts, always so many at once, and adds them to `parts`. After a failure no
    /// further one is begun, and those under way are waited for: the store keeps what it finished.
    async fn copy_parts(
        &mut self,
        pin: &CopySource,
        upload: &str,
        missing: &[upload::Part],
        parts: &mut BTreeMap<u32, Part>,
    ) -> Result<Result<(), ObjectsError>, Trouble> {
        let (destination, at_once) = (self.destination, self.deps.policy.parts_at_once.max(1));
        let (mut waiting, mut under_way) = (missing.iter(), FuturesUnordered::new());
        let mut outcome = Ok(());
        loop {
            // Before each part that is begun: its call may take as long as half a lease.
            self.keep().await?;
            while outcome.is_ok() && under_way.len() < at_once {
                let Some(part) = waiting.next() else { break };
                let range = part.offset..part.offset + part.length.0;
                under_way.push(destination.copy_part(pin, &pin.key, upload, part.number, range));
            }
            match under_way.next().await {
                Some(Ok(part)) => drop(parts.insert(part.number, part)),
                // The first failure counts: others may come of it.
                Some(Err(error)) => outcome = outcome.and(Err(error)),
                None => return Ok(outcome),
            }
        }
    }

    /// The multipart upload to go on with, and the parts of this layout that it has.
    async fn open(
        &mut self,
        pin: &CopySource,
        layout: Layout,
        attributes: &Attributes,
    ) -> Result<(String, BTreeMap<u32, Part>), Trouble> {
        if let Some(upload) = self.multipart() {
            match self.destination.parts(&pin.key, &upload).await {
                Ok(parts) => {
                    let fits = |p: &Part| layout.part(p.number).is_some_and(|l| l.length.0 == p.size_bytes);
                    let parts = parts.into_iter().filter(fits).map(|p| (p.number, p)).collect();
                    return Ok((upload, parts));
                }
                // It was completed or freed since; what it made was looked for before.
                Err(ObjectsError::Missing { .. }) => self.advance(|row, token| row.restarted(token)).await?,
                Err(error) => return self.at_destination(Err(error)),
            }
        }
        let upload = self.at_destination(self.destination.begin(&pin.key, attributes).await)?;
        let named = upload.clone();
        if let Err(trouble) = self.advance(|row, token| row.journaled(token, named)).await {
            // Nobody else knows of it. If this fails, too, the bucket's lifecycle rule frees it.
            if let Err(error) = self.destination.abort(&pin.key, &upload).await {
                tracing::warn!(error = chain(&error), upload.id = upload, "could not free an upload");
            }
            return Err(trouble);
        }
        Ok((upload, BTreeMap::new()))
    }

    /// Gives up parts that do not make up the source, so that the next try starts afresh.
    async fn or_restart<T>(&mut self, answer: Result<T, ObjectsError>) -> Result<T, Trouble> {
        let Err(error) = &answer else { return self.at_destination(answer) };
        match error {
            ObjectsError::Mismatch { key, .. } | ObjectsError::Missing { key, .. } => {
                if let Some(upload) = self.multipart() {
                    self.at_destination(self.destination.abort(key, &upload).await)?;
                    self.advance(|row, token| row.restarted(token)).await?;
                }
                self.at_destination(answer)
            }
            _ => self.at_destination(answer),
        }
    }
}
