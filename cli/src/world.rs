//! The adapters that commands use: tables and buckets of the configured regions.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    aws::{Aws, DynamoRows, Limits, S3Objects, SystemClock},
    config::Config,
    edge,
    outlook::{Memory, Outlook, outlook},
    ports::Clock as _,
    region::{Region, RegionName},
    store::{ControlTable, HealthTable, NoticeTable, WorksetTable},
    time::{Human, Timestamp},
    transport::LEASE_CALL_MAX,
};

/// Longest look at the tables before a command goes on with what the settings say.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Index of the ledger, by payer and due time.
const BY_DUE: &str = "by-due";

/// Index of the worksets, by state and place in the queue.
const BY_STATE: &str = "by-state";

/// Health and control are read by key alone.
const NO_INDEX: &str = "none";

/// Which replica tells what a region has of the worksets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Its own, or any that holds the same truth.
    Any,
    /// Its own, whatever others hold.
    Itself,
}

/// Where a command runs, and what it can reach from there.
#[derive(Debug)]
pub(crate) struct World {
    /// Every setting.
    pub(crate) config: Config,
    /// Whose latencies count.
    pub(crate) here: RegionName,
    aws: Aws,
    control: ControlTable<DynamoRows>,
}

impl World {
    /// Clients for the regions of `config`, with credentials from the usual AWS chain.
    pub(crate) async fn connect(config: Config) -> Self {
        let known = |name: &RegionName| config.region(*name).is_some();
        let here = edge::home().ok().filter(known).unwrap_or(config.primary_region);
        let aws = Aws::connect(here.as_str()).await;
        let control = aws.control(&config, here, Limits::CALL);
        Self { config, here, aws, control }
    }

    /// Clients of any service.
    pub(crate) const fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The present moment on this machine's clock.
    pub(crate) fn now() -> Timestamp {
        SystemClock.now()
    }

    /// What the observers, the record and the pins say now. Warns of what could not be read.
    pub(crate) async fn look(&self) -> Outlook {
        let health: Vec<_> = self.nearest_first().map(|r| HealthTable::new(self.health_rows(r))).collect();
        let control = self.control();
        let mut memory = Memory::default();
        let look = outlook(&self.config, self.here, &health, &control, &mut memory, Self::now());
        let seen = tokio::time::timeout(LOOK_MAX, look).await.unwrap_or_else(|_| Outlook {
            problems: vec![format!("health and control did not answer within {}", Human(LOOK_MAX))],
            ..Outlook::default()
        });
        crate::console::warn(&seen.problems);
        seen
    }

    /// The record of the active region, its past moves and its pins. All that ask for it know
    /// which replica answered last.
    pub(crate) fn control(&self) -> ControlTable<DynamoRows> {
        self.control.clone()
    }

    /// The same table for leases, which are not waited for long.
    pub(crate) fn leases(&self) -> ControlTable<DynamoRows> {
        let limits = Limits::CALL.within(LEASE_CALL_MAX).once();
        let rows = |region| self.aws.rows(region, &self.config.tables.control, NO_INDEX, limits);
        self.control.through(self.config.control_from(self.here).map(rows).collect())
    }

    /// The ledger as each region has it, nearest first.
    pub(crate) fn ledgers(&self) -> impl Iterator<Item = DynamoRows> {
        let full = self.nearest_first().filter(|r| r.is_full());
        full.map(|r| self.rows(r, &self.config.tables.ledger, BY_DUE))
    }

    /// The ledger as `region` has it.
    pub(crate) fn ledger_of(&self, region: &Region) -> DynamoRows {
        self.rows(region, &self.config.tables.ledger, BY_DUE)
    }

    /// The worksets as `region` has them, or as that region's replica alone tells them.
    pub(crate) fn worksets_of(&self, region: &Region, by: By) -> WorksetTable<DynamoRows> {
        match by {
            By::Any => WorksetTable::through(self.workset_rows(region)),
            By::Itself => WorksetTable::new(self.rows(region, &self.config.tables.worksets, BY_STATE)),
        }
    }

    /// What others are told, as `region` has it.
    pub(crate) fn notices_of(&self, region: &Region) -> NoticeTable<DynamoRows> {
        NoticeTable::through(self.workset_rows(region))
    }

    fn workset_rows(&self, region: &Region) -> Vec<DynamoRows> {
        self.aws.worksets(&self.config, (region.name, self.here), BY_STATE, Limits::CALL)
    }

    /// The bucket of each region that holds data.
    pub(crate) fn buckets(&self) -> BTreeMap<RegionName, S3Objects> {
        // Shipping repeats calls itself, and within a budget: one owner of retries.
        let limits = Limits::data(self.config.upload.part_timeout).once();
        let owner = self.config.account_id.as_deref();
        let bucket = |r: &Region| Some((r.name, self.aws.shipping(r, owner, limits)?));
        self.config.full_regions().filter_map(bucket).collect()
    }

    fn nearest_first(&self) -> impl Iterator<Item = &Region> {
        let (near, far): (Vec<_>, Vec<_>) = self.config.regions.iter().partition(|r| r.name == self.here);
        near.into_iter().chain(far)
    }

    fn health_rows(&self, region: &Region) -> DynamoRows {
        self.rows(region, &self.config.tables.health, NO_INDEX)
    }

    fn rows(&self, region: &Region, table: &str, index: &'static str) -> DynamoRows {
        self.aws.rows(region, table, index, Limits::CALL)
    }
}
