//! What is queued is told: the lines of a target beside each other, each in its order.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use sealane::{
    checksum::Checksum,
    notify::{Channel, Notice, Outcome, Queued, Stage, Target, TargetName, judge, lanes, sns, webhook},
    ports::{Address, Clock, Objects, Post, Posts, Rows},
    store::Versioned,
};

use super::{Run, Told};

/// Longest wait for the answer to one notice.
pub const TRY_MAX: Duration = Duration::from_secs(10);

/// Notices of one target that a round looks at.
const NOTICES_MAX: usize = 500;

/// Lines of one target that are told at once.
const LINES_AT_ONCE: usize = 8;

/// Tries in a row that fail before a target is left alone until the next run.
const FAILURES_MAX: usize = 3;

/// What came of one target in one round.
#[derive(Default)]
struct Tally {
    told: AtomicUsize,
    failed: AtomicUsize,
    /// Tries that failed since the last answer.
    in_a_row: AtomicUsize,
}

/// Who is told.
pub(super) enum Listener<'a> {
    /// A target of notifications.
    Target(&'a Target),
    /// A bucket, by what it holds.
    Sentinels(TargetName),
}

impl Listener<'_> {
    pub(super) const fn name(&self) -> &TargetName {
        match self {
            Self::Target(target) => &target.name,
            Self::Sentinels(name) => name,
        }
    }
}

/// One try.
pub(super) struct Tried {
    pub(super) outcome: Outcome,
    /// Tries after which the notice is parked.
    pub(super) attempts_max: u32,
}

impl<O: Objects, R: Rows, P: Posts, C: Clock> Run<'_, O, R, P, C> {
    /// Tells `listener` what is due.
    pub(super) async fn deliver(&self, listener: &Listener<'_>) -> Told {
        let name = listener.name();
        let lined = match self.herald.notices.waiting(name, NOTICES_MAX).await {
            Ok(lined) => lined,
            Err(error) => {
                tracing::warn!(target.name = %name, %error, "told nothing to a target");
                return Told::default();
            }
        };
        for problem in &lined.unreadable {
            tracing::error!(target.name = %name, error = problem, "passed over a notice");
        }
        let now = self.deps.clock.now();
        let due = lanes(lined.rows, |row| &row.value, |queued| queued.is_due(now));
        if !due.is_empty()
            && let Some(variable) = self.lacks(listener)
        {
            tracing::error!(target.name = %name, variable, "told nothing: the variable holds no secret");
            return Told::default();
        }
        let tally = Tally::default();
        let telling = stream::iter(due)
            .for_each_concurrent(LINES_AT_ONCE, |lane| Box::pin(self.tell_lane(listener, lane, &tally)));
        telling.await;
        let (told, failed) = (tally.told.into_inner(), tally.failed.into_inner());
        Told { told, failed, ..Told::default() }
    }

    /// The variable that holds no secret, without which this listener is not told.
    fn lacks<'b>(&self, listener: &'b Listener<'_>) -> Option<&'b str> {
        match listener {
            Listener::Target(Target { channel: Channel::Webhook { secret_env, .. }, .. }) => {
                self.herald.secrets.get(secret_env).is_none().then_some(secret_env)
            }
            Listener::Target(Target { channel: Channel::Sns { .. }, .. }) | Listener::Sentinels(_) => None,
        }
    }

    /// Tells one line up to the first notice that is not heard. One that is parked holds nothing back.
    async fn tell_lane(&self, listener: &Listener<'_>, lane: Vec<Versioned<Queued>>, tally: &Tally) {
        for row in lane {
            if self.is_over() || tally.in_a_row.load(Ordering::Relaxed) >= FAILURES_MAX {
                return;
            }
            let tried = match listener {
                Listener::Target(target) => self.send(target, &row.value.notice).await,
                Listener::Sentinels(name) => Some(self.show(name, &row.value).await),
            };
            let Some(tried) = tried else { return };
            let stage = self.settle(listener.name(), &row, &tried, tally).await;
            if stage.is_none_or(|stage| stage == Stage::Waiting) {
                return;
            }
        }
    }

    async fn send(&self, target: &Target, notice: &Notice) -> Option<Tried> {
        let post = self.post(target, notice)?;
        let outcome = judge(&target.channel, &self.herald.posts.post(&post).await);
        Some(Tried { outcome, attempts_max: self.deps.config.notifications.attempts_max })
    }

    fn post(&self, target: &Target, notice: &Notice) -> Option<Post> {
        match &target.channel {
            Channel::Webhook { url, secret_env } => {
                let secret = self.herald.secrets.get(secret_env)?;
                Some(webhook::request(url, secret, notice, self.deps.clock.now()))
            }
            Channel::Sns { topic } => Some(Post {
                to: Address::Topic(topic.clone()),
                headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
                body: sns::form(topic, notice),
            }),
        }
    }

    /// Notes what came of one try; `None` if somebody else tells this notice, or that could not be noted.
    async fn settle(
        &self,
        name: &TargetName,
        row: &Versioned<Queued>,
        Tried { outcome, attempts_max }: &Tried,
        tally: &Tally,
    ) -> Option<Stage> {
        let now = self.deps.clock.now();
        let seed = self.seed ^ Checksum::of(row.value.notice.id.as_bytes()).as_u64();
        let next = row.value.clone().after(outcome, *attempts_max, now, seed);
        match outcome {
            Outcome::Told => {
                tally.told.fetch_add(1, Ordering::Relaxed);
                tally.in_a_row.store(0, Ordering::Relaxed);
            }
            Outcome::Refused { .. } => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                tally.in_a_row.store(0, Ordering::Relaxed);
            }
            Outcome::Again { .. } => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                tally.in_a_row.fetch_add(1, Ordering::Relaxed);
            }
        }
        let why = next.why.as_deref().unwrap_or_default();
        let id = &next.notice.id;
        match next.stage {
            Stage::Told => {}
            Stage::Waiting => {
                tracing::info!(target.name = %name, notice.id = id, attempts = next.attempts, why, "will tell again");
            }
            Stage::Parked => {
                tracing::error!(target.name = %name, notice.id = id, attempts = next.attempts, why, "parked a notice");
            }
        }
        match self.herald.notices.settle(name, row, &next, now).await {
            Ok(()) => Some(next.stage),
            Err(error) => {
                // It is told again, under the same id.
                tracing::info!(target.name = %name, notice.id = id, %error, "could not note what came of a notice");
                None
            }
        }
    }
}
