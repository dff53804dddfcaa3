//! The configuration: documented defaults, a YAML document, and the environment over both.
//!
//! Everything that can be set stands in [`SETTINGS`], [`REGION_SETTINGS`], [`RULE_SETTINGS`]
//! and [`TARGET_SETTINGS`], once. One reading finds all problems, each with its key, its value and the
//! remedy; unknown keys and variables are problems, too. Files and the process
//! environment are left to the caller.

mod checks;
mod document;
pub mod known;
mod layers;
mod notifications;
mod problem;
mod reference;
mod regions;
mod replicas;
mod rules;
mod sections;
mod settings;
#[cfg(test)]
mod tests;
mod values;

use std::{path::PathBuf, time::Duration};

pub use problem::{Problem, Problems};
pub use reference::reference;
pub use replicas::Consistency;
pub use settings::{
    Fallback, PREFIX, REGION_SETTINGS, RULE_SETTINGS, SETTINGS, Setting, Shape, TARGET_SETTINGS,
};

use crate::{
    endpoint, failover, health, lease, notify,
    region::{HealthCheck, Region, RegionName},
    replication, route, upload,
    workset::{Export, State},
};

/// The variable that holds the document, or the path of its file; see [`Location`].
pub const DOCUMENT_VARIABLE: &str = "SEALANE_CONFIG";

/// Where the document is, as [`DOCUMENT_VARIABLE`] has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location<'a> {
    /// This is the document.
    Inline(&'a str),
    /// It is in the file of this path.
    File(&'a str),
}

impl<'a> Location<'a> {
    /// Text that starts with `{` is the document itself; any other is a path.
    ///
    /// ```
    /// use sealane::config::Location;
    ///
    /// assert_eq!(Location::of("sealane.yaml"), Location::File("sealane.yaml"));
    /// assert_eq!(Location::of(" {}"), Location::Inline(" {}"));
    /// ```
    pub fn of(text: &'a str) -> Self {
        if text.trim_start().starts_with('{') { Self::Inline(text) } else { Self::File(text) }
    }
}

/// The names of the DynamoDB tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Observations and heartbeats: a default (MREC) global table.
    pub health: String,
    /// The assignment of the active primary, moves, pins and locks: an MRSC global table.
    pub control: String,
    /// Worksets and their history; see [`Consistency`].
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
    /// Requests a second that one tenant may send to one sandbox in the long run. At least 1.
    pub rate_limit: u32,
    /// Requests that a tenant may send at once after a pause. At least 1.
    pub rate_burst: u32,
}

impl Api {
    /// Longest time from admitting a write of a workset until it has arrived or is given up.
    const WRITE_MAX: Duration = Duration::from_secs(3);

    /// How long after the record has changed an API may still write by the one before:
    /// as long as it may remember it, and then until the last write so admitted has ended.
    pub const fn settle(&self) -> Duration {
        self.cache_ttl.saturating_add(Self::WRITE_MAX)
    }
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
    /// How the replicas of the worksets table agree.
    pub worksets_consistency: Consistency,
    /// How verdicts are reached.
    pub health: health::Policy,
    /// How regions are selected.
    pub load_balancing: route::Policy,
    /// How the primary moves.
    pub failover: failover::Policy,
    /// How objects are shipped.
    pub upload: upload::Policy,
    /// Where uploads note what a later run needs; `None` leaves that to the user's own folder.
    pub state_folder: Option<PathBuf>,
    /// Where objects go.
    pub replication: replication::Rules,
    /// Who is told of what happens.
    pub notifications: notify::Policy,
    /// Where worksets show how they stand beside their data.
    pub sentinels: Export,
    /// How long uploads hold their slots.
    pub lease: lease::Policy,
    /// Time between two metric lines; `None` when monitoring is off.
    pub metrics_interval: Option<Duration>,
    /// Who may call the API.
    pub api: Api,
    /// Which endpoints are allowed.
    pub security: endpoint::Policy,
}

impl Config {
    /// The defaults, under `document` (YAML or JSON), under the variables of
    /// `environment` that start with `SEALANE_`.
    ///
    /// An empty variable counts as not set, and so does a key without a value.
    /// [`DOCUMENT_VARIABLE`] is left to the caller.
    ///
    /// ```
    /// use sealane::config::Config;
    ///
    /// let document = "{primary_region: us-west-2, regions: [{name: us-west-2, bucket: my-bucket}]}";
    /// let variable = ("SEALANE_FAILOVER_STRATEGY".to_owned(), "at_once".to_owned());
    /// let problems = Config::read(Some(document), [variable].into_iter()).unwrap_err();
    /// assert_eq!(
    ///     problems.iter().next().unwrap().to_string(),
    ///     "`failover.strategy` (from `SEALANE_FAILOVER_STRATEGY`) is `at_once`: \
    ///      want one of `immediate`, `graceful`, `manual`"
    /// );
    /// assert!(Config::read(Some(document), std::iter::empty()).is_ok());
    /// ```
    ///
    /// # Errors
    ///
    /// All [`Problems`] of the document and the environment at once.
    pub fn read(
        document: Option<&str>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let (entries, problems) = layers::layered(document, environment);
        let mut group = values::Group { prefix: String::new(), settings: SETTINGS, entries, problems };
        let config = Self::assemble(&mut group);
        config.filter(|_| group.problems.is_empty()).ok_or(Problems(group.problems))
    }

    /// Reads every part even after a problem, so that all are found; `None` without a primary region.
    fn assemble(group: &mut values::Group) -> Option<Self> {
        let enabled = group.flag("enabled").unwrap_or_default();
        let check = sections::health_check(group, HealthCheck::default());
        let security = sections::security(group);
        let listed = regions::regions(group, check, &security);
        let primary = checks::primary(group, &listed);
        let control_regions = checks::control_regions(group, &listed, primary);
        let worksets_consistency = sections::worksets_consistency(group);
        checks::strong_worksets(group, worksets_consistency, &control_regions, primary);
        let (health, upload) = (sections::health(group), sections::upload(group));
        let load_balancing = sections::load_balancing(group);
        let preferred = &load_balancing.preferred_regions;
        let key = "load_balancing.preferred_regions";
        checks::refuse_strangers(group, key, &listed, preferred, Region::is_full);
        checks::counts(group, &listed, &health, &upload, enabled);
        let (failover, api) = (sections::failover(group), sections::api(group));
        checks::drain(group, &failover, &api);
        let replication = rules::replication(group, &listed);
        let notifications = notifications::notifications(group, &security);
        let config = Self {
            enabled,
            account_id: sections::account_id(group),
            regions: listed.regions,
            control_regions,
            tables: sections::tables(group),
            worksets_consistency,
            health,
            load_balancing,
            failover,
            upload,
            state_folder: sections::state_folder(group),
            replication,
            notifications,
            sentinels: group.choice("worksets.sentinels", &["off", "own", "any"]).unwrap_or_default(),
            lease: sections::lease(group),
            metrics_interval: sections::metrics_interval(group),
            api,
            security,
            primary_region: primary?,
        };
        Some(config)
    }

    /// The region of this name, if it is configured.
    pub fn region(&self, name: RegionName) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == name)
    }

    /// The regions that serve the control table, `here` first if it is one: it is strongly
    /// consistent, so that the nearest replica is as good as any.
    pub fn control_from(&self, here: RegionName) -> impl Iterator<Item = &Region> {
        let own = self.control_regions.iter().filter(move |name| **name == here);
        let others = self.control_regions.iter().filter(move |name| **name != here);
        own.chain(others).filter_map(|name| self.region(*name))
    }

    /// The states that somebody is told of, or that are shown, when a workset reaches one: what goes into the outbox.
    pub fn told_states(&self) -> Vec<State> {
        if self.sentinels.is_on() { State::ALL.to_vec() } else { self.notifications.states() }
    }

    /// The names under which it is kept what has yet to be told or shown.
    pub fn listeners(&self) -> Vec<notify::TargetName> {
        let targets = self.notifications.targets.iter().map(|target| target.name.clone());
        targets.chain(self.shown_in()).collect()
    }

    /// Those of them under which lies what sentinels have yet to show: one a bucket, so that a region that is
    /// down keeps no other's back, and one for buckets that are none of a region's.
    pub fn shown_in(&self) -> Vec<notify::TargetName> {
        let full = self.full_regions().map(|region| Some(region.name)).chain([None]);
        full.filter(|_| self.sentinels.is_on()).map(notify::TargetName::of_sentinels).collect()
    }

    /// The regions that hold data, in the order of the document.
    pub fn full_regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|r| r.is_full())
    }
}
