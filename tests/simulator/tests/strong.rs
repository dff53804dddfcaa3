//! Worksets in strongly consistent tables: what is promised of them holds, and would not on eventual ones.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::time::Duration;

use simulator::{
    cloud,
    dice::Dice,
    drill::{Run, make, make_on_eventual_tables},
    measure::{Broken, Outcome},
    scenario::{Act, Scenario},
    trace::Trace,
};

const STRONG: Scenario = Scenario::RegistryStrong;

/// The first seeds in which the region that takes the writes is lost.
fn losses() -> impl Iterator<Item = Run> {
    let config = cloud::config(&STRONG.settings());
    let loses_the_primary = move |seed: &u64| {
        let plan = STRONG.plan(&config, &Dice::new(*seed).fork(STRONG.name()));
        plan.acts.iter().any(|timed| timed.act == Act::Lose(config.primary_region))
    };
    (1..).filter(loses_the_primary).map(|seed| Run { scenario: STRONG, seed })
}

#[test]
fn strong_worksets_lose_nothing_collide_in_nothing_and_show_nothing_old() {
    let outcomes: Vec<_> = losses().take(2).map(|run| make(run, &Trace::new())).collect();
    let complaints: Vec<_> = outcomes.iter().flat_map(Outcome::complaints).collect();
    assert_eq!(complaints, [""; 0]);
    for run in outcomes {
        assert!(run.switches > 0, "nothing moved in seed {}", run.seed);
        assert_eq!((run.missing_writes, run.bounds_unknown), (0, 0), "seed {}", run.seed);
    }
}

/// The functions are told that the table is strong, and it is not: who deploys that is found out here,
/// and so is an expectation that nothing could break.
#[test]
fn on_eventual_tables_the_same_functions_break_what_strong_ones_promise() {
    let outcome = losses().take(1).map(|run| make_on_eventual_tables(run, &Trace::new()));
    let broken: Vec<Broken> = outcome.flat_map(|run| run.broken).collect();
    assert!(broken.iter().any(|b| matches!(b, Broken::StaleRead(_))), "{broken:?}");
    let told_of_nothing = |b: &Broken| matches!(b, Broken::BoundBelowTruth { told: Duration::ZERO, .. });
    assert!(broken.iter().any(told_of_nothing), "{broken:?}");
}
