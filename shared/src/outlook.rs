//! What one look at the tables says: verdicts, the record, the pins, the loads.
//!
//! A look never fails. What cannot be read is unknown and named, and the last
//! known record stands: whoever routes then goes on as before (fail static).

mod writer;

use std::{collections::BTreeMap, time::Duration};

pub use writer::NoWriter;

use crate::{
    config::{Config, Consistency},
    failover::{Pin, Pins, Record},
    health::{Echo, Freshness, Observation, Policy, Seen, Verdicts, View, judge},
    ports::{Rows, RowsError},
    region::{Capability, Region, RegionName, Status},
    route::{Load, Utilization},
    store::{ControlTable, HealthTable},
    time::Timestamp,
};

/// Who looks, and so how a row that was seen only once is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// For routing: rows of a first look count as they are, for as long as a row may
    /// take to go stale. A wrong route costs a retry, and no route at all would cost
    /// the request.
    FirstSight,
    /// For moving work: a row counts only once its number was seen to advance.
    Advancing,
}

/// What a sandbox remembers between its looks.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Where the reader is; `None`: nowhere that has an observer.
    here: Option<RegionName>,
    echo: Echo,
    /// The time on this reader's clock before which all that the first region wrote is known
    /// to be in the second. It stays true when the second's observer starts anew or falls silent.
    arrived: BTreeMap<(RegionName, RegionName), Timestamp>,
    freshness: Freshness,
    first_look: Option<Timestamp>,
    last_look: Option<Timestamp>,
    verdicts: Option<Verdicts>,
    record: Option<Record>,
    record_read: Option<Timestamp>,
    pins: Vec<Pin>,
}

impl Memory {
    /// The memory of a reader in `here`, which can tell the age of rows by what they
    /// say of that region's own.
    pub fn of(here: RegionName) -> Self {
        Self { here: Some(here), ..Self::default() }
    }

    /// Takes in number `seq` of this region's own row, which was read for itself at `now`, before the
    /// next one is written. A reader that has just begun can then tell the age of what names that one.
    pub fn adopt(&mut self, seq: u64, now: Timestamp) {
        self.echo = std::mem::take(&mut self.echo).look(seq, now);
    }

    /// Whether this reader has looked for long enough to tell silence from its own ignorance:
    /// most of all observers were seen to be alive, or rows had the time to advance.
    ///
    /// Before that its verdicts say unknown of everything, which is true and no reason to
    /// act: a controller that began a moment ago must not undo what the others know.
    pub fn has_settled(&self, config: &Config, now: Timestamp) -> bool {
        let names = config.regions.iter().map(|region| region.name);
        let alive = names.filter(|name| self.is_fresh(*name, &config.health, now)).count();
        let waited = self.first_look.is_some_and(|first| now.since(first) >= config.health.stale_after);
        2 * alive > config.regions.len() || waited
    }

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
    /// For how long the record has not been read, on this reader's clock; `None` if it
    /// never was. Routes may go by an old record, exclusive work may not.
    pub record_age: Option<Duration>,
    /// The operators' pins, as last read.
    pub pins: Vec<Pin>,
    /// What each region carries by its leases, one that is not in it nothing; `None` if that
    /// could not be read now: an old load says nothing.
    pub loads: Option<BTreeMap<RegionName, Load>>,
    /// What could not be read, in words.
    pub problems: Vec<String>,
    /// When the look was taken, on this reader's clock.
    pub at: Timestamp,
}

impl Outlook {
    /// How much of the region's room is taken; `None` for one that takes no uploads, or when
    /// that could not be read.
    pub fn utilization(&self, region: &Region) -> Option<Utilization> {
        let loads = self.loads.as_ref().filter(|_| region.is_full())?;
        let load = loads.get(&region.name).copied().unwrap_or_default();
        Some(Utilization { load, capacity: region.capacity })
    }

    /// What counts against the room of regions in a route for `needs`: uploads take it up, and
    /// nothing else does.
    pub fn loads_for(&self, needs: Capability) -> BTreeMap<RegionName, Load> {
        let loads = self.loads.as_ref().filter(|_| needs == Capability::ObjectWrite);
        loads.cloned().unwrap_or_default()
    }
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
    let (rows, record, pins, leases) =
        futures::join!(observations(health), control.record(), control.pins(), control.all_leases());
    let mut problems = Vec::new();
    let rows = rows.unwrap_or_else(|error| note(&mut problems, "health", &error));
    let verdicts = weigh(config, &rows, memory, Trust::FirstSight, now);
    match record {
        Ok(record) => {
            memory.record = record;
            memory.record_read = Some(now);
        }
        Err(error) => note(&mut problems, "the record of the active primary", &error),
    }
    match pins {
        Ok(pins) => memory.pins = pins,
        Err(error) => note(&mut problems, "the pins", &error),
    }
    let loads = match leases {
        Ok(books) => Some(books.into_iter().map(|(region, book)| (region, book.load())).collect()),
        Err(error) => note(&mut problems, "the leases", &error),
    };
    Outlook {
        view: drained(verdicts.view(here), Pins::new(&memory.pins, now)),
        verdicts,
        record: memory.record.clone(),
        record_age: memory.record_read.map(|read| now.since(read)),
        pins: memory.pins.clone(),
        loads,
        problems,
        at: now,
    }
}

/// The verdicts of these rows, with what this reader remembers of earlier looks.
///
/// `now` is from before the rows were read: they must not look younger than they are.
pub fn weigh(
    config: &Config,
    rows: &[Observation],
    memory: &mut Memory,
    trust: Trust,
    now: Timestamp,
) -> Verdicts {
    // A number that rose over a long gap, as in a sandbox that was frozen, shows life at
    // some time in between and not now: the reader begins anew.
    if memory.last_look.is_some_and(|last| now.since(last) > 2 * config.health.stale_after) {
        memory.freshness = Freshness::default();
        memory.first_look = None;
    }
    memory.last_look = Some(now);
    if !rows.is_empty() {
        memory.first_look.get_or_insert(now);
    }
    let since_first = memory.first_look.map(|first| now.since(first));
    let first = trust == Trust::FirstSight && since_first.is_some_and(|age| age <= config.health.stale_after);
    let seen = std::mem::take(&mut memory.freshness);
    memory.freshness = rows.iter().fold(seen, |seen, row| seen.look(row.observer(), row.seq(), now));
    let fresh = |row: &Observation| first || memory.freshness.is_fresh(row.observer(), &config.health, now);
    let judged: Vec<(&Observation, bool)> = rows.iter().map(|row| (row, fresh(row))).collect();
    let verdicts = judge(&judged, &config.regions, &config.health, memory.verdicts.as_ref());
    let verdicts = verdicts.aged(ages(rows, memory, now), now);
    let verdicts = remember_losses(verdicts, &mut memory.arrived, now);
    let verdicts = match config.worksets_consistency {
        Consistency::Eventual => verdicts,
        Consistency::Strong => verdicts.in_step(config.full_regions().map(|region| region.name)),
    };
    memory.verdicts = Some(verdicts.clone());
    verdicts
}

/// `verdicts` with every loss that this reader can bound, by what it reads now or has read.
fn remember_losses(
    verdicts: Verdicts,
    arrived: &mut BTreeMap<(RegionName, RegionName), Timestamp>,
    now: Timestamp,
) -> Verdicts {
    let told = verdicts.losses().filter_map(|(pair, loss_max)| Some((pair, now.before(loss_max)?)));
    for (pair, before) in told {
        let known = arrived.entry(pair).or_insert(before);
        *known = before.max(*known);
    }
    let losses = arrived.iter().map(|(pair, before)| (*pair, now.since(*before)));
    verdicts.bound(losses.collect())
}

/// `view` with the regions that a pin drains offline in everything: they get no new work.
///
/// For routes only. Who moves the primary has to tell a drained region from a dead one,
/// which it leaves without a drain, and reads the pins by itself.
fn drained(mut view: View, pins: Pins<'_>) -> View {
    for region in pins.drained() {
        for capability in Capability::ALL {
            let seen = view.seen(region, capability);
            view.set(region, capability, Seen { status: Status::Offline, ..seen });
        }
    }
    view
}

/// How old each row may be, by what it says of this reader's own region.
fn ages(rows: &[Observation], memory: &mut Memory, now: Timestamp) -> BTreeMap<RegionName, Duration> {
    let Some(here) = memory.here else { return BTreeMap::new() };
    if let Some(own) = rows.iter().find(|row| row.observer() == here) {
        memory.echo = std::mem::take(&mut memory.echo).look(own.seq(), now);
    }
    memory.echo.ages(rows.iter(), here, now)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        failover::Rule,
        health::{Lag, Probe},
        memory::MemoryRows,
    };

    const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
        {"name": "us-west-2", "bucket": "west"}, {"name": "us-east-1", "bucket": "east"},
        {"name": "eu-west-1", "bucket": "europe"}]}"#;

    /// Rows of three observers that see everyone answer, as they stand after `ticks`.
    fn rows(config: &Config, ticks: u64) -> Vec<Observation> {
        let watch = |row: Observation, now: Timestamp| {
            let targets = config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c)));
            let good = Probe::Good(Duration::from_millis(20));
            targets
                .fold(row, |row, (r, c)| row.observe(r, c, good, &config.health, now))
                .seal(&config.regions)
        };
        let row = |name| (0..ticks).map(Timestamp::from_millis).fold(Observation::new(name), watch);
        config.regions.iter().map(|r| row(r.name)).collect()
    }

    fn status(trust: Trust, looks_ms: &[u64]) -> Status {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap();
        let (rows, mut memory) = (rows(&config, 5), Memory::default());
        let looks = looks_ms.iter().map(|ms| Timestamp::from_millis(*ms));
        let verdicts = looks.map(|now| weigh(&config, &rows, &mut memory, trust, now)).last().unwrap();
        verdicts.status("us-west-2".parse().unwrap(), Capability::ObjectWrite)
    }

    #[test]
    fn a_router_that_looks_again_at_once_still_has_its_first_look() {
        assert_eq!(status(Trust::FirstSight, &[0]), Status::Healthy);
        assert_eq!(status(Trust::FirstSight, &[0, 200, 5_000]), Status::Healthy);
    }

    #[test]
    fn rows_that_never_advance_are_not_believed_for_long() {
        assert_eq!(status(Trust::FirstSight, &[0, 200, 15_001]), Status::Unknown);
    }

    #[test]
    fn a_reader_that_was_frozen_does_not_take_old_life_for_life() {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap();
        let mut memory = Memory::default();
        let mut look = |ticks, ms| {
            let now = Timestamp::from_millis(ms);
            let verdicts = weigh(&config, &rows(&config, ticks), &mut memory, Trust::Advancing, now);
            verdicts.status("us-west-2".parse().unwrap(), Capability::ObjectWrite)
        };
        assert_eq!((look(5, 0), look(6, 10_000)), (Status::Unknown, Status::Healthy));
        // The observers went on for a while and stopped; this reader slept through both.
        assert_eq!(look(50, 600_000), Status::Unknown);
        assert_eq!(look(51, 610_000), Status::Healthy);
    }

    #[test]
    fn what_has_arrived_stays_known_when_its_observer_starts_anew() {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap();
        let (west, east): (RegionName, RegionName) =
            ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let mut memory = Memory::of(east);
        let mut look = |ticks, second: u64, lag| {
            let mut rows = rows(&config, ticks);
            let own = rows.iter_mut().find(|row| row.observer() == east).unwrap();
            *own = own.clone().measure(west, lag);
            let now = Timestamp::from_millis(1_000_000 + second * 1_000);
            weigh(&config, &rows, &mut memory, Trust::Advancing, now).loss_max(west, east, now)
        };
        let s = Duration::from_secs;
        let told = |seconds| Lag::new(Some(s(1)), Some(s(seconds)));
        assert_eq!(look(5, 0, told(1)), None, "the age of a first row is not known");
        // The row is ten seconds old at most, and told of one more.
        assert_eq!(look(6, 10, told(1)), Some(s(11)));
        assert_eq!(look(7, 20, Lag::default()), Some(s(21)), "nothing has arrived at the new sandbox");
        assert_eq!(look(8, 30, told(40)), Some(s(31)), "a poorer proof takes nothing back");
        assert_eq!(look(9, 40, told(2)), Some(s(12)));
    }

    /// The rows of nobody's measuring: with one truth there is nothing to measure.
    #[test]
    fn strong_worksets_are_never_late_and_lose_nothing() {
        let strong = DOCUMENT.replacen('{', r#"{"worksets": {"consistency": "strong"}, "#, 1);
        let [west, east, europe] = ["us-west-2", "us-east-1", "eu-west-1"].map(|name| name.parse().unwrap());
        let now = Timestamp::from_millis(1_000);
        let look = |document: &str| {
            let config = Config::read(Some(document), std::iter::empty()).unwrap();
            let verdicts = weigh(&config, &rows(&config, 5), &mut Memory::of(east), Trust::Advancing, now);
            [(west, east), (east, west), (west, europe), (europe, west)]
                .map(|(from, to)| (verdicts.lag(from, to), verdicts.loss_max(from, to, now)))
        };
        let zero = Some(Duration::ZERO);
        assert_eq!(look(&strong), [(zero, zero); 4], "a region without a replica reads the same truth");
        assert_eq!(look(DOCUMENT), [(None, None); 4]);
    }

    #[test]
    fn a_reader_that_writes_the_first_number_it_sees_can_date_what_names_it() {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap();
        let (west, east): (RegionName, RegionName) =
            ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let europe = config.regions[2].name;
        let at = |second: u64| Timestamp::from_millis(1_000_000 + second * 1_000);
        let told = Lag::new(Some(Duration::from_secs(1)), Some(Duration::from_secs(1)));
        let look = |memory: &mut Memory, ticks, heard, second| {
            let mut rows = rows(&config, ticks);
            let row = rows.iter_mut().find(|row| row.observer() == east).unwrap();
            *row = row.clone().measure(west, told).hear(europe, heard);
            weigh(&config, &rows, memory, Trust::Advancing, at(second)).loss_max(west, east, at(second))
        };
        for (adopts, bound) in [(true, Some(Duration::from_secs(13))), (false, None)] {
            let mut memory = Memory::of(europe);
            if adopts {
                memory.adopt(4, at(0));
            }
            assert_eq!(look(&mut memory, 5, 4, 2), None, "it names what another sandbox wrote");
            assert_eq!(look(&mut memory, 6, 5, 12), bound);
        }
    }

    #[test]
    fn a_drained_region_is_offline_for_new_work_until_its_pin_ends() {
        let region: RegionName = "us-west-2".parse().unwrap();
        let pin = Pin {
            region,
            rule: Rule::Drain,
            owner: "ada".to_owned(),
            reason: "maintenance".to_owned(),
            expires: Timestamp::from_millis(60_000),
        };
        let pins = [pin];
        let at = |ms| drained(View::default(), Pins::new(&pins, Timestamp::from_millis(ms)));
        for capability in Capability::ALL {
            assert_eq!(at(59_999).status(region, capability), Status::Offline);
            assert_eq!(at(60_000).status(region, capability), Status::Unknown);
        }
    }

    #[test]
    fn a_controller_that_began_a_moment_ago_has_not_settled() {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap();
        let mut memory = Memory::default();
        let mut settled = |ticks, ms| {
            let now = Timestamp::from_millis(ms);
            weigh(&config, &rows(&config, ticks), &mut memory, Trust::Advancing, now);
            memory.has_settled(&config, now)
        };
        assert!(!settled(5, 0), "nobody was seen to be alive");
        assert!(!settled(5, 9_000));
        assert!(settled(6, 10_000), "everybody was");
        let mut alone = Memory::default();
        let mut silent = |ms| {
            let now = Timestamp::from_millis(ms);
            weigh(&config, &rows(&config, 5), &mut alone, Trust::Advancing, now);
            alone.has_settled(&config, now)
        };
        assert!(!silent(0) && !silent(14_000) && silent(15_000), "that long a silence says something");
    }

    #[test]
    fn whoever_moves_work_believes_no_first_look() {
        assert_eq!(status(Trust::Advancing, &[0, 200]), Status::Unknown);
    }

    #[tokio::test]
    async fn loads_that_cannot_be_read_are_not_known_and_keep_nobody_out() {
        let config = Config::read(Some(DOCUMENT), std::iter::empty()).unwrap();
        let (rows, region) = (MemoryRows::default(), config.regions[0].clone());
        let control = ControlTable::new(vec![rows.clone()]);
        let look = async || {
            let (here, mut memory) = (region.name, Memory::default());
            outlook::<MemoryRows>(&config, here, &[], &control, &mut memory, Timestamp::default()).await
        };
        assert_eq!(look().await.utilization(&region).unwrap().load, Load::default());
        rows.cut(true);
        let cut = look().await;
        assert_eq!(cut.utilization(&region), None);
        assert!(cut.loads_for(Capability::ObjectWrite).is_empty());
        assert!(cut.problems.iter().any(|p| p.starts_with("the leases")), "{:?}", cut.problems);
    }
}
