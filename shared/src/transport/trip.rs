//! One try to bring a copy into one region.
//!
//! Blocks come in, parts go out, several at a time ([`sending`](super::sending)); the copy is completed
//! only after the source was read to its end and found unchanged ([`landing`](super::landing)). What a trip
//! leaves unfinished it gives up within a short bound, after its end was told.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    blocks::{Block, Whole},
    calls::{Failed, Patience, Purse},
    journal::Journal,
    pacing::Rates,
    progress::Progress,
    sending::Wire,
};
use crate::{
    lease::Outcome,
    ports::{Attributes, Clock, Objects},
    region::RegionName,
    replication::META_UPLOAD,
    retry::RetryBudgets,
    time::Timestamp,
    units::ByteSize,
    upload::{Classes, Leftover, Note, Reason, Stored},
};

/// How long a trip that failed waits for the store to free what it left behind.
const ABORT_LIMIT: Duration = Duration::from_secs(5);
/// How long a look at what the store holds may take; it moves no bytes.
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(10);

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
pub(super) struct Errand<'a> {
    pub(super) key: &'a str,
    pub(super) upload_id: &'a str,
    /// What every copy carries.
    pub(super) attributes: &'a Attributes,
    pub(super) classes: &'a Classes,
    /// Parts in flight at first and at most.
    pub(super) concurrency: (usize, usize),
    pub(super) validate: bool,
    pub(super) patience: Patience<'a>,
    pub(super) budgets: &'a RetryBudgets,
    pub(super) rates: &'a Rates,
    pub(super) journal: &'a dyn Journal,
    pub(super) progress: &'a (dyn Fn(Progress) + Send + Sync),
    pub(super) clock: &'a dyn Clock,
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

/// How a trip ended, and when it began.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) began: Timestamp,
    /// Whether the store was asked to complete the copy.
    pub(super) sent: bool,
    pub(super) end: End,
}

impl Ended {
    /// What it came to, for whoever let it in.
    pub(super) const fn outcome(&self) -> Outcome {
        match &self.end {
            End::Proved(stored) => Outcome::Shipped { size: stored.size, took: stored.duration },
            End::Failed(_) | End::LostSight(_) | End::Dropped(_) => Outcome::Failed,
        }
    }
}

/// One try in one region.
pub(super) struct Trip<'a, O> {
    pub(super) errand: Errand<'a>,
    pub(super) region: RegionName,
    pub(super) bucket: &'a O,
    pub(super) patience: Patience<'a>,
    pub(super) wire: Wire,
    /// Held by the one block that waits for the region's rate to let it go: lanes take turns.
    turn: Mutex<()>,
    acked: Arc<AtomicU64>,
    /// The multipart upload, once it is begun.
    pub(super) upload: OnceLock<String>,
    /// Whether an upload may have begun whose id never arrived.
    pub(super) strayed: OnceLock<()>,
    /// Whether the store was asked to complete the copy.
    pub(super) completing: OnceLock<()>,
    /// Whether nothing of the multipart upload is left.
    cleared: OnceLock<()>,
}

impl<'a, O: Objects> Trip<'a, O> {
    /// A trip to `region`, which counts the bytes that the store acknowledged in `acked`.
    /// `elsewhere`: whether there is another region to go to.
    pub(super) fn new(
        errand: Errand<'a>,
        region: RegionName,
        bucket: &'a O,
        acked: Arc<AtomicU64>,
        elsewhere: Option<&'a AtomicBool>,
    ) -> Self {
        let unset = OnceLock::new;
        let purse = Purse { budgets: errand.budgets, to: region, clock: errand.clock };
        Self {
            patience: Patience { purse: Some(purse), elsewhere, ..errand.patience },
            errand,
            region,
            bucket,
            wire: Wire::default(),
            turn: Mutex::default(),
            acked,
            upload: OnceLock::new(),
            strayed: unset(),
            completing: unset(),
            cleared: unset(),
        }
    }

    /// Carries the blocks until they end, or until the trip is called off. What it leaves
    /// unfinished is to be [cleared up](Self::clear_up).
    pub(super) async fn run(
        &self,
        mut feed: mpsc::Receiver<Feed>,
        call_off: oneshot::Receiver<Reason>,
    ) -> Ended {
        let began = self.errand.clock.now();
        (self.errand.progress)(Progress::Began { region: self.region });
        let end = tokio::select! {
            biased;
            Ok(reason) = call_off => self.called_off(reason),
            end = self.carry(&mut feed, began) => end,
        };
        match &end {
            End::Proved(_) => {
                self.cleared.get_or_init(|| ());
                (self.errand.progress)(Progress::Verified { region: self.region });
            }
            End::Failed(why) | End::LostSight(why) | End::Dropped(why) => {
                (self.errand.progress)(Progress::Dropped { region: self.region, reason: why.clone() });
            }
        }
        Ended { began, sent: self.completing.get().is_some(), end }
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

    /// Waits until `size` bytes may go to the region.
    pub(super) async fn pass(&self, size: ByteSize) {
        let _turn = self.turn.lock().await;
        self.errand.rates.pass(self.region, size).await;
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

    pub(super) fn acknowledge(&self, bytes: u64) {
        let bytes = ByteSize(self.acked.fetch_add(bytes, Ordering::Relaxed) + bytes);
        (self.errand.progress)(Progress::Sent { region: self.region, bytes });
    }

    /// Gives up the multipart upload; whether it is gone for sure.
    pub(super) async fn abort(&self, upload: &str) -> bool {
        let patience = self.patience.at_most(ABORT_LIMIT);
        let gone = patience.once(self.bucket.abort(self.errand.key, upload)).await.is_ok();
        if gone {
            self.cleared.get_or_init(|| ());
        }
        gone
    }

    /// Frees what the trip leaves unfinished, and names what it cannot free.
    pub(super) async fn clear_up(&self) -> Option<Leftover> {
        let left = |upload| Leftover {
            region: self.region,
            bucket: self.bucket.bucket().to_owned(),
            key: self.errand.key.to_owned(),
            upload,
        };
        let Some(upload) = self.upload.get() else {
            if self.cleared.get().is_some() {
                self.errand.journal.note(Note::Ended { region: self.region });
            }
            return self.strayed.get().map(|()| left(None));
        };
        let gone = self.cleared.get().is_some() || self.abort(upload).await;
        if gone {
            self.errand.journal.note(Note::Ended { region: self.region });
        }
        (!gone).then(|| left(Some(upload.clone())))
    }
}
