//! What outlives every sandbox, and what a sandbox reaches it by.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sealane::{
    config::Config,
    health::{Failure, Lag, Observation, Probe, Verdicts, judge},
    memory::MemoryRows,
    ports::{Clock, Key, Row, Rows, When},
    region::{Region, RegionName},
    store::{ControlTable, HealthTable},
    time::Timestamp,
};
use tokio::time::Instant;

use super::{
    door::{Door, Journal, Mistake},
    gate::Gate,
};

const REGIONS: &str = r#""primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west", "priority": 1, "endpoints": {"api": "https://west.example"}},
    {"name": "us-east-1", "bucket": "east", "priority": 2, "endpoints": {"api": "https://east.example"}},
    {"name": "eu-west-1", "bucket": "europe", "priority": 3, "endpoints": {"api": "https://europe.example"}},
    {"name": "us-east-2", "role": "witness"}]"#;

/// The region whose controllers are watched.
pub(super) const HERE: &str = "us-east-1";

/// A name from this module.
pub(super) fn name(text: &str) -> RegionName {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// The settings, with others on top.
pub(super) fn config(more: &str) -> Config {
    let document = format!("{{{REGIONS}{more}}}");
    Config::read(Some(&document), std::iter::empty()).unwrap_or_else(|error| panic!("{error}"))
}

/// Regions that do not answer, to anybody.
pub(super) type Down = &'static [&'static str];

/// What everyone sees while some regions are down.
#[derive(Debug, Clone)]
pub(super) struct Observers {
    rows: Arc<Vec<Observation>>,
    verdicts: Arc<Verdicts>,
    /// The number of the rows, once a second has passed.
    clock: Option<Elapsed>,
}

impl Observers {
    /// What they see while these regions are down. It is worked out once.
    pub(super) fn of(down: Down) -> Self {
        static KNOWN: Mutex<BTreeMap<Vec<&str>, Observers>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(down.to_vec()).or_insert_with(|| Self::new(&config(""), down)).clone()
    }

    fn new(config: &Config, down: Down) -> Self {
        let is_down = |region: RegionName| down.contains(&region.as_str());
        let alive = config.regions.iter().map(|r| r.name).filter(|r| !is_down(*r));
        let row = |observer| {
            let probe = |region: &Region| match is_down(region.name) {
                true => Probe::Bad(Failure::Timeout),
                false => Probe::Good(Duration::from_millis(20)),
            };
            let targets = config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c)));
            let at = Timestamp::from_millis;
            let seen = (0..4).fold(Observation::new(observer), |row, tick| {
                targets.clone().fold(row, |row, (r, c)| row.observe(r, c, probe(r), &config.health, at(tick)))
            });
            let others = config.regions.iter().map(|r| r.name).filter(|r| *r != observer);
            others
                .fold(seen, |row, from| row.measure(from, Lag::new(Some(Duration::ZERO), None)))
                .seal(&config.regions)
        };
        let rows: Vec<_> = alive.map(row).collect();
        let judged: Vec<_> = rows.iter().map(|row| (row, true)).collect();
        let verdicts = judge(&judged, &config.regions, &config.health, None);
        Self { rows: Arc::new(rows), verdicts: Arc::new(verdicts), clock: None }
    }

    /// The same observers, whose numbers rise with this clock.
    pub(super) fn going_on(self, clock: Elapsed) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// What the observers together say, all of them alive.
    pub(super) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Their rows at this second: each observer has gone on.
    pub(super) fn rows(&self) -> Vec<Row> {
        let number = self.clock.map_or(1, |clock| clock.now().as_millis() / 1_000 + 1);
        let row = |seen: &Observation| {
            let mut body = serde_json::to_value(seen).unwrap_or_default();
            body["seq"] = number.into();
            let key = Key::new("observation", seen.observer().as_str());
            Row { key, version: number, body: body.to_string(), index: None, expires_s: None }
        };
        self.rows.iter().map(row).collect()
    }
}

/// A clock that runs with the paused time of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elapsed {
    start: Timestamp,
    since: Instant,
}

impl Clock for Elapsed {
    fn now(&self) -> Timestamp {
        self.start.after(self.since.elapsed())
    }
}

/// All that is left when every sandbox is gone: rows, the time, and what went wrong on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Durable {
    pub(super) control: Vec<Row>,
    pub(super) health: Vec<Row>,
    pub(super) now: Timestamp,
    pub(super) broken: Vec<String>,
}

impl Durable {
    /// The whole as a number: two that are equal have the same future.
    pub(super) fn print(&self, more: impl Debug) -> u128 {
        let text = format!("{self:?} {more:?}");
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, &text).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        (half(0) << 64) | half(1)
    }
}

/// The tables of one run.
#[derive(Debug)]
pub(super) struct Stage {
    control: MemoryRows,
    health: MemoryRows,
    journal: Journal,
    pub(super) clock: Elapsed,
}

impl Stage {
    /// Tables as they were left. Call it within the run's own time.
    pub(super) async fn new(left: &Durable) -> Self {
        let (control, health) = (MemoryRows::default(), MemoryRows::default());
        for (table, rows) in [(&control, &left.control), (&health, &left.health)] {
            for row in rows {
                table.write(row, When::Always).await.unwrap_or_else(|error| panic!("{error}"));
            }
        }
        let journal = Journal::default();
        journal.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&left.broken);
        let clock = Elapsed { start: left.now, since: Instant::now() };
        Self { control, health, journal, clock }
    }

    /// What would be left if everything stopped now.
    pub(super) fn left(&self) -> Durable {
        Durable {
            control: self.control.all(),
            health: self.health.all(),
            now: self.clock.now(),
            broken: self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The ways of a new sandbox into the tables, through `gate`.
    pub(super) fn sandbox(&self, config: &Config, gate: &Arc<Gate>, mistake: Option<Mistake>) -> Sandbox {
        let door = |table: &MemoryRows| Door {
            table: table.clone(),
            gate: Arc::clone(gate),
            journal: Arc::clone(&self.journal),
            observers: None,
            mistake,
            kept_back: Arc::default(),
        };
        Sandbox {
            config: config.clone(),
            control: ControlTable::new(vec![door(&self.control)]),
            health: door(&self.health),
            clock: gate.clock(),
        }
    }

    /// The clock of the sandbox of this number: no two machines have quite the same time.
    pub(super) fn clock(&self, number: usize) -> Elapsed {
        let ahead = Duration::from_millis(7) * u32::try_from(number).unwrap_or_default();
        Elapsed { start: self.clock.start.after(ahead), ..self.clock }
    }

    /// The control table, past every gate.
    pub(super) fn control(&self) -> ControlTable<MemoryRows> {
        ControlTable::new(vec![self.control.clone()])
    }

    /// The health table, past every gate.
    pub(super) fn health(&self) -> HealthTable<MemoryRows> {
        HealthTable::new(self.health.clone())
    }
}

/// What a flow works with from its start to its death. Its memory dies with it.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) config: Config,
    pub(super) control: ControlTable<Door>,
    pub(super) health: Door,
    pub(super) clock: Elapsed,
}
