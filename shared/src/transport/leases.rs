//! The leases of one upload: taken before a lane starts, renewed while it lasts, given back after.
//!
//! Data does not depend on the control table: when it cannot be asked, the upload goes
//! on without a lease and says so. Each wait for it is short.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::ship::Gate;
use crate::{
    admission::{Refusal, enter, leave, renew},
    config::Config,
    lease::{Ask, Outcome},
    ports::{Clock, Rows},
    region::{Region, RegionName},
    store::ControlTable,
    time::Human,
    upload::{Reason, RegionReason},
};

/// Longest wait for a lease to be taken, renewed or given back.
pub const LEASE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The leases of one upload in the regions that its lanes ship into.
pub struct Leases<'a, R, C> {
    config: &'a Config,
    control: ControlTable<R>,
    clock: &'a C,
    upload_id: String,
    holder: String,
    bandwidth_mbps: Option<u32>,
    /// The regions that lanes are in, and whether a lease is held there.
    inside: Mutex<BTreeMap<RegionName, bool>>,
    /// Where lanes went without a lease, and why.
    without: Mutex<BTreeMap<RegionName, String>>,
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
    /// [`Capacity::share_mbps`](crate::region::Capacity::share_mbps).
    pub fn new(
        config: &'a Config,
        control: ControlTable<R>,
        clock: &'a C,
        upload_id: &str,
        holder: &str,
        bandwidth_mbps: Option<u32>,
    ) -> Self {
        let (upload_id, holder) = (upload_id.to_owned(), holder.to_owned());
        let (inside, without) = (Mutex::default(), Mutex::default());
        Self { config, control, clock, upload_id, holder, bandwidth_mbps, inside, without }
    }

    /// Renews what is held, for ever: to be dropped when the upload has ended.
    pub async fn keep(&self) -> Infallible {
        loop {
            sleep(self.config.lease.renew_every()).await;
            let held: Vec<RegionName> =
                lock(&self.inside).iter().filter(|(_, held)| **held).map(|(r, _)| *r).collect();
            join_all(held.into_iter().map(|region| self.keep_one(region))).await;
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

    async fn keep_one(&self, region: RegionName) {
        match timeout(LEASE_WAIT_MAX, renew(&self.control, region, &self.upload_id)).await {
            // One renewal may be lost, and even two.
            Ok(Ok(Ok(())) | Err(_)) | Err(_) => {}
            Ok(Ok(Err(gone))) => {
                if let Err(why) = self.take(region).await {
                    lock(&self.without).insert(region, format!("{gone}, and {why}"));
                    lock(&self.inside).entry(region).and_modify(|held| *held = false);
                }
                // The lane may have ended meanwhile, and given back what was not there.
                if !lock(&self.inside).contains_key(&region) {
                    self.give_back(region, Outcome::Unused).await;
                }
            }
        }
    }

    /// Takes a lease, or says why there is none: a refusal as what the lane is told.
    async fn take(&self, name: RegionName) -> Result<(), Without> {
        let Some(region) = self.config.region(name) else { return Ok(()) };
        match timeout(LEASE_WAIT_MAX, enter(&self.control, region, &self.ask(region), self.clock)).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(refusal))) => Err(Without::Refused(refusal)),
            Ok(Err(error)) => Err(Without::Unasked(error.to_string())),
            Err(_) => Err(Without::Unasked(format!("no answer within {}", Human(LEASE_WAIT_MAX)))),
        }
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
        let left = leave(&self.control, region, &self.upload_id, outcome);
        if !matches!(timeout(LEASE_WAIT_MAX, left).await, Ok(Ok(()))) {
            tracing::debug!(region.name = %region, "lease was not given back, and runs out by itself");
        }
    }
}

/// Why there is no lease.
enum Without {
    Refused(Refusal),
    Unasked(String),
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unasked(why) => write!(f, "the control table could not be asked: {why}"),
        }
    }
}

impl<R: Rows, C: Clock> Gate for Leases<'_, R, C> {
    async fn enter(&self, region: RegionName) -> Result<(), Reason> {
        let held = match self.take(region).await {
            Ok(()) => true,
            Err(Without::Refused(Refusal::Full(full))) => {
                return Err(Reason::AtCapacity { detail: full.to_string() });
            }
            Err(Without::Refused(Refusal::Closed(closed))) => {
                return Err(Reason::Closed { detail: closed.to_string() });
            }
            Err(why @ Without::Unasked(_)) => {
                lock(&self.without).insert(region, why.to_string());
                false
            }
        };
        lock(&self.inside).insert(region, held);
        Ok(())
    }

    async fn leave(&self, region: RegionName, outcome: Outcome) {
        // One that was in doubt is given back, too: it may have been taken.
        if lock(&self.inside).remove(&region).is_some() {
            self.give_back(region, outcome).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
