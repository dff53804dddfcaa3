//! The locks in every interleaving, and what they would be without their rules.
#![allow(clippy::print_stdout, reason = "the number of states is part of the result")]

use models::{
    Found, falsify,
    locks::{Flaw, Locks},
    search,
};

const ONE_HOLDER: &str = "no token has two holders";

fn holds(name: &str, model: Locks) {
    let Found { states, steps, depth, broken, impossible } = search(model);
    println!("{name}: {states} states, {steps} steps, {depth} deep");
    assert_eq!(broken, [], "{name}");
    assert_eq!(impossible, [""; 0], "{name}");
}

/// The steps that break `rule` between two workers with this flaw.
fn breaks(flaw: Flaw, rule: &'static str) {
    let Found { states, broken, .. } = falsify(Locks::new(flaw, &[0, 0], 3, 6), rule);
    let found = broken.iter().find(|(name, _)| *name == rule);
    println!("{flaw:?}: {found:?} after {states} states");
    assert!(found.is_some(), "{flaw:?} goes unnoticed");
}

#[test]
fn two_workers_with_one_time_keep_to_the_rules() {
    holds("2 workers", Locks::new(Flaw::None, &[0, 0], 3, 5));
}

#[test]
fn three_workers_keep_to_the_rules() {
    holds("3 workers", Locks::new(Flaw::None, &[0, 0, 0], 2, 3));
}

#[test]
fn a_clock_that_is_ahead_lets_nobody_write_after_a_later_holder() {
    holds("2 workers, one clock ahead", Locks::new(Flaw::None, &[0, 2], 3, 4));
}

#[test]
fn without_the_condition_a_token_has_two_holders() {
    breaks(Flaw::NoCondition, ONE_HOLDER);
}

#[test]
fn on_a_table_where_the_last_writer_wins_a_token_has_two_holders() {
    breaks(Flaw::LastWriterWins, ONE_HOLDER);
}

#[test]
fn without_the_fence_a_zombie_writes_after_its_successor() {
    breaks(Flaw::NoFence, "nobody writes after a later holder has");
}

#[test]
fn a_lock_stolen_early_is_noticed() {
    breaks(Flaw::StolenEarly, "a lock is not taken over before it expired");
}

#[test]
fn a_lock_that_takes_its_token_with_it_gives_the_token_to_two() {
    breaks(Flaw::TokensForgotten, ONE_HOLDER);
}
