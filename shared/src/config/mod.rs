//! The configuration: documented defaults, a YAML document, and the environment over both.

use std::time::Duration;

use crate::{
    failover, health,
    region::{Region, RegionName},
    route, upload,
};

/// The names of the DynamoDB tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Observations, heartbeats and watermarks: a default (MREC) global table.
    pub health: String,
    /// The assignment of the active primary, moves, pins and locks: an MRSC global table.
    pub control: String,
    /// Worksets and their history.
    pub worksets: String,
    /// Copies owed and paid.
    pub ledger: String,
}

/// Who may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Tenant of every caller where the gateway has no authorizer; `None`: such calls are refused.
    pub open_tenant: Option<String>,
    /// How long the API may serve the last route and verdicts that it read.
    pub cache_ttl: Duration,
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whether more than the primary region is used.
    pub enabled: bool,
    /// Where work belongs when all is well.
    pub primary_region: RegionName,
    /// The account that owns every bucket; `None` leaves ownership unchecked.
    pub account_id: Option<String>,
    /// Every region, in the order of the document.
    pub regions: Vec<Region>,
    /// The regions whose replica of `control` can be asked, best first.
    pub control_regions: Vec<RegionName>,
    /// The names of the tables.
    pub tables: Tables,
    /// How verdicts are reached.
    pub health: health::Policy,
    /// How regions are selected.
    pub load_balancing: route::Policy,
    /// How the primary moves.
    pub failover: failover::Policy,
    /// How objects are shipped.
    pub upload: upload::Policy,
    /// Time between two metric lines; `None` when monitoring is off.
    pub metrics_interval: Option<Duration>,
    /// Who may call the API.
    pub api: Api,
}

impl Config {
    /// The region of this name, if it is configured.
    pub fn region(&self, name: RegionName) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == name)
    }

    /// The regions that hold data, in the order of the document.
    pub fn full_regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|r| r.is_full())
    }
}
