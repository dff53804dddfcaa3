//! What the destination holds of a key, and what that means for a row.
//!
//! Rule: a copy goes on top of what was written before its source, and of nothing else. What lies there may
//! be its own copy already, or a newer version, which an older one must not bury.

use sealane::{
    ports::{Clock, Head, Objects, Onto, Rows},
    replication::{Entry, META_UPLOAD, Origin},
    upload::Reason,
};

use crate::{
    Deps,
    job::{Job, Settled},
    source::{Depth, Sight, below, sight},
    trouble::Trouble,
};

/// What the destination holds before a copy is made.
pub(crate) enum Found {
    /// A proved copy, of this version.
    Whole {
        /// Its version there.
        version_id: Option<String>,
    },
    /// Nothing, or what may be copied over: the copy is written on top of just that, from what was seen.
    Lacking(Box<Sight>, Onto),
    /// A newer version, which an older one must not lie on top of.
    Newer,
    /// Whatever it is, the source was deleted meanwhile.
    Gone,
}

impl<O: Objects, R: Rows, C: Clock> Job<'_, O, R, C> {
    /// Looks whether the destination holds a whole copy already, and proves it.
    pub(crate) async fn found(&mut self, mut sight: Sight) -> Result<Found, Trouble> {
        let (here, there) = (self.deps.here, self.row().destination);
        let head = self.at_destination(self.destination.head(&self.row().source.key, None).await)?;
        if let Some(head) = &head
            && self.may_be_whole(head)
        {
            match self.prove(head.version_id.as_deref()).await {
                Ok(version_id) => return Ok(Found::Whole { version_id }),
                Err(Trouble::Failure(
                    Reason::ChecksumDiffers { .. } | Reason::SizeDiffers { .. } | Reason::Unverified { .. },
                )) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let shown = head.as_ref().and_then(|head| self.write(self.destination, there, head));
        if shown.is_some_and(|write| write.made_in != here) {
            // What another region wrote there may have come here since, on top of this version.
            match self.look_at_source().await? {
                Some(fresh) => sight = fresh,
                None => return Ok(Found::Gone),
            }
        }
        if self.is_overtaken(&sight.above, head.as_ref()).await? {
            return Ok(Found::Newer);
        }
        if let Some(head) = &head
            && let Err(refused) = self.bury(head).await
        {
            // An earlier try may have made the copy before that was written on top.
            let below = if self.row().epoch > 1 { self.below().await? } else { None };
            return below.map(|version_id| Found::Whole { version_id }).ok_or(refused);
        }
        if let Some(head) = &head
            && self.row().epoch > 1
            && self.is_leaving(head).await?
            && let Some(version_id) = self.below().await?
        {
            return Ok(Found::Whole { version_id });
        }
        let onto = head.and_then(|head| head.etag).map_or(Onto::Nothing, Onto::Tag);
        Ok(Found::Lacking(Box::new(sight), onto))
    }

    /// Whether `head` is a copy of a version that was deleted here since: its row takes it away again,
    /// and what an earlier try copied shows below it.
    async fn is_leaving(&self, head: &Head) -> Result<bool, Trouble> {
        let Entry { destination, source, .. } = self.row();
        match Origin::of(*destination, &source.key, &head.attributes.metadata) {
            Ok(Origin::Copy { region, version_id, .. }) if region == source.region => {
                let seen = sight(self.own, &source.key, Some(&version_id), None).await;
                Ok(self.at_source(seen)?.is_none())
            }
            Ok(Origin::Copy { .. } | Origin::Plain | Origin::Upload { .. } | Origin::System) | Err(_) => {
                Ok(false)
            }
        }
    }

    /// Gives the row up, since a newer version lies in the destination, unless its copy lies below that.
    pub(crate) async fn overtaken(&mut self) -> Result<Settled, Trouble> {
        if let Some(version_id) = self.below().await? {
            return Ok(Settled::Verified { version_id, copied: false });
        }
        let there = self.row().destination;
        let detail = format!("{there} had a newer version before, and an older one is not put on top of it");
        Ok(Settled::Void(Reason::Overtaken { detail }))
    }

    /// The version of a whole copy of this row that the destination holds below what it shows, proved.
    async fn below(&mut self) -> Result<Option<Option<String>>, Trouble> {
        self.keep().await?;
        let source = &self.row().source;
        let is_ours = |head: &Head| self.may_be_whole(head);
        let found = below(self.destination, &source.key, source.size.0, Depth::All, is_ours).await;
        match self.at_destination(found)? {
            Some(head) => self.prove(head.version_id.as_deref()).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the destination may hold a whole copy of `row`, as far as is seen without a claim on it.
    pub(crate) async fn may_be_there(deps: &Deps<O, R, C>, row: &Entry) -> bool {
        let Some(bucket) = deps.buckets.get(&row.destination) else { return false };
        match bucket.head(&row.source.key, None).await {
            Ok(Some(head)) => head.size_bytes == row.source.size.0 && head.checksum == row.source.checksum,
            Ok(None) | Err(_) => false,
        }
    }

    /// Whether it is worth proving that `head` is a whole copy of this very version: one that says that it
    /// is another version holds the same bytes by chance. Without checksums, only what says of itself
    /// that it is one is read for that.
    fn may_be_whole(&self, head: &Head) -> bool {
        let source = &self.row().source;
        let metadata = &head.attributes.metadata;
        let upload = metadata.get(META_UPLOAD).map(String::as_str);
        let id = self.row().object.as_str().strip_prefix("upload#");
        let is_said = self.epoch_of(head).is_some() || id.is_some() && id == upload;
        let is_another = match Origin::of(self.row().destination, &source.key, metadata) {
            Ok(Origin::Copy { region, .. }) => region == self.made_from().0,
            Ok(Origin::Upload { .. }) => id.is_some(),
            Ok(Origin::Plain | Origin::System) | Err(_) => false,
        };
        let sums_agree = match (source.checksum, head.checksum) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => is_said,
        };
        head.size_bytes == source.size.0 && sums_agree && (is_said || !is_another)
    }
}
