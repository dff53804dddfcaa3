//! What must come, on runs in which it came and on runs in which it did not.

use std::collections::{BTreeMap, BTreeSet};

use sealane::{failover::Record, time::Timestamp};

use super::*;
use crate::{
    cloud::{self, Place},
    measure::{Extent, Outage, Shown, Truth, Written},
    scenario::{Crowd, Must, Watched},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn west() -> RegionName {
    "us-west-2".parse().unwrap()
}

fn east() -> RegionName {
    "us-east-1".parse().unwrap()
}

/// Four requests a second of each kind: objects go to both regions in turn, writes to the first.
fn quiet() -> Evidence {
    let asked = (0..360_u64).flat_map(|i| {
        let at = Duration::from_millis(i * 250);
        let ask = |wanted, to| Asked { at, by: Place::Client(0), wanted, sent_to: Some(to) };
        let object = if i % 2 == 0 { west() } else { east() };
        [ask(Wanted::ObjectWrite, object), ask(Wanted::Primary, west())]
    });
    Evidence {
        config: cloud::config(&serde_json::Value::Null),
        truth: Truth::default(),
        since: s(40),
        ended: s(90),
        records: vec![Written { at: s(1), record: Record::first(west(), Timestamp::default()) }],
        accounts: Vec::new(),
        rulings: Vec::new(),
        asked: asked.collect(),
        acknowledged: Vec::new(),
        held: BTreeMap::new(),
        unreplicated: BTreeMap::new(),
        shown: Shown::default(),
        entries: Vec::new(),
        reads: Vec::new(),
        histories: BTreeMap::new(),
        spoke: BTreeMap::new(),
    }
}

fn plan(must: Must) -> Plan {
    let lacks = vec![Capability::TableWrite];
    let watched = Watched { region: west(), lacks: lacks.clone(), calls: lacks, leaves: BTreeSet::new() };
    Plan {
        acts: Vec::new(),
        since: s(40),
        ends: s(90),
        watched: Some(watched),
        must,
        timed: true,
        doubles: None,
        crowd: Crowd::Routers,
    }
}

fn stays() -> Plan {
    plan(Must { stays: [Wanted::Primary, Wanted::ObjectWrite].into(), ..Must::stay() })
}

/// The requests for `wanted` from 60 s on, and where they go instead.
fn send(run: &mut Evidence, wanted: Wanted, to: impl Fn(usize) -> RegionName) {
    let late = run.asked.iter_mut().filter(|a| a.wanted == wanted && a.at >= s(60));
    late.enumerate().for_each(|(i, a)| a.sent_to = Some(to(i)));
}

#[test]
fn traffic_that_stays_is_not_missed() {
    assert_eq!(unmet(&stays(), &quiet()), Vec::<String>::new());
}

#[test]
fn one_answer_that_names_another_primary_is_found() {
    let mut run = quiet();
    run.asked.iter_mut().rfind(|a| a.wanted == Wanted::Primary && a.at == s(70)).unwrap().sent_to =
        Some(east());
    let found = unmet(&stays(), &run);
    assert_eq!(found, ["us-east-1 was named as the primary at 70s, and nothing was wrong with us-west-2"]);
}

#[test]
fn objects_that_leave_a_region_whose_bucket_works_are_found() {
    let mut run = quiet();
    send(&mut run, Wanted::ObjectWrite, |i| if i % 3 == 0 { west() } else { east() });
    assert_eq!(unmet(&stays(), &run), Vec::<String>::new(), "a third is more than half of a half");
    send(&mut run, Wanted::ObjectWrite, |i| if i % 5 == 0 { west() } else { east() });
    assert_eq!(unmet(&stays(), &run), ["objects left us-west-2, and nothing was wrong with its bucket"]);
    run.truth.outages = vec![Outage { region: west(), extent: Extent::OBJECTS, from: s(40), until: None }];
    assert_eq!(unmet(&stays(), &run), Vec::<String>::new(), "its bucket was lost");
}

#[test]
fn a_slow_region_that_is_not_relieved_is_found() {
    let plan = plan(Must { eased: true, ..Must::stay() });
    let mut run = quiet();
    assert_eq!(unmet(&plan, &run), ["no live controller's verdict called us-west-2 degraded"]);
    run.shown.degraded = Some(s(50));
    assert_eq!(unmet(&plan, &run), ["us-west-2 was degraded and kept its share of the objects"]);
    send(&mut run, Wanted::ObjectWrite, |_| east());
    assert_eq!(unmet(&plan, &run), Vec::<String>::new());
}

/// West is left for east at 50 s, for being down.
fn left_at_50() -> Evidence {
    let mut run = quiet();
    let first = run.records[0].record.clone();
    let reason = Reason::Down { region: west(), capability: Capability::TableWrite };
    let record = Record { version: 2, epoch: 2, active: east(), reason, ..first };
    run.records.push(Written { at: s(50), record });
    run
}

#[test]
fn a_move_before_the_verdict_that_calls_for_it_is_found_and_never_a_switch_of_no_time() {
    let plan = plan(Must { moves: 1..=1, ..Must::stay() });
    let mut run = left_at_50();
    let early = Some("work left at 50s, before any verdict that calls for it".to_owned());
    assert_eq!(uncalled(&plan, &run), early);
    run.shown.detected = Some(s(52));
    assert_eq!(uncalled(&plan, &run), early);
    run.shown.detected = Some(s(51));
    assert_eq!((uncalled(&plan, &run), noticed(&plan, &run)), (None, Some(s(50))), "between two looks");
    run.shown.detected = Some(s(48));
    assert_eq!((uncalled(&plan, &run), noticed(&plan, &run)), (None, Some(s(48))));
}
