//! One try to bring a copy into one region.
//!
//! Blocks come in, parts go out, several at a time; the copy is completed only
//! after the source was read to its end and found unchanged. A trip ends by
//! giving up what it left unfinished, within a short bound.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::{
    blocks::{Block, Whole},
    calls::{Failed, Patience, Purse},
    journal::Journal,
    progress::Progress,
    proof::{self, Found},
    resume::{self, Held},
};
use crate::{
    lease::Outcome,
    ports::{self, Attributes, Clock, Head, Objects, ObjectsError, Onto, Part},
    region::RegionName,
    replication::META_UPLOAD,
    retry::RetryBudgets,
    time::Timestamp,
    units::ByteSize,
    upload::{How, Leftover, Note, Reason, Stored},
};

/// How long a trip that failed waits for the store to free what it left behind.
const ABORT_LIMIT: Duration = Duration::from_secs(5);
/// How long a look at what the store holds may take; it moves no bytes.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// How long a region that answered is taken to be there.
const MOMENT: Duration = Duration::from_secs(1);

/// What a trip is fed with.
#[derive(Debug, Clone)]
pub(super) enum Feed {
    /// The next block.
    Block(Block),
    /// The source is read to its end and was this.
    Whole(Whole),
}

/// What all trips of an upload share.
#[derive(Clone, Copy)]
pub(super) struct Errand<'a, C> {
    pub(super) key: &'a str,
    pub(super) upload_id: &'a str,
    pub(super) attributes: &'a Attributes,
    pub(super) concurrency: usize,
    pub(super) validate: bool,
    pub(super) patience: Patience<'a>,
    pub(super) budgets: &'a RetryBudgets,
    pub(super) journal: &'a dyn Journal,
    pub(super) progress: &'a (dyn Fn(Progress) + Send + Sync),
    pub(super) clock: &'a C,
}

/// How a trip ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// There is a copy, and it was proved whole.
    Proved(Stored),
    /// There is no copy.
    Failed(Reason),
    /// There may be a copy.
    LostSight(Reason),
    /// It was called off.
    Dropped(Reason),
}

/// All that is known of a trip after its end.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) began: Timestamp,
    /// Whether the store was asked to complete the copy.
    pub(super) sent: bool,
    pub(super) end: End,
    pub(super) leftover: Option<Leftover>,
}

impl Log {
    /// A trip that was not let in.
    pub(super) const fn refused(reason: Reason, at: Timestamp) -> Self {
        Self { began: at, sent: false, end: End::Failed(reason), leftover: None }
    }

    /// What it came to, for whoever let it in.
    pub(super) const fn outcome(&self) -> Outcome {
        match &self.end {
            End::Proved(stored) => Outcome::Shipped { size: stored.size, took: stored.duration },
            End::Failed(_) | End::LostSight(_) | End::Dropped(_) => Outcome::Failed,
        }
    }
}

/// One try in one region.
pub(super) struct Trip<'a, O, C> {
    errand: &'a Errand<'a, C>,
    region: RegionName,
    bucket: &'a O,
    patience: Patience<'a>,
    acked: Arc<AtomicU64>,
    /// The multipart upload, once it is begun.
    upload: OnceLock<String>,
    /// Whether an upload may have begun whose id never arrived.
    strayed: OnceLock<()>,
    /// Whether the store was asked to complete the copy.
    completing: OnceLock<()>,
    /// Whether the multipart upload is gone.
    cleared: OnceLock<()>,
}

impl<'a, O: Objects, C: Clock> Trip<'a, O, C> {
    /// A trip to `region`, which counts the bytes that the store acknowledged in `acked`.
    pub(super) fn new(
        errand: &'a Errand<'a, C>,
        region: RegionName,
        bucket: &'a O,
        acked: Arc<AtomicU64>,
    ) -> Self {
        let unset = OnceLock::new;
        let purse = Purse { budgets: errand.budgets, to: region, clock: errand.clock };
        Self {
            patience: Patience { purse: Some(purse), ..errand.patience },
            errand,
            region,
            bucket,
            acked,
            upload: OnceLock::new(),
            strayed: unset(),
            completing: unset(),
            cleared: unset(),
        }
    }

    /// Carries the blocks until they end, or until the trip is called off.
    pub(super) async fn run(
        self,
        mut feed: mpsc::Receiver<Feed>,
        call_off: oneshot::Receiver<Reason>,
    ) -> Log {
        let began = self.errand.clock.now();
        (self.errand.progress)(Progress::Began { region: self.region });
        let end = tokio::select! {
            biased;
            Ok(reason) = call_off => self.called_off(reason),
            end = self.carry(&mut feed, began) => end,
        };
        // Closed before anything is cleared up, so that the others are not held back by it.
        drop(feed);
        let leftover = match end {
            End::Proved(_) => None,
            End::Failed(_) | End::LostSight(_) | End::Dropped(_) => self.clear_up().await,
        };
        let known = self.upload.get().is_some() || matches!(end, End::Proved(_));
        if leftover.is_none() && known {
            self.errand.journal.note(Note::Ended { region: self.region });
        }
        match &end {
            End::Proved(_) => (self.errand.progress)(Progress::Verified { region: self.region }),
            End::Failed(why) | End::LostSight(why) | End::Dropped(why) => {
                (self.errand.progress)(Progress::Dropped { region: self.region, reason: why.clone() });
            }
        }
        Log { began, sent: self.completing.get().is_some(), end, leftover }
    }

    /// A copy that was asked for is not unasked by calling the trip off.
    fn called_off(&self, reason: Reason) -> End {
        match self.completing.get() {
            Some(()) => End::LostSight(reason),
            None => End::Dropped(reason),
        }
    }

    async fn carry(&self, feed: &mut mpsc::Receiver<Feed>, began: Timestamp) -> End {
        let stopped = || End::Dropped(Reason::Stopped);
        let Some(Feed::Block(first)) = feed.recv().await else { return stopped() };
        if let Some(version_id) = self.done_before().await {
            // What the whole is has to be known before the copy can be called whole.
            let Some(whole) = self.read_on(feed).await else { return End::LostSight(Reason::Stopped) };
            return self.verify(version_id, whole, began).await;
        }
        let (completed, whole) = if first.last {
            let Some(Feed::Whole(whole)) = feed.recv().await else { return stopped() };
            (self.put(first.bytes, whole).await, whole)
        } else {
            match self.parts(first, feed).await {
                Ok(Some((parts, whole))) => (self.complete(&parts, whole).await, whole),
                Ok(None) => return stopped(),
                Err(failed) => return End::Failed(failed.reason),
            }
        };
        match completed {
            Ok(version_id) => self.verify(version_id, whole, began).await,
            Err(Failed { reason, in_doubt: true, .. }) => End::LostSight(reason),
            Err(Failed { reason, in_doubt: false, .. }) => End::Failed(reason),
        }
    }

    /// The version of the copy that an earlier run completed, if it did.
    async fn done_before(&self) -> Option<Option<String>> {
        let Errand { key, upload_id, journal, .. } = self.errand;
        if !journal.resumed() {
            return None;
        }
        let head = self.patience.at_most(LOOK_LIMIT).once(self.bucket.head(key, None)).await.ok()??;
        head.attributes.metadata.get(META_UPLOAD).filter(|id| *id == upload_id)?;
        self.completing.get_or_init(|| ());
        Some(head.version_id)
    }

    /// Stores the one block that there is.
    ///
    /// A region that did not just answer another upload, and does not answer a question first, is
    /// sent nothing: so the fate of a copy is in doubt only where the region was there a moment ago.
    async fn put(&self, bytes: Bytes, whole: Whole) -> Result<Option<String>, Failed> {
        let Errand { key, attributes, budgets, clock, .. } = self.errand;
        if !budgets.answered_within(self.region, MOMENT, clock.now()) {
            let asked = proof::look(self.bucket, key, None, self.patience.at_most(LOOK_LIMIT)).await;
            // A refusal is an answer too: not everyone who may write may look.
            if let Err(silent @ Failed { in_doubt: true, .. }) = asked {
                return Err(Failed { in_doubt: false, ..silent });
            }
            budgets.answered(self.region, clock.now());
        }
        let version_id =
            self.settle(whole, || self.bucket.put(key, bytes.clone(), whole.checksum, attributes)).await?;
        budgets.answered(self.region, clock.now());
        self.acknowledge(whole.size.0);
        Ok(version_id)
    }

    /// Sends all parts; `None` when the feed ends before the source does.
    async fn parts(
        &self,
        first: Block,
        feed: &mut mpsc::Receiver<Feed>,
    ) -> Result<Option<(Vec<Part>, Whole)>, Failed> {
        let concurrency = self.errand.concurrency;
        let (upload, held) = self.open().await?;
        let mut parts = Vec::new();
        let mut whole = None;
        let mut flying = FuturesUnordered::new();
        flying.push(self.part(upload, &held, first));
        loop {
            tokio::select! {
                Some(part) = flying.next() => parts.push(part?),
                fed = feed.recv(), if whole.is_none() && flying.len() < concurrency.max(1) => match fed {
                    Some(Feed::Block(block)) => flying.push(self.part(upload, &held, block)),
                    Some(Feed::Whole(found)) => whole = Some(found),
                    None => return Ok(None),
                },
                else => break,
            }
        }
        parts.sort_by_key(|part: &Part| part.number);
        Ok(whole.map(|whole| (parts, whole)))
    }

    /// The upload to send to: that of an earlier run with what the store has of it, else a new one.
    async fn open(&self) -> Result<(&str, Held), Failed> {
        let Errand { key, attributes, journal, clock, .. } = self.errand;
        let (region, bucket) = (self.region, self.bucket.bucket().to_owned());
        if let Some((upload, held)) =
            resume::earlier(self.bucket, key, region, *journal, self.patience).await?
        {
            return Ok((self.upload.get_or_init(|| upload), held));
        }
        journal.note(Note::Beginning { region, bucket, at: clock.now() });
        let mut asked = 0;
        let begin = || {
            asked += 1;
            self.bucket.begin(key, attributes)
        };
        let upload = self.patience.retry(begin).await.inspect_err(|failed| {
            if failed.in_doubt {
                self.strayed.get_or_init(|| ());
            } else {
                journal.note(Note::Ended { region });
            }
        })?;
        journal.note(Note::Begun { region, upload: upload.clone(), doubled: asked > 1 });
        Ok((self.upload.get_or_init(|| upload), Held::default()))
    }

    async fn part(&self, upload: &str, held: &Held, block: Block) -> Result<Part, Failed> {
        if let Some(part) = held.part(&block) {
            self.acknowledge(part.size_bytes);
            return Ok(part.clone());
        }
        let Block { number, bytes, checksum, .. } = block;
        let key = self.errand.key;
        let part = self
            .patience
            .retry(|| self.bucket.put_part(key, upload, number, bytes.clone(), checksum))
            .await?;
        self.acknowledge(bytes.len() as u64);
        Ok(part)
    }

    /// Takes all blocks of what the store has already; `None` when the feed ends before the source does.
    async fn read_on(&self, feed: &mut mpsc::Receiver<Feed>) -> Option<Whole> {
        loop {
            match feed.recv().await? {
                Feed::Block(block) => self.acknowledge(block.bytes.len() as u64),
                Feed::Whole(whole) => return Some(whole),
            }
        }
    }

    fn acknowledge(&self, bytes: u64) {
        let bytes = ByteSize(self.acked.fetch_add(bytes, Ordering::Relaxed) + bytes);
        (self.errand.progress)(Progress::Sent { region: self.region, bytes });
    }

    /// Joins the parts.
    async fn complete(&self, parts: &[Part], whole: Whole) -> Result<Option<String>, Failed> {
        let (key, upload) = (self.errand.key, self.upload.get().map_or("", String::as_str));
        let sum = Some(whole.checksum);
        let complete = || self.bucket.complete(key, upload, parts, sum, &Onto::Anything);
        let failed = match self.settle(whole, complete).await {
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
    /// of it when the answer is lost. Gives the copy's version.
    async fn settle<F: Future<Output = Result<ports::Stored, ObjectsError>>>(
        &self,
        whole: Whole,
        mut call: impl FnMut() -> F,
    ) -> Result<Option<String>, Failed> {
        self.completing.get_or_init(|| ());
        let patience = self.patience;
        patience.begin();
        let mut in_doubt = false;
        let mut tries = 1;
        loop {
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
    async fn verify(&self, version_id: Option<String>, whole: Whole, began: Timestamp) -> End {
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

    /// Gives up the multipart upload; whether it is gone for sure.
    async fn abort(&self, upload: &str) -> bool {
        let patience = self.patience.at_most(ABORT_LIMIT);
        let gone = patience.once(self.bucket.abort(self.errand.key, upload)).await.is_ok();
        if gone {
            self.cleared.get_or_init(|| ());
        }
        gone
    }

    /// Frees what the trip leaves unfinished, and names what it cannot free.
    async fn clear_up(&self) -> Option<Leftover> {
        let left = |upload| Leftover {
            region: self.region,
            bucket: self.bucket.bucket().to_owned(),
            key: self.errand.key.to_owned(),
            upload,
        };
        let Some(upload) = self.upload.get() else {
            return self.strayed.get().map(|()| left(None));
        };
        let gone = self.cleared.get().is_some() || self.abort(upload).await;
        (!gone).then(|| left(Some(upload.clone())))
    }
}
