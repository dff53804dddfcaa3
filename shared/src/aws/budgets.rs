//! Budgets of retries that are not the process's own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_s3::config::retry::RetryPartition;

use crate::region::RegionName;

/// One budget for each service in each region, as the SDK keeps them for a whole process:
/// retries in a region that fails take none from those in another.
#[derive(Debug, Clone, Default)]
pub(super) struct Budgets(Arc<Mutex<BTreeMap<(&'static str, RegionName), RetryPartition>>>);

impl Budgets {
    /// The budget of this service and region.
    pub(super) fn of(&self, service: &'static str, region: RegionName) -> RetryPartition {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || RetryPartition::custom(service).build();
        made.entry((service, region)).or_insert_with(new).clone()
    }
}
