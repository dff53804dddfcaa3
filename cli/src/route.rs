//! `sealane route`: where a request would go, and why.

use std::{collections::BTreeMap, fmt};

use sealane::{
    aws::SystemClock,
    config::Config,
    failover::Record,
    outlook::Outlook,
    ports::Clock,
    region::{Capability, Coordinates, Region, RegionName},
    route::{Outcome, Request, Route, Share, Strategy, Turn, Utilization, route},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{console::Console, exit::Exit, fault::Fault, named, table::Table, world::World};

/// Arguments of `sealane route`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the region has to be able to do: object_read, object_write, table_read, table_write or api
    #[arg(long, value_name = "CAPABILITY", default_value = "object_write", value_parser = named::capability)]
    needs: Capability,

    /// How regions are ranked [default: `load_balancing.strategy`]
    #[arg(long)]
    strategy: Option<Strategy>,

    /// Session that keeps its region, such as a user's id
    #[arg(long, value_name = "KEY")]
    session: Option<String>,

    /// Latitude of the client in degrees, for `geographic`
    #[arg(long, requires = "lon", allow_hyphen_values = true, value_parser = degrees_north)]
    lat: Option<f64>,

    /// Longitude of the client in degrees, for `geographic`
    #[arg(long, requires = "lat", allow_hyphen_values = true, value_parser = degrees_east)]
    lon: Option<f64>,

    /// Residency tag that the region must have; may be repeated
    #[arg(long, value_name = "TAG")]
    residency: Vec<String>,

    /// Region that failed this request already; may be repeated
    #[arg(long, value_name = "REGION")]
    tried: Vec<String>,

    /// Region that holds the data to be sent, for `cost`
    #[arg(long, value_name = "REGION")]
    data_in: Option<String>,

    /// Say for every region by which rule it was kept or dropped
    #[arg(long)]
    explain: bool,
}

/// The text is not an angle in range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{text}` is not an angle (want degrees from -{limit} to {limit})")]
struct InvalidDegrees {
    text: String,
    limit: f64,
}

fn degrees_north(text: &str) -> Result<f64, InvalidDegrees> {
    degrees(text, 90.0)
}

fn degrees_east(text: &str) -> Result<f64, InvalidDegrees> {
    degrees(text, 180.0)
}

fn degrees(text: &str, limit: f64) -> Result<f64, InvalidDegrees> {
    let read = text.parse().ok().filter(|degrees: &f64| degrees.abs() <= limit);
    read.ok_or_else(|| InvalidDegrees { text: text.to_owned(), limit })
}

/// The ranked regions, or with `--explain` all of them and why.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    route: Route,
    /// How much of each region's room is taken; a region that is not in it takes no uploads, or
    /// it is not known.
    loads: BTreeMap<RegionName, Utilization>,
    #[serde(skip)]
    explain: bool,
}

/// Shows where a request would go.
pub(crate) async fn run(args: Args, mut config: Config, console: Console) -> Result<Exit, Fault> {
    let mut request = Request::new(args.needs);
    let tried = args.tried.iter().map(|name| named::region(&config, "--tried", name));
    request.tried = tried.collect::<Result<_, _>>()?;
    let data_in = args.data_in.as_deref().map(|name| named::full_region(&config, "--data-in", name));
    request.data_in = data_in.transpose()?;
    request.residency = args.residency;
    request.client = args.lat.zip(args.lon).map(|(latitude, longitude)| Coordinates { latitude, longitude });
    steer(&mut config, args.strategy, args.session.as_deref());
    request.session = args.session;
    let world = World::connect(config).await;
    let outlook = world.look().await;
    let loads = world.config.regions.iter().filter_map(|r| Some((r.name, outlook.utilization(r)?))).collect();
    let report = Report { route: ranked(&world.config, request, &outlook), loads, explain: args.explain };
    console.show(&report)?;
    Ok(if report.route.ranked.is_empty() { Exit::Failed } else { Exit::Done })
}

/// How much of a region's room is taken, in one word.
pub(crate) fn percent(utilization: Option<Utilization>) -> String {
    utilization.map_or_else(|| "-".to_owned(), |it| format!("{:.0}%", it.ratio() * 100.0))
}

/// Puts what the command line says of the selection over what the configuration says.
pub(crate) fn steer(config: &mut Config, strategy: Option<Strategy>, session: Option<&str>) {
    let policy = &mut config.load_balancing;
    policy.strategy = strategy.unwrap_or(policy.strategy);
    policy.sticky_sessions |= session.is_some();
}

/// The route of one request from one look at the world.
pub(crate) fn ranked(config: &Config, request: Request, outlook: &Outlook) -> Route {
    // A command lives for one request, so its turn is drawn and not counted.
    let turn = Turn::of(Uuid::new_v4().as_bytes());
    let shift = outlook.record.as_ref().and_then(Record::shift);
    let shares = shift.map(|(region, percent)| (region, Share::percent(percent))).into_iter().collect();
    let loads = outlook.loads_for(request.needs);
    let request = Request { turn, shares, loads, at: SystemClock.now(), ..request };
    route(&request, &usable(config), &outlook.view, &config.load_balancing)
}

/// The regions that requests may go to: all, or the primary alone while Sealane is switched off.
pub(crate) fn usable(config: &Config) -> Vec<Region> {
    let used = config.regions.iter().filter(|r| config.enabled || r.name == config.primary_region);
    used.cloned().collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.explain || self.route.ranked.is_empty() {
            self.route.fmt(f)?;
            return self.loads.iter().try_for_each(|(region, it)| write!(f, "\nload of {region}: {it}"));
        }
        let mut table = Table::new(["place", "region", "status", "load", "by"]);
        for choice in &self.route.choices {
            if let Outcome::Kept { place, measure, .. } = &choice.outcome {
                let (region, status) = (choice.region.to_string(), choice.status.to_string());
                let load = percent(self.loads.get(&choice.region).copied());
                table.row(vec![place.to_string(), region, status, load, measure.to_string()]);
            }
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(enabled: bool) -> Config {
        let document = format!(
            "{{enabled: {enabled}, primary_region: us-west-2, regions: [{{name: us-west-2, bucket: bucket-a}}, \
             {{name: us-east-1, bucket: bucket-b}}, {{name: us-east-2, role: witness}}]}}"
        );
        Config::read(Some(&document), std::iter::empty()).unwrap()
    }

    #[test]
    fn while_switched_off_only_the_primary_region_is_used() {
        assert_eq!(usable(&config(true)).len(), 3);
        let primary = usable(&config(false));
        assert_eq!(
            primary.iter().map(|region| region.name).collect::<Vec<_>>(),
            ["us-west-2".parse().unwrap()]
        );
        let route = ranked(&config(false), Request::new(Capability::ObjectWrite), &Outlook::default());
        assert_eq!(route.ranked, ["us-west-2".parse().unwrap()]);
    }

    #[test]
    fn angles_stay_on_the_globe() {
        assert_eq!(degrees_north("-33.9"), Ok(-33.9));
        assert!(degrees_north("91").is_err() && degrees_east("nan").is_err() && degrees_east("x").is_err());
    }

    #[test]
    fn without_explain_only_the_usable_regions_are_listed() {
        let route = ranked(&config(true), Request::new(Capability::ObjectWrite), &Outlook::default());
        let text = Report { route, loads: BTreeMap::new(), explain: false }.to_string();
        assert!(text.starts_with("place  region") && !text.contains("us-east-2"), "{text}");
    }
}
