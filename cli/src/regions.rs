//! `sealane regions`: what each region can do now.

use std::{collections::BTreeMap, fmt};

use sealane::{
    config::Config,
    health::Seen,
    outlook::Outlook,
    region::{Capability, Region, RegionName, Role, Status},
    route::Utilization,
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, route::percent, table::Table, world::World};

/// Arguments of `sealane regions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say for every verdict who voted how, and what would change it
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
    verdicts: Vec<String>,
}

/// Shows what each region can do now.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let world = World::connect(config).await;
    let outlook = world.look().await;
    console.show(&report(&world.config.regions, &outlook, args.explain))?;
    Ok(Exit::Done)
}

fn report(regions: &[Region], outlook: &Outlook, explain: bool) -> Report {
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
    let verdicts = outlook.verdicts.iter().filter(|_| explain).map(ToString::to_string);
    Report {
        regions: regions.iter().map(line).collect(),
        panic: outlook.view.panic,
        verdicts: verdicts.collect(),
    }
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
        self.verdicts.iter().try_for_each(|verdict| write!(f, "\n{verdict}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sealane::{failover::Record, route::Load, time::Timestamp};

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
        let text = report(&regions(), &outlook, false).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("us-west-2  active   healthy 12 ms  unknown"), "{text}");
        assert!(lines[2].starts_with("us-east-2  witness  -"), "{text}");
    }

    #[test]
    fn the_load_of_a_region_is_shown_where_it_is_known() {
        let west: RegionName = "us-west-2".parse().unwrap();
        let load = Load { uploads: 4, bandwidth_mbps: 100 };
        let outlook = Outlook { loads: Some(BTreeMap::from([(west, load)])), ..Outlook::default() };
        let known = report(&regions(), &outlook, false).to_string();
        assert!(known.lines().nth(1).unwrap().ends_with("40%"), "{known}");
        let unknown = report(&regions(), &Outlook::default(), false).to_string();
        assert!(unknown.lines().nth(1).unwrap().trim_end().ends_with('-'), "{unknown}");
    }
}
