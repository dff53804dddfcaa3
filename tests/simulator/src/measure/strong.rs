//! What holds besides where the replicas of the worksets are strongly consistent: nothing is lost,
//! nothing collides, and nothing that is read is older than what was acknowledged before.

use std::{collections::BTreeSet, time::Duration};

use sealane::config::Consistency;

use super::{Broken, Evidence, oracle::bound};

/// A read of a workset by its id, sent after a write of it had been acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The workset.
    pub id: String,
    /// The version of the acknowledged write.
    pub wrote: u64,
    /// The version that was read; `None`: that there is no such workset.
    pub read: Option<u64>,
    /// When the answer was heard.
    pub at: Duration,
}

/// Whether the worksets of the run were to be strongly consistent.
pub(super) fn is_strong(evidence: &Evidence) -> bool {
    match evidence.config.worksets_consistency {
        Consistency::Eventual => false,
        Consistency::Strong => true,
    }
}

/// Every promise of strong consistency that the run broke, beside lost writes.
pub(super) fn judge_strong(evidence: &Evidence) -> Vec<Broken> {
    if !is_strong(evidence) {
        return Vec::new();
    }
    [bounds(evidence), collisions(evidence), stale_reads(evidence)].concat()
}

/// The account of each move says that nothing is lost, however little whoever moved had seen.
fn bounds(evidence: &Evidence) -> Vec<Broken> {
    let told = evidence.switches().map(|switch| (switch.record.epoch, bound(evidence, &switch)));
    let more = told.filter(|(_, told)| *told != Some(Duration::ZERO));
    more.map(|(epoch, told)| Broken::LossNotRuledOut { epoch, told }).collect()
}

fn collisions(evidence: &Evidence) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (id, events) in &evidence.histories {
        let mut seen = BTreeSet::new();
        let twice = events.iter().filter(|event| !seen.insert(event.version));
        broken.extend(twice.map(|event| Broken::Collided { id: id.clone(), version: event.version }));
    }
    broken
}

fn stale_reads(evidence: &Evidence) -> Vec<Broken> {
    let stale = evidence.reads.iter().filter(|seen| seen.read.is_none_or(|read| read < seen.wrote));
    stale.map(|seen| Broken::StaleRead(seen.clone())).collect()
}
