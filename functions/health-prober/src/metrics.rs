//! What the prober says in metrics.

use sealane::{
    emf::{By, Metric, Unit, line, uploads},
    health::{Verdict, Verdicts},
    lease::{Book, Done},
    region::{Region, RegionName, Status},
    route::Utilization,
    steer::Turn,
    time::{Timestamp, millis},
};

/// The lines of one tick: health, latency and error rate of each region and capability,
/// the lag of each region's writes, and the moves that this turn made.
pub(crate) fn lines(
    here: RegionName,
    regions: &[Region],
    verdicts: &Verdicts,
    turn: Option<&Turn>,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = Vec::new();
    for region in regions.iter().filter(|r| r.name != here && r.health_check.enabled) {
        lines.extend(health(here, region, verdicts, now));
        lines.extend(lag(here, region.name, verdicts, now));
    }
    for (from, to) in turn.into_iter().flat_map(|turn| &turn.moved) {
        let count = Metric { name: "FailoverCount", unit: Unit::Count, value: 1.0 };
        lines.push(line(&[("From", from.as_str()), ("To", to.as_str())], &[count], now));
    }
    lines
}

/// Each value twice: for the region as a whole, which alarms read, and by capability.
fn health(here: RegionName, region: &Region, verdicts: &Verdicts, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for capability in region.capabilities() {
        let Some(verdict) = verdicts.verdict(region.name, *capability) else { continue };
        let mut metrics: Vec<Metric> = Vec::new();
        metrics.extend(score(verdict.status).map(|value| Metric {
            name: "RegionHealth",
            unit: Unit::None,
            value,
        }));
        metrics.extend(verdict.latency(here).map(|latency| Metric {
            name: "RegionLatency",
            unit: Unit::Milliseconds,
            value: latency.as_secs_f64() * 1000.0,
        }));
        metrics.extend(error_rate(here, verdict));
        if metrics.is_empty() {
            continue;
        }
        let whole = [("Observer", here.as_str()), ("Region", region.name.as_str())];
        lines.push(line(&whole, &metrics, now));
        lines.push(line(&[whole[0], whole[1], ("Capability", capability.as_str())], &metrics, now));
    }
    lines
}

/// Percent of this observer's own last probes that failed; nothing while it has made too few.
fn error_rate(here: RegionName, verdict: &Verdict) -> Option<Metric> {
    let own = verdict.ballots.iter().find(|ballot| ballot.voter == here)?;
    let percent = own.error_percent?;
    Some(Metric { name: "RegionErrorRate", unit: Unit::Percent, value: f64::from(percent) })
}

/// 1, 0.5 or 0; nothing while it is not known, so that the alarm on silence can tell.
fn score(status: Status) -> Option<f64> {
    match status {
        Status::Healthy => Some(1.0),
        Status::Degraded => Some(0.5),
        Status::Unhealthy => Some(0.0),
        Status::Offline | Status::Unknown => None,
    }
}

/// Nothing between regions in step: a metric is something that was measured.
fn lag(here: RegionName, from: RegionName, verdicts: &Verdicts, now: Timestamp) -> Option<String> {
    if verdicts.are_in_step(from, here) {
        return None;
    }
    let lag = verdicts.lag(from, here)?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of lag fit a double")]
    let metric = Metric { name: "ReplicationLag", unit: Unit::Milliseconds, value: millis(lag) as f64 };
    Some(line(&[("Observer", here.as_str()), ("Region", from.as_str())], &[metric], now))
}

/// How much of a region's room is taken, for the region as a whole and by observer, and what came
/// of the uploads that ended since `counted`.
pub(crate) fn room(
    here: RegionName,
    region: &Region,
    book: &Book,
    counted: Done,
    now: Timestamp,
) -> Vec<String> {
    let taken = Utilization { load: book.load(), capacity: region.capacity };
    let metric = [Metric { name: "RegionUtilization", unit: Unit::Percent, value: taken.ratio() * 100.0 }];
    let whole = ("Region", region.name.as_str());
    let mut lines =
        vec![line(&[whole], &metric, now), line(&[("Observer", here.as_str()), whole], &metric, now)];
    lines.extend(uploads(region.name, region.name, By::Upload, book.done.since(counted), now));
    lines
}
