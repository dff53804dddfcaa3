//! Whatever happens to who tells and to who hears: everything is told, in order, under one id.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::collections::BTreeMap;

use sealane::workset::State::{Complete, Error, InProgress};
use serde_json::{Value, json};
use world::{
    EAST, EU, WEST,
    faults::Fault,
    town::{LIMS, OPS, Town},
};

fn one() -> String {
    format!("[{LIMS}]")
}

fn both() -> String {
    format!("[{LIMS}, {OPS}]")
}

#[test]
fn each_target_hears_what_it_listens_to_once_and_in_order() {
    let mut town = Town::telling(&both());
    town.walk("ws-001", &[InProgress, Error]);
    town.walk("ws-002", &[InProgress]);
    let told = town.tick(WEST).unwrap();
    assert_eq!((&told["NotificationsTold"], &told["NotificationsWaiting"]), (&json!(6.0), &json!(0.0)));
    let lims = town.heard("lims.example.com");
    let of = |id: &str| lims.iter().filter(|told| told.starts_with(id)).cloned().collect::<Vec<_>>();
    assert_eq!(of("ws-001"), ["ws-001 1", "ws-001 2", "ws-001 3"]);
    assert_eq!(of("ws-002"), ["ws-002 1", "ws-002 2"]);
    assert_eq!(town.heard(":ops"), ["ws-001 3"]);
    assert_eq!(town.tick(WEST).unwrap()["NotificationsTold"], json!(0.0));
    assert_eq!(town.receivers.heard().len(), 6, "nothing is told twice");
    let (_, _, body) = &town.receivers.heard()[0];
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&event["type"], &event["data"]["to"]), (&json!("sealane.workset.state"), &json!("ready")));
}

/// A run that dies or hears no answer, at whatever call: the next ones tell what is left. Only what was
/// under way may be told twice, and then in the same words under the same id.
#[test]
fn whatever_a_run_dies_at_everything_is_told() {
    for fault in Fault::ALL {
        for at in 0.. {
            let mut town = Town::telling(&both());
            town.tick(WEST).unwrap();
            town.walk("ws-001", &[InProgress, Error]);
            town.walk("ws-002", &[InProgress]);
            town.switch(WEST, true);
            town.world.script.plan(at, fault);
            let _died = town.try_tick(WEST);
            let happened = town.world.script.happened();
            town.world.script.heal();
            for _ in 0..4 {
                town.tick(WEST);
            }
            let mut lims = town.heard("lims.example.com");
            let first: Vec<_> = lims.iter().filter(|told| told.starts_with("ws-001")).cloned().collect();
            assert_eq!(first, ["ws-001 1", "ws-001 2", "ws-001 3"], "{fault:?} at call {at}");
            lims.sort();
            let moves = ["failover:2:ended", "failover:2:switched"];
            let worksets = ["ws-001 1", "ws-001 2", "ws-001 3", "ws-002 1", "ws-002 2"];
            assert_eq!(lims, [&moves[..], &worksets].concat(), "{fault:?} at call {at}");
            let mut ops = town.heard(":ops");
            ops.sort();
            assert_eq!(
                ops,
                ["failover:2:ended", "failover:2:switched", "ws-001 3"],
                "{fault:?} at call {at}"
            );
            for target in ["lims", "ops"] {
                assert_eq!(town.left(target), (vec![], vec![]), "{fault:?} at call {at}");
            }
            let mut bodies: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (_, id, body) in town.receivers.heard() {
                bodies.entry(id).or_default().push(body);
            }
            assert!(bodies.values().all(|said| said.iter().all(|body| *body == said[0])));
            if !happened {
                assert!(at > 30, "{at}");
                break;
            }
        }
    }
}

#[test]
fn who_fails_is_told_again_later_and_holds_back_its_own_line_only() {
    let mut town = Town::telling(&one());
    town.walk("ws-001", &[InProgress]);
    town.walk("ws-002", &[InProgress]);
    town.receivers.answer("ws-001:1:", &[500, 503]);
    let told = town.tick(WEST).unwrap();
    assert_eq!((&told["NotificationsTold"], &told["NotificationFailures"]), (&json!(2.0), &json!(1.0)));
    assert_eq!(town.heard("lims"), ["ws-002 1", "ws-002 2"], "the other line goes on");
    assert_eq!(town.left("lims").0.len(), 2, "what comes after it waits with it");
    for _ in 0..3 {
        town.tick(WEST);
    }
    assert_eq!(town.heard("lims"), ["ws-002 1", "ws-002 2", "ws-001 1", "ws-001 2"]);
    assert_eq!(town.left("lims"), (vec![], vec![]));
}

#[test]
fn what_is_refused_is_parked_with_its_reason_and_holds_nothing_back() {
    let mut town = Town::telling(&one());
    town.walk("ws-001", &[InProgress]);
    town.receivers.answer("ws-001:1:", &[410]);
    let told = town.tick(WEST).unwrap();
    assert_eq!((&told["NotificationsParked"], &told["NotificationsWaiting"]), (&json!(1.0), &json!(0.0)));
    assert_eq!(town.heard("lims"), ["ws-001 2"]);
    town.tick(WEST);
    assert_eq!(town.left("lims").1.len(), 1, "it stays listed");
    assert_eq!(town.heard("lims"), ["ws-001 2"], "and is not told by itself");
}

#[test]
fn who_never_hears_is_given_up_on_in_the_end_and_nothing_is_lost() {
    let mut town = Town::telling(&one());
    town.walk("ws-001", &[]);
    town.receivers.answer("ws-001", &[500; 99]);
    for _ in 0..40 {
        town.tick(WEST);
    }
    let (waiting, parked) = town.left("lims");
    assert_eq!((waiting.len(), parked.len()), (0, 1), "parked after `notifications.attempts_max` tries");
    assert_eq!(town.receivers.heard(), []);
}

/// Every line of a target fails: a run asks a few times and leaves the rest for the next.
#[test]
fn a_target_that_is_down_costs_a_few_tries_a_run() {
    let mut town = Town::telling(&one());
    for n in 0..60 {
        town.walk(&format!("ws-{n:03}"), &[]);
    }
    town.receivers.answer("workset", &[503; 999]);
    let told = town.tick(WEST).unwrap();
    assert!(told["NotificationFailures"].as_f64().unwrap() <= 10.0, "{told}");
    assert_eq!(town.left("lims").0.len(), 60);
    town.receivers.answer("workset", &[]);
    for _ in 0..3 {
        town.tick(WEST);
    }
    assert_eq!(town.heard("lims").len(), 60);
}

#[test]
fn only_the_region_that_is_active_tells() {
    let mut town = Town::telling(&one());
    town.walk("ws-001", &[InProgress]);
    for other in [EAST, EU] {
        assert_eq!(town.tick(other), None);
    }
    assert_eq!(town.receivers.heard(), []);
    town.switch(EAST, false);
    assert_eq!(town.tick(WEST), None, "it has been left");
    town.tick(EAST).unwrap();
    assert_eq!(town.heard("lims"), ["ws-001 1", "ws-001 2"]);
}

/// The region that was active may not know yet that it was left: both tell, under one id.
#[test]
fn two_that_tell_at_once_say_the_same() {
    let mut town = Town::telling(&one());
    town.walk("ws-001", &[InProgress, Complete]);
    let asked = town.world.script.count();
    town.tick(WEST).unwrap();
    let calls = town.world.script.count() - asked;
    for at in 0..calls {
        let mut town = Town::telling(&one());
        town.walk("ws-001", &[InProgress, Complete]);
        town.world.script.plan(at, Fault::CrashBefore);
        let _stopped = town.try_tick(WEST);
        town.world.script.heal();
        town.switch(EAST, false);
        town.tick(EAST).unwrap();
        let mut heard = town.heard("lims");
        heard.retain(|told| told.starts_with("ws-001"));
        assert_eq!(heard, ["ws-001 1", "ws-001 2", "ws-001 3"], "at call {at}");
    }
}

#[test]
fn a_move_is_told_when_it_happened_and_again_when_it_ended() {
    let town = Town::telling(&one());
    town.tick(WEST).unwrap();
    assert_eq!(town.receivers.heard(), [], "what was before is no news");
    town.switch(EAST, false);
    town.tick(EAST).unwrap();
    assert_eq!(town.heard("lims"), ["failover:2:switched"]);
    town.switch(WEST, false);
    town.tick(WEST).unwrap();
    let record = town.record();
    town.end(&record, EAST.parse().unwrap());
    town.tick(WEST).unwrap();
    assert_eq!(town.heard("lims"), ["failover:2:switched", "failover:3:switched", "failover:3:ended"]);
}

#[test]
fn a_secret_that_is_missing_costs_no_tries_and_loses_nothing() {
    let mut town = Town::telling(&both());
    town.walk("ws-001", &[InProgress, Error]);
    let secrets = std::mem::take(&mut town.secrets);
    let told = town.tick(WEST).unwrap();
    assert_eq!((&told["NotificationFailures"], &told["NotificationsWaiting"]), (&json!(0.0), &json!(3.0)));
    assert_eq!(town.heard(":ops"), ["ws-001 3"], "others hear");
    town.secrets = secrets;
    town.tick(WEST);
    assert_eq!(town.heard("lims").len(), 3);
}

#[test]
fn where_nobody_is_told_no_call_is_made() {
    let mut quiet = Town::telling("[]");
    quiet.walk("ws-001", &[InProgress]);
    let before = quiet.world.script.count();
    assert_eq!(quiet.tick(WEST), None);
    let with = quiet.world.script.count() - before;
    quiet.world.sweep(WEST);
    assert_eq!(quiet.world.script.count() - before, 2 * with, "as many as a sweep alone");
}
