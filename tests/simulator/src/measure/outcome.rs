//! What one run came to.

use std::time::Duration;

use super::{Broken, Evidence, absent, bounds_unknown, expect, false_moves, judge, missing_writes};
use crate::scenario::{Plan, Scenario};

/// What one run came to. Spans are since its fault began, or as named.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// The seed.
    pub seed: u64,
    /// Until a live controller's verdict called something unhealthy that the fault struck.
    pub seen: Option<Duration>,
    /// Until a live controller's verdict called for what has to come.
    pub detection: Option<Duration>,
    /// From there to the record that named another active region.
    pub switch: Option<Duration>,
    /// Until 99% of the new requests of every following second went elsewhere.
    pub moved: Option<Duration>,
    /// Moves off a region that was up.
    pub false_moves: usize,
    /// Changes of the active region since the fault.
    pub moves: usize,
    /// Changes of the active region in the whole run.
    pub switches: usize,
    /// Moves whose account does not say how much may be lost.
    pub bounds_unknown: usize,
    /// Acknowledged writes that the active region did not hold at the end.
    pub missing_writes: usize,
    /// Promises that were broken.
    pub broken: Vec<Broken>,
    /// What must have come and did not.
    pub unmet: Vec<String>,
    /// The same, in a run in which a live region had lost its observer: it may have come late.
    pub late: Vec<String>,
    /// How long the run was.
    pub simulated: Duration,
    /// The hash of its trace.
    pub hash: u64,
}

impl Outcome {
    /// What the run came to, by what it left behind.
    pub fn of(scenario: Scenario, seed: u64, plan: &Plan, evidence: &Evidence, hash: u64) -> Self {
        let (noticed, switched) = (expect::noticed(plan, evidence), expect::switched(plan, evidence));
        let timed = |at: Option<Duration>| at.filter(|_| plan.timed);
        let since_fault = |at: Duration| at.saturating_sub(plan.since);
        let (mut unmet, mut late) = (expect::unmet(plan, evidence), Vec::new());
        if let Some(observer) = absent(evidence) {
            late = unmet.iter().map(|what| format!("{what}; {observer} had no prober for a while")).collect();
            unmet.clear();
        }
        unmet.extend(expect::uncalled(plan, evidence));
        Self {
            scenario,
            seed,
            seen: timed(evidence.shown.seen.map(since_fault)),
            detection: timed(noticed.map(since_fault)),
            switch: timed(switched.zip(noticed).map(|(at, noticed)| at.saturating_sub(noticed))),
            moved: timed(expect::moved(plan, evidence)),
            false_moves: false_moves(evidence),
            moves: evidence.switches().filter(|switch| switch.at >= plan.since).count(),
            switches: evidence.switches().count(),
            bounds_unknown: bounds_unknown(evidence),
            missing_writes: missing_writes(evidence).count(),
            broken: judge(evidence),
            unmet,
            late,
            simulated: evidence.ended,
            hash,
        }
    }

    /// A run that a panic ended, with nothing measured.
    pub fn panicked(scenario: Scenario, seed: u64, words: &str, hash: u64) -> Self {
        Self {
            scenario,
            seed,
            seen: None,
            detection: None,
            switch: None,
            moved: None,
            false_moves: 0,
            moves: 0,
            switches: 0,
            bounds_unknown: 0,
            missing_writes: 0,
            broken: vec![Broken::Panicked { who: format!("the world panicked: {words}") }],
            unmet: Vec::new(),
            late: Vec::new(),
            simulated: Duration::ZERO,
            hash,
        }
    }

    /// The command that runs it again.
    pub fn replay(&self) -> String {
        format!("cargo xtask drill --scenario {} --seed {}", self.scenario, self.seed)
    }

    /// A line for each thing that went wrong, each with the command that shows it again.
    pub fn complaints(&self) -> Vec<String> {
        let broken = self.broken.iter().map(ToString::to_string);
        let unmet = self.unmet.iter().chain(&self.late).cloned();
        broken.chain(unmet).map(|what| format!("{}: {what}", self.replay())).collect()
    }

    /// Those of them that came late because an observer was missing.
    pub fn delays(&self) -> Vec<String> {
        self.late.iter().map(|what| format!("{}: {what}", self.replay())).collect()
    }
}
