//! Many runs: one world a run, one runtime a world, on every core.

use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use serde_json::Value;

use crate::{
    cloud::{self, Cloud, Panicked},
    dice::Dice,
    measure::{Broken, Outcome},
    scenario::Scenario,
    trace::Trace,
    world,
};

/// One run to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The scenario.
    pub scenario: Scenario,
    /// The seed.
    pub seed: u64,
}

/// `count` runs, shared out over `scenarios` in turn, each scenario with the seeds from 1.
pub fn runs(scenarios: &[Scenario], count: usize) -> Vec<Run> {
    let turns = scenarios.iter().copied().cycle().take(count);
    let turn = |(number, scenario): (usize, Scenario)| {
        let round = number / scenarios.len().max(1);
        Run { scenario, seed: round as u64 + 1 }
    };
    turns.enumerate().map(turn).collect()
}

/// Makes one run, telling `trace` what happens. A panic is an outcome like any other.
pub fn make(run: Run, trace: &Trace) -> Outcome {
    caught(run, trace, || live(run, &run.scenario.settings(), trace))
}

/// The same with every table of the worksets eventual, whatever the functions are told: what strong
/// ones promise has to be seen broken.
pub fn make_on_eventual_tables(run: Run, trace: &Trace) -> Outcome {
    caught(run, trace, || live(run, &Value::Null, trace))
}

/// The outcome of `life`, or of the panic that ended it.
fn caught(run: Run, trace: &Trace, life: impl FnOnce() -> Outcome) -> Outcome {
    // What a panic leaves half done belongs to this run alone and is dropped with it.
    catch_unwind(AssertUnwindSafe(life)).unwrap_or_else(|payload| {
        Outcome::panicked(run.scenario, run.seed, &cloud::words(&*payload), trace.hash())
    })
}

#[expect(clippy::expect_used, reason = "without a runtime there is nothing to report")]
fn live(run: Run, tables: &Value, trace: &Trace) -> Outcome {
    // What the functions and clients draw for themselves comes from this thread's generator.
    fastrand::seed(run.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime with a paused clock needs nothing that can be missing");
    let config = cloud::config(&run.scenario.settings());
    let tables = cloud::config(tables);
    let dice = Dice::new(run.seed).fork(run.scenario.name());
    let plan = run.scenario.plan(&config, &dice);
    let (evidence, panics) = runtime.block_on(async {
        let cloud = Cloud::traced(dice.clone().fork("cloud").below(u64::MAX), &tables, trace.clone());
        let evidence = world::live(&cloud, &config, &plan, &dice).await;
        (evidence, cloud.panics())
    });
    let mut outcome = Outcome::of(run.scenario, run.seed, &plan, &evidence, trace.hash());
    let told = |Panicked { who, words }| Broken::Panicked { who: format!("{who} panicked: {words}") };
    outcome.broken.extend(panics.into_iter().map(told));
    outcome
}

/// Makes every run, as many at once as there are cores, and gives their outcomes in order.
///
/// `hear` is told of each outcome as it comes, in whatever order they come.
pub fn make_all(runs: &[Run], mut hear: impl FnMut(&Outcome)) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let (told, heard) = mpsc::channel();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(runs.len().max(1));
    let mut outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
        for _ in 0..workers {
            let (told, next) = (told.clone(), &next);
            scope.spawn(move || {
                while let Some((place, run)) = take(runs, next) {
                    // The receiver outlives every worker.
                    let _ = told.send((place, make(run, &Trace::new())));
                }
            });
        }
        drop(told);
        heard.iter().inspect(|(_, outcome)| hear(outcome)).collect()
    });
    outcomes.sort_unstable_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn take(runs: &[Run], next: &AtomicUsize) -> Option<(usize, Run)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    runs.get(place).map(|run| (place, *run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_shared_out_in_turn() {
        let two = [Scenario::RegionLoss, Scenario::Partition];
        let shared = runs(&two, 5);
        let seeds: Vec<_> = shared.iter().map(|run| (run.scenario, run.seed)).collect();
        let (a, b) = (Scenario::RegionLoss, Scenario::Partition);
        assert_eq!(seeds, [(a, 1), (b, 1), (a, 2), (b, 2), (a, 3)]);
    }

    #[test]
    fn a_panic_of_the_world_is_an_outcome_that_says_how_to_see_it_again() {
        let run = Run { scenario: Scenario::Partition, seed: 7 };
        let outcome = caught(run, &Trace::new(), || panic!("planted"));
        let [complaint] = &outcome.complaints()[..] else { panic!("{outcome:?}") };
        assert!(complaint.contains("--scenario partition --seed 7"), "{complaint}");
        assert!(complaint.contains("the world panicked: planted"), "{complaint}");
    }
}
