//! The oracles: promises that hold in every run of every scenario.
//!
//! They judge by what the cloud knows and the functions do not: every version of
//! the record, every replica's rows, and what was really down.

use std::{collections::BTreeMap, time::Duration};

use histories::judge_history;
use sealane::{
    failover::{PRIMARY_NEEDS, Pin, Pins, Reason, StartedBy},
    region::RegionName,
};

use super::{
    Acknowledged, Broken, Evidence, Switch,
    strong::{is_strong, judge_strong},
};

/// Longest time that a dead region may go unnoticed: the bar of detection. A move into
/// a region that has been down for less is bad luck, for longer a broken promise.
pub const DETECTION_MAX: Duration = Duration::from_secs(15);

/// Age from which a pin must have been seen: a turn that began before it may still
/// write, and a turn lasts ten seconds at most.
const PIN_SEEN_AFTER: Duration = Duration::from_secs(12);

/// Every promise that the run broke.
pub fn judge(evidence: &Evidence) -> Vec<Broken> {
    let mut broken = order(evidence);
    broken.extend(one_active_an_epoch(evidence));
    broken.extend(always_active(evidence));
    broken.extend(writes_keep_to_their_epoch(evidence));
    broken.extend(evidence.switches().filter_map(|switch| moved_into_down(evidence, &switch)));
    broken.extend(evidence.switches().filter_map(|switch| moved_unseen(&switch)));
    broken.extend(evidence.switches().filter_map(|switch| pin_overruled(evidence, &switch)));
    broken.extend(lost_writes(evidence));
    broken.extend(judge_history(&evidence.entries, &evidence.histories).into_iter().map(Broken::Misfit));
    broken.extend(bounds_below_truth(evidence));
    broken.extend(judge_strong(evidence));
    broken.extend(evidence.shown.early.map(|(at, capability)| Broken::FalseVerdict { at, capability }));
    broken
}

/// Versions go up one by one, and epochs with the active region and not otherwise.
fn order(evidence: &Evidence) -> Vec<Broken> {
    let first = evidence.records.first().filter(|w| (w.record.version, w.record.epoch) != (1, 1));
    let begun = first.map(|w| Broken::OutOfOrder {
        at: w.at,
        before: (0, 0),
        after: (w.record.version, w.record.epoch),
    });
    let pairs = evidence.records.windows(2).filter_map(|pair| {
        let (old, new) = (&pair[0].record, &pair[1].record);
        let step = u64::from(old.active != new.active);
        let in_order = new.version == old.version + 1 && new.epoch == old.epoch + step;
        (!in_order).then_some(Broken::OutOfOrder {
            at: pair[1].at,
            before: (old.version, old.epoch),
            after: (new.version, new.epoch),
        })
    });
    begun.into_iter().chain(pairs).collect()
}

fn one_active_an_epoch(evidence: &Evidence) -> Vec<Broken> {
    let mut actives: BTreeMap<u64, RegionName> = BTreeMap::new();
    let mut broken = Vec::new();
    for record in evidence.records.iter().map(|w| &w.record) {
        let one = *actives.entry(record.epoch).or_insert(record.active);
        if one != record.active {
            broken.push(Broken::TwoActives { epoch: record.epoch, one, other: record.active });
        }
    }
    broken
}

fn always_active(evidence: &Evidence) -> Vec<Broken> {
    let full = |name| evidence.config.region(name).is_some_and(sealane::region::Region::is_full);
    let stray = evidence.records.iter().filter(|w| !full(w.record.active));
    let missing = evidence.records.is_empty().then_some(Broken::NoActive { at: evidence.ended });
    stray.map(|w| Broken::NoActive { at: w.at }).chain(missing).collect()
}

/// A write may be planned on a look that is `api.cache_ttl` old and that itself could
/// go by a record of that age, so its region must have been active within both of it
/// being sent, or have become active before the answer.
fn writes_keep_to_their_epoch(evidence: &Evidence) -> Vec<Broken> {
    let slack = 2 * evidence.config.api.cache_ttl;
    let outside = |ack: &&Acknowledged| {
        let (from, to) = (ack.sent.saturating_sub(slack), ack.answered);
        !was_active(evidence, ack.region, from, to)
    };
    let broken = evidence.acknowledged.iter().filter(outside);
    broken
        .map(|ack| Broken::WroteOutsideItsEpoch { id: ack.id.clone(), region: ack.region, at: ack.answered })
        .collect()
}

fn was_active(evidence: &Evidence, region: RegionName, from: Duration, to: Duration) -> bool {
    let ends = evidence.records.iter().skip(1).map(|w| w.at).chain([Duration::MAX]);
    evidence.records.iter().zip(ends).any(|(w, end)| w.record.active == region && w.at <= to && end >= from)
}

fn moved_into_down(evidence: &Evidence, switch: &Switch<'_>) -> Option<Broken> {
    let to = switch.record.active;
    let down_for = evidence.truth.down_for(to, &PRIMARY_NEEDS, switch.at)?;
    (down_for > DETECTION_MAX).then_some(Broken::MovedIntoDown { epoch: switch.record.epoch, to, down_for })
}

fn moved_unseen(switch: &Switch<'_>) -> Option<Broken> {
    let to = switch.record.active;
    let saw = switch.record.underway.as_ref().and_then(|u| u.saw.iter().find(|s| s.region == to));
    let saw = saw.map(|sighting| sighting.standing);
    let epoch = switch.record.epoch;
    (!saw.is_some_and(|standing| standing.is_up())).then_some(Broken::MovedUnseen { epoch, to, saw })
}

fn pin_overruled(evidence: &Evidence, switch: &Switch<'_>) -> Option<Broken> {
    let by_hand = switch.record.underway.as_ref().is_some_and(|u| u.by != StartedBy::Automation);
    let mut held: BTreeMap<RegionName, (Duration, Pin)> = BTreeMap::new();
    for ruled in evidence.rulings.iter().filter(|r| r.at <= switch.at) {
        match &ruled.pin {
            Some(pin) => held.insert(ruled.region, (ruled.at, pin.clone())),
            None => held.remove(&ruled.region),
        };
    }
    let old_enough = held.into_values().filter(|(at, _)| switch.at.saturating_sub(*at) >= PIN_SEEN_AFTER);
    let pins: Vec<Pin> = old_enough.map(|(_, pin)| pin).collect();
    // Pins of the scenarios outlast their runs, so that no clock needs to say whether they have ended.
    let pins = Pins::new(&pins, sealane::time::Timestamp::default());
    let stay = pins.stay(switch.from).filter(|_| !by_hand);
    let pin = pins.against(switch.record.active).or(stay)?.clone();
    Some(Broken::PinOverruled { epoch: switch.record.epoch, pin })
}

/// Writes that the region active at the end does not hold, other than those that the
/// account of a move off their region covers with its bound. Nothing excuses a strong table.
fn lost_writes(evidence: &Evidence) -> Vec<Broken> {
    missing_writes(evidence)
        .filter(|ack| is_strong(evidence) || !is_covered(evidence, ack))
        .map(|ack| Broken::LostWrite { id: ack.id.clone(), region: ack.region, at: ack.answered })
        .collect()
}

/// Acknowledged writes that the active region does not hold at the end.
pub fn missing_writes(evidence: &Evidence) -> impl Iterator<Item = &Acknowledged> {
    let active = evidence.records.last().map(|w| w.record.active);
    let held = active.and_then(|region| evidence.held.get(&region));
    evidence.acknowledged.iter().filter(move |ack| !held.is_some_and(|ids| ids.contains(&ack.id)))
}

/// Whether the write is still in its own region, which was left, and the account of
/// that move either covers it or says that nothing is known, which is found by itself.
fn is_covered(evidence: &Evidence, ack: &Acknowledged) -> bool {
    let kept = evidence.held.get(&ack.region).is_some_and(|ids| ids.contains(&ack.id));
    let left = |switch: &Switch<'_>| switch.from == ack.region && switch.at >= ack.sent;
    let covers = |switch: Switch<'_>| match bound(evidence, &switch) {
        Some(bound) => ack.answered >= switch.at.saturating_sub(bound),
        None => true,
    };
    kept && evidence.switches().filter(left).any(covers)
}

/// How old the oldest write may be, at most, that the move has lost: by its account, or by the record
/// while there is none yet. `None`: that it is not known.
pub(super) fn bound(evidence: &Evidence, switch: &Switch<'_>) -> Option<Duration> {
    let told = match evidence.account(switch.record.epoch) {
        Some(account) => account.loss_max_ms,
        None => switch.record.underway.as_ref().and_then(|u| u.loss_max_ms),
    };
    told.map(Duration::from_millis)
}

fn bounds_below_truth(evidence: &Evidence) -> Vec<Broken> {
    let below = evidence.switches().filter_map(|switch| {
        let epoch = switch.record.epoch;
        let (told, truth) = (bound(evidence, &switch)?, *evidence.unreplicated.get(&epoch)?);
        (told < truth).then_some(Broken::BoundBelowTruth { epoch, told, truth })
    });
    below.collect()
}

/// Moves whose account does not say how much may be lost.
pub fn bounds_unknown(evidence: &Evidence) -> usize {
    evidence.switches().filter(|switch| bound(evidence, switch).is_none()).count()
}

/// How far back an outage still explains a move off its region.
const EXPLAINS: Duration = Duration::from_secs(60);

/// Moves off a region that automation held for down and that was not.
pub fn false_moves(evidence: &Evidence) -> usize {
    let is_false = |switch: &Switch<'_>| match &switch.record.reason {
        Reason::Down { region, .. } => {
            let from = switch.at.saturating_sub(EXPLAINS);
            !evidence.truth.was_down(*region, &PRIMARY_NEEDS, from, switch.at)
        }
        Reason::Began | Reason::Drained { .. } | Reason::Failback { .. } | Reason::Asked { .. } => false,
    };
    evidence.switches().filter(is_false).count()
}

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
