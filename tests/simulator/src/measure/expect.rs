//! Whether what a scenario must come to came.

use std::time::Duration;

use sealane::{
    failover::{Phase, Reason, Share},
    region::{Capability, RegionName},
};

use super::{Asked, Evidence, Wanted, moved_after};
use crate::scenario::{Must, Plan};

/// The span before the fault, and before the end, over which shares of traffic are taken.
const SPAN: Duration = Duration::from_secs(10);

/// How long a verdict may be there before the watcher notes it: it looks ten times a second at
/// rows that changed, and once a second at those that did not.
const NOTED_WITHIN: Duration = Duration::from_millis(1_100);

/// What must have come and did not, in words.
pub fn unmet(plan: &Plan, evidence: &Evidence) -> Vec<String> {
    let must = &plan.must;
    let mut unmet = Vec::new();
    let moves = evidence.switches().filter(|switch| switch.at >= plan.since).count();
    if !must.moves.contains(&moves) {
        let (least, most) = (must.moves.start(), must.moves.end());
        unmet.push(format!("the active region changed {moves} times (want {least} to {most})"));
    }
    if must.detected && evidence.shown.detected.is_none() {
        unmet.push("no live controller's verdict showed it".to_owned());
    }
    if must.moved && moved(plan, evidence).is_none() {
        unmet.push("its traffic did not go elsewhere".to_owned());
    }
    unmet.extend(must.stays.iter().filter_map(|wanted| left(evidence, *wanted)));
    unmet.extend(plan.watched.as_ref().filter(|_| must.eased).and_then(|w| uneased(evidence, w.region)));
    let active = evidence.records.last().map(|w| w.record.active);
    if let Some(want) = must.ends_in.filter(|want| active != Some(*want)) {
        let active = active.map_or("nowhere".to_owned(), |region| region.to_string());
        unmet.push(format!("work is in {active} at the end (want {want})"));
    }
    unmet.extend(steps(must, evidence));
    unmet
}

/// When work first left the watched region after the fault.
pub fn switched(plan: &Plan, evidence: &Evidence) -> Option<Duration> {
    let watched = plan.watched.as_ref()?.region;
    evidence.switches().find(|s| s.at >= plan.since && s.from == watched).map(|switch| switch.at)
}

/// When a verdict called for what had to come. A controller that reads the rows between two looks
/// of the watcher may act on them first: it noticed then at the latest.
pub fn noticed(plan: &Plan, evidence: &Evidence) -> Option<Duration> {
    evidence.shown.detected.map(|at| switched(plan, evidence).map_or(at, |switched| at.min(switched)))
}

/// A move before any verdict that calls for it.
pub fn uncalled(plan: &Plan, evidence: &Evidence) -> Option<String> {
    let switch = evidence.switches().find(|s| Some(s.at) == switched(plan, evidence))?;
    let down = matches!(switch.record.reason, Reason::Down { .. });
    let called = evidence.shown.detected.is_some_and(|at| at <= switch.at + NOTED_WITHIN);
    (down && !called).then(|| format!("work left at {:?}, before any verdict that calls for it", switch.at))
}

/// How long after the fault the traffic that must leave had left.
pub fn moved(plan: &Plan, evidence: &Evidence) -> Option<Duration> {
    let watched = plan.watched.as_ref().filter(|w| !w.leaves.is_empty())?;
    moved_after(&evidence.asked, &watched.leaves, watched.region, plan.since)
}

/// Traffic that left although nothing was wrong with what it needs.
fn left(evidence: &Evidence, wanted: Wanted) -> Option<String> {
    match wanted {
        Wanted::Primary => {
            let stood = evidence.active_at(evidence.since)?;
            let mut later = evidence.asked.iter().filter(|a| a.at >= evidence.since && a.wanted == wanted);
            let strayed = later.find_map(|a| Some((a.at, a.sent_to.filter(|to| *to != stood)?)));
            strayed.map(|(at, to)| {
                format!("{to} was named as the primary at {at:?}, and nothing was wrong with {stood}")
            })
        }
        Wanted::ObjectWrite => {
            let lost = |region| {
                evidence.truth.was_down(region, &[Capability::ObjectWrite], evidence.since, evidence.ended)
            };
            let mut whole = evidence.config.full_regions().map(|r| r.name).filter(|name| !lost(*name));
            let less = whole.find(|name| is_halved(evidence, *name))?;
            Some(format!("objects left {less}, and nothing was wrong with its bucket"))
        }
    }
}

/// What is missing of a slow region being called so and relieved.
fn uneased(evidence: &Evidence, region: RegionName) -> Option<String> {
    if evidence.shown.degraded.is_none() {
        return Some(format!("no live controller's verdict called {region} degraded"));
    }
    (!is_halved(evidence, region)).then(|| format!("{region} was degraded and kept its share of the objects"))
}

/// Whether `region` gets less than half of its former share of the objects in the end.
fn is_halved(evidence: &Evidence, region: RegionName) -> bool {
    let share = |from: Duration, to: Duration| {
        let span = from..to;
        let of = |a: &&Asked| a.wanted == Wanted::ObjectWrite && a.sent_to.is_some() && span.contains(&a.at);
        let sent = || evidence.asked.iter().filter(of);
        (sent().filter(|a| a.sent_to == Some(region)).count(), sent().count())
    };
    let before = share(evidence.since.saturating_sub(SPAN), evidence.since);
    let after = share(evidence.ended.saturating_sub(SPAN), evidence.ended);
    2 * after.0 * before.1 < before.0 * after.1 || (before.0 > 0 && after.1 == 0)
}

/// The steps of a return that are missing.
fn steps(must: &Must, evidence: &Evidence) -> Option<String> {
    let seen = |share| {
        let taken = |phase| matches!(phase, Phase::Returning { share: s, .. } if s == share);
        evidence.records.iter().any(|w| taken(w.record.phase))
    };
    let missing = [Share::Tenth, Share::Quarter, Share::Half].into_iter().find(|share| !seen(*share))?;
    must.staged.then(|| format!("the return left out its step of {}%", missing.percent()))
}

#[cfg(test)]
#[path = "expect_tests.rs"]
mod tests;
