//! What a call of the API costs in its handler and its table adapter, against tables that answer at once.

use crate::cloud::{
    error::{CloudError, Doing},
    folder::{Folder, write_whole},
    functions,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

/// Most microseconds of a call in the median.
const P50_US_MAX: f64 = 500.0;

/// Most microseconds of 99 of 100 calls.
const P99_US_MAX: f64 = 2_000.0;

/// Most memory of paging through ten times the worksets, in percent of that for a tenth of them.
const MEMORY_PERCENT_MAX: u64 = 110;

/// What one call costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cost {
    p50_us: f64,
    p99_us: f64,
    reads: u64,
    writes: u64,
    queries: u64,
    of_record: u64,
}

/// What the benchmark's program prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Figures {
    rounds: u64,
    calls: BTreeMap<String, Cost>,
    list_bytes_max: BTreeMap<u64, u64>,
}

/// Measures, prints a table and writes `report` as JSON. Returns the bars that are missed.
///
/// # Errors
/// When the benchmark cannot be built or run, or prints something else.
pub fn api(folder: &Folder, report: Option<&Path>, say: &dyn Fn(&str)) -> Result<Vec<String>, CloudError> {
    let build = ["build", "--locked", "--release", "-p", "sealane-bench-api"];
    let program = functions::program(&functions::build(folder, &build)?, "api-overhead")?;
    let ran = Command::new(program).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let ran = ran.doing("running `api-overhead`")?;
    if !ran.status.success() {
        let what = format!("`api-overhead` ended with {}", ran.status);
        return Err(CloudError::failed(what, "see what it printed above".to_owned()));
    }
    let figures: Figures = serde_json::from_slice(&ran.stdout).map_err(|error| {
        let what = format!("what `api-overhead` printed cannot be read: {error}");
        CloudError::failed(what, "build it again".to_owned())
    })?;
    say(&figures.table());
    let missed = figures.missed();
    if let Some(path) = report {
        let report = json!({ "ok": missed.is_empty(), "missed": missed, "figures": figures });
        write_whole(path, &format!("{report:#}\n"))?;
    }
    Ok(missed)
}

impl Figures {
    fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<10} {:>8} {:>8} {:>6} {:>7} {:>8} {:>7}",
            "call", "p50 us", "p99 us", "reads", "writes", "queries", "record"
        )];
        lines.extend(self.calls.iter().map(|(name, cost)| {
            let Cost { p50_us, p99_us, reads, writes, queries, of_record } = cost;
            format!(
                "{name:<10} {p50_us:>8.0} {p99_us:>8.0} {reads:>6} {writes:>7} {queries:>8} {of_record:>7}"
            )
        }));
        lines.extend(
            self.list_bytes_max
                .iter()
                .map(|(total, bytes)| format!("paging through {total} worksets held {bytes} bytes at most")),
        );
        lines.join("\n")
    }

    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for (name, cost) in &self.calls {
            for (what, us, most) in [("p50", cost.p50_us, P50_US_MAX), ("p99", cost.p99_us, P99_US_MAX)] {
                if us > most {
                    missed.push(format!("{what} of `{name}` is {us} us (at most {most})"));
                }
            }
            let (asked, most) = (cost.reads + cost.writes + cost.queries, requests_max(name));
            if most.is_some_and(|most| asked > most) {
                missed
                    .push(format!("`{name}` makes {asked} requests (at most {})", most.unwrap_or_default()));
            }
        }
        let bytes: Vec<u64> = self.list_bytes_max.values().copied().collect();
        if let [few, .., many] = bytes[..]
            && many * 100 > few * MEMORY_PERCENT_MAX
        {
            missed.push(format!("paging through more worksets holds {many} bytes instead of {few}"));
        }
        missed
    }
}

/// The most requests that a call may make of worksets and locks.
fn requests_max(call: &str) -> Option<u64> {
    match call {
        "get" => Some(1),
        "register" => Some(2),
        "claim" => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost { p50_us: 100.0, p99_us: 900.0, reads: 0, writes: 2, queries: 0, of_record: 3 };

    fn figures(name: &str, cost: Cost, many: u64) -> Figures {
        let calls = BTreeMap::from([(name.to_owned(), cost)]);
        Figures { rounds: 1, calls, list_bytes_max: BTreeMap::from([(1_000, 500_000), (10_000, many)]) }
    }

    #[test]
    fn each_bar_is_held_against_its_figure() {
        assert_eq!(figures("register", COST, 510_000).missed(), Vec::<String>::new());
        let late = Cost { p50_us: 501.0, p99_us: 2_001.0, ..COST };
        assert_eq!(figures("register", late, 1).missed().len(), 2);
        assert_eq!(figures("register", Cost { reads: 1, ..COST }, 1).missed().len(), 1);
        assert_eq!(figures("move", Cost { reads: 9, ..COST }, 1).missed().len(), 0);
        assert_eq!(figures("move", COST, 900_000).missed().len(), 1);
    }
}
