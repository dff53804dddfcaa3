//! One claimed row, from the claim to its outcome.
//!
//! Every step may be the last one: a worker that dies leaves a claim that
//! expires, and whoever takes over finds the copy there or goes on with its parts.

use sealane::{
    checksum::Checksum,
    ports::{Attributes, Clock, Head, Objects, ObjectsError, Onto, Rows, RowsError, Stored},
    region::RegionName,
    replication::{
        Entry, Felt, META_ORIGIN, Origin, Phase, Refused, RetryPolicy, Source, Token, origin_value,
    },
    store::Versioned,
    upload::Reason,
};

use crate::{
    Deps, Invocation,
    source::{Depth, LOOKS_MAX, Sight, below, sight},
    there::Found,
    trouble::{Side, Trouble, chain},
    turn::Turn,
};

/// How a try ended that found or made what it wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The destination holds a proved copy.
    Verified {
        /// Its version there.
        version_id: Option<String>,
        /// Whether this try made it.
        copied: bool,
    },
    /// There is nothing to copy any more.
    Void(Reason),
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payment {
    /// The destination holds a proved copy, which this try made or found.
    Verified {
        /// Whether this try made it.
        copied: bool,
    },
    /// There was nothing to copy any more.
    Void,
    /// The destination asked to slow down; the copy is owed still.
    Slow,
    /// The destination does not answer; the copy is owed still.
    Outage,
    /// The try failed; the copy is owed still.
    Failed,
    /// The copy goes on in another invocation, or is another worker's.
    Left,
    /// The version below is to be copied first; the destination was not asked.
    Waits,
}

impl Payment {
    /// What it says of the destination.
    pub(crate) const fn felt(&self) -> Option<Felt> {
        match self {
            Self::Verified { .. } | Self::Void | Self::Failed | Self::Left => Some(Felt::Good),
            Self::Slow => Some(Felt::Slow),
            Self::Outage => Some(Felt::Silent),
            Self::Waits => None,
        }
    }

    /// Whether the row is settled now, so that the next version's turn has come.
    pub(crate) const fn settles(&self) -> bool {
        match self {
            Self::Verified { .. } | Self::Void => true,
            Self::Slow | Self::Outage | Self::Failed | Self::Left | Self::Waits => false,
        }
    }
}

/// A row and the claim on it.
#[derive(Debug)]
pub(crate) struct Job<'a, O, R, C> {
    pub(crate) deps: &'a Deps<O, R, C>,
    pub(crate) invocation: &'a Invocation,
    /// The bucket that is copied from.
    pub(crate) own: &'a O,
    /// The bucket that is copied to.
    pub(crate) destination: &'a O,
    row: Versioned<Entry>,
    token: Token,
}

impl<'a, O: Objects, R: Rows, C: Clock> Job<'a, O, R, C> {
    /// Claims `row`; `None` if it is settled, not due or another worker's.
    pub(crate) async fn claim(
        deps: &'a Deps<O, R, C>,
        invocation: &'a Invocation,
        row: Versioned<Entry>,
    ) -> Option<Self> {
        let own = deps.buckets.get(&row.value.source.region)?;
        let destination = deps.buckets.get(&row.value.destination)?;
        let claim = row.value.clone().claim(&invocation.owner, deps.clock.now(), deps.policy.lease);
        let (claimed, token) = claim.ok()?;
        match deps.ledger.swap(&row, &claimed).await {
            Ok(row) => Some(Self { deps, invocation, own, destination, row, token }),
            Err(RowsError::Conflict) => None,
            Err(error) => {
                tracing::warn!(error = chain(&error), copy = %row.value, "could not claim a row");
                None
            }
        }
    }

    /// Works on the row and writes down what came of it.
    pub(crate) async fn finish(mut self, seen: Option<Sight>, turn: Turn) -> Payment {
        let outcome = self.attempt(seen, turn).await;
        self.free_parts(&outcome).await;
        let policy = &self.deps.policy;
        let (payment, written) = match outcome {
            Err(Trouble::Lost) => return Payment::Left,
            Ok(Settled::Verified { version_id, copied }) => {
                let written = self.advance(|row, token| row.verified(token, version_id)).await;
                (Payment::Verified { copied }, written)
            }
            Ok(Settled::Void(reason)) => {
                (Payment::Void, self.advance(|row, token| row.voided(token, reason)).await)
            }
            Err(Trouble::OutOfTime) => (Payment::Left, self.retry(Reason::Stopped, policy.outage).await),
            Err(Trouble::Outage(reason @ Reason::Busy { .. })) => {
                (Payment::Slow, self.retry(reason, policy.outage).await)
            }
            Err(Trouble::Outage(reason)) => (Payment::Outage, self.retry(reason, policy.outage).await),
            Err(Trouble::Failure(reason)) => (Payment::Failed, self.retry(reason, policy.failure).await),
        };
        let row = &self.row.value;
        tracing::info!(region.name = %row.destination, object.key = row.source.key,
            size_bytes = row.source.size.0, attempts = row.attempts, outcome = %row, "worked on a copy");
        // What is not written down is not claimed: the next worker finds it out.
        if written.is_ok() { payment } else { Payment::Left }
    }

    async fn retry(&mut self, reason: Reason, policy: RetryPolicy) -> Result<(), Trouble> {
        let now = self.deps.clock.now();
        // Rows that failed together are not to come back together.
        let seed = self.invocation.seed ^ Checksum::of(self.row.value.object.as_str().as_bytes()).as_u64();
        self.advance(|row, token| row.failed(token, reason, now, &policy, seed)).await
    }

    /// Finds or makes the copy, and proves it.
    async fn attempt(&mut self, seen: Option<Sight>, turn: Turn) -> Result<Settled, Trouble> {
        let sight = match seen {
            Some(sight) if self.is_source(&sight.head) => Some(sight),
            Some(_) | None => self.look_at_source().await?,
        };
        let Some(sight) = sight else { return self.withdraw().await };
        let stored = match self.copy_unseen(&sight).await? {
            Some(stored) => stored,
            None => match self.found(sight).await? {
                Found::Whole { version_id } => return Ok(Settled::Verified { version_id, copied: false }),
                Found::Newer => return self.overtaken().await,
                Found::Gone => return self.withdraw().await,
                Found::Lacking(..) if turn != Turn::Now => {
                    return Err(Trouble::unverified("it waits for the version below, whose copy failed"));
                }
                Found::Lacking(sight, onto) => {
                    let attributes = self.attributes(&sight.head).await?;
                    self.copy(&attributes, &onto).await?
                }
            },
        };
        let proved = self.prove_copy(&stored).await;
        let version_id = match proved {
            Ok(version_id) => version_id,
            Err(trouble) => {
                self.discard(&trouble, stored.version_id.as_deref()).await;
                return Err(trouble);
            }
        };
        // A newer version on top of the source does no harm, since its own copy will lie on top of this one;
        // a delete in between does.
        match self.look_at_source().await? {
            Some(_) => Ok(Settled::Verified { version_id, copied: true }),
            None => self.withdraw().await,
        }
    }

    /// Copies without a look at the destination, if that will hardly hold anything: the store refuses the
    /// copy if it does. `None` when it is to be looked at.
    async fn copy_unseen(&mut self, sight: &Sight) -> Result<Option<Stored>, Trouble> {
        let Entry { object, source, epoch, attempts, after, .. } = &self.row.value;
        let first_try = *epoch == 1 && *attempts == 0;
        let is_alone = after.is_none() && sight.above.is_empty() && object.origin().is_some();
        if !first_try || !is_alone || source.size > self.deps.policy.whole_max {
            return Ok(None);
        }
        let attributes = self.attributes(&sight.head).await?;
        match self.copy(&attributes, &Onto::Nothing).await {
            // Something is there, or the source is not what it was: both are seen at a closer look.
            Err(Trouble::Failure(Reason::SourceChanged { .. })) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Whether `head`, which was seen before, describes what is to be copied.
    fn is_source(&self, head: &Head) -> bool {
        let source = &self.row.value.source;
        let etag = head.etag.as_deref().unwrap_or_default();
        source.region == self.deps.here && source.version_id == head.version_id && source.etag == etag
    }

    /// The source as it stands in its own bucket; `None` once it is gone.
    pub(crate) async fn look_at_source(&mut self) -> Result<Option<Sight>, Trouble> {
        self.keep().await?;
        let source = &self.row.value.source;
        let etag = Some(source.etag.as_str()).filter(|etag| !etag.is_empty());
        self.at_source(sight(self.own, &source.key, source.version_id.as_deref(), etag).await)
    }

    /// What is kept of the source besides its bytes, and where the copy came from.
    async fn attributes(&self, head: &Head) -> Result<Attributes, Trouble> {
        let mut attributes = head.attributes.clone();
        if head.tags > 0 {
            let source = &self.row.value.source;
            attributes.tags =
                self.at_source(self.own.tags(&source.key, source.version_id.as_deref()).await)?;
        }
        let ((region, version), row) = (self.made_from(), &self.row.value);
        let mark = origin_value(region, &version, row.epoch, row.destination, &row.source.key);
        attributes.metadata.insert(META_ORIGIN.to_owned(), mark);
        if let Some(class) = self.deps.class(row, region, &attributes.metadata) {
            attributes.storage_class = Some(class.to_string());
        }
        Ok(attributes)
    }

    /// The write that a copy of this row says it came from. A region that pays for another one says so, too.
    pub(crate) fn made_from(&self) -> (RegionName, String) {
        let Entry { object, source, .. } = &self.row.value;
        match object.origin() {
            Some((region, version)) => (region, version.to_owned()),
            None => (source.region, source.version_id.clone().unwrap_or_else(|| "null".to_owned())),
        }
    }

    /// The epoch under which `head` was made at the destination, if it is a copy that this row made.
    pub(crate) fn epoch_of(&self, head: &Head) -> Option<u64> {
        let row = &self.row.value;
        match Origin::of(row.destination, &row.source.key, &head.attributes.metadata) {
            Ok(Origin::Copy { region, version_id, epoch }) => {
                ((region, version_id) == self.made_from()).then_some(epoch)
            }
            Ok(Origin::Plain | Origin::Upload { .. } | Origin::System) | Err(_) => None,
        }
    }

    /// Gives the row up, since its source was deleted: copies that nobody has proved are taken away
    /// again, or they would bring back what was deleted at the destination as well. A newer version may
    /// lie on top of them, and a request whose answer was lost may have made a second one.
    async fn withdraw(&mut self) -> Result<Settled, Trouble> {
        self.keep().await?;
        if self.row.value.home().is_some() {
            // A relay's copy was deleted, and not what it was made from: who wrote that pays it.
            self.advance(|row, token| row.returned(token)).await?;
            return Err(Trouble::Lost);
        }
        let Source { key, size, .. } = self.source();
        if self.at_destination(self.destination.head(&key, None).await)?.is_none() {
            return Ok(Settled::Void(gone()));
        }
        for _ in 0..LOOKS_MAX {
            let is_ours =
                |head: &Head| self.epoch_of(head).is_some_and(|epoch| epoch > self.row.value.proved);
            let found = below(self.destination, &key, size.0, Depth::Undeleted, is_ours).await;
            let Some(version) = self.at_destination(found)?.and_then(|head| head.version_id) else { break };
            self.keep().await?;
            self.at_destination(self.destination.remove(&key, &version).await)?;
        }
        Ok(Settled::Void(gone()))
    }

    /// Takes a copy away that was made just now and holds other bytes than its source.
    async fn discard(&self, trouble: &Trouble, version: Option<&str>) {
        let (Trouble::Failure(Reason::ChecksumDiffers { .. } | Reason::SizeDiffers { .. }), Some(version)) =
            (trouble, version)
        else {
            return;
        };
        if let Err(error) = self.destination.remove(&self.row.value.source.key, version).await {
            // It is found again at the next try, and copied over.
            tracing::warn!(error = chain(&error), copy = %self.row.value, "could not take a bad copy away");
        }
    }

    /// Frees the parts of an upload that nobody will go on with.
    async fn free_parts(&self, outcome: &Result<Settled, Trouble>) {
        let Some(upload) = &self.row.value.multipart else { return };
        if matches!(outcome, Ok(Settled::Verified { copied: false, .. } | Settled::Void(_))) {
            let freed = self.destination.abort(&self.row.value.source.key, upload).await;
            if let Err(error) = freed {
                // The bucket's lifecycle rule frees them in the end.
                tracing::warn!(error = chain(&error), upload.id = upload, "could not free parts");
            }
        }
    }

    /// Goes on only while there is time.
    pub(crate) fn keep_time(&self) -> Result<(), Trouble> {
        if self.deps.has_time(self.invocation) { Ok(()) } else { Err(Trouble::OutOfTime) }
    }

    /// Goes on only while there is time, and with a claim that holds.
    pub(crate) async fn keep(&mut self) -> Result<(), Trouble> {
        self.keep_time()?;
        let (now, lease) = (self.deps.clock.now(), self.deps.policy.lease);
        match &self.row.value.phase {
            Phase::Copying(claim) if claim.expires > now.after(lease / 2) => Ok(()),
            Phase::Pending
            | Phase::Copying(_)
            | Phase::Verified { .. }
            | Phase::Failed { .. }
            | Phase::Void { .. } => self.advance(|row, token| row.renewed(token, now, lease)).await,
        }
    }

    /// Moves the row on, if the claim on it still holds.
    pub(crate) async fn advance(
        &mut self,
        change: impl FnOnce(Entry, &Token) -> Result<Entry, Refused>,
    ) -> Result<(), Trouble> {
        let next = change(self.row.value.clone(), &self.token).map_err(|_| Trouble::Lost)?;
        match self.deps.ledger.swap(&self.row, &next).await {
            Ok(row) => {
                self.row = row;
                Ok(())
            }
            Err(error) => {
                // The claim expires, and the next worker goes on from the last row written.
                tracing::warn!(error = chain(&error), copy = %next, "could not move a row on");
                Err(Trouble::Lost)
            }
        }
    }

    /// The row.
    pub(crate) const fn row(&self) -> &Entry {
        &self.row.value
    }

    /// What is copied.
    pub(crate) fn source(&self) -> Source {
        self.row.value.source.clone()
    }

    /// The multipart upload that the row names.
    pub(crate) fn multipart(&self) -> Option<String> {
        self.row.value.multipart.clone()
    }

    pub(crate) fn at_source<T>(&self, answer: Result<T, ObjectsError>) -> Result<T, Trouble> {
        answer.map_err(|e| Trouble::of(&e, Side::Source, &self.deps.policy))
    }

    pub(crate) fn at_destination<T>(&self, answer: Result<T, ObjectsError>) -> Result<T, Trouble> {
        answer.map_err(|e| Trouble::of(&e, Side::Destination, &self.deps.policy))
    }
}

fn gone() -> Reason {
    Reason::SourceChanged { detail: "it was deleted".to_owned() }
}
