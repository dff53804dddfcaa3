//! `sealane regions`: what each region can do now.

use std::{collections::BTreeMap, fmt, time::Duration};

use sealane::{
    config::Config,
    health::Seen,
    outlook::Outlook,
    region::{Capability, Region, RegionName, Role, Status},
    route::Utilization,
    time::{Human, Timestamp},
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, route::percent, table::Table, world::World};

/// Arguments of `sealane regions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say for every region who voted how and what would change it, its lag and its pins
    #[arg(long)]
    explain: bool,
}

/// One capability of one region.
#[derive(Debug, PartialEq, Serialize)]
struct Cell {
    status: Status,
    latency_ms: Option<f64>,
}

/// One region.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    region: RegionName,
    role: Role,
    active: bool,
    capabilities: BTreeMap<Capability, Cell>,
    /// How much of its room uploads take; `None` for a witness, or if it is not known.
    utilization: Option<Utilization>,
}

/// Every region, and with `--explain` every verdict in words.
#[derive(Debug, PartialEq, Serialize)]
struct Report {
    regions: Vec<Line>,
    /// Health is ignored: most regions look down at once.
    panic: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explanation: Vec<Explained>,
}

/// Why a region stands as it does, a sentence each.
#[derive(Debug, PartialEq, Serialize)]
struct Explained {
    region: RegionName,
    words: Vec<String>,
}

/// Shows what each region can do now.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let world = World::connect(config).await;
    let outlook = world.look().await;
    let mut report = report(&world.config.regions, &outlook);
    if args.explain {
        report.explanation = explanation(&world.config.regions, &outlook, World::now());
    }
    console.show(&report)?;
    Ok(Exit::Done)
}

fn report(regions: &[Region], outlook: &Outlook) -> Report {
    let active = outlook.record.as_ref().map(|record| record.active);
    let line = |region: &Region| {
        let cell = |capability: &Capability| (*capability, cell(outlook.view.seen(region.name, *capability)));
        Line {
            region: region.name,
            role: region.role,
            active: active == Some(region.name),
            capabilities: region.capabilities().iter().map(cell).collect(),
            utilization: outlook.utilization(region),
        }
    };
    Report { regions: regions.iter().map(line).collect(), panic: outlook.view.panic, explanation: Vec::new() }
}

/// Every region in words. What requests of other processes met is told by them (`GET /v1/route`).
fn explanation(regions: &[Region], outlook: &Outlook, now: Timestamp) -> Vec<Explained> {
    let explained = |region: &Region| {
        let mut words: Vec<String> = panics(region, outlook).collect();
        words.extend(region.capabilities().iter().map(|capability| {
            let verdict = outlook.verdicts.verdict(region.name, *capability);
            verdict.map_or_else(|| unjudged(region, *capability), ToString::to_string)
        }));
        words.extend(lags(region, regions, outlook));
        let live = outlook.pins.iter().filter(|pin| pin.region == region.name && pin.is_live(now));
        words.extend(live.map(|pin| format!("{pin}; ends in {}", whole_seconds(pin.expires.since(now)))));
        Explained { region: region.name, words }
    };
    regions.iter().map(explained).collect()
}

fn whole_seconds(span: Duration) -> Human {
    Human(Duration::from_secs(span.as_secs()))
}

fn panics(region: &Region, outlook: &Outlook) -> impl Iterator<Item = String> {
    let theirs =
        outlook.verdicts.panics().iter().filter(|panicking| region.capabilities().contains(panicking));
    theirs.map(|c| format!("over half of the regions look down for {c} at once, so its health is ignored"))
}

fn unjudged(region: &Region, capability: Capability) -> String {
    let name = region.name;
    format!("{name} {capability} unknown: nobody has judged it; known when the observers' rows can be read")
}

/// How late what others write arrives in `region`, which is what a return waits for.
fn lags(region: &Region, regions: &[Region], outlook: &Outlook) -> Option<String> {
    let writers = regions.iter().filter(|other| other.is_full() && other.name != region.name);
    let late = writers.map(|from| match outlook.verdicts.lag(from.name, region.name) {
        Some(lag) => format!("{} {} late", from.name, Human(lag)),
        None => format!("{} not known", from.name),
    });
    let late: Vec<_> = late.collect();
    let in_step = |other: &Region| outlook.verdicts.are_in_step(other.name, region.name);
    let told = match regions.iter().any(|other| other.name != region.name && in_step(other)) {
        true => "worksets are strongly consistent: no write arrives here late".to_owned(),
        false => format!("writes arrive here from {}", late.join(", ")),
    };
    (region.is_full() && !late.is_empty()).then_some(told)
}

fn cell(seen: Seen) -> Cell {
    Cell { status: seen.status, latency_ms: seen.latency.map(|latency| latency.as_secs_f64() * 1e3) }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.latency_ms {
            Some(ms) => write!(f, "{} {ms:.0} ms", self.status),
            None => write!(f, "{}", self.status),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.panic {
            writeln!(f, "PANIC: most regions look down at once, so their health is ignored")?;
        }
        let capabilities = Capability::ALL.map(Capability::as_str);
        let heading = ["region", "role"].into_iter().chain(capabilities).chain(["load"]);
        let mut table = Table::new(heading.collect::<Vec<_>>());
        for line in &self.regions {
            let role = match (line.role, line.active) {
                (Role::Full, true) => "active",
                (Role::Full, false) => "full",
                (Role::Witness, _) => "witness",
            };
            let cell = |c| line.capabilities.get(c).map_or_else(|| "-".to_owned(), ToString::to_string);
            let cells = [line.region.to_string(), role.to_owned()].into_iter();
            let load = percent(line.utilization);
            table.row(cells.chain(Capability::ALL.iter().map(cell)).chain([load]).collect());
        }
        table.fmt(f)?;
        self.explanation.iter().try_for_each(|Explained { region, words }| {
            write!(f, "\n\n{region}")?;
            words.iter().try_for_each(|sentence| write!(f, "\n  {sentence}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use sealane::{
        failover::{Pin, Record, Rule},
        health::{Failure, Observation, Probe},
        outlook::{Memory, Trust, weigh},
        route::Load,
    };

    use super::*;

    fn regions() -> Vec<Region> {
        let document = "{primary_region: us-west-2, health: {voters_min: 1}, regions: [{name: us-west-2, bucket: my-bucket}, \
            {name: us-east-2, role: witness}]}";
        Config::read(Some(document), std::iter::empty()).unwrap().regions
    }

    #[test]
    fn the_active_region_is_marked_and_a_witness_has_no_objects() {
        let west = "us-west-2".parse().unwrap();
        let mut outlook =
            Outlook { record: Some(Record::first(west, Timestamp::default())), ..Outlook::default() };
        let seen = Seen { status: Status::Healthy, latency: Some(Duration::from_millis(12)) };
        outlook.view.set(west, Capability::ObjectRead, seen);
        let text = report(&regions(), &outlook).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("us-west-2  active   healthy 12 ms  unknown"), "{text}");
        assert!(lines[2].starts_with("us-east-2  witness  -"), "{text}");
    }

    /// The rows of two observers that see `us-west-2` take writes, or not.
    fn judged(answers: bool) -> (Vec<Region>, Outlook) {
        let document = "{primary_region: us-west-2, control_regions: [us-west-2], regions: [{name: us-west-2, bucket: bucket-a}, \
            {name: us-east-1, bucket: bucket-b}, {name: us-east-2, role: witness}]}";
        let config = Config::read(Some(document), std::iter::empty()).unwrap();
        // One capability only: an observer to which most fail suspects itself.
        let probe = |name: RegionName, capability| match (name.as_str(), capability) {
            ("us-west-2", Capability::ObjectWrite) if !answers => Probe::Bad(Failure::Timeout),
            _ => Probe::Good(Duration::from_millis(20)),
        };
        let observe = |row: Observation, now: Timestamp| {
            let targets = config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c)));
            let seen =
                targets.fold(row, |row, (r, c)| row.observe(r, c, probe(r.name, c), &config.health, now));
            seen.seal(&config.regions)
        };
        let row = |name| (0..5).map(Timestamp::from_millis).fold(Observation::new(name), observe);
        let rows: Vec<_> = config.regions.iter().map(|r| row(r.name)).collect();
        let (mut memory, now) = (Memory::default(), Timestamp::from_millis(10));
        let verdicts = weigh(&config, &rows, &mut memory, Trust::FirstSight, now);
        let view = verdicts.view("us-east-1".parse().unwrap());
        (config.regions, Outlook { verdicts, view, ..Outlook::default() })
    }

    #[test]
    fn the_explanation_says_why_and_what_would_change_it() {
        let (regions, mut outlook) = judged(false);
        let pin = |expires| Pin {
            region: "us-west-2".parse().unwrap(),
            rule: Rule::Drain,
            owner: "ada".to_owned(),
            reason: "power works".to_owned(),
            expires: Timestamp::from_millis(expires),
        };
        outlook.pins = vec![pin(60_010), pin(5)];
        let told = explanation(&regions, &outlook, Timestamp::from_millis(10));
        let west = told[0].words.join("\n");
        for part in [
            "us-west-2 object_write unhealthy: 2 of 2 fresh outsiders vote down",
            "rises after 2 good probes in a row at a majority",
            "writes arrive here from us-east-1 not known",
            "ada ruled `drain us-west-2`: power works; ends in 1m",
        ] {
            assert!(west.contains(part), "{part}: {west}");
        }
        assert_eq!(west.matches("ada ruled").count(), 1, "an expired pin says nothing");
        let (regions, outlook) = judged(true);
        let told = explanation(&regions, &outlook, Timestamp::from_millis(10));
        assert!(told[0].words[0].contains("falls after 3 bad probes in a row at a majority"), "{told:?}");
        let witness = told[2].words.join("\n");
        assert!(!witness.contains("object_write") && !witness.contains("writes arrive"), "{witness}");
    }

    #[test]
    fn of_strong_worksets_it_is_said_that_nothing_is_late() {
        let (regions, mut outlook) = judged(true);
        let full = regions.iter().filter(|region| region.is_full()).map(|region| region.name);
        outlook.verdicts = outlook.verdicts.in_step(full);
        let told = explanation(&regions, &outlook, Timestamp::from_millis(10));
        let words = "worksets are strongly consistent: no write arrives here late";
        let said: Vec<_> = told.iter().map(|region| region.words.iter().any(|line| line == words)).collect();
        assert_eq!(said, [true, true, false], "a witness reads no worksets");
    }

    #[test]
    fn without_rows_the_explanation_says_that_nobody_has_judged() {
        let mut report = report(&regions(), &Outlook::default());
        report.explanation = explanation(&regions(), &Outlook::default(), Timestamp::default());
        let text = report.to_string();
        assert!(
            text.contains("\n\nus-west-2\n  us-west-2 object_read unknown: nobody has judged it"),
            "{text}"
        );
    }

    #[test]
    fn the_load_of_a_region_is_shown_where_it_is_known() {
        let west: RegionName = "us-west-2".parse().unwrap();
        let load = Load { uploads: 4, bandwidth_mbps: 100 };
        let outlook = Outlook { loads: Some(BTreeMap::from([(west, load)])), ..Outlook::default() };
        let known = report(&regions(), &outlook).to_string();
        assert!(known.lines().nth(1).unwrap().ends_with("40%"), "{known}");
        let unknown = report(&regions(), &Outlook::default()).to_string();
        assert!(unknown.lines().nth(1).unwrap().trim_end().ends_with('-'), "{unknown}");
    }
}
