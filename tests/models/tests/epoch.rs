//! The epoch in every interleaving, and what it would be without its rules.
#![allow(clippy::print_stdout, reason = "the number of states is part of the result")]

use models::{
    Found,
    epoch::{Epoch, Flaw},
    falsify, search_alike,
};

const ONE_ACTIVE: &str = "no epoch has two active regions";

fn holds(name: &str, model: Epoch) {
    let Found { states, steps, depth, broken, impossible } = search_alike(model, Epoch::representative);
    println!("{name}: {states} states, {steps} steps, {depth} deep");
    assert_eq!(broken, [], "{name}");
    assert_eq!(impossible, [""; 0], "{name}");
}

/// The steps that break `rule` in the failover of two controllers with this flaw.
fn breaks(flaw: Flaw, rule: &'static str) {
    let Found { states, broken, .. } = falsify(Epoch::failover(flaw, 2, 6), rule);
    let found = broken.iter().find(|(name, _)| *name == rule);
    println!("{flaw:?}: {found:?} after {states} states");
    assert!(found.is_some(), "{flaw:?} goes unnoticed");
}

#[test]
fn two_controllers_fail_over_by_the_rules() {
    holds("failover, 2 controllers", Epoch::failover(Flaw::None, 2, 8));
}

#[test]
fn three_controllers_fail_over_by_the_rules() {
    holds("failover, 3 controllers", Epoch::failover(Flaw::None, 3, 4));
}

#[test]
fn an_operator_who_asks_for_moves_breaks_no_rule() {
    holds("failover, 2 controllers and an operator", Epoch::failover(Flaw::None, 2, 6).with_operator());
}

#[test]
fn work_returns_by_the_rules() {
    holds("failback, 2 controllers", Epoch::failback(Flaw::None, 2, 14));
}

#[test]
fn without_the_condition_an_epoch_has_two_active_regions() {
    breaks(Flaw::NoCondition, ONE_ACTIVE);
    breaks(Flaw::NoCondition, "a plan made on an old record is not carried out");
}

#[test]
fn a_condition_on_the_version_of_the_moment_is_none() {
    breaks(Flaw::ConditionOfTheMoment, ONE_ACTIVE);
    breaks(Flaw::ConditionOfTheMoment, "a plan made on an old record is not carried out");
}

#[test]
fn on_a_table_where_the_last_writer_wins_an_epoch_has_two_active_regions() {
    breaks(Flaw::LastWriterWins, ONE_ACTIVE);
}

#[test]
fn an_epoch_that_is_not_raised_at_the_switch_has_two_active_regions() {
    breaks(Flaw::EpochNotRaised, ONE_ACTIVE);
}

#[test]
fn without_the_last_look_work_moves_into_a_region_that_is_down() {
    breaks(Flaw::NotRechecked, "work moves only into a region that the verdicts call up");
}
