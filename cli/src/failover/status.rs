//! Which region is active, what would be decided now, and what moved before.

use std::fmt;

use sealane::{
    config::Config,
    failover::{Inputs, Moment, Moved, Pin, Proposal, Record, decide, polls},
    lease::in_flight,
    outlook::Outlook,
    region::RegionName,
    time::Timestamp,
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, world::World};

/// The record, the pins, and what would be decided now.
#[derive(Debug, Serialize)]
struct Status {
    record: Option<Record>,
    pins: Vec<Pin>,
    decision: String,
}

/// Past moves.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Moves(Vec<Moved>);

/// Shows which region is active, and what would be decided now.
pub(super) async fn status(config: Config, console: Console) -> Result<Exit, Fault> {
    let world = World::connect(config).await;
    // Read by itself: "nobody decided yet" and "not readable" look alike in an outlook.
    let record = world.control().record().await;
    let record = record.map_err(|source| Fault::Read { what: "the record of the active region", source })?;
    let outlook = Outlook { record, ..world.look().await };
    console.show(&Status::of(&world.config, world.here, outlook, World::now()))?;
    Ok(Exit::Done)
}

/// Shows past moves, newest first.
pub(super) async fn list(limit: usize, config: Config, console: Console) -> Result<Exit, Fault> {
    let moves = World::connect(config).await.control().moves(limit).await;
    console.show(&Moves(moves.map_err(|source| Fault::Read { what: "the past moves", source })?))?;
    Ok(Exit::Done)
}

impl Status {
    /// Ages are those of the record's last write, since a command looks only once:
    /// a controller that has watched for longer may be ahead of this decision.
    fn of(config: &Config, here: RegionName, outlook: Outlook, now: Timestamp) -> Self {
        let Outlook { verdicts, record, pins, loads, .. } = outlook;
        // As controllers see it: the outlook's own view has drained regions offline, for routes.
        let view = verdicts.view(here);
        let polls = polls(&verdicts, &view, &config.regions);
        let version = record.as_ref().map_or(0, |record| record.version);
        let moment = Moment::first_sight(version, now);
        let leases = record.as_ref().zip(loads.as_ref()).and_then(|(record, loads)| {
            let uploads = loads.get(&record.active).map_or(0, |load| load.uploads);
            in_flight(Some(uploads), record.in_phase(moment), config.api.settle())
        });
        let loads = loads.unwrap_or_default();
        let inputs = Inputs {
            regions: &config.regions,
            view: &view,
            lags: &|from: RegionName, to: RegionName| verdicts.lag(from, to),
            pins: &pins,
            policy: &config.failover,
            primary: config.primary_region,
            loads: &loads,
            polls: &polls,
            leases,
            moment,
        };
        let decision = decide(record.as_ref(), &inputs).to_string();
        Self { record, pins: pins.into_iter().filter(|pin| pin.is_live(now)).collect(), decision }
    }
}

/// A moment as people write it.
pub(crate) fn at(moment: Timestamp) -> String {
    let ms = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
    let shown = jiff::Timestamp::from_millisecond(ms).map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    shown.unwrap_or_else(|_| "the end of time".to_owned())
}

/// How far a proposal has come.
fn state(proposal: &Proposal) -> String {
    let Proposal { to, approved_by, rejected_by, proposed_by, .. } = proposal;
    match (approved_by, rejected_by, proposed_by) {
        (Some(by), ..) => format!("approved by {by}"),
        (None, Some(by), _) => {
            format!("rejected by {by}: `sealane failover approve {to} --by NAME` starts it yet")
        }
        (None, None, Some(by)) => {
            format!(
                "proposed by {by}, waits: `sealane failover approve {to} --by NAME`, by another, starts it"
            )
        }
        (None, None, None) => format!("waits: `sealane failover approve {to} --by NAME` starts it"),
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.record {
            None => writeln!(f, "active    none: no prober has written the record yet")?,
            Some(record) => {
                writeln!(f, "active    {}, epoch {}", record.active, record.epoch)?;
                writeln!(f, "because   {}", record.reason)?;
                writeln!(f, "phase     {}, since {}", record.phase, at(record.since))?;
                if let Some(proposal) = &record.proposal {
                    let state = state(proposal);
                    writeln!(f, "proposal  to {}: {} ({state})", proposal.to, proposal.reason)?;
                }
            }
        }
        for pin in &self.pins {
            writeln!(f, "pin       {pin}, until {}", at(pin.expires))?;
        }
        write!(f, "now       {}", self.decision)
    }
}

impl fmt::Display for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no move is recorded");
        }
        self.0.iter().try_for_each(|moved| writeln!(f, "{}  {moved}", at(moved.ended)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_what_would_be_decided() {
        let document = "{primary_region: us-west-2, regions: [{name: us-west-2, bucket: my-bucket}]}";
        let config = Config::read(Some(document), std::iter::empty()).unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000);
        let none = Status::of(&config, config.primary_region, Outlook::default(), now).to_string();
        assert!(none.ends_with("now       begin in us-west-2: there is no record yet"), "{none}");
        let record = Some(Record::first(config.primary_region, now));
        let seen = Outlook { record, ..Outlook::default() };
        let some = Status::of(&config, config.primary_region, seen, now).to_string();
        assert!(some.starts_with("active    us-west-2, epoch 1\nbecause   work began here\n"), "{some}");
        assert!(some.contains("since 2023-11-14T22:13:20Z"), "{some}");
    }
}
