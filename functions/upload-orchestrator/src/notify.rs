//! Telling others what happened: beside the sweep, and never in its way.
//!
//! Only the region that is active tells, since there is what it tells of. Around a move two may, and a
//! run may die between telling and striking out: then something is told twice, under the same id. What
//! is left of a run is for the next one.
//!
//! Buckets that show how worksets stand are told, too, by what they hold ([`sentinels`]).

mod deliver;
mod gather;
mod sentinels;

pub use deliver::TRY_MAX;

use std::time::Duration;

use futures::future::join_all;
use sealane::{
    emf::{Metric, Unit, line},
    failover::Record,
    notify::{Target, TargetName, webhook::Secrets},
    ports::{Clock, Objects, Posts, Rows, RowsError},
    region::RegionName,
    store::{ControlTable, NoticeTable, WorksetTable},
    time::Timestamp,
};

use crate::{Deps, Invocation, Wake};
use deliver::Listener;

/// How long a run goes on telling; less than the time between two ticks, so that two runs seldom meet.
const RUN_MAX: Duration = Duration::from_secs(40);

/// Most rounds of one run: each queues and tells what there is.
const ROUNDS_MAX: usize = 10;

/// Notices of one target and kind that are counted; more are reported as this many.
const COUNTED_MAX: usize = 1_000;

/// Everything that telling works with, from one invocation to the next.
#[derive(Debug)]
pub struct Herald<R, P> {
    /// The worksets as this region reaches them, with the states that somebody is told of.
    pub worksets: WorksetTable<R>,
    /// What each target is told, in the same table.
    pub notices: NoticeTable<R>,
    /// Which region is active, and the accounts of moves.
    pub control: ControlTable<R>,
    /// Sends.
    pub posts: P,
    /// The secrets of webhooks.
    pub secrets: Secrets,
}

/// What one run told, and what it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Notices that were heard.
    pub told: usize,
    /// Tries that failed.
    pub failed: usize,
    /// Notices that wait, at most a thousand a target.
    pub waiting: usize,
    /// Notices that were given up and wait for an operator, likewise.
    pub parked: usize,
    /// How long the oldest that waits has been queued, in seconds.
    pub oldest_age_s: u64,
}

impl Told {
    fn and(self, other: Self) -> Self {
        Self {
            told: self.told + other.told,
            failed: self.failed + other.failed,
            waiting: self.waiting + other.waiting,
            parked: self.parked + other.parked,
            oldest_age_s: self.oldest_age_s.max(other.oldest_age_s),
        }
    }

    /// The metric line of a run.
    #[expect(
        clippy::cast_precision_loss,
        reason = "CloudWatch takes floating point, and no count comes near 2^53"
    )]
    pub(crate) fn metrics(&self, region: RegionName, now: Timestamp) -> String {
        let count = |name, value: usize| Metric { name, unit: Unit::Count, value: value as f64 };
        let age =
            Metric { name: "OldestNotificationAge", unit: Unit::Seconds, value: self.oldest_age_s as f64 };
        let metrics = [
            count("NotificationsTold", self.told),
            count("NotificationFailures", self.failed),
            count("NotificationsWaiting", self.waiting),
            count("NotificationsParked", self.parked),
            age,
        ];
        line(&[("Region", region.as_str())], &metrics, now)
    }
}

/// One run.
pub(crate) struct Run<'a, O, R, P, C> {
    pub(crate) herald: &'a Herald<R, P>,
    pub(crate) deps: &'a Deps<O, R, C>,
    /// When it begins nothing more.
    pub(crate) until: Timestamp,
    /// Spreads the waits after failures.
    pub(crate) seed: u64,
}

/// Tells what there is to tell, if `event` is the tick and this is the region that does; `None` if not.
pub(crate) async fn tell<O: Objects, R: Rows, P: Posts, C: Clock>(
    herald: &Herald<R, P>,
    deps: &Deps<O, R, C>,
    invocation: &Invocation,
    wake: &Wake,
) -> Option<Told> {
    let nobody = deps.config.notifications.targets.is_empty() && !deps.config.sentinels.is_on();
    if nobody || *wake != Wake::Tick {
        return None;
    }
    let run = Run { herald, deps, until: deps.clock.now(), seed: invocation.seed };
    let record = match run.standing().await {
        Ok(Standing::Active(record)) => record,
        Ok(Standing::Elsewhere) => return None,
        Err(error) => {
            // Another region may be active by now; whoever is reads the record, too.
            tracing::warn!(%error, "told nobody: which region is active is not known");
            return None;
        }
    };
    let end = invocation.deadline.before(TRY_MAX * 2).unwrap_or_default();
    let run = Run { until: deps.clock.now().after(RUN_MAX).min(end), ..run };
    let told = run.rounds(record.as_deref()).await;
    let left = run.left().await;
    Some(told.and(left))
}

/// Whether this region is the one that tells.
enum Standing {
    /// It is, by this record; none where only the primary region is used.
    Active(Option<Box<Record>>),
    /// Another is, or nobody has decided.
    Elsewhere,
}

impl<O: Objects, R: Rows, P: Posts, C: Clock> Run<'_, O, R, P, C> {
    async fn standing(&self) -> Result<Standing, RowsError> {
        let (config, here) = (&self.deps.config, self.deps.here);
        if !config.enabled {
            let is_primary = config.primary_region == here;
            return Ok(if is_primary { Standing::Active(None) } else { Standing::Elsewhere });
        }
        let record = self.herald.control.record().await?;
        let own = record.filter(|record| record.active == here);
        Ok(own.map_or(Standing::Elsewhere, |record| Standing::Active(Some(Box::new(record)))))
    }

    pub(crate) fn targets(&self) -> &[Target] {
        &self.deps.config.notifications.targets
    }

    pub(crate) fn is_over(&self) -> bool {
        self.deps.clock.now() >= self.until
    }

    async fn rounds(&self, record: Option<&Record>) -> Told {
        if let Some(record) = record {
            self.queue_failovers(record).await;
        }
        let targets = self.targets().iter().map(Listener::Target);
        let buckets = self.deps.config.shown_in().into_iter().map(Listener::Sentinels);
        let listeners: Vec<Listener> = targets.chain(buckets).collect();
        let mut told = Told::default();
        for _ in 0..ROUNDS_MAX {
            let more = self.queue_events().await;
            let delivered = listeners.iter().map(|listener| Box::pin(self.deliver(listener)));
            told = join_all(delivered).await.into_iter().fold(told, Told::and);
            if !more || self.is_over() {
                break;
            }
        }
        told
    }

    /// How much waits and how much is parked.
    async fn left(&self) -> Told {
        let names = self.deps.config.listeners();
        let left = join_all(names.iter().map(|name| self.left_of(name))).await;
        left.into_iter().fold(Told::default(), Told::and)
    }

    async fn left_of(&self, name: &TargetName) -> Told {
        let (notices, now) = (&self.herald.notices, self.deps.clock.now());
        let (waiting, parked) =
            futures::join!(notices.waiting(name, COUNTED_MAX), notices.parked(name, COUNTED_MAX));
        let mut left = Told::default();
        match waiting {
            Ok(lined) => {
                // What is queued for later does not wait yet.
                let since = lined.rows.iter().map(|row| row.value.queued_at).filter(|since| *since <= now);
                let ages: Vec<_> = since.map(|since| now.since(since).as_secs()).collect();
                (left.waiting, left.oldest_age_s) = (ages.len(), ages.into_iter().max().unwrap_or_default());
            }
            Err(error) => tracing::warn!(target.name = %name, %error, "could not count what waits"),
        }
        match parked {
            Ok(lined) => left.parked = lined.rows.len(),
            Err(error) => tracing::warn!(target.name = %name, %error, "could not count what is parked"),
        }
        left
    }
}
