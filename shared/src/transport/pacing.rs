//! Holding to the rate that a region may be sent at, over all uploads of this process.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{region::RegionName, units::ByteSize, upload::Allowance};

/// The rates of the regions. The uploads of one process share it.
#[derive(Debug)]
pub struct Rates {
    began: Instant,
    regions: BTreeMap<RegionName, Mutex<Allowance>>,
}

impl Rates {
    /// Each region at so many megabits a second; one that is not named at any rate.
    pub fn new(mbps: impl IntoIterator<Item = (RegionName, u32)>) -> Self {
        let allowance = |(region, mbps)| (region, Mutex::new(Allowance::mbps(mbps)));
        Self { began: Instant::now(), regions: mbps.into_iter().map(allowance).collect() }
    }

    /// Waits until `size` bytes may go to `region`.
    pub(super) async fn pass(&self, region: RegionName, size: ByteSize) {
        let Some(wait) = self.grant(region, size) else { return };
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    fn grant(&self, region: RegionName, size: ByteSize) -> Option<Duration> {
        let mut allowance = self.regions.get(&region)?.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, wait) = allowance.grant(size, self.began.elapsed());
        *allowance = next;
        Some(wait)
    }

    /// How long `size` bytes to `region` take by its rate.
    pub(super) fn time_for(&self, region: RegionName, size: ByteSize) -> Duration {
        let allowance = self.regions.get(&region);
        let allowance = allowance.map(|held| *held.lock().unwrap_or_else(PoisonError::into_inner));
        allowance.map_or(Duration::ZERO, |allowance| allowance.time_for(size))
    }
}
