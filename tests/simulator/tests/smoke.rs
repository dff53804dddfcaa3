//! One seed of every scenario: it runs, leaves the same trace again, and keeps every promise.
//!
//! How fast things are detected and moved are figures of the drill; what is checked here holds
//! whatever those are.

use simulator::{
    drill::{Run, make, make_all, runs},
    scenario::Scenario,
    trace::Trace,
};

#[test]
fn no_scenario_breaks_a_promise_of_safety() {
    let outcomes = make_all(&runs(&Scenario::ALL, Scenario::ALL.len()), |_| ());
    assert_eq!(outcomes.len(), Scenario::ALL.len());
    let broken: Vec<String> = outcomes
        .iter()
        .flat_map(|o| o.broken.iter().map(move |broken| format!("{}: {broken}", o.replay())))
        .collect();
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_seed_leaves_the_same_trace_twice_and_another_seed_another() {
    let hash = |seed| make(Run { scenario: Scenario::RegionLoss, seed }, &Trace::new()).hash;
    let first = hash(2);
    assert_eq!(first, hash(2));
    assert_ne!(first, hash(3));
}
