//! Whether what a scenario must come to came.

use std::time::Duration;

use sealane::failover::{Phase, Share};

use super::{Evidence, Wanted, moved_after};
use crate::scenario::{Must, Plan};

/// The end of a run in which traffic that stays has to be seen where it stays.
const LAST: Duration = Duration::from_secs(10);

/// What must have come and did not, in words.
pub fn unmet(plan: &Plan, evidence: &Evidence) -> Vec<String> {
    let must = &plan.must;
    let mut unmet = Vec::new();
    let moves = evidence.switches().filter(|switch| switch.at >= plan.since).count();
    if !must.moves.contains(&moves) {
        let (least, most) = (must.moves.start(), must.moves.end());
        unmet.push(format!("the active region changed {moves} times (want {least} to {most})"));
    }
    if must.detected && evidence.detected.is_none() {
        unmet.push("no live controller's verdict showed it".to_owned());
    }
    if must.moved && moved(plan, evidence).is_none() {
        unmet.push("its traffic did not go elsewhere".to_owned());
    }
    let left = must.stays.iter().filter(|wanted| !stayed(plan, evidence, **wanted));
    unmet.extend(left.map(|wanted| format!("traffic for {wanted:?} left, and nothing was wrong with it")));
    let active = evidence.records.last().map(|w| w.record.active);
    if let Some(want) = must.ends_in.filter(|want| active != Some(*want)) {
        let active = active.map_or("nowhere".to_owned(), |region| region.to_string());
        unmet.push(format!("work is in {active} at the end (want {want})"));
    }
    unmet.extend(steps(must, evidence));
    unmet
}

/// How long after the fault the traffic that must leave had left.
pub fn moved(plan: &Plan, evidence: &Evidence) -> Option<Duration> {
    let watched = plan.watched.as_ref().filter(|w| !w.leaves.is_empty())?;
    moved_after(&evidence.asked, &watched.leaves, watched.region, plan.since)
}

/// Whether some of the traffic for `wanted` still went to the watched region in the end.
fn stayed(plan: &Plan, evidence: &Evidence, wanted: Wanted) -> bool {
    let region = plan.watched.as_ref().map(|watched| watched.region);
    let from = evidence.ended.saturating_sub(LAST);
    evidence.asked.iter().any(|a| a.at >= from && a.wanted == wanted && a.sent_to == region)
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
