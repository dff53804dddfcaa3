//! Who took the writes: the record of the active region as it was looked at, accounts of moves, and
//! the epochs that writes carry.

use std::{collections::BTreeMap, time::Duration};

use sealane::{failover::Moved, region::RegionName, workset::Event};

use crate::{Entry, Look, Misfit};

/// The active region of each epoch that was heard of, and when it was first heard of.
pub fn reigns(looks: &[Look]) -> BTreeMap<u64, (RegionName, Duration)> {
    let mut reigns: BTreeMap<u64, (RegionName, Duration)> = BTreeMap::new();
    for look in looks {
        let (_, since) = reigns.entry(look.epoch).or_insert((look.active, look.heard));
        *since = look.heard.min(*since);
    }
    reigns
}

/// What does not fit together in the looks at the record, the accounts of moves, and the epochs of writes.
///
/// A write may be planned on a look that is `slack` old, so that it may be sent for so long after the end of its epoch.
pub fn judge_epochs(
    looks: &[Look],
    accounts: &[Moved],
    entries: &[Entry],
    histories: &BTreeMap<String, Vec<Event>>,
    slack: Duration,
) -> Vec<Misfit> {
    let reigns = reigns(looks);
    let mut misfits = records(looks);
    misfits.extend(accounts.iter().filter_map(|moved| {
        let (active, _) = *reigns.get(&moved.epoch)?;
        let (epoch, to) = (moved.epoch, moved.to);
        (to != active).then_some(Misfit::AccountDiffers { epoch, to, active })
    }));
    let events = histories.iter().flat_map(|(id, events)| events.iter().map(move |event| (id, event)));
    misfits.extend(events.filter_map(|(id, event)| {
        let (epoch, region) = (event.epoch?, event.region);
        let (active, _) = *reigns.get(&epoch)?;
        let outside = Misfit::WroteOutsideItsEpoch { id: id.clone(), version: event.version, region, epoch };
        (region != active).then_some(outside)
    }));
    misfits.extend(late(&reigns, entries, histories, slack));
    misfits
}

/// The record never goes back, and tells one thing of one version and of one epoch.
fn records(looks: &[Look]) -> Vec<Misfit> {
    let mut looks: Vec<&Look> = looks.iter().collect();
    looks.sort_by_key(|look| look.heard);
    let disagree = |one: &Look, other: &Look| {
        let told = |look: &Look| (look.version, look.epoch, look.active, look.heard);
        Misfit::RecordsDisagree { one: told(one), other: told(other) }
    };
    let mut misfits = Vec::new();
    // The highest answer among those that were heard before each one was sent.
    let (mut heard, mut highest) = (looks.iter().peekable(), None::<&Look>);
    let mut by_sent = looks.clone();
    by_sent.sort_by_key(|look| look.sent);
    for look in by_sent {
        while let Some(earlier) = heard.next_if(|earlier| earlier.heard < look.sent) {
            highest = Some(highest.filter(|high| high.version >= earlier.version).unwrap_or(earlier));
        }
        misfits.extend(highest.filter(|high| high.version > look.version).map(|high| disagree(high, look)));
    }
    // In the order of versions, epochs go up with the active region and not otherwise.
    let mut by_version = looks;
    by_version.sort_by_key(|look| look.version);
    for pair in by_version.windows(2) {
        let (old, new) = (pair[0], pair[1]);
        let same = (old.epoch, old.active) == (new.epoch, new.active);
        let fits = if old.version == new.version {
            same
        } else {
            same || new.epoch > old.epoch && (new.epoch > old.epoch + 1 || new.active != old.active)
        };
        misfits.extend((!fits).then(|| disagree(old, new)));
    }
    misfits
}

/// Acknowledged writes that were sent when their epoch had long ended.
fn late(
    reigns: &BTreeMap<u64, (RegionName, Duration)>,
    entries: &[Entry],
    histories: &BTreeMap<String, Vec<Event>>,
    slack: Duration,
) -> Vec<Misfit> {
    let judged = entries.iter().filter(|entry| entry.is_written()).filter_map(|entry| {
        let events = histories.get(&entry.id)?;
        let epoch = events.iter().find(|event| event.request == entry.write)?.epoch?;
        let ended = reigns.range(epoch + 1..).map(|(_, (_, since))| *since).min()?;
        (entry.sent > ended + slack).then(|| Misfit::WroteAfterItsEpoch {
            id: entry.id.clone(),
            write: entry.write.clone(),
            epoch,
            sent: entry.sent,
            ended,
        })
    });
    judged.collect()
}

#[cfg(test)]
#[path = "epochs_tests.rs"]
mod tests;
