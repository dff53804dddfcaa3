//! What a run left behind: all that the oracles judge by.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sealane::{
    config::Config,
    failover::{Moved, Pin, Record},
    region::{Capability, RegionName},
    workset::Event,
};

use super::{Asked, Entry, Seen, Truth};

/// The record as the control table held it from one moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// When it was written, since the simulation began.
    pub at: Duration,
    /// The record.
    pub record: Record,
}

/// A change of the active region, as the control table held it.
#[derive(Debug, Clone, Copy)]
pub struct Switch<'a> {
    /// When it was written.
    pub at: Duration,
    /// Where work was.
    pub from: RegionName,
    /// The record that moved it.
    pub record: &'a Record,
}

/// A write of a workset that a client was told is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The workset.
    pub id: String,
    /// The region that took it.
    pub region: RegionName,
    /// When the client sent it.
    pub sent: Duration,
    /// When the client had its answer.
    pub answered: Duration,
}

/// An operator's ruling from one moment on; `None`: it was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// When it was written.
    pub at: Duration,
    /// The region that it is about.
    pub region: RegionName,
    /// The pin.
    pub pin: Option<Pin>,
}

/// All that a run left behind. Times are since the simulation began.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The configuration of every function.
    pub config: Config,
    /// What was really wrong.
    pub truth: Truth,
    /// When the fault began that the figures count from.
    pub since: Duration,
    /// When the run ended.
    pub ended: Duration,
    /// Every version of the record, in order.
    pub records: Vec<Written>,
    /// Every account of a move.
    pub accounts: Vec<Moved>,
    /// Every ruling, in order.
    pub rulings: Vec<Ruled>,
    /// Every request for a region.
    pub asked: Vec<Asked>,
    /// Every acknowledged write of a workset.
    pub acknowledged: Vec<Acknowledged>,
    /// The worksets that each replica held at the end.
    pub held: BTreeMap<RegionName, BTreeSet<String>>,
    /// By epoch: the age, at the switch that began it, of the oldest write that had not
    /// reached the new region; zero if every write had.
    pub unreplicated: BTreeMap<u64, Duration>,
    /// What a live controller's verdicts showed of the watched region.
    pub shown: Shown,
    /// What workers did with worksets, and what they were told.
    pub entries: Vec<Entry>,
    /// What workers read right after a write, where it has to be there.
    pub reads: Vec<Seen>,
    /// The history of each workset, as the active region's replica had it at the end.
    pub histories: BTreeMap<String, Vec<Event>>,
    /// By observer: when its row was written, in order.
    pub spoke: BTreeMap<RegionName, Vec<Duration>>,
}

/// When a live controller's verdicts first showed what happened to the watched region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// Something of it was unhealthy before anything was wrong with it: a false verdict.
    pub early: Option<(Duration, Capability)>,
    /// Something of it was unhealthy.
    pub seen: Option<Duration>,
    /// Something of it was unhealthy that calls for what has to come.
    pub detected: Option<Duration>,
    /// Something of it was degraded.
    pub degraded: Option<Duration>,
}

impl Evidence {
    /// Every change of the active region, in order.
    pub fn switches(&self) -> impl Iterator<Item = Switch<'_>> {
        self.records.windows(2).filter_map(|pair| {
            let (old, new) = (&pair[0].record, &pair[1]);
            let moved = old.active != new.record.active;
            moved.then_some(Switch { at: new.at, from: old.active, record: &new.record })
        })
    }

    /// The active region at `at`; `None` before the first record.
    pub fn active_at(&self, at: Duration) -> Option<RegionName> {
        let before = self.records.iter().take_while(|w| w.at <= at);
        before.last().map(|w| w.record.active)
    }

    /// The account of the move that began `epoch`.
    pub fn account(&self, epoch: u64) -> Option<&Moved> {
        self.accounts.iter().find(|moved| moved.epoch == epoch)
    }
}
