//! What came of the runs of a scenario, and the figures that are reported.

use super::registry::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;

/// One run of one scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// From the fault to the verdict, as every asked region shows it.
    pub detection_ms: Option<u64>,
    /// From the verdict to another active region.
    pub switch_ms: Option<u64>,
    /// From the fault until no asked region sends work there.
    pub moved_ms: Option<u64>,
    /// Moves of the active region.
    pub moves: u64,
    /// Of these, moves that nothing called for.
    pub false_moves: u64,
    /// What did not hold, in words.
    pub failed: Vec<String>,
}

/// The shape of a set of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: u64,
    /// 99 of 100 are no longer than this.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// The figures of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// How often it ran.
    pub runs: usize,
    /// From the fault to the verdict; `null` where nothing is to be detected.
    pub detection_ms: Option<Spread>,
    /// From the verdict to the switch; `null` where nothing is to move.
    pub switch_ms: Option<Spread>,
    /// From the fault until work goes elsewhere.
    pub moved_ms: Option<Spread>,
    /// Moves that nothing called for.
    pub false_moves: u64,
    /// The most moves of one run.
    pub moves_per_episode_max: u64,
    /// What did not hold.
    pub failed: Vec<String>,
}

/// The report of a live drill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// That these are real programs and not a simulation.
    pub live: bool,
    /// The figures by scenario.
    pub scenarios: BTreeMap<&'static str, Figures>,
    /// What came of `registry`, if it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Outcome>,
}

impl Spread {
    /// The spread of `times`, by nearest rank; `None` of none.
    #[must_use]
    pub fn of(mut times: Vec<u64>) -> Option<Self> {
        times.sort_unstable();
        let rank = |percent: usize| times.get((times.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self { p50: rank(50)?, p99: rank(99)?, max: rank(100)? })
    }
}

impl Figures {
    /// The figures of `runs`.
    #[must_use]
    pub fn of(runs: &[Run]) -> Self {
        let spread = |pick: fn(&Run) -> Option<u64>| Spread::of(runs.iter().filter_map(pick).collect());
        Self {
            runs: runs.len(),
            detection_ms: spread(|run| run.detection_ms),
            switch_ms: spread(|run| run.switch_ms),
            moved_ms: spread(|run| run.moved_ms),
            false_moves: runs.iter().map(|run| run.false_moves).sum(),
            moves_per_episode_max: runs.iter().map(|run| run.moves).max().unwrap_or(0),
            failed: runs.iter().flat_map(|run| run.failed.clone()).collect(),
        }
    }

    /// The figures in a row of the table.
    #[must_use]
    pub fn row(&self, name: &str) -> String {
        let ms = |spread: Option<Spread>| {
            spread.map_or_else(|| "-".to_owned(), |s| format!("{}/{}/{}", s.p50, s.p99, s.max))
        };
        let (seen, switched, moved) = (ms(self.detection_ms), ms(self.switch_ms), ms(self.moved_ms));
        let Self { runs, false_moves, moves_per_episode_max: most, .. } = self;
        format!("{name:<18} {runs:>4}  {seen:>20}  {switched:>20}  {moved:>20}  {most:>5}  {false_moves:>5}")
    }
}

impl Report {
    /// The table, with a head that says what its columns are.
    #[must_use]
    pub fn table(&self) -> String {
        let registry = self.registry.iter().flat_map(Outcome::lines);
        if self.scenarios.is_empty() {
            return registry.collect::<Vec<_>>().join("\n");
        }
        let head = format!(
            "{:<18} {:>4}  {:>20}  {:>20}  {:>20}  {:>5}  {:>5}",
            "p50/p99/max in ms", "runs", "detection", "verdict to switch", "moved", "moves", "false"
        );
        let rows = self.scenarios.iter().map(|(name, figures)| figures.row(name));
        std::iter::once(head).chain(rows).chain(registry).collect::<Vec<_>>().join("\n")
    }

    /// Everything that did not hold, with the scenario that it is about.
    #[must_use]
    pub fn failed(&self) -> Vec<String> {
        let all = self.scenarios.iter();
        let episodes =
            all.flat_map(|(name, figures)| figures.failed.iter().map(move |what| format!("{name}: {what}")));
        let registry = self.registry.iter().flat_map(Outcome::failed);
        episodes.chain(registry.map(|what| format!("registry: {what}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_times_that_were_measured() {
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(Spread::of(vec![7]), Some(Spread { p50: 7, p99: 7, max: 7 }));
        assert_eq!(Spread::of((1..=200).rev().collect()), Some(Spread { p50: 100, p99: 198, max: 200 }));
    }

    #[test]
    fn a_run_without_a_time_adds_none() {
        let quick = Run { detection_ms: Some(5), moves: 1, ..Run::default() };
        let quiet = Run { false_moves: 2, moves: 3, failed: vec!["it moved".into()], ..Run::default() };
        let figures = Figures::of(&[quick, quiet]);
        assert_eq!(figures.detection_ms, Some(Spread { p50: 5, p99: 5, max: 5 }));
        assert_eq!(
            (figures.switch_ms, figures.runs, figures.false_moves, figures.moves_per_episode_max),
            (None, 2, 2, 3)
        );
        let report = Report { live: true, scenarios: [("region_loss", figures)].into(), registry: None };
        assert_eq!(report.failed(), ["region_loss: it moved"]);
        assert!(report.table().contains("5/5/5"), "{}", report.table());
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(
            (&json["live"], &json["scenarios"]["region_loss"]["detection_ms"]["p99"]),
            (&true.into(), &5.into())
        );
    }
}
