//! What the flow works with, and the limits that it keeps.

use std::{collections::BTreeMap, future::Future, pin::Pin, time::Duration};

use sealane::{
    config::Config,
    ports::{Clock, Objects, Rows},
    region::RegionName,
    replication::RetryPolicy,
    store::LedgerTable,
    time::Timestamp,
    units::ByteSize,
    workset::Sentinel,
};

/// How copies are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The largest object that one `CopyObject` carries. S3 takes 5 GB, but moves one request's
    /// bytes between regions at some tens of megabytes a second: beyond this size a call would
    /// outlast [`Policy::call_max`], and parts in parallel are faster anyway.
    pub whole_max: ByteSize,
    /// The size aimed at for a part of a larger object.
    pub part_target: ByteSize,
    /// Parts of one object in flight.
    pub parts_at_once: usize,
    /// Most copies to one destination in flight. A lane begins with one and finds out what it bears.
    pub copies_at_once: usize,
    /// Longest wait for one call to a bucket, repetitions included. Below half of `lease`,
    /// which is what a claim is good for at least when a call begins.
    pub call_max: Duration,
    /// One copy of so many that are made is read back and compared with its source; 1: each.
    pub sampled_of: u64,
    /// How long a claim holds unless it is renewed: how long a dead worker's copy waits.
    pub lease: Duration,
    /// Time before the deadline in which no further call is begun. Above `call_max`, so that the
    /// last call is answered and written down before the sandbox is stopped.
    pub margin: Duration,
    /// How long a sweep goes on asking destinations that do not answer. Below the time between two sweeps.
    pub vigil: Duration,
    /// The wait between two such questions.
    pub ask_again_after: Duration,
    /// How long rows of a region that does not answer are left to it before another region pays them.
    pub step_in_after: Duration,
    /// How long a row waits for a relay's copy before it is paid straight, and how long a relay that
    /// was given it is left alone with it.
    pub relay_after: Duration,
    /// How long it waits at most while the relay's copy is being made.
    pub relay_max: Duration,
    /// How long a version waits for the one below it, whose copy fails though the destination answers.
    pub patience: Duration,
    /// Pages of this region's listing that a sweep compares with those of the others; 0: none.
    pub inventory_pages: usize,
    /// Time between two such comparisons.
    pub inventory_every: Duration,
    /// How long a copy that an upload still lacks is left to the uploader, whose lanes end one
    /// after the other, before replication pays it.
    pub upload_grace: Duration,
    /// How copies are tried again while their destination does not answer. The cap is below the
    /// time between two sweeps, so that the first sweep after an outage pays.
    pub outage: RetryPolicy,
    /// How copies are tried again after any other failure.
    pub failure: RetryPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            whole_max: ByteSize::mib(256),
            part_target: ByteSize::mib(64),
            parts_at_once: 16,
            copies_at_once: 256,
            call_max: Duration::from_secs(60),
            sampled_of: 16,
            lease: Duration::from_secs(150),
            margin: Duration::from_secs(75),
            vigil: Duration::from_secs(55),
            ask_again_after: Duration::from_secs(2),
            step_in_after: Duration::from_secs(120),
            relay_after: Duration::from_secs(300),
            relay_max: Duration::from_secs(7_200),
            patience: Duration::from_secs(900),
            inventory_pages: 10,
            inventory_every: Duration::from_secs(300),
            upload_grace: Duration::from_secs(20),
            outage: RetryPolicy { base: Duration::from_secs(2), cap: Duration::from_secs(30) },
            failure: RetryPolicy::default(),
        }
    }
}

/// Lets time pass.
pub type Pause = fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Everything that lasts from one invocation to the next.
#[derive(Debug, Clone)]
pub struct Deps<O, R, C> {
    /// The configuration.
    pub config: Config,
    /// The region that this runs in: it copies what lies here.
    pub here: RegionName,
    /// The bucket of each full region, this one included.
    pub buckets: BTreeMap<RegionName, O>,
    /// The ledger.
    pub ledger: LedgerTable<R>,
    /// This machine's clock.
    pub clock: C,
    /// Waits on this machine's clock.
    pub pause: Pause,
    /// The limits.
    pub policy: Policy,
}

/// One invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Who claims rows, such as the request's id: no two invocations share it.
    pub owner: String,
    /// Spreads the waits after failures.
    pub seed: u64,
    /// When the sandbox is stopped.
    pub deadline: Timestamp,
}

impl<O: Objects, R: Rows, C: Clock> Deps<O, R, C> {
    /// The bucket of this region.
    ///
    /// # Errors
    /// When the configuration gives this region no bucket.
    pub(crate) fn own(&self) -> Result<&O, NoBucket> {
        self.buckets.get(&self.here).ok_or(NoBucket(self.here))
    }

    /// The regions that shall hold data, in the order of the document.
    pub(crate) fn full(&self) -> Vec<RegionName> {
        if !self.config.enabled {
            return Vec::new();
        }
        self.config.full_regions().map(|r| r.name).collect()
    }

    /// Whether copies may be sent to `region` now: a drained one is owed and not paid.
    pub(crate) fn is_payable(&self, region: RegionName) -> bool {
        self.config.enabled && self.config.region(region).is_some_and(|r| r.is_full() && !r.offline)
    }

    /// Whether `key` is that of a sentinel, and there are any: one belongs to the bucket of its workset
    /// alone. A copy would stand elsewhere when it is taken away here, since deletes are not replicated.
    pub(crate) fn is_sentinel(&self, key: &str) -> bool {
        self.config.sentinels.is_on() && Sentinel::is_key(key)
    }

    /// Whether there is time for one more call.
    pub(crate) fn has_time(&self, invocation: &Invocation) -> bool {
        self.clock.now().after(self.policy.margin) < invocation.deadline
    }
}

/// The configuration gives a region no bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} has no bucket to copy from; run this function in full regions only, or set `bucket` of that region"
)]
pub struct NoBucket(pub RegionName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_before_the_sandbox_is_stopped_and_before_its_claim_lapses() {
        let policy = Policy::default();
        assert!(policy.call_max < policy.margin);
        assert!(policy.call_max < policy.lease / 2);
    }
}
