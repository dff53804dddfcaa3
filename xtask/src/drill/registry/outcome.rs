//! What came of it: counts, and every promise that was broken.

use super::{CLIENTS, Plan, Tape, nemesis::Done, readback::Found};
use crate::drill::figures::Spread;
use histories::{Deed, Entry, Told, judge_epochs, judge_history, judge_reads, judge_writes, reigns};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// For how long a write may be planned on an old look: twice `api.cache_ttl`, as in the simulator.
const SLACK: Duration = Duration::from_secs(10);

/// What a claim brings when nothing waits.
const NOTHING: &str = "nothing";

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reign {
    /// Its number.
    pub epoch: u64,
    /// The region that took the writes.
    pub active: String,
    /// When it was first heard of, in ms since the drill began.
    pub seen_ms: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// For how long things were broken.
    pub minutes: u64,
    /// What the choices were drawn from.
    pub seed: u64,
    /// What the names of its worksets begin with.
    pub tag: String,
    /// Clients at work.
    pub clients: usize,
    /// Calls by kind and by what was told.
    pub calls: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Requests that these took.
    pub requests: u64,
    /// From the first request of a call to the answer that settled it, or to the end of patience.
    pub call_ms: Option<Spread>,
    /// Worksets that answers showed, each time.
    pub seen: usize,
    /// Worksets that have a history.
    pub worksets: usize,
    /// Events in these.
    pub events: usize,
    /// Writes that are reported as conflicts.
    pub conflicts: usize,
    /// What was broken.
    #[serde(flatten)]
    pub done: Done,
    /// Who took the writes.
    pub reigns: Vec<Reign>,
    /// Where the notes are.
    pub notes: String,
    /// Promises that were broken.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Judges what was noted by what is told.
    pub(super) fn of(plan: &Plan, tag: &str, tape: &Tape, found: &Found) -> Self {
        let entries = &tape.notes.entries;
        let mut calls: BTreeMap<_, BTreeMap<_, u64>> = BTreeMap::new();
        for entry in entries {
            *calls.entry(entry.deed.name()).or_default().entry(told(entry)).or_default() += 1;
        }
        let reigns = reigns(&tape.looks).into_iter().map(|(epoch, (active, since))| Reign {
            epoch,
            active: active.to_string(),
            seen_ms: ms(since),
        });
        let last = found.active.and_then(|active| found.histories.get(&active));
        Self {
            minutes: plan.minutes,
            seed: plan.seed,
            tag: tag.to_owned(),
            clients: CLIENTS,
            calls,
            requests: tape.notes.tries,
            call_ms: Spread::of(
                entries.iter().map(|entry| ms(entry.heard.saturating_sub(entry.sent))).collect(),
            ),
            seen: tape.notes.seen.len(),
            worksets: last.map_or(0, BTreeMap::len),
            events: last.map_or(0, |histories| histories.values().map(Vec::len).sum()),
            conflicts: found.reported.len(),
            done: tape.done.clone(),
            reigns: reigns.collect(),
            notes: plan.notes.display().to_string(),
            violations: violations(tag, tape, found),
        }
    }

    /// What did not hold: promises that were broken, and what has to happen for the rest to prove anything.
    #[must_use]
    pub fn failed(&self) -> Vec<String> {
        let hollow = [
            (self.done.troubles.is_empty(), "no region was struck"),
            (self.done.killed.is_empty(), "no function was killed"),
            (self.events == 0, "nothing was written"),
        ];
        let hollow = hollow.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what.to_owned());
        let broken = self.violations.len();
        hollow.chain((broken > 0).then(|| format!("{broken} promises were broken"))).collect()
    }

    /// The outcome in lines for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "registry: {} clients, {} minutes, seed {}: {} requests, {} worksets with {} events, {} worksets shown",
            self.clients, self.minutes, self.seed, self.requests, self.worksets, self.events, self.seen
        )];
        lines.push(format!(
            "  {:<10} {:>8} {:>8} {:>8} {:>8}",
            "calls", "done", "refused", "unknown", NOTHING
        ));
        for (kind, told) in &self.calls {
            let count = |name: &str| told.get(name).copied().unwrap_or(0);
            let (done, refused, unknown, nothing) =
                (count("done"), count("refused"), count("unknown"), count(NOTHING));
            lines.push(format!("  {kind:<10} {done:>8} {refused:>8} {unknown:>8} {nothing:>8}"));
        }
        if let Some(Spread { p50, p99, max }) = self.call_ms {
            lines.push(format!("  a call was settled in {p50}/{p99}/{max} ms (p50/p99/max)"));
        }
        let Done { troubles, killed, stopped, approved } = &self.done;
        lines.push(format!("  regions were {}", counted(troubles.iter())));
        lines.push(format!("  killed: {}", counted(killed.iter())));
        lines.push(format!("  stopped for a while: {}", counted(stopped.iter())));
        let reigns = self.reigns.iter().map(|reign| format!("{} {}", reign.epoch, reign.active));
        let reigns: Vec<String> = reigns.collect();
        lines.push(format!("  epochs: {}; {approved} moves approved", reigns.join(", ")));
        lines.push(format!("  writes reported as conflicts: {}", self.conflicts));
        lines.push(format!("  notes: {}", self.notes));
        lines.push(format!("  violations: {}", self.violations.len()));
        lines.extend(self.violations.iter().map(|violation| format!("    {violation}")));
        lines
    }
}

/// What was told of a call, as it is counted.
fn told(entry: &Entry) -> &'static str {
    match (entry.deed, entry.told) {
        (Deed::Lock(_), Told::Done(None)) => NOTHING,
        (_, told) => told.name(),
    }
}

/// Every promise that was broken, each once whichever region tells of it.
fn violations(tag: &str, tape: &Tape, found: &Found) -> Vec<String> {
    let notes = &tape.notes;
    let own = |entry: &&Entry| entry.id.starts_with(tag);
    let entries: Vec<Entry> = notes.entries.iter().filter(own).cloned().collect();
    let seen: Vec<_> = notes.seen.iter().filter(|seen| seen.id.starts_with(tag)).cloned().collect();
    let mut misfits = Vec::new();
    for (region, histories) in &found.histories {
        misfits.extend(judge_history(&entries, histories));
        misfits.extend(judge_writes(&entries, *region, histories, &found.reported));
        misfits.extend(judge_reads(&seen, histories));
        misfits.extend(judge_epochs(&tape.looks, &found.accounts, &entries, histories, SLACK));
    }
    let once: BTreeSet<String> = misfits.iter().map(ToString::to_string).collect();
    once.into_iter().collect()
}

fn counted<K: std::fmt::Display>(counts: impl Iterator<Item = (K, impl std::fmt::Display)>) -> String {
    let words: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
