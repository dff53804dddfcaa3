//! One probe of one service of a region: a write, and a read that checks the
//! value, both at once, each with one attempt and its own timeout.
//!
//! A read runs beside its write, so that two timeouts do not add up. It is right
//! when it finds what is being written or what was last acknowledged, and nothing older.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use sealane::{
    checksum::Checksum,
    health::{Failure, Probe},
    ports::{ApiError, Apis, Attributes, Objects, ObjectsError, Rows, RowsError, Silence},
    region::{Capability, Region, RegionName},
};
use tokio::time::{Instant, timeout};

use crate::Doors;

/// Longest canary that is read, in bytes.
const CANARY_BYTES_MAX: u64 = 64;

/// What this observer writes in a tick, and what it may read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) observer: RegionName,
    /// What is written now.
    pub(crate) number: u64,
}

/// What a region last acknowledged of this observer's writes; `None` before the first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Acknowledged {
    pub(crate) object: Option<u64>,
    pub(crate) row: Option<u64>,
}

/// What one region answered.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub(crate) region: RegionName,
    pub(crate) probes: Vec<(Capability, Probe)>,
}

/// What is asked as one: a write, and the read that checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Objects,
    Table,
    Api,
}

impl Service {
    /// The service that shows whether `capability` answers.
    pub(crate) const fn of(capability: Capability) -> Self {
        match capability {
            Capability::ObjectRead | Capability::ObjectWrite => Self::Objects,
            Capability::TableRead | Capability::TableWrite => Self::Table,
            Capability::Api => Self::Api,
        }
    }
}

/// Asks one service of `region` once.
pub(crate) async fn service<R: Rows, O: Objects, A: Apis>(
    doors: &Doors<R, O, A>,
    region: &Region,
    service: Service,
    stamp: Stamp,
    acknowledged: Acknowledged,
) -> Vec<(Capability, Probe)> {
    match service {
        Service::Objects => objects(doors, region, stamp, acknowledged.object).await,
        Service::Table => table(doors, region, stamp, acknowledged.row).await,
        Service::Api => api(doors, region).await,
    }
}

async fn objects<R, O: Objects, A>(
    doors: &Doors<R, O, A>,
    region: &Region,
    stamp: Stamp,
    acknowledged: Option<u64>,
) -> Vec<(Capability, Probe)> {
    let Some(bucket) = doors.buckets.get(&region.name) else { return Vec::new() };
    let limit = region.health_check.timeout;
    let key = format!(".sealane/canary/{}", stamp.observer);
    let body = Bytes::from(stamp.number.to_string());
    let (checksum, attributes) = (Checksum::of(&body), Attributes::default());
    let put = checked(limit, object_failure, async {
        bucket.put(&key, body, checksum, &attributes).await.map(|_| true)
    });
    let nothing_there = AtomicBool::new(false);
    let get = checked(limit, object_failure, async {
        match bucket.read(&key, None, 0..CANARY_BYTES_MAX).await {
            Ok(found) => Ok(is_right(number(&found), stamp, acknowledged)),
            // Before the first canary there is none to find, and the bucket has said so.
            Err(ObjectsError::Missing { .. } | ObjectsError::Refused { .. }) if acknowledged.is_none() => {
                nothing_there.store(true, Ordering::Relaxed);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    });
    let (put, get) = futures::join!(put, get);
    // That there is nothing is right only where a first canary can be written: a bucket
    // that refuses everything is not one that reads well.
    let get = match put {
        Probe::Bad(why) if nothing_there.load(Ordering::Relaxed) => Probe::Bad(why),
        Probe::Bad(_) | Probe::Good(_) => get,
    };
    vec![(Capability::ObjectWrite, put), (Capability::ObjectRead, get)]
}

fn number(canary: &[u8]) -> Option<u64> {
    std::str::from_utf8(canary).ok()?.parse().ok()
}

/// Whether `found` is what is being written, or no older than what was acknowledged.
fn is_right(found: Option<u64>, stamp: Stamp, acknowledged: Option<u64>) -> bool {
    match (found, acknowledged) {
        (Some(found), acknowledged) => acknowledged.is_none_or(|held| found >= held) && found <= stamp.number,
        (None, acknowledged) => acknowledged.is_none(),
    }
}

async fn table<R: Rows, O, A>(
    doors: &Doors<R, O, A>,
    region: &Region,
    stamp: Stamp,
    acknowledged: Option<u64>,
) -> Vec<(Capability, Probe)> {
    let Some(table) = doors.tables.get(&region.name) else { return Vec::new() };
    let limit = region.health_check.timeout;
    let Stamp { observer, number } = stamp;
    let put =
        checked(limit, row_failure, async { table.beat(observer, region.name, number).await.map(|()| true) });
    let get = checked(limit, row_failure, async {
        let found = table.heartbeat(observer, region.name).await?;
        Ok(is_right(found, stamp, acknowledged))
    });
    let (put, get) = futures::join!(put, get);
    vec![(Capability::TableWrite, put), (Capability::TableRead, get)]
}

async fn api<R, O, A: Apis>(doors: &Doors<R, O, A>, region: &Region) -> Vec<(Capability, Probe)> {
    if !region.capabilities().contains(&Capability::Api) {
        return Vec::new();
    }
    let live = checked(region.health_check.timeout, api_failure, async {
        doors.apis.live(region.name).await.map(|()| true)
    });
    vec![(Capability::Api, live.await)]
}

/// How long `call` took, if it came to `true`, or why it is no good.
async fn checked<E>(
    limit: Duration,
    failure: impl Fn(&E) -> Failure,
    call: impl Future<Output = Result<bool, E>>,
) -> Probe {
    let started = Instant::now();
    match timeout(limit, call).await {
        Err(_) => Probe::Bad(Failure::Timeout),
        Ok(Err(error)) => Probe::Bad(failure(&error)),
        Ok(Ok(false)) => Probe::Bad(Failure::WrongValue),
        Ok(Ok(true)) => Probe::Good(started.elapsed()),
    }
}

fn silence(how: Silence) -> Failure {
    match how {
        Silence::Timeout => Failure::Timeout,
        Silence::NoConnection => Failure::Refused,
        Silence::ServerError(status) => Failure::Status(status),
    }
}

fn object_failure(error: &ObjectsError) -> Failure {
    match error {
        ObjectsError::NoAnswer { how, .. } => silence(*how),
        ObjectsError::Throttled { .. } => Failure::Throttled,
        ObjectsError::Missing { .. } | ObjectsError::Mismatch { .. } => Failure::WrongValue,
        _ => Failure::Other,
    }
}

fn row_failure(error: &RowsError) -> Failure {
    match error {
        RowsError::NoAnswer { how, .. } => silence(*how),
        RowsError::Throttled { .. } => Failure::Throttled,
        RowsError::Unreadable { .. } => Failure::WrongValue,
        _ => Failure::Other,
    }
}

fn api_failure(error: &ApiError) -> Failure {
    match error {
        ApiError::NoAnswer { how, .. } => silence(*how),
        ApiError::WrongAnswer { .. } => Failure::WrongValue,
        _ => Failure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A read is right between what was acknowledged and what is being written, and nowhere else.
        #[test]
        fn a_lost_write_is_noticed(found in 0..20_u64, held in 0..20_u64, number in 0..20_u64) {
            let stamp = Stamp { observer: "us-east-1".parse().unwrap(), number };
            prop_assert_eq!(is_right(Some(found), stamp, Some(held)), (held..=number).contains(&found));
            prop_assert!(!is_right(None, stamp, Some(held)), "what was acknowledged is there");
        }
    }
}
