//! Tables: replicas with the last writer winning, and one table that is strongly consistent.
//!
//! Replication is worked off when someone looks: every update has the time at which it
//! arrives, and whoever touches a table first applies what has arrived by then. Faults are
//! told of changes before they happen, so that what arrived under the old state did arrive.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use sealane::{
    config::{Config, Consistency as Said},
    ports::{Key, Row},
    region::RegionName,
};

use super::{
    Cloud, lock,
    network::{Place, Service},
};
use crate::dice::Dice;

/// How long an update takes from one region's replica to another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lag {
    /// Drawn anew for each update: 0.4 s in the median, 1.5 s at the 99th percentile.
    #[default]
    Usual,
    /// Always this long.
    Fixed(Duration),
    /// Updates wait until the lag is another.
    Paused,
}

/// A write that took effect, told when it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteEvent {
    /// When, since the start.
    pub at: Duration,
    /// The replica that took it.
    pub region: RegionName,
    /// Who wrote.
    pub from: Place,
    /// The row as written.
    pub row: Arc<Row>,
}

/// Who is told of writes.
pub(super) type Watcher = Box<dyn FnMut(&WriteEvent) + Send>;

/// Orders writes of one row: by time, then by region.
type Stamp = (Duration, RegionName);

#[derive(Debug, Clone)]
struct Held {
    row: Arc<Row>,
    stamp: Stamp,
}

/// One region's copy of a table.
#[derive(Debug, Default)]
struct Replica {
    rows: BTreeMap<Key, Held>,
    index: BTreeSet<(Key, Key)>,
    /// What was replaced within the last [`STALE_MAX`], and when.
    past: VecDeque<(Duration, Key, Option<Held>)>,
}

/// The age of the oldest view that a read may be answered from.
pub(super) const STALE_MAX: Duration = Duration::from_secs(2);

impl Replica {
    /// As it was at `then`, which is at most [`STALE_MAX`] ago.
    fn at(&self, then: Duration) -> Self {
        let mut rows = self.rows.clone();
        for (_, key, old) in self.past.iter().rev().take_while(|(at, _, _)| *at > then) {
            match old {
                Some(held) => rows.insert(key.clone(), held.clone()),
                None => rows.remove(key),
            };
        }
        let indexed = |(key, held): (&Key, &Held)| Some((held.row.index.clone()?, key.clone()));
        let index = rows.iter().filter_map(indexed).collect();
        Self { rows, index, past: VecDeque::new() }
    }

    fn put(&mut self, held: Held, now: Duration) {
        let key = held.row.key.clone();
        let index = held.row.index.clone();
        let old = self.rows.insert(key.clone(), held);
        while self.past.front().is_some_and(|(at, _, _)| *at + STALE_MAX < now) {
            self.past.pop_front();
        }
        self.past.push_back((now, key.clone(), old.clone()));
        if let Some(was) = old.and_then(|old| old.row.index.clone()) {
            self.index.remove(&(was, key.clone()));
        }
        if let Some(is) = index {
            self.index.insert((is, key));
        }
    }
}

/// An update on its way.
#[derive(Debug)]
struct Update {
    held: Held,
    written: Duration,
}

/// What is on its way from one replica to another, by arrival.
#[derive(Debug, Default)]
struct Pipe {
    lag: Lag,
    waiting: BTreeMap<(Duration, u64), Update>,
    /// Arrival of the last update of each shard: within one nothing overtakes.
    last: BTreeMap<u8, Duration>,
    serial: u64,
    held_up: bool,
    dice: Option<Dice>,
}

/// Rows of one partition key go through one of this many shards.
const SHARDS: u64 = 4;

impl Pipe {
    fn send(&mut self, held: Held, written: Duration, now: Duration) {
        let lag = match (self.lag, &mut self.dice) {
            (Lag::Fixed(lag), _) => lag,
            (Lag::Usual | Lag::Paused, Some(dice)) => {
                dice.wait(Duration::from_millis(400), Duration::from_millis(1500))
            }
            (Lag::Usual | Lag::Paused, None) => Duration::ZERO,
        };
        let hash = rapidhash::v3::rapidhash_v3(held.row.key.partition.as_bytes());
        let shard = u8::try_from(hash % SHARDS).unwrap_or_default();
        let last = self.last.entry(shard).or_default();
        let due = (now + lag).max(*last);
        *last = due;
        self.serial += 1;
        self.waiting.insert((due, self.serial), Update { held, written });
    }

    /// What was held up comes again, as if sent now.
    fn resume(&mut self, now: Duration) {
        let waiting = std::mem::take(&mut self.waiting);
        self.last.clear();
        for update in waiting.into_values() {
            self.send(update.held, update.written, now);
        }
    }
}

/// Whether a table's replicas may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Consistency {
    /// Each replica takes writes by itself; the last writer wins.
    Eventual,
    /// One truth, held by these members; a majority must reach each other.
    Strong {
        /// The replicas and the witness.
        members: Vec<RegionName>,
    },
}

/// One table.
pub(super) struct Table {
    pub(super) consistency: Consistency,
    pub(super) index: Option<&'static str>,
    /// The regions that can be asked.
    asked: Vec<RegionName>,
    replicas: BTreeMap<RegionName, Replica>,
    pipes: BTreeMap<(RegionName, RegionName), Pipe>,
    watchers: Vec<Watcher>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("replicas", &self.replicas).finish_non_exhaustive()
    }
}

/// Where a page of a listing starts and how long it may be.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    pub(super) partition: &'a str,
    pub(super) up_to: Option<&'a str>,
    pub(super) after: Option<(Option<Key>, Key)>,
    pub(super) forward: bool,
    pub(super) limit: usize,
}

/// Largest page, in bytes of keys and bodies.
const PAGE_BYTES_MAX: usize = 1 << 20;

impl Table {
    fn new(
        name: &str,
        consistency: Consistency,
        index: Option<&'static str>,
        replicas: &[RegionName],
        dice: &Dice,
    ) -> Self {
        let mut pipes = BTreeMap::new();
        if consistency == Consistency::Eventual {
            for from in replicas {
                for to in replicas.iter().filter(|to| *to != from) {
                    let dice = Some(dice.fork(&format!("{name} {from} {to}")));
                    pipes.insert((*from, *to), Pipe { dice, ..Pipe::default() });
                }
            }
        }
        let held_in: &[RegionName] = match &consistency {
            Consistency::Eventual => replicas,
            // One truth is kept once, under the first replica's name.
            Consistency::Strong { .. } => replicas.get(..1).unwrap_or_default(),
        };
        let asked = replicas.to_vec();
        let replicas = held_in.iter().map(|region| (*region, Replica::default())).collect();
        Self { consistency, index, asked, replicas, pipes, watchers: Vec::new() }
    }

    /// Whether `region` has a replica that can be asked.
    pub(super) fn has(&self, region: RegionName) -> bool {
        self.asked.contains(&region)
    }

    fn replica(&self, region: RegionName) -> Option<&Replica> {
        match &self.consistency {
            Consistency::Eventual => self.replicas.get(&region),
            Consistency::Strong { .. } => self.replicas.values().next(),
        }
    }

    fn replica_mut(&mut self, region: RegionName) -> Option<&mut Replica> {
        match &self.consistency {
            Consistency::Eventual => self.replicas.get_mut(&region),
            Consistency::Strong { .. } => self.replicas.values_mut().next(),
        }
    }

    /// Applies what has arrived by `now`.
    fn settle(&mut self, now: Duration, linked: impl Fn(RegionName, RegionName) -> bool) {
        for ((from, to), pipe) in &mut self.pipes {
            if pipe.waiting.first_key_value().is_none_or(|((due, _), _)| *due > now) {
                continue;
            }
            if pipe.held_up || pipe.lag == Lag::Paused || !linked(*from, *to) {
                pipe.held_up = true;
                continue;
            }
            let Some(replica) = self.replicas.get_mut(to) else { continue };
            while let Some(first) = pipe.waiting.first_entry().filter(|e| e.key().0 <= now) {
                let update = first.remove();
                let newer =
                    replica.rows.get(&update.held.row.key).is_none_or(|h| h.stamp < update.held.stamp);
                if newer {
                    replica.put(update.held, now);
                }
            }
        }
    }

    fn resume(&mut self, now: Duration, linked: impl Fn(RegionName, RegionName) -> bool) {
        for ((from, to), pipe) in &mut self.pipes {
            let open = pipe.lag != Lag::Paused && linked(*from, *to);
            if pipe.held_up && open {
                pipe.resume(now);
            }
            pipe.held_up = !open;
        }
    }

    pub(super) fn get(&self, region: RegionName, key: &Key) -> Option<&Arc<Row>> {
        self.replica(region)?.rows.get(key).map(|held| &held.row)
    }

    /// The table as `region` saw it at `then`, to be read only.
    pub(super) fn stale(&self, region: RegionName, then: Duration) -> Self {
        let replicas = self.replica(region).map(|replica| (region, replica.at(then)));
        Self {
            consistency: self.consistency.clone(),
            index: self.index,
            asked: self.asked.clone(),
            replicas: replicas.into_iter().collect(),
            pipes: BTreeMap::new(),
            watchers: Vec::new(),
        }
    }

    /// The stamp of a row's last write.
    pub(super) fn stamp(&self, region: RegionName, key: &Key) -> Option<Stamp> {
        self.replica(region)?.rows.get(key).map(|held| held.stamp)
    }

    /// Takes a write whose condition holds.
    pub(super) fn put(&mut self, region: RegionName, from: Place, row: Row, now: Duration) {
        let row = Arc::new(row);
        let Some(replica) = self.replica_mut(region) else { return };
        // A write that saw an older one is newer, even within one microsecond.
        let after = replica.rows.get(&row.key).map(|held| held.stamp.0 + Duration::from_micros(1));
        let held = Held { row: Arc::clone(&row), stamp: (now.max(after.unwrap_or_default()), region) };
        replica.put(held.clone(), now);
        for ((_, _), pipe) in self.pipes.iter_mut().filter(|((source, _), _)| *source == region) {
            pipe.send(held.clone(), now, now);
        }
        let event = WriteEvent { at: now, region, from, row };
        for watcher in &mut self.watchers {
            watcher(&event);
        }
    }

    /// Rows of a partition in order, and whether the page ended before the partition did.
    pub(super) fn list(&self, region: RegionName, listing: &Listing<'_>) -> (Vec<Arc<Row>>, bool) {
        let Some(replica) = self.replica(region) else { return (Vec::new(), false) };
        let start = Key::new(listing.partition, "");
        let after = listing.after.as_ref().map(|(_, key)| key);
        let range = match (after, listing.forward) {
            (Some(after), true) => replica.rows.range((Bound::Excluded(after.clone()), Bound::Unbounded)),
            (Some(after), false) => {
                replica.rows.range((Bound::Included(start), Bound::Excluded(after.clone())))
            }
            (None, _) => replica.rows.range(start..),
        };
        let range = range.map(|(_, held)| &held.row);
        if listing.forward {
            page(range.take_while(|row| row.key.partition == listing.partition), listing.limit)
        } else {
            let rows: Vec<_> = range.take_while(|row| row.key.partition == listing.partition).collect();
            page(rows.into_iter().rev(), listing.limit)
        }
    }

    /// The same of an index partition.
    pub(super) fn list_index(&self, region: RegionName, listing: &Listing<'_>) -> (Vec<Arc<Row>>, bool) {
        let Some(replica) = self.replica(region) else { return (Vec::new(), false) };
        let start = (Key::new(listing.partition, ""), Key::new("", ""));
        let from = match &listing.after {
            Some((Some(index), key)) => Bound::Excluded((index.clone(), key.clone())),
            Some((None, _)) | None => Bound::Included(start),
        };
        let entries = replica
            .index
            .range((from, Bound::Unbounded))
            .take_while(|(index, _)| index.partition == listing.partition)
            .take_while(|(index, _)| listing.up_to.is_none_or(|end| index.sort.as_str() <= end));
        let rows = entries.filter_map(|(_, key)| replica.rows.get(key)).map(|held| &held.row);
        page(rows, listing.limit)
    }
}

fn page<'a>(rows: impl Iterator<Item = &'a Arc<Row>>, limit: usize) -> (Vec<Arc<Row>>, bool) {
    let (mut found, mut size) = (Vec::new(), 0);
    for row in rows {
        size += row.body.len() + row.key.partition.len() + row.key.sort.len();
        found.push(Arc::clone(row));
        // The store says that there may be more whenever it stops, even at the last row.
        if found.len() >= limit || size >= PAGE_BYTES_MAX {
            return (found, true);
        }
    }
    (found, false)
}

/// Every table of the configuration.
#[derive(Debug)]
pub(super) struct Tables(BTreeMap<String, Table>);

impl Tables {
    pub(super) fn new(config: &Config, dice: &Dice) -> Self {
        let dice = dice.fork("tables");
        let all: Vec<RegionName> = config.regions.iter().map(|r| r.name).collect();
        let full: Vec<RegionName> = config.full_regions().map(|r| r.name).collect();
        let mut members = config.control_regions.clone();
        let witness = config.regions.iter().find(|r| !r.is_full() && !members.contains(&r.name));
        members.extend(witness.map(|r| r.name));
        let names = &config.tables;
        let eventual = |name: &String, index, replicas: &[RegionName]| {
            (name.clone(), Table::new(name, Consistency::Eventual, index, replicas, &dice))
        };
        let strong = |name: &String, index| {
            let strong = Consistency::Strong { members: members.clone() };
            (name.clone(), Table::new(name, strong, index, &config.control_regions, &dice))
        };
        let by_state = Some("by-state");
        let worksets = match config.worksets_consistency {
            Said::Eventual => eventual(&names.worksets, by_state, &full),
            Said::Strong => strong(&names.worksets, by_state),
        };
        Self(BTreeMap::from([
            eventual(&names.health, None, &all),
            worksets,
            eventual(&names.ledger, Some("by-due"), &full),
            strong(&names.control, None),
        ]))
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.0.get_mut(name)
    }
}

impl Cloud {
    /// Works with a table after everything that has arrived by now; `None` if there is none.
    pub(super) fn table<T>(&self, name: &str, work: impl FnOnce(&mut Table) -> T) -> Option<T> {
        let now = self.now();
        let mut tables = lock(&self.0.tables);
        let table = tables.get_mut(name)?;
        table.settle(now, |a, b| self.network().linked(a, b, Service::DynamoDb));
        Some(work(table))
    }

    pub(super) fn replicate_around_a_change(&self, after: bool) {
        let now = self.now();
        let linked = |a, b| self.network().linked(a, b, Service::DynamoDb);
        for table in lock(&self.0.tables).0.values_mut() {
            if after {
                table.resume(now, linked);
            } else {
                table.settle(now, linked);
            }
        }
    }

    /// Sets how long updates of every table take from one replica to another.
    pub fn set_lag(&self, from: RegionName, to: RegionName, lag: Lag) {
        self.replicate_around_a_change(false);
        for table in lock(&self.0.tables).0.values_mut() {
            if let Some(pipe) = table.pipes.get_mut(&(from, to)) {
                pipe.lag = lag;
            }
        }
        self.replicate_around_a_change(true);
    }

    /// The row as the replica of `region` has it at this moment; nothing on the network matters.
    pub fn row(&self, table: &str, region: RegionName, key: &Key) -> Option<Row> {
        self.table(table, |table| table.get(region, key).map(|row| Row::clone(row))).flatten()
    }

    /// Every row of the replica of `region`, in the order of their keys.
    pub fn rows(&self, table: &str, region: RegionName) -> Vec<Arc<Row>> {
        let all = |table: &mut Table| {
            let replica = table.replica(region);
            replica.into_iter().flat_map(|r| r.rows.values()).map(|held| Arc::clone(&held.row)).collect()
        };
        self.table(table, all).unwrap_or_default()
    }

    /// Tells `watcher` of every write that takes effect in `table`, at that moment. It must not
    /// ask the cloud anything meanwhile.
    pub fn watch_writes(&self, table: &str, watcher: impl FnMut(&WriteEvent) + Send + 'static) {
        self.table(table, |table| table.watchers.push(Box::new(watcher)));
    }

    /// When the oldest acknowledged write of `from` that `to` does not have yet was made; what
    /// would be lost if `from` were lost now.
    pub fn unreplicated(&self, table: &str, from: RegionName, to: RegionName) -> Option<Duration> {
        self.table(table, |table| {
            let replica = table.replicas.get(&to)?;
            let pipe = table.pipes.get(&(from, to))?;
            let missing =
                |u: &&Update| replica.rows.get(&u.held.row.key).is_none_or(|held| held.stamp < u.held.stamp);
            pipe.waiting.values().filter(missing).map(|u| u.written).min()
        })
        .flatten()
    }
}
