//! Figures of runs, their medians and what clients compare to.

use super::sink::Counts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What the meter says of a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Metered {
    /// Whether the client said that all is well.
    pub ok: bool,
    user_s: f64,
    system_s: f64,
    wall_s: f64,
    rss_bytes: u64,
}

/// One run of one client.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Processor time of the client, user and system.
    pub cpu_s: f64,
    /// From its start to its end.
    pub wall_s: f64,
    /// The most memory that it held at once.
    pub rss_mib: f64,
    /// Requests that all regions together got.
    pub requests: u64,
    /// Connections that all regions together got.
    pub connections: u64,
    /// When the last byte came to a region that is well, in seconds after the start.
    pub last_byte_s: f64,
    /// From the moment that a region failed to the first byte in the next, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
}

impl Run {
    /// What `metered` and the counts of all regions say; `well`: the regions without trouble.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a process holds less than 2^52 bytes")]
    pub fn of(metered: &Metered, counts: &[Counts], well: impl Fn(usize) -> bool) -> Self {
        let sum = |count: fn(&Counts) -> u64| counts.iter().map(count).sum();
        let ends = counts.iter().enumerate().filter(|(i, _)| well(*i));
        let (trouble, next) =
            (counts.first().and_then(|c| c.trouble_s), counts.get(1).and_then(|c| c.first_byte_s));
        Self {
            cpu_s: metered.user_s + metered.system_s,
            wall_s: metered.wall_s,
            rss_mib: metered.rss_bytes as f64 / f64::from(1 << 20),
            requests: sum(|c| c.requests),
            connections: sum(|c| c.connections),
            last_byte_s: ends.filter_map(|(_, c)| c.last_byte_s).fold(0.0, f64::max),
            first_byte_ms: trouble.zip(next).map(|(from, to)| (to - from) * 1000.0),
        }
    }
}

/// The runs of one case, by client; the n-th runs of all clients lie next to each other in time.
pub type Runs = BTreeMap<String, Vec<Run>>;

/// The middle of `values`; of an even number, the mean of the two in the middle.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper })
}

/// What the report says of a case; `ratio`: what is compared of a run with a peer's.
#[must_use]
pub fn case(runs: &Runs, ratio: fn(&Run) -> f64) -> Value {
    let ours = runs.get("ours").map(Vec::as_slice).unwrap_or_default();
    let peers = runs.iter().filter(|(name, _)| *name != "ours");
    let (mut shown, mut ratios) = (Map::new(), Map::new());
    for (name, theirs) in peers {
        shown.insert(name.clone(), summary(theirs));
        let pairs = ours.iter().zip(theirs).map(|(ours, peer)| ratio(ours) / ratio(peer));
        ratios.insert(name.clone(), json!(median(pairs.collect())));
    }
    json!({ "ours": summary(ours), "peers": shown, "ratio": ratios })
}

fn summary(runs: &[Run]) -> Value {
    let middle = |of: fn(&Run) -> f64| median(runs.iter().map(of).collect());
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are small")]
    let count = |of: fn(&Run) -> u64| median(runs.iter().map(|run| of(run) as f64).collect());
    let mut summary = json!({
        "cpu_s": middle(|r| r.cpu_s),
        "wall_s": middle(|r| r.wall_s),
        "rss_mib": middle(|r| r.rss_mib),
        "requests": count(|r| r.requests),
        "connections": count(|r| r.connections),
        "every": runs,
    });
    if let Some(first) = median(runs.iter().filter_map(|run| run.first_byte_ms).collect()) {
        summary["first_byte_ms"] = json!(first);
    }
    summary
}

/// One line of the table of a case.
#[must_use]
pub fn row(name: &str, runs: &[Run], ratio: Option<f64>) -> String {
    let middle = |of: fn(&Run) -> f64| median(runs.iter().map(of).collect()).unwrap_or_default();
    let spread =
        runs.iter().map(|r| r.cpu_s).fold((f64::MAX, 0.0_f64), |(low, high), s| (low.min(s), high.max(s)));
    let ratio = ratio.map_or_else(String::new, |ratio| format!("ours is {ratio:.2} x"));
    format!(
        "  {name:<24} {:>7.3} CPU-s ({:.3}-{:.3}) {:>7.2} s {:>7.1} MiB  {ratio}",
        middle(|r| r.cpu_s),
        spread.0,
        spread.1,
        middle(|r| r.wall_s),
        middle(|r| r.rss_mib),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu_s: f64) -> Run {
        Run {
            cpu_s,
            wall_s: 1.0,
            rss_mib: 9.0,
            requests: 3,
            connections: 2,
            last_byte_s: 1.0,
            first_byte_ms: None,
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(vec![4.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_ratio_is_of_runs_that_lie_next_to_each_other() {
        let ours = vec![run(1.0), run(10.0), run(2.0)];
        let runs = Runs::from([("ours".into(), ours), ("peer".into(), vec![run(2.0), run(20.0), run(1.0)])]);
        let case = case(&runs, |run| run.cpu_s);
        assert_eq!(case["ratio"]["peer"], 0.5);
        assert_eq!(case["ours"]["cpu_s"], 2.0);
        assert_eq!(case["peers"]["peer"]["every"].as_array().map(Vec::len), Some(3));
    }
}
