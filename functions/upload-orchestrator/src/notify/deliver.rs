//! What is queued is told: the lines of a target beside each other, each in its order.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use sealane::{
    checksum::Checksum,
    notify::{Channel, Notice, Outcome, Queued, Stage, Target, judge, lanes, sns, webhook},
    ports::{Address, Clock, Post, Posts, Rows},
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

impl<R: Rows, P: Posts, C: Clock> Run<'_, R, P, C> {
    /// Tells `target` what is due.
    pub(super) async fn deliver(&self, target: &Target) -> Told {
        let lined = match self.herald.notices.waiting(&target.name, NOTICES_MAX).await {
            Ok(lined) => lined,
            Err(error) => {
                tracing::warn!(target.name = %target.name, %error, "told nothing to a target");
                return Told::default();
            }
        };
        for problem in &lined.unreadable {
            tracing::error!(target.name = %target.name, error = problem, "passed over a notice");
        }
        let now = self.clock.now();
        let due = lanes(lined.rows, |row| &row.value, |queued| queued.is_due(now));
        if let (Channel::Webhook { secret_env, .. }, false) = (&target.channel, due.is_empty())
            && self.herald.secrets.get(secret_env).is_none()
        {
            tracing::error!(target.name = %target.name, variable = secret_env, "told nothing: the variable holds no secret");
            return Told::default();
        }
        let tally = Tally::default();
        let telling = stream::iter(due)
            .for_each_concurrent(LINES_AT_ONCE, |lane| Box::pin(self.tell_lane(target, lane, &tally)));
        telling.await;
        let (told, failed) = (tally.told.into_inner(), tally.failed.into_inner());
        Told { told, failed, ..Told::default() }
    }

    /// Tells one line up to the first notice that is not heard. One that is parked holds nothing back.
    async fn tell_lane(&self, target: &Target, lane: Vec<Versioned<Queued>>, tally: &Tally) {
        for row in lane {
            if self.is_over() || tally.in_a_row.load(Ordering::Relaxed) >= FAILURES_MAX {
                return;
            }
            let Some(post) = self.post(target, &row.value.notice) else { return };
            let outcome = judge(&target.channel, &self.herald.posts.post(&post).await);
            let stage = self.settle(target, &row, &outcome, tally).await;
            if stage.is_none_or(|stage| stage == Stage::Waiting) {
                return;
            }
        }
    }

    fn post(&self, target: &Target, notice: &Notice) -> Option<Post> {
        match &target.channel {
            Channel::Webhook { url, secret_env } => {
                let secret = self.herald.secrets.get(secret_env)?;
                Some(webhook::request(url, secret, notice, self.clock.now()))
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
        target: &Target,
        row: &Versioned<Queued>,
        outcome: &Outcome,
        tally: &Tally,
    ) -> Option<Stage> {
        let now = self.clock.now();
        let seed = self.seed ^ Checksum::of(row.value.notice.id.as_bytes()).as_u64();
        let next = row.value.clone().after(outcome, self.config.notifications.attempts_max, now, seed);
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
        let (name, id) = (&target.name, &next.notice.id);
        match next.stage {
            Stage::Told => {}
            Stage::Waiting => {
                tracing::info!(target.name = %name, notice.id = id, attempts = next.attempts, why, "will tell again");
            }
            Stage::Parked => {
                tracing::error!(target.name = %name, notice.id = id, attempts = next.attempts, why, "parked a notice");
            }
        }
        match self.herald.notices.settle(&target.name, row, &next, now).await {
            Ok(()) => Some(next.stage),
            Err(error) => {
                // It is told again, under the same id.
                tracing::info!(target.name = %name, notice.id = id, %error, "could not note what came of a notice");
                None
            }
        }
    }
}
