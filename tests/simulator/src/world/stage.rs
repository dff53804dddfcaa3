//! What everyone in a run shares: the cloud, the notes, and what the tables were told.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sealane::{
    config::Config,
    failover::{Moved, Record},
    ports::Row,
    region::RegionName,
    workset::Event,
};
use tokio::sync::mpsc;

use super::{log::Log, told};
use crate::{
    cloud::{Cloud, Place},
    lambda::Power,
    measure::{Acknowledged, Evidence, Written},
};

/// The stage of one run; clones are the same stage.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) cloud: Cloud,
    pub(super) config: Rc<Config>,
    pub(super) log: Rc<Log>,
    powers: Rc<BTreeMap<RegionName, Power>>,
    kept: Rc<Kept>,
    /// The region that first took the row of each workset.
    worksets: Arc<Mutex<BTreeMap<String, RegionName>>>,
    /// When each observer's row was written.
    spoke: Arc<Mutex<BTreeMap<RegionName, Vec<Duration>>>>,
}

/// What the control table was told, and whether the run goes on.
#[derive(Default)]
struct Kept {
    records: RefCell<Vec<Written>>,
    accounts: RefCell<Vec<Moved>>,
    unreplicated: RefCell<BTreeMap<u64, Duration>>,
    closed: Cell<bool>,
    writes_over: Cell<bool>,
}

impl Stage {
    /// A stage that watches the tables of `cloud`.
    pub(super) fn new(cloud: &Cloud, config: &Config, powers: &BTreeMap<RegionName, Power>) -> Self {
        let stage = Self {
            cloud: cloud.clone(),
            config: Rc::new(config.clone()),
            log: Rc::default(),
            powers: Rc::new(powers.clone()),
            kept: Rc::default(),
            worksets: Arc::default(),
            spoke: Arc::default(),
        };
        let spoke = Arc::clone(&stage.spoke);
        cloud.watch_writes(&config.tables.health, move |event| {
            let observer = (event.row.key.partition == "observation").then(|| event.row.key.sort.parse());
            if let Some(Ok(observer)) = observer {
                let mut spoke = spoke.lock().unwrap_or_else(PoisonError::into_inner);
                spoke.entry(observer).or_default().push(event.at);
            }
        });
        let worksets = Arc::clone(&stage.worksets);
        cloud.watch_writes(&config.tables.worksets, move |event| {
            if let Some(id) = workset(&event.row) {
                let mut known = worksets.lock().unwrap_or_else(PoisonError::into_inner);
                known.entry(id.to_owned()).or_insert(event.region);
            }
        });
        // The cloud tells of a write while it is being made; what has to be asked of the
        // cloud is asked by a task, which runs before time goes on.
        let (told, mut heard) = mpsc::unbounded_channel();
        cloud.watch_writes(&config.tables.control, move |event| {
            let _ = told.send((event.at, Arc::clone(&event.row)));
        });
        let listener = stage.clone();
        cloud.spawn("listener", async move {
            while let Some((at, row)) = heard.recv().await {
                listener.hear(at, &row);
            }
        });
        stage
    }

    fn hear(&self, at: Duration, row: &Row) {
        match row.key.partition.as_str() {
            "assignment" => {
                if let Ok(record) = serde_json::from_str::<Record>(&row.body) {
                    self.turned(at, record);
                }
            }
            "moves" => {
                if let Ok(moved) = serde_json::from_str::<Moved>(&row.body) {
                    self.kept.accounts.borrow_mut().push(moved);
                }
            }
            _ => {}
        }
    }

    /// A new version of the record; at a switch, how much had not arrived is looked up.
    fn turned(&self, at: Duration, record: Record) {
        let from = self.kept.records.borrow().last().map(|w| w.record.active);
        self.note(format_args!(
            "record {} {} {} {}",
            record.version, record.epoch, record.active, record.phase
        ));
        if let Some(from) = from.filter(|from| *from != record.active) {
            let oldest = self.cloud.unreplicated(&self.config.tables.worksets, from, record.active);
            let age = oldest.map_or(Duration::ZERO, |oldest| at.saturating_sub(oldest));
            self.kept.unreplicated.borrow_mut().insert(record.epoch, age);
        }
        self.kept.records.borrow_mut().push(Written { at, record });
    }

    /// Adds a line to the trace.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        self.cloud.trace().note(self.cloud.now(), what);
    }

    /// Whether the run goes on.
    pub(super) fn is_open(&self) -> bool {
        !self.kept.closed.get()
    }

    /// Ends the run for everyone who asks.
    pub(super) fn close(&self) {
        self.kept.closed.set(true);
    }

    /// Whether worksets are still being written.
    pub(super) fn is_asked(&self) -> bool {
        !self.kept.writes_over.get()
    }

    /// Lets no further write begin.
    pub(super) fn end_requests(&self) {
        self.kept.writes_over.set(true);
    }

    /// Whether the machines at `place` run.
    pub(super) fn is_on(&self, place: Place) -> bool {
        match place {
            Place::Region(region) => self.powers.get(&region).is_none_or(Power::is_on),
            Place::Client(_) => true,
        }
    }

    /// Whether the region holds data.
    pub(super) fn is_full(&self, region: RegionName) -> bool {
        self.config.region(region).is_some_and(sealane::region::Region::is_full)
    }

    /// The region that took the workset first.
    pub(super) fn written_in(&self, id: &str) -> Option<RegionName> {
        self.worksets.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    /// Every event of every workset that the replica of `region` holds, with the workset's id.
    fn events(&self, region: RegionName) -> Vec<(String, Event)> {
        let rows = self.cloud.rows(&self.config.tables.worksets, region);
        told::events(&rows)
    }

    /// All that the run left behind.
    pub(super) fn evidence(&self, since: Duration, ended: Duration) -> Evidence {
        let held = |region: RegionName| {
            let rows = self.cloud.rows(&self.config.tables.worksets, region);
            let ids: BTreeSet<String> =
                rows.iter().filter_map(|row| workset(row).map(str::to_owned)).collect();
            (region, ids)
        };
        let events: BTreeMap<RegionName, Vec<(String, Event)>> =
            self.config.full_regions().map(|r| (r.name, self.events(r.name))).collect();
        let entries = self.log.entries.take();
        let mut acknowledged = self.log.acknowledged.take();
        acknowledged.extend(entries.iter().filter(|entry| entry.is_written()).map(|entry| {
            let mut all = events.values().flatten();
            let written = all.find(|(_, event)| event.request == entry.write);
            // What is nowhere was kept by no region, whichever is named.
            let region = written.map_or(self.config.primary_region, |(_, event)| event.region);
            Acknowledged { id: entry.write.clone(), region, sent: entry.sent, answered: entry.heard }
        }));
        let held = |region: RegionName| {
            let (ids, written) = (held(region).1, events.get(&region).into_iter().flatten());
            (region, ids.into_iter().chain(written.map(|(_, event)| event.request.clone())).collect())
        };
        let records = self.kept.records.take();
        let active = records.last().map(|written| written.record.active);
        let mut histories: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for (id, event) in active.and_then(|active| events.get(&active)).into_iter().flatten() {
            histories.entry(id.clone()).or_default().push(event.clone());
        }
        Evidence {
            config: Config::clone(&self.config),
            truth: self.log.truth.borrow().clone(),
            since,
            ended,
            records,
            accounts: self.kept.accounts.take(),
            rulings: self.log.rulings.take(),
            asked: self.log.asked.take(),
            acknowledged,
            entries,
            reads: self.log.reads.take(),
            histories,
            held: self.config.full_regions().map(|r| held(r.name)).collect(),
            unreplicated: self.kept.unreplicated.take(),
            shown: self.log.shown.get(),
            spoke: std::mem::take(&mut *self.spoke.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// The id of the workset that the row holds; `None` for another row.
fn workset(row: &Row) -> Option<&str> {
    let (_, id) = row.key.partition.split_once('#')?;
    (row.key.sort == "meta").then_some(id)
}
