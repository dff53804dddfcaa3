//! Sending blocks: the one that there is, or parts of a multipart upload.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    blocks::{Block, Whole},
    calls::{Again, Failed, Patience},
    proof,
    resume::{self, Held},
    trip::{Errand, Feed, LOOK_LIMIT, Trip},
};
use crate::{
    ports::{Attributes, Objects, ObjectsError, Part, Silence},
    time::millis,
    units::ByteSize,
    upload::{Flow, Note, Pulse, Reason, wait_max},
};

/// How long a region that answered is taken to be there.
const MOMENT: Duration = Duration::from_secs(1);
/// How long the first answer of a region is waited for when there is another to go to.
const FIRST_LIMIT: Duration = Duration::from_secs(3);

/// The calls that carry parts: how many are under way, and how many were answered.
#[derive(Debug, Default)]
pub(super) struct Wire {
    asked: AtomicU32,
    answers: AtomicU64,
    /// Whether some answer was to slow down, and nobody has looked since.
    slow: AtomicBool,
}

impl Wire {
    /// Makes a call and counts it.
    async fn call<T>(&self, call: impl Future<Output = Result<T, ObjectsError>>) -> Result<T, ObjectsError> {
        let _asked = Asked::of(&self.asked);
        let answer = call.await;
        let silent = |error: &ObjectsError| {
            matches!(error, ObjectsError::NoAnswer { how: Silence::Timeout | Silence::NoConnection, .. })
        };
        if matches!(answer, Err(ObjectsError::Throttled { .. })) {
            self.slow.store(true, Ordering::Relaxed);
        }
        if !answer.as_ref().is_err_and(silent) {
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

/// A call that is under way, and is none any more once this is dropped.
struct Asked<'a>(&'a AtomicU32);

impl<'a> Asked<'a> {
    fn of(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A part that the store has.
struct Sent {
    part: Part,
    /// How long the store took for it; `None` if it had it already.
    took: Option<Duration>,
}

/// Looks whether a region answers, and how much it takes at once.
struct Watch {
    pulse: Pulse,
    flow: Flow,
    began: Instant,
    looked: Instant,
    /// The largest block that is under way.
    largest: ByteSize,
}

impl Watch {
    fn new((at_first, at_most): (usize, usize)) -> Self {
        let (flow, now) = (Flow::new(at_first, at_most, Duration::ZERO), Instant::now());
        Self { pulse: Pulse::default(), flow, began: now, looked: now, largest: ByteSize(0) }
    }

    /// How many parts may be under way now.
    fn at_once(&mut self, wire: &Wire) -> usize {
        if wire.slow.swap(false, Ordering::Relaxed) {
            self.flow = self.flow.slowed(self.began.elapsed());
        }
        self.flow.at_once()
    }

    fn sees(&mut self, block: &Block) {
        self.largest = self.largest.max(ByteSize(block.bytes.len() as u64));
    }

    fn heard(&mut self, sent: &Sent) {
        if let Some(took) = sent.took {
            let size = ByteSize(sent.part.size_bytes);
            self.pulse.took(size, took);
            self.flow = self.flow.took(size, self.began.elapsed());
        }
    }

    fn look_in(&self) -> Duration {
        self.pulse.look_in(self.largest)
    }

    /// Whether the region is silent by now.
    fn look(&mut self, wire: &Wire) -> bool {
        let elapsed = self.looked.elapsed();
        self.looked = Instant::now();
        let (asked, answers) = (wire.asked.load(Ordering::Relaxed) > 0, wire.answers.load(Ordering::Relaxed));
        self.pulse.is_silent(asked, answers, elapsed, self.largest)
    }

    fn failure(&self) -> Failed {
        let after_ms = self.pulse.silence_max(self.largest).map_or(0, millis);
        Failed { reason: Reason::TimedOut { after_ms }, in_doubt: false, again: Again::Never }
    }
}

impl<O: Objects> Trip<'_, O> {
    /// Stores the one block that there is.
    ///
    /// A region that did not just answer another upload, and does not answer a question first, is
    /// sent nothing: so the fate of a copy is in doubt only where the region was there a moment ago.
    pub(super) async fn put(&self, bytes: Bytes, whole: Whole) -> Result<Option<String>, Failed> {
        let (Errand { key, budgets, clock, .. }, attributes) = (self.errand, self.attributes());
        if !budgets.answered_within(self.region, MOMENT, clock.now()) {
            let asked = proof::look(self.bucket, key, None, self.first()).await;
            // A refusal is an answer too: not everyone who may write may look.
            if let Err(silent @ Failed { in_doubt: true, .. }) = asked {
                return Err(Failed { in_doubt: false, ..silent });
            }
            budgets.answered(self.region, clock.now());
        }
        let version_id = self
            .settle((whole, whole.size), || self.bucket.put(key, bytes.clone(), whole.checksum, &attributes))
            .await?;
        budgets.answered(self.region, clock.now());
        self.acknowledge(whole.size.0);
        Ok(version_id)
    }

    /// What the copy in this region carries.
    fn attributes(&self) -> Cow<'_, Attributes> {
        let Errand { attributes, classes, .. } = self.errand;
        match classes.of(self.region) {
            None => Cow::Borrowed(attributes),
            Some(class) => {
                let storage_class = Some(class.as_str().to_owned());
                Cow::Owned(Attributes { storage_class, ..attributes.clone() })
            }
        }
    }

    /// The patience for the first question to a region.
    fn first(&self) -> Patience<'_> {
        let limit = if self.may_go() { FIRST_LIMIT } else { LOOK_LIMIT };
        self.patience.at_most(limit)
    }

    /// Whether there is another region to go to.
    fn may_go(&self) -> bool {
        self.patience.elsewhere.is_some_and(|elsewhere: &AtomicBool| elsewhere.load(Ordering::Relaxed))
    }

    /// Sends all parts; `None` when the feed ends before the source does.
    ///
    /// A region that falls silent is left if there is another to go to.
    pub(super) async fn parts(
        &self,
        first: Block,
        feed: &mut mpsc::Receiver<Feed>,
    ) -> Result<Option<(Vec<Part>, Whole)>, Failed> {
        let mut watch = Watch::new(self.errand.concurrency);
        let (upload, held) = self.open().await?;
        watch.pulse.answered(watch.looked.elapsed());
        let mut parts = Vec::new();
        let mut whole = None;
        let mut flying = FuturesUnordered::new();
        watch.sees(&first);
        flying.push(self.part(upload, &held, first));
        loop {
            let at_once = watch.at_once(&self.wire);
            tokio::select! {
                Some(sent) = flying.next() => {
                    let sent = sent?;
                    watch.heard(&sent);
                    parts.push(sent.part);
                }
                fed = feed.recv(), if whole.is_none() && flying.len() < at_once => match fed {
                    Some(Feed::Block(block)) => {
                        watch.sees(&block);
                        flying.push(self.part(upload, &held, block));
                    }
                    Some(Feed::Whole(found)) => whole = Some(found),
                    None => return Ok(None),
                },
                () = sleep(watch.look_in()), if !flying.is_empty() => {
                    if watch.look(&self.wire) && self.may_go() {
                        return Err(watch.failure());
                    }
                }
                else => break,
            }
        }
        parts.sort_by_key(|part: &Part| part.number);
        Ok(whole.map(|whole| (parts, whole)))
    }

    /// The upload to send to: that of an earlier run with what the store has of it, else a new one.
    async fn open(&self) -> Result<(&str, Held), Failed> {
        let (Errand { key, journal, clock, .. }, attributes) = (self.errand, self.attributes());
        let (region, bucket) = (self.region, self.bucket.bucket().to_owned());
        if let Some((upload, held)) =
            resume::earlier(self.bucket, key, region, journal, self.patience).await?
        {
            return Ok((self.upload.get_or_init(|| upload), held));
        }
        journal.note(Note::Beginning { region, bucket, at: clock.now() });
        let mut asked = 0;
        let begin = || {
            asked += 1;
            self.bucket.begin(key, &attributes)
        };
        let upload = self.first().retry(begin).await.inspect_err(|failed| {
            if failed.in_doubt {
                self.strayed.get_or_init(|| ());
            } else {
                journal.note(Note::Ended { region });
            }
        })?;
        journal.note(Note::Begun { region, upload: upload.clone(), doubled: asked > 1 });
        Ok((self.upload.get_or_init(|| upload), Held::default()))
    }

    async fn part(&self, upload: &str, held: &Held, block: Block) -> Result<Sent, Failed> {
        if let Some(part) = held.part(&block) {
            self.acknowledge(part.size_bytes);
            return Ok(Sent { part: part.clone(), took: None });
        }
        let Block { number, bytes, checksum, .. } = block;
        let (key, size) = (self.errand.key, bytes.len() as u64);
        let limit = wait_max(self.patience.limit, ByteSize(size));
        let send = || {
            let (began, body) = (Instant::now(), bytes.clone());
            let call = self.wire.call(self.bucket.put_part(key, upload, number, body, checksum));
            async move { call.await.map(|part| (part, began.elapsed())) }
        };
        let (part, took) =
            Patience { limit, ..self.patience }.retry_after(|| self.pass(ByteSize(size)), send).await?;
        self.acknowledge(size);
        Ok(Sent { part, took: Some(took) })
    }
}
