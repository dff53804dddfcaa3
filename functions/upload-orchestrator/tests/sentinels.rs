//! Whatever becomes of who shows it: in the end a bucket shows of each workset what the table says.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use sealane::{
    ports::Objects as _,
    workset::State::{self, Archived, Complete, Deleted, Error, Failed, InProgress, Ready, Retrying},
};
use serde_json::json;
use world::{
    ALL, EAST, EU, WEST, bucket,
    faults::Fault,
    town::{LIMS, Town, by, moved},
};

/// The sentinels that stand below `prefix` in the bucket of `name`.
fn standing(town: &Town, name: &str, prefix: &str) -> Vec<String> {
    let begin = format!("{prefix}/daylily.");
    let listed = town.world.objects(name).list_versions(&begin, None, 1_000).now_or_never().unwrap().unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut standing = Vec::new();
    for version in listed.entries {
        let short = version.key[begin.len()..].to_owned();
        if !seen.contains(&short) && !version.is_marker {
            standing.push(short.clone());
        }
        seen.push(short);
    }
    standing
}

/// A town in which the workset `ws-001` of the tenant `lab` lies in the west.
fn town() -> Town {
    let mut town = Town::of(&format!("[{LIMS}]"), "own");
    town.register("ws-001", &bucket(WEST), "lab/run-1");
    town
}

/// Ticks until each look and its second one are over.
fn calm(town: &Town) {
    for _ in 0..3 {
        town.tick(WEST);
    }
    for _ in 0..2 {
        town.world.pass(Duration::from_secs(16 * 60));
        town.tick(WEST);
    }
}

#[test]
fn each_state_is_shown_and_no_earlier_one() {
    let mut town = town();
    town.tick(WEST).unwrap();
    assert_eq!(standing(&town, WEST, "lab/run-1"), ["ready"]);
    let life: [(State, &[&str]); 8] = [
        (InProgress, &["in_progress"]),
        (Error, &["error"]),
        (Retrying, &["error"]),
        (Ready, &["ready"]),
        (InProgress, &["in_progress"]),
        (Complete, &["complete"]),
        (Archived, &["ignore"]),
        (Deleted, &[]),
    ];
    for (state, shown) in life {
        town.moves("ws-001", state);
        town.tick(WEST).unwrap();
        assert_eq!(standing(&town, WEST, "lab/run-1"), shown, "{state}");
    }
    let left = town.world.objects(WEST).list_versions("", None, 1_000).now_or_never().unwrap().unwrap();
    assert_eq!(left.entries, [], "nothing is left, not even versions");
    assert!([EAST, EU].iter().all(|name| standing(&town, name, "lab/run-1").is_empty()));
}

#[test]
fn what_a_sentinel_holds_is_for_people() {
    let mut town = town();
    town.tick(WEST).unwrap();
    assert_eq!(town.world.body(WEST, "lab/run-1/daylily.ready"), b"1970-01-01T00:00:10.000Z");
    town.moves("ws-001", InProgress);
    town.moves("ws-001", Error);
    town.tick(WEST).unwrap();
    let held = town.world.body(WEST, "lab/run-1/daylily.error");
    assert_eq!(String::from_utf8(held).unwrap(), "1970-01-01T00:00:30.000Z\ttransient: no reads");
}

/// A run that dies or hears no answer, at whatever call, and nobody makes another change.
#[test]
fn whatever_a_run_dies_at_the_right_sentinels_stand_and_everything_is_told() {
    for fault in Fault::ALL {
        for at in 0.. {
            let mut town = town();
            town.tick(WEST).unwrap();
            town.moves("ws-001", InProgress);
            town.moves("ws-001", Complete);
            town.world.script.plan(at, fault);
            let _died = town.try_tick(WEST);
            let happened = town.world.script.happened();
            town.world.script.heal();
            calm(&town);
            assert_eq!(standing(&town, WEST, "lab/run-1"), ["complete"], "{fault:?} at call {at}");
            assert_eq!(town.heard("lims"), ["ws-001 1", "ws-001 2", "ws-001 3"], "{fault:?} at call {at}");
            assert_eq!(town.left("sentinels-us-west-2"), (vec![], vec![]), "{fault:?} at call {at}");
            if !happened {
                assert!(at > 25, "{at}");
                break;
            }
        }
    }
}

/// Before any call of a run, the workset moves on and another run shows that; then the first one goes on,
/// or dies at any later call.
#[test]
fn a_run_that_is_late_leaves_nothing_of_an_earlier_state() {
    for late in 0.. {
        let mut came = true;
        for dies in (0..).map(|more: usize| more.checked_sub(1)) {
            let mut town = town();
            town.tick(WEST).unwrap();
            town.moves("ws-001", InProgress);
            let (table, other) = (town.table(), town.other(WEST));
            let script = Arc::clone(&town.world.script);
            town.world.script.meanwhile(late, move || {
                moved(&table, "ws-001", Complete, &by(99));
                assert!(other(), "the other run ends");
                if let Some(more) = dies {
                    script.plan(more, Fault::CrashBefore);
                }
            });
            let _died = town.try_tick(WEST);
            came = town.world.script.came();
            let happened = town.world.script.happened();
            town.world.script.heal();
            calm(&town);
            let expected = if came { "complete" } else { "in_progress" };
            assert_eq!(standing(&town, WEST, "lab/run-1"), [expected], "late at {late}, dies at {dies:?}");
            if !came || dies.is_some() && !happened {
                break;
            }
        }
        if !came {
            assert!(late > 15, "{late}");
            break;
        }
    }
}

#[test]
fn a_bucket_that_is_away_is_waited_for_and_holds_back_no_other() {
    let mut town = town();
    town.register("ws-002", &bucket(EAST), "lab/run-2");
    town.world.cut(WEST, true);
    for _ in 0..8 {
        town.world.pass(Duration::from_secs(3_600));
        let told = town.tick(WEST).unwrap();
        assert_eq!(told["NotificationsParked"], json!(0.0), "an outage is no reason to give up");
    }
    assert_eq!(town.heard("lims").len(), 2);
    assert_eq!(standing(&town, EAST, "lab/run-2"), ["ready"]);
    let told = town.tick(WEST).unwrap();
    assert_eq!(told["NotificationsWaiting"], json!(1.0));
    assert!(told["OldestNotificationAge"].as_f64().unwrap() > 7.0 * 3_600.0, "it shows that it waits");
    town.world.cut(WEST, false);
    town.world.pass(Duration::from_secs(3_600));
    town.tick(WEST);
    assert_eq!(standing(&town, WEST, "lab/run-1"), ["ready"]);
}

#[test]
fn a_bucket_of_no_region_is_parked_with_its_reason() {
    let mut town = Town::of(&format!("[{LIMS}]"), "any");
    town.walk("ws-001", &[InProgress]);
    let told = town.tick(WEST).unwrap();
    assert_eq!((&told["NotificationsParked"], &told["NotificationsTold"]), (&json!(2.0), &json!(2.0)));
    let name = "sentinels-elsewhere".parse().unwrap();
    let parked = town.notices().parked(&name, 9).now_or_never().unwrap().unwrap();
    let why = parked.rows[0].value.why.clone().unwrap();
    assert!(why.starts_with("`my-bucket` is the bucket of no region"), "{why}");
    assert_eq!(town.heard("lims"), ["ws-001 1", "ws-001 2"]);
}

#[test]
fn a_prefix_of_another_tenant_shows_nothing_unless_any_may() {
    for (setting, shown) in [("own", &[][..]), ("any", &["ready"])] {
        let mut town = Town::of("[]", setting);
        town.register("ws-001", &bucket(WEST), "other/run-1");
        calm(&town);
        assert_eq!(standing(&town, WEST, "other/run-1"), shown, "{setting}");
        assert_eq!(town.tick(WEST).unwrap()["NotificationsWaiting"], json!(0.0));
    }
}

/// A lock ends without an event.
#[test]
fn a_lock_is_shown_while_it_is_held() {
    let mut town = town();
    town.lock("ws-001");
    town.moves("ws-001", InProgress);
    town.tick(WEST).unwrap();
    assert_eq!(standing(&town, WEST, "lab/run-1"), ["in_progress", "lock"]);
    for _ in 0..3 {
        town.world.pass(Duration::from_secs(16 * 60));
        town.tick(WEST);
        assert_eq!(standing(&town, WEST, "lab/run-1"), ["in_progress", "lock"]);
    }
    for _ in 0..2 {
        town.world.pass(Duration::from_secs(16 * 60));
        town.tick(WEST);
    }
    assert_eq!(standing(&town, WEST, "lab/run-1"), ["in_progress"]);
    assert_eq!(town.left("sentinels-us-west-2"), (vec![], vec![]), "nothing is looked at any more");
}

#[test]
fn what_others_put_there_is_taken_away_or_left_as_the_table_says() {
    let mut town = town();
    for name in ["complete", "ready", "in_progress", "other"] {
        town.world.put(WEST, &format!("lab/run-1/daylily.{name}"), b"mine", &[]);
        town.world.put(WEST, &format!("lab/run-1/daylily.{name}"), b"mine again", &[]);
    }
    town.world.put(WEST, "lab/run-1/reads.fastq", b"ACGT", &[]);
    town.tick(WEST).unwrap();
    assert_eq!(standing(&town, WEST, "lab/run-1"), ["other", "ready"]);
    assert_eq!(town.world.body(WEST, "lab/run-1/daylily.ready"), b"mine again");
    assert_eq!(town.world.body(WEST, "lab/run-1/reads.fastq"), b"ACGT");
    town.moves("ws-001", InProgress);
    town.tick(WEST).unwrap();
    assert_eq!(standing(&town, WEST, "lab/run-1"), ["in_progress", "other"]);
}

/// A copy of a sentinel would stand in the other regions for ever, since deletes are not replicated.
#[test]
fn sentinels_are_not_copied_and_without_the_setting_they_are_objects_like_any() {
    for (setting, copies) in [("own", 0), ("off", 1)] {
        let mut town = Town::of("[]", setting);
        town.world.policy.inventory_pages = 10;
        let key = "lab/run-1/daylily.ready";
        for key in [key, "lab/run-1/reads.fastq"] {
            town.world.put(WEST, key, b"here", &[]);
        }
        let events = [key, "lab/run-1/reads.fastq"].map(|key| town.world.event(WEST, key));
        for event in &events {
            let _reply = town.world.invoke(WEST, event);
        }
        for _ in 0..3 {
            town.world.pass(Duration::from_secs(1_200));
            for name in ALL {
                let _swept = town.world.sweep(name);
            }
        }
        for name in [EAST, EU] {
            assert_eq!(town.world.versions(name, key), copies, "{setting} in {name}");
            assert_eq!(town.world.versions(name, "lab/run-1/reads.fastq"), 1, "{setting} in {name}");
        }
    }
}

#[test]
fn whoever_becomes_active_goes_on_with_what_was_left() {
    let mut town = town();
    town.world.cut(WEST, true);
    town.tick(WEST).unwrap();
    town.moves("ws-001", InProgress);
    town.moves("ws-001", Error);
    town.moves("ws-001", Failed);
    town.switch(EAST, true);
    town.tick(EAST).unwrap();
    town.world.cut(WEST, false);
    town.world.pass(Duration::from_secs(3_600));
    town.tick(EAST).unwrap();
    assert_eq!(standing(&town, WEST, "lab/run-1"), ["error"]);
    assert_eq!(town.tick(WEST), None);
}
