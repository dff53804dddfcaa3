//! The end of a trip: the copy is completed, looked up when nobody says what came of that, and proved.

use super::{
    blocks::Whole,
    calls::Failed,
    progress::Progress,
    proof::{self, Found},
    trip::{End, Errand, LOOK_LIMIT, Trip},
};
use crate::{
    ports::{self, Head, Objects, ObjectsError, Onto, Part},
    replication::META_UPLOAD,
    time::Timestamp,
    units::ByteSize,
    upload::{How, Reason, Stored},
};

impl<O: Objects> Trip<'_, O> {
    /// Joins the parts.
    pub(super) async fn complete(&self, parts: &[Part], whole: Whole) -> Result<Option<String>, Failed> {
        let (key, upload) = (self.errand.key, self.upload.get().map_or("", String::as_str));
        let sum = Some(whole.checksum);
        let complete = || self.bucket.complete(key, upload, parts, sum, &Onto::Anything);
        let failed = match self.settle((whole, ByteSize(0)), complete).await {
            Err(failed) if failed.in_doubt => failed,
            settled => return settled,
        };
        // An upload that is gone cannot be completed any more, so that one more look
        // tells for sure.
        let gone = self.abort(upload).await;
        match self.ours(whole).await {
            Ok(Some(head)) => Ok(head.version_id),
            Ok(None) => Err(Failed { in_doubt: !gone, ..failed }),
            Err(_) => Err(failed),
        }
    }

    /// Makes the call that brings the copy into being, and reads back what came
    /// of it when the answer is lost. `sends`: the bytes that it carries. Gives the copy's version.
    pub(super) async fn settle<F: Future<Output = Result<ports::Stored, ObjectsError>>>(
        &self,
        (whole, sends): (Whole, ByteSize),
        mut call: impl FnMut() -> F,
    ) -> Result<Option<String>, Failed> {
        self.completing.get_or_init(|| ());
        // All bytes are there: this is no moment to go elsewhere.
        let patience = self.patience.staying();
        patience.begin();
        let mut in_doubt = false;
        let mut tries = 1;
        loop {
            if sends > ByteSize(0) {
                self.pass(sends).await;
            }
            let failed = match patience.once(call()).await {
                Ok(stored) => return Ok(stored.version_id),
                Err(failed) => failed,
            };
            in_doubt |= failed.in_doubt;
            // Looked at after a refusal too: the client below may have asked twice, and
            // the second answer be "there is no such upload any more".
            if let Ok(Some(head)) = self.ours(whole).await {
                return Ok(head.version_id);
            }
            if let Err(failed) = patience.rest(tries, failed).await {
                return Err(Failed { in_doubt, ..failed });
            }
            tries += 1;
        }
    }

    /// The copy of this very upload, if the store has it.
    async fn ours(&self, whole: Whole) -> Result<Option<Head>, Failed> {
        let Errand { key, upload_id, .. } = self.errand;
        let head = self.patience.at_most(LOOK_LIMIT).once(self.bucket.head(key, None)).await?;
        Ok(head.filter(|head| {
            head.attributes.metadata.get(META_UPLOAD).is_some_and(|id| id == upload_id)
                && head.size_bytes == whole.size.0
                && head.checksum.is_none_or(|sum| sum == whole.checksum)
        }))
    }

    /// Reads back what the store acknowledged.
    pub(super) async fn verify(&self, version_id: Option<String>, whole: Whole, began: Timestamp) -> End {
        let Errand { key, validate, progress, .. } = self.errand;
        let Whole { size, checksum, .. } = whole;
        if !validate {
            // The store was given the checksum and refuses what does not match it.
            return self.proved(Found { version_id, size, checksum, how: How::WriteReply }, began);
        }
        progress(Progress::Verifying { region: self.region });
        let unverified = |detail: String| Reason::Unverified { detail };
        let found = match proof::look(self.bucket, key, version_id.as_deref(), self.patience).await {
            Ok(Some(head)) => proof::prove(self.bucket, key, head, self.patience).await,
            Ok(None) => return End::Failed(unverified("the store does not find it".to_owned())),
            Err(failed) => Err(failed),
        };
        match found {
            Ok(found) => match proof::difference(size, checksum, &found) {
                None => self.proved(found, began),
                Some(reason) => End::Failed(reason),
            },
            Err(failed) => End::LostSight(unverified(failed.reason.to_string())),
        }
    }

    fn proved(&self, found: Found, began: Timestamp) -> End {
        let Found { version_id, size, checksum, how } = found;
        let duration = self.errand.clock.now().since(began);
        let bucket = self.bucket.bucket().to_owned();
        End::Proved(Stored { bucket, version_id, size, checksum, how, duration })
    }
}
