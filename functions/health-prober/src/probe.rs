//! One probe of one service: a write and a read that checks the value, each with
//! one attempt and its own timeout.

use std::{future::Future, time::Duration};

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

/// Who probes, and the number that it writes and expects to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) observer: RegionName,
    pub(crate) number: u64,
}

/// What one region answered.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub(crate) region: RegionName,
    pub(crate) probes: Vec<(Capability, Probe)>,
    /// The region's watermark in its own replica, if it could be read.
    pub(crate) watermark: Option<u64>,
}

/// Probes every capability of `region`, its services at once.
pub(crate) async fn region<R: Rows, O: Objects, A: Apis>(
    doors: &Doors<R, O, A>,
    region: &Region,
    stamp: Stamp,
) -> Answers {
    let (objects, (table, watermark), api) =
        futures::join!(objects(doors, region, stamp), table(doors, region, stamp), api(doors, region));
    let probes = [objects, table, api].concat();
    Answers { region: region.name, probes, watermark }
}

async fn objects<R, O: Objects, A>(
    doors: &Doors<R, O, A>,
    region: &Region,
    stamp: Stamp,
) -> Vec<(Capability, Probe)> {
    let Some(bucket) = doors.buckets.get(&region.name) else { return Vec::new() };
    let limit = region.health_check.timeout;
    let key = format!(".sealane/canary/{}", stamp.observer);
    let body = Bytes::from(stamp.number.to_string());
    let checksum = Checksum::of(&body);
    let attributes = Attributes::default();
    let put = timed(limit, object_failure, bucket.put(&key, body.clone(), checksum, &attributes)).await;
    let wrote = matches!(put, Probe::Good(_));
    let read = async {
        let found = bucket.read(&key, None, 0..CANARY_BYTES_MAX).await;
        found.map(|found| is_canary(&found, &body, wrote))
    };
    let get = checked(limit, object_failure, read).await;
    vec![(Capability::ObjectWrite, put), (Capability::ObjectRead, get)]
}

/// Whether `found` is what was written; where the write failed, any earlier canary will do.
fn is_canary(found: &[u8], written: &[u8], wrote: bool) -> bool {
    let number = std::str::from_utf8(found).ok().and_then(|text| text.parse::<u64>().ok());
    if wrote { found == written } else { number.is_some() }
}

async fn table<R: Rows, O, A>(
    doors: &Doors<R, O, A>,
    region: &Region,
    stamp: Stamp,
) -> (Vec<(Capability, Probe)>, Option<u64>) {
    let Some(table) = doors.tables.get(&region.name) else { return (Vec::new(), None) };
    let limit = region.health_check.timeout;
    let Stamp { observer, number } = stamp;
    let put = timed(limit, row_failure, table.beat(observer, region.name, number)).await;
    let wrote = matches!(put, Probe::Good(_));
    let read = async {
        let found = table.heartbeat(observer, region.name).await?;
        Ok(if wrote { found == Some(number) } else { true })
    };
    let get = checked(limit, row_failure, read).await;
    let watermark = timeout(limit, table.watermark(region.name)).await.ok().and_then(Result::ok);
    (vec![(Capability::TableWrite, put), (Capability::TableRead, get)], watermark)
}

async fn api<R, O, A: Apis>(doors: &Doors<R, O, A>, region: &Region) -> Vec<(Capability, Probe)> {
    if !region.capabilities().contains(&Capability::Api) {
        return Vec::new();
    }
    let live = timed(region.health_check.timeout, api_failure, doors.apis.live(region.name)).await;
    vec![(Capability::Api, live)]
}

/// How long `call` took, or why it is no good.
async fn timed<T, E>(
    limit: Duration,
    failure: impl Fn(&E) -> Failure,
    call: impl Future<Output = Result<T, E>>,
) -> Probe {
    checked(limit, failure, async { call.await.map(|_| true) }).await
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
