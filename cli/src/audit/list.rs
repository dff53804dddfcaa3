//! What was done, newest first.

use std::{cmp::Reverse, fmt};

use sealane::{
    audit::Entry,
    failover::{Moved, Ordered},
    time::Timestamp,
    workset::Event,
};
use serde::Serialize;

use super::chains::{Chains, account};
use crate::{failover::at, table::Table};

/// Records of all chains, newest first. The clocks are those of the machines that wrote them.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Listed(Vec<Line>);

/// One record.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    #[serde(rename = "at_ms")]
    at: Timestamp,
    chain: String,
    number: u64,
    who: String,
    what: String,
    /// Where it took effect, where that is one region.
    #[serde(rename = "in")]
    region: Option<String>,
}

/// The newest `limit` records.
pub(super) fn newest(chains: &Chains, limit: usize) -> Listed {
    let mut lines: Vec<Line> = chains.orders.iter().filter_map(order).collect();
    lines.extend(chains.moves.iter().filter_map(moved));
    for (chain, trail) in &chains.worksets {
        lines.extend(trail.entries.iter().filter_map(|entry| event(chain, entry)));
    }
    lines.sort_by_key(|line| Reverse((line.at, line.number)));
    lines.truncate(limit);
    Listed(lines)
}

fn order(entry: &Entry) -> Option<Line> {
    let Ordered { number, at, by, reason, order, .. } = serde_json::from_value(entry.raw.clone()).ok()?;
    let what = format!("{order}: {reason}");
    Some(Line { at, chain: "orders".to_owned(), number, who: by, what, region: None })
}

fn moved(entry: &Entry) -> Option<Line> {
    let Moved { epoch, from, to, reason, started_by, ended, .. } = account(entry)?;
    let what = format!("moved from {from} to {to}: {reason}");
    let (chain, who) = ("moves".to_owned(), started_by.to_string());
    Some(Line { at: ended, chain, number: epoch, who, what, region: None })
}

fn event(chain: &str, entry: &Entry) -> Option<Line> {
    let Event { version, act, from, to, at, region, reason, actor, .. } =
        serde_json::from_value(entry.raw.clone()).ok()?;
    let act = act.map_or("written", |act| act.as_str());
    let states = match from.filter(|from| *from != to) {
        Some(from) => format!("{act}: {from} to {to}"),
        None => format!("{act}: {to}"),
    };
    let what = reason.map_or(states.clone(), |reason| format!("{states} ({})", reason.as_str()));
    let region = Some(region.to_string());
    Some(Line { at, chain: chain.to_owned(), number: version, who: actor.to_string(), what, region })
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing is recorded");
        }
        let mut table = Table::new(["at", "chain", "number", "who", "in", "what"]);
        for line in &self.0 {
            let Line { at: when, chain, number, who, what, region } = line;
            let region = region.clone().unwrap_or_else(|| "-".to_owned());
            let what = what.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            table.row(vec![at(*when), chain.clone(), number.to_string(), who.clone(), region, what]);
        }
        write!(f, "{table}")
    }
}
