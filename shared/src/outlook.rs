//! What one look at the tables says: verdicts, the record, the pins.
//!
//! A look never fails. What cannot be read is unknown and named, and the last
//! known record stands: whoever routes then goes on as before (fail static).

use crate::{
    config::Config,
    failover::{Pin, Record},
    health::{Freshness, Observation, Policy, Verdicts, View, judge},
    ports::{Rows, RowsError},
    region::RegionName,
    store::{ControlTable, HealthTable},
    time::Timestamp,
};

/// Who looks, and so how a row that was seen only once is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// For routing: a first look takes rows as they are. A wrong route costs a
    /// retry, and no route at all would cost the request.
    FirstSight,
    /// For moving work: a row counts only once its number was seen to advance.
    Advancing,
}

/// What a sandbox remembers between its looks.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    freshness: Freshness,
    looked: bool,
    verdicts: Option<Verdicts>,
    record: Option<Record>,
    pins: Vec<Pin>,
}

impl Memory {
    /// Whether the observer's row was seen to advance lately.
    pub fn is_fresh(&self, observer: RegionName, policy: &Policy, now: Timestamp) -> bool {
        self.freshness.is_fresh(observer, policy, now)
    }
}

/// What is known now.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// What the observers together say.
    pub verdicts: Verdicts,
    /// The same, as routes and decisions read it.
    pub view: View,
    /// Which region is active; `None` if nobody ever decided, or it was never read.
    pub record: Option<Record>,
    /// The operators' pins, as last read.
    pub pins: Vec<Pin>,
    /// What could not be read, in words.
    pub problems: Vec<String>,
}

/// Looks at the health table through the first of `health` that answers, and at the control table.
pub async fn outlook<R: Rows>(
    config: &Config,
    here: RegionName,
    health: &[HealthTable<R>],
    control: &ControlTable<R>,
    memory: &mut Memory,
    now: Timestamp,
) -> Outlook {
    let (rows, record, pins) = futures::join!(observations(health), control.record(), control.pins());
    let mut problems = Vec::new();
    let rows = rows.unwrap_or_else(|error| note(&mut problems, "health", &error));
    let verdicts = weigh(config, &rows, memory, Trust::FirstSight, now);
    match record {
        Ok(record) => memory.record = record,
        Err(error) => note(&mut problems, "the record of the active primary", &error),
    }
    match pins {
        Ok(pins) => memory.pins = pins,
        Err(error) => note(&mut problems, "the pins", &error),
    }
    Outlook {
        view: verdicts.view(here),
        verdicts,
        record: memory.record.clone(),
        pins: memory.pins.clone(),
        problems,
    }
}

/// The verdicts of these rows, with what this reader remembers of earlier looks.
pub fn weigh(
    config: &Config,
    rows: &[Observation],
    memory: &mut Memory,
    trust: Trust,
    now: Timestamp,
) -> Verdicts {
    let first = !memory.looked && trust == Trust::FirstSight;
    memory.looked |= !rows.is_empty();
    let seen = std::mem::take(&mut memory.freshness);
    memory.freshness = rows.iter().fold(seen, |seen, row| seen.look(row.observer(), row.seq(), now));
    let fresh = |row: &Observation| first || memory.freshness.is_fresh(row.observer(), &config.health, now);
    let judged: Vec<(&Observation, bool)> = rows.iter().map(|row| (row, fresh(row))).collect();
    let verdicts = judge(&judged, &config.regions, &config.health, memory.verdicts.as_ref());
    memory.verdicts = Some(verdicts.clone());
    verdicts
}

async fn observations<R: Rows>(health: &[HealthTable<R>]) -> Result<Vec<Observation>, RowsError> {
    let mut silent = None;
    for replica in health {
        match replica.observations().await {
            Err(error) if error.is_outage() => silent = Some(error),
            answer => return answer,
        }
    }
    silent.map_or(Ok(Vec::new()), Err)
}

fn note<T: Default>(problems: &mut Vec<String>, what: &str, error: &RowsError) -> T {
    problems.push(format!("{what} could not be read: {error}"));
    T::default()
}
