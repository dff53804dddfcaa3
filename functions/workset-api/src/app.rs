//! What all handlers share: the tables, the clock, and the last look at the regions.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        self, Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::lock::Mutex;
use sealane::{
    config::{Config, Consistency},
    health::{Answer, Ejections, Passive, PassivePolicy},
    outlook::{Memory, NoWriter, Outlook, outlook},
    ports::{Clock, Rows, RowsError},
    region::{Capability, Region, RegionName},
    retry::{RetryBudgets, Spent},
    store::{ControlTable, HealthTable, LedgerTable, WorksetTable},
    time::Timestamp,
    workset::{Actor, By},
};

use crate::{
    limit::Buckets,
    problem::{Kind, Problem},
};

/// How old the last look may be by which a read says how stale its answer may be.
const GLANCE_EVERY: Duration = Duration::from_secs(30);

/// How long after a move calls are still sent again that were begun before it.
const LATELY: Duration = Duration::from_secs(3600);

/// What the API works on. Built once, in main.
#[derive(Debug)]
pub struct Deps<R, C> {
    /// The configuration.
    pub config: Config,
    /// The region that this API runs in.
    pub home: RegionName,
    /// The replica of the worksets table in every region that has one.
    pub worksets: BTreeMap<RegionName, WorksetTable<R>>,
    /// The replica of the ledger in every full region.
    pub ledger: BTreeMap<RegionName, LedgerTable<R>>,
    /// The replicas of the health table, this region's own first.
    pub health: Vec<HealthTable<R>>,
    /// The control table.
    pub control: ControlTable<R>,
    /// Tells the time.
    pub clock: C,
}

/// The state of the router.
pub(crate) struct App<R, C> {
    pub(crate) deps: Deps<R, C>,
    /// The worksets through any of their replicas, nearest first, where all of them hold one truth.
    one_truth: Option<WorksetTable<R>>,
    last: Mutex<Last>,
    requests: AtomicU64,
    /// What this process met in the replicas that it read.
    passive: sync::Mutex<Passive>,
    budgets: RetryBudgets,
    pub(crate) buckets: Buckets,
}

/// What of a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Rows by their keys.
    Rows,
    /// Its index.
    Index,
}

/// The last look, and what is remembered for the next.
#[derive(Default)]
struct Last {
    memory: Memory,
    looked: Option<(Timestamp, Arc<Outlook>)>,
}

impl<R, C> fmt::Debug for App<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("home", &self.deps.home).finish_non_exhaustive()
    }
}

impl<R: Rows + Clone, C: Clock> App<R, C> {
    pub(crate) fn new(deps: Deps<R, C>) -> Self {
        let one_truth = match deps.config.worksets_consistency {
            Consistency::Eventual => None,
            Consistency::Strong => {
                let near = deps.config.worksets_from(deps.home).into_iter();
                Some(WorksetTable::joined(near.filter_map(|region| deps.worksets.get(&region.name))))
            }
        };
        Self {
            deps,
            one_truth,
            last: Mutex::default(),
            requests: AtomicU64::new(0),
            passive: sync::Mutex::default(),
            budgets: RetryBudgets::default(),
            buckets: Buckets::default(),
        }
    }
}

impl<R, C: Clock> App<R, C> {
    /// The worksets as `region` has them, to decide and write by: through its own replica, or through
    /// any where all of them hold one truth.
    pub(crate) fn worksets_of(&self, region: RegionName) -> Option<&WorksetTable<R>> {
        self.one_truth.as_ref().or_else(|| self.deps.worksets.get(&region))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    /// An id for a request that the gateway gave none.
    pub(crate) fn next_request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{}-{:x}-{number}", self.deps.home, self.now().as_millis())
    }

    /// Counts one read of `region`; a repeat of one that another region left unanswered is paid for.
    pub(crate) fn may_ask(&self, region: RegionName, again: bool) -> Result<(), Spent> {
        if again {
            return self.budgets.retry(region, self.now());
        }
        self.budgets.requested(region, self.now());
        Ok(())
    }

    /// Takes in what came of a read. A refusal is an answer; being throttled says nothing of a region,
    /// since one hot key is enough for it.
    pub(crate) fn met<T>(&self, region: RegionName, answer: &Result<T, RowsError>) {
        let answer = match answer {
            Err(RowsError::Throttled { .. }) => return,
            Err(error) if error.is_outage() => Answer::Silence,
            Ok(_) | Err(_) => Answer::Given,
        };
        let (regions, policy) = (self.full_regions().count(), PassivePolicy::default());
        // Whoever panicked with it left an older memory behind, which is good enough.
        let mut passive = self.passive.lock().unwrap_or_else(PoisonError::into_inner);
        let to = (region, Capability::TableRead);
        *passive = std::mem::take(&mut *passive).after(to, answer, regions, &policy, self.now());
    }

    /// The regions that this process keeps away from.
    pub(crate) fn ejections(&self) -> Ejections {
        self.passive.lock().unwrap_or_else(PoisonError::into_inner).ejections(self.now())
    }

    /// Whether this process does not read from `region` first.
    pub(crate) fn shuns(&self, region: RegionName) -> bool {
        self.ejections().of(region, Capability::TableRead).is_some()
    }

    /// The regions that hold data and are in use: only the primary while the rest is off.
    pub(crate) fn full_regions(&self) -> impl Iterator<Item = &Region> {
        let config = &self.deps.config;
        let used = |r: &&Region| r.is_full() && (config.enabled || r.name == config.primary_region);
        config.regions.iter().filter(used)
    }

    /// The full region of that name.
    pub(crate) fn known(&self, name: &str) -> Result<RegionName, Problem> {
        named(name, self.full_regions(), "is not a region here")
    }

    /// The region of that name, which has to have a replica of the worksets.
    pub(crate) fn replica_named(&self, name: &str) -> Result<RegionName, Problem> {
        let config = &self.deps.config;
        match config.worksets_consistency {
            Consistency::Eventual => self.known(name),
            Consistency::Strong => {
                let used = |r: &&Region| config.enabled || r.name == config.primary_region;
                named(name, config.workset_regions().filter(used), "has no replica of the worksets")
            }
        }
    }
}

/// The region of that `name` among `regions`, or that it `is_not` one of them.
fn named<'a>(
    name: &str,
    regions: impl Iterator<Item = &'a Region>,
    is_not: &str,
) -> Result<RegionName, Problem> {
    let regions: Vec<RegionName> = regions.map(|region| region.name).collect();
    regions.iter().find(|region| region.as_str() == name).copied().ok_or_else(|| {
        let names: Vec<_> = regions.iter().map(|region| format!("`{region}`")).collect();
        let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
        let detail = format!("`{shown}` {is_not} (want one of {})", names.join(", "));
        Problem::new(Kind::UnknownRegion, detail)
    })
}

impl<R: Rows, C: Clock> App<R, C> {
    /// How the regions stand, looked up at most once in `api.cache_ttl`.
    pub(crate) async fn outlook(&self) -> Arc<Outlook> {
        let Deps { config, home, health, control, .. } = &self.deps;
        let now = self.now();
        let mut guard = self.last.lock().await;
        let last = &mut *guard;
        let held = last.looked.as_ref().filter(|(at, _)| now.since(*at) < config.api.cache_ttl);
        if let Some((_, looked)) = held {
            return Arc::clone(looked);
        }
        let looked = Arc::new(outlook(config, *home, health, control, &mut last.memory, now).await);
        for problem in &looked.problems {
            tracing::warn!(problem, "looked at the regions in part");
        }
        last.looked = Some((now, Arc::clone(&looked)));
        looked
    }

    /// Looks at the regions if nobody has for a while. A read does this beside itself: it needs the
    /// look for nothing but to say how stale its answer may be, and for nothing at all of one truth.
    pub(crate) async fn glance(&self) {
        if self.one_truth.is_some() {
            return;
        }
        let now = self.now();
        let looked = self.last.lock().await.looked.as_ref().map(|(at, _)| *at);
        if looked.is_none_or(|at| now.since(at) >= GLANCE_EVERY) {
            self.outlook().await;
        }
    }

    /// How far what was read of `part` in the replica of `region` may be behind the writes; `None`: not
    /// known. By the last look, which is not renewed for this.
    pub(crate) async fn staleness(&self, region: RegionName, part: Part) -> Option<Duration> {
        match (&self.one_truth, part) {
            (Some(_), Part::Rows) => return Some(Duration::ZERO),
            // Its index follows by itself, in every region, and nobody says how late.
            (Some(_), Part::Index) => return None,
            (None, Part::Rows | Part::Index) => {}
        }
        let guard = self.last.lock().await;
        let (at, looked) = guard.looked.as_ref()?;
        let age = self.now().since(*at);
        let active = looked.record.as_ref()?.active;
        match active == region {
            true if looked.record_age? + age <= GLANCE_EVERY => Some(Duration::ZERO),
            true => None,
            false => looked.verdicts.lag(active, region).map(|lag| lag.saturating_add(age)),
        }
    }

    /// Makes the next look a new one, since the last one led astray.
    pub(crate) async fn forget_outlook(&self) {
        self.last.lock().await.looked = None;
    }

    /// The region that takes the writes.
    ///
    /// While nobody knows it, or writes are about to move, none does: two regions
    /// that both take them would be worse than a pause.
    pub(crate) async fn primary(&self) -> Result<RegionName, Problem> {
        let config = &self.deps.config;
        if !config.enabled {
            return Ok(config.primary_region);
        }
        let outlook = self.outlook().await;
        let told = outlook.problems.join("; ");
        outlook.takes_writes(self.now(), config.api.cache_ttl).map_err(|none| match none {
            NoWriter::Unknown if told.is_empty() => {
                let detail = "nobody has decided yet which region takes writes (the first prober to run does); \
                              read meanwhile, and try again";
                Problem::new(Kind::PrimaryUnknown, detail.to_owned())
            }
            NoWriter::Unknown => {
                Problem::new(Kind::PrimaryUnknown, format!("{told}; read meanwhile, and try again"))
            }
            NoWriter::Stale => {
                Problem::new(Kind::PrimaryUnknown, format!("{none}: {told}; try again, or ask another region"))
            }
            NoWriter::Moving { .. } => {
                Problem::new(Kind::PrimaryMoving, format!("{none}; try again in a moment"))
            }
        })
    }

    /// Who writes in `region`, now and under the assignment that holds.
    pub(crate) async fn by(&self, actor: &Actor, region: RegionName, request: &str) -> By {
        let epoch = match self.deps.config.enabled {
            true => self.outlook().await.record.as_ref().map(|record| record.epoch),
            false => None,
        };
        By { actor: actor.clone(), region, at: self.now(), request: request.to_owned(), epoch }
    }

    /// Whether writes have moved so lately that a record of a call may have stayed behind. By the
    /// clocks of two machines; a difference makes a claim look closer than it needs, or not as close.
    pub(crate) async fn has_moved_lately(&self) -> bool {
        let outlook = self.outlook().await;
        let moved = outlook.record.as_ref().filter(|record| record.epoch > 1);
        moved.is_some_and(|record| self.now().since(record.since) < LATELY)
    }

    /// Whether `primary` still takes the writes: asked before each write, since a request
    /// that lasts must not write by what held when it began.
    ///
    /// # Errors
    /// When nobody does now, or another region.
    pub(crate) async fn still(&self, primary: RegionName) -> Result<(), Problem> {
        let now = self.primary().await?;
        let detail = || format!("writes have moved from `{primary}` to `{now}`; try again");
        if now == primary { Ok(()) } else { Err(Problem::new(Kind::PrimaryMoving, detail())) }
    }
}
