//! The leases of one upload: taken before a lane starts, renewed while it lasts, given back after.
//!
//! Data does not depend on the control table: when it cannot be asked, the upload goes
//! on without a lease, asks again at the next renewal, and says so if it never got one.
//! A table that answers is heeded: where there is no room, or so many ask at once that
//! nothing is settled in time, the lane is sent away. Each wait is short.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use rapidhash::v3::rapidhash_v3;
use tokio::{
    sync::RwLock,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use super::ship::Gate;
use crate::{
    admission::{Refusal, Unsettled, enter, leave, renew},
    config::Config,
    lease::{Ask, Gone, Outcome},
    ports::{Clock, Rows, RowsError},
    region::{Region, RegionName},
    store::ControlTable,
    time::Human,
    upload::{Reason, RegionReason, backoff},
};

/// Longest wait for one replica of the control table: the clients of the table that [`Leases`] get
/// are to give up after it, and not to repeat the call, so that the next replica is asked in time.
pub const LEASE_CALL_MAX: Duration = Duration::from_secs(1);

/// What the calls of one exchange take of replicas that answer: four, across the world.
const ROUND_TRIPS_MAX: Duration = Duration::from_secs(2);

/// Longest time for which one thing is asked for while other uploaders are first.
const CONTENTION_MAX: Duration = Duration::from_secs(10);

/// First and longest pause before asking again, of which half is drawn.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The leases of one upload in the regions that its lanes ship into.
pub struct Leases<'a, R, C> {
    config: &'a Config,
    control: ControlTable<R>,
    clock: &'a C,
    upload_id: String,
    holder: String,
    bandwidth_mbps: Option<u32>,
    /// The regions that lanes are in, and how they stand with their leases.
    inside: Mutex<BTreeMap<RegionName, Standing>>,
    /// Where lanes went without a lease, and why.
    without: Mutex<BTreeMap<RegionName, String>>,
    /// Read while a lease is taken for a lane that is inside; a lane that has ended waits for that.
    taking: RwLock<()>,
}

/// How a lane that is in a region stands with its lease.
#[derive(Debug, Clone, Copy)]
enum Standing {
    /// Taken or renewed at this moment.
    Held(Instant),
    /// Not known to be held, because the control table could not be asked.
    InDoubt,
    /// Refused while the lane was inside: it goes on without one.
    Refused,
}

impl<R, C> fmt::Debug for Leases<'_, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("upload_id", &self.upload_id).finish_non_exhaustive()
    }
}

impl<'a, R: Rows, C: Clock> Leases<'a, R, C> {
    /// The leases of the upload `upload_id`, which names them, held by `holder`, as people know it.
    ///
    /// `bandwidth_mbps` is what is set aside in each region; `None`: one upload's share of it,
    /// [`Capacity::share_mbps`](crate::region::Capacity::share_mbps). A replica of `control` has to
    /// be given up after [`LEASE_CALL_MAX`].
    pub fn new(
        config: &'a Config,
        control: ControlTable<R>,
        clock: &'a C,
        upload_id: &str,
        holder: &str,
        bandwidth_mbps: Option<u32>,
    ) -> Self {
        let (upload_id, holder) = (upload_id.to_owned(), holder.to_owned());
        let (inside, without, taking) = (Mutex::default(), Mutex::default(), RwLock::default());
        Self { config, control, clock, upload_id, holder, bandwidth_mbps, inside, without, taking }
    }

    /// Renews what is held and asks again for what could not be asked for, for ever: to be dropped
    /// when the upload has ended.
    pub async fn keep(&self) -> Infallible {
        let every = self.config.lease.renew_every();
        let mut turns = interval_at(Instant::now() + every, every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let inside: Vec<(RegionName, Standing)> =
                lock(&self.inside).iter().map(|(region, standing)| (*region, *standing)).collect();
            join_all(inside.into_iter().map(|(region, standing)| self.keep_one(region, standing))).await;
        }
    }

    /// The regions that were shipped to without a lease, at least at the end, and why.
    pub fn without(&self) -> Vec<RegionReason> {
        let without = lock(&self.without);
        without
            .iter()
            .map(|(region, reason)| RegionReason { region: *region, reason: reason.clone() })
            .collect()
    }

    /// Gives back what is held, for lanes that end nowhere: the upload is stopped.
    pub async fn give_all_back(&self) {
        let inside: Vec<RegionName> = lock(&self.inside).keys().copied().collect();
        join_all(inside.into_iter().map(|region| self.leave(region, Outcome::Failed))).await;
    }

    async fn keep_one(&self, region: RegionName, standing: Standing) {
        let (since, before) = match standing {
            Standing::Held(since) => (Some(since), Gone.to_string()),
            Standing::InDoubt => (None, "there was none when the lane began".to_owned()),
            Standing::Refused => return,
        };
        let asked = Instant::now();
        let renewed = self.settle(region, || renew(&self.control, region, &self.upload_id)).await;
        let kept = match renewed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Gone)) => {
                self.take_again(region).await.map_err(|why| (format!("{before}, and {why}"), why))
            }
            // One renewal may be lost, and even two.
            Err(_) if since.is_some_and(|since| since.elapsed() < self.config.lease.ttl) => return,
            Err(why) => Err((why.to_string(), why)),
        };
        match kept {
            Ok(()) => self.note(region, Standing::Held(asked), None),
            Err((told, Without::Refused(_))) => self.note(region, Standing::Refused, Some(told)),
            Err((told, Without::Contended | Without::Unasked(_))) => {
                self.note(region, Standing::InDoubt, Some(told));
            }
        }
    }

    /// Takes a lease for a lane that is inside, unless it has ended meanwhile.
    async fn take_again(&self, region: RegionName) -> Result<(), Without> {
        let _taking = self.taking.read().await;
        if lock(&self.inside).contains_key(&region) { self.take(region).await } else { Ok(()) }
    }

    /// Keeps how the lane in `region` stands, and why it has no lease, if it is still there.
    fn note(&self, region: RegionName, standing: Standing, without: Option<String>) {
        let mut inside = lock(&self.inside);
        let Some(held) = inside.get_mut(&region) else { return };
        *held = standing;
        let mut told = lock(&self.without);
        match without {
            Some(why) => told.insert(region, why),
            None => told.remove(&region),
        };
    }

    /// Takes a lease, or says why there is none: a refusal as what the lane is told.
    async fn take(&self, name: RegionName) -> Result<(), Without> {
        let Some(region) = self.config.region(name) else { return Ok(()) };
        let ask = self.ask(region);
        let entered = self.settle(name, || enter(&self.control, region, &ask, self.clock)).await?;
        entered.map_err(Without::Refused)
    }

    /// What comes of `exchange`, made anew after a pause while others are first.
    async fn settle<T, F>(&self, region: RegionName, exchange: impl Fn() -> F) -> Result<T, Without>
    where
        F: Future<Output = Result<T, Unsettled>>,
    {
        let (began, limit) = (Instant::now(), self.exchange_max());
        let seed = rapidhash_v3(format!("{} {region}", self.upload_id).as_bytes());
        let mut tries = 0;
        loop {
            match timeout(limit, exchange()).await {
                Ok(Ok(settled)) => return Ok(settled),
                Ok(Err(Unsettled::Contended)) => {}
                Ok(Err(Unsettled::Unasked(error))) => return Err(Without::unasked(&error)),
                Err(_) => return Err(Without::Unasked(format!("no answer within {}", Human(limit)))),
            }
            tries += 1;
            let pause = backoff(tries, PAUSES.0, PAUSES.1, seed);
            if began.elapsed() + pause > CONTENTION_MAX {
                return Err(Without::Contended);
            }
            sleep(pause).await;
        }
    }

    /// Longest wait for one exchange: every replica but the last may be silent.
    fn exchange_max(&self) -> Duration {
        let replicas = u32::try_from(self.control.replicas()).unwrap_or(u32::MAX);
        LEASE_CALL_MAX.saturating_mul(replicas).saturating_add(ROUND_TRIPS_MAX)
    }

    fn ask(&self, region: &Region) -> Ask {
        Ask {
            id: self.upload_id.clone(),
            holder: self.holder.clone(),
            bandwidth_mbps: self.bandwidth_mbps.unwrap_or_else(|| region.capacity.share_mbps()),
            ttl: self.config.lease.ttl,
        }
    }

    async fn give_back(&self, region: RegionName, outcome: Outcome) {
        if self.settle(region, || leave(&self.control, region, &self.upload_id, outcome)).await.is_err() {
            tracing::debug!(region.name = %region, "lease was not given back, and runs out by itself");
        }
    }
}

/// Why there is no lease.
enum Without {
    Refused(Refusal),
    /// So many ask at once that nothing was settled.
    Contended,
    Unasked(String),
}

impl Without {
    fn unasked(error: &RowsError) -> Self {
        Self::Unasked(error.to_string())
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Contended => {
                let limit = Human(CONTENTION_MAX);
                write!(f, "too many uploads begin there at once, and this one was not let in within {limit}")
            }
            Self::Unasked(why) => write!(f, "the control table could not be asked: {why}"),
        }
    }
}

impl<R: Rows, C: Clock> Gate for Leases<'_, R, C> {
    async fn enter(&self, region: RegionName) -> Result<(), Reason> {
        let asked = Instant::now();
        let standing = match self.take(region).await {
            Ok(()) => Standing::Held(asked),
            Err(why @ (Without::Refused(Refusal::Full(_)) | Without::Contended)) => {
                return Err(Reason::AtCapacity { detail: why.to_string() });
            }
            Err(Without::Refused(Refusal::Closed(closed))) => {
                return Err(Reason::Closed { detail: closed.to_string() });
            }
            Err(why @ Without::Unasked(_)) => {
                lock(&self.without).insert(region, why.to_string());
                Standing::InDoubt
            }
        };
        lock(&self.inside).insert(region, standing);
        Ok(())
    }

    async fn leave(&self, region: RegionName, outcome: Outcome) {
        if lock(&self.inside).remove(&region).is_none() {
            return;
        }
        // What is being taken for this lane has to be there before it can be given back.
        drop(self.taking.write().await);
        // One that was in doubt is given back, too: it may have been taken.
        self.give_back(region, outcome).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "leases_outage_tests.rs"]
mod outage_tests;
#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
