//! What comes of events and sweeps, in quiet times and in outages.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use futures::FutureExt as _;
use sealane::{
    ports::{Key, Objects as _, Row, Rows as _, When},
    replication::{META_ORIGIN, META_REGIONS, META_UPLOAD, ObjectId},
};
use serde_json::json;
use upload_orchestrator::Answer;
use world::{
    ALL, EAST, EU, WEST, World, assert_one_copy_everywhere, batch, bucket, faults::Fault, mark, message,
    region, tick,
};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_plain_object_is_copied_once_to_each_other_region_however_often_its_event_comes() {
    let world = World::new();
    world.put(WEST, "a/b c.txt", b"hello", &[("owner", "ada")]);
    let event = world.event(WEST, "a/b c.txt");
    for _ in 0..3 {
        assert_eq!(world.deliver(WEST, &event), [""; 0]);
    }
    world.deliver(WEST, &batch(&[event["Records"][0].clone(), event["Records"][0].clone()]));
    assert_one_copy_everywhere(&world, "a/b c.txt", b"hello");
    let copy = world.objects(EU).head("a/b c.txt", None).now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(copy.attributes.content_type.as_deref(), Some("text/plain"));
    assert_eq!(copy.attributes.metadata["owner"], "ada");
    assert_eq!(copy.attributes.metadata[META_ORIGIN], mark("a/b c.txt", WEST, "v1", EU));
}

#[test]
fn copies_raise_no_copies() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    for name in ALL {
        assert_eq!(world.deliver(name, &world.event(name, "k")), [""; 0]);
    }
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn an_empty_object_is_copied() {
    let world = World::new();
    world.put(WEST, "k", b"", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_one_copy_everywhere(&world, "k", b"");
}

#[test]
fn what_an_upload_lacks_is_paid_by_one_of_its_holders() {
    let world = World::new();
    world.upload(&[EAST, EU], "run.tar", b"data");
    for name in [EU, EAST] {
        assert_eq!(world.deliver(name, &world.event(name, "run.tar")), [""; 0]);
    }
    assert_one_copy_everywhere(&world, "run.tar", b"data");
    let (ledger, object) = (world.ledger(), ObjectId::of_upload("u-1"));
    let rows = ledger.of_object(&object).now_or_never().unwrap().unwrap();
    let paid: Vec<_> = rows.iter().map(|row| (row.value.source.region, row.value.destination)).collect();
    // The lanes that the uploader fed itself are written down, too.
    let pays = |to| (region(EAST), region(to));
    assert_eq!(paid, [pays(EU), pays(EAST), pays(WEST)]);
}

#[test]
fn a_lane_that_ends_within_the_grace_is_found_and_not_copied() {
    let mut world = World::new();
    world.policy.upload_grace = Duration::from_secs(20);
    world.upload(&[WEST, EAST], "run.tar", b"data");
    world.deliver(WEST, &world.event(WEST, "run.tar"));
    assert_eq!(world.versions(EU, "run.tar"), 0);
    world.upload(&[EU], "run.tar", b"data");
    world.pass(MINUTE);
    let sweep = world.sweep(WEST);
    assert_eq!((sweep.found, sweep.copied, sweep.owed), (1, 0, 0));
    assert_one_copy_everywhere(&world, "run.tar", b"data");
}

#[test]
fn a_region_that_is_cut_is_owed_and_paid_by_the_first_sweep_after() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"x", &[]);
    assert_eq!(world.deliver(WEST, &world.event(WEST, "k")), [""; 0]);
    assert_eq!(world.versions(EAST, "k"), 1);
    for _ in 0..20 {
        world.pass(MINUTE);
        assert_eq!(world.sweep(WEST).owed, 1);
    }
    world.cut(EU, false);
    world.pass(MINUTE);
    let sweep = world.sweep(WEST);
    assert_eq!((sweep.copied, sweep.owed, sweep.oldest_age_s), (1, 0, 0));
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn a_region_that_is_down_is_asked_once_a_sweep() {
    let world = World::new();
    world.cut(EU, true);
    for i in 0..30 {
        let key = format!("k{i}");
        world.put(WEST, &key, b"x", &[]);
        world.deliver(WEST, &world.event(WEST, &key));
    }
    world.pass(MINUTE);
    let sweep = world.sweep(WEST);
    assert_eq!((sweep.failed, sweep.owed), (1, 30));
    assert_eq!(sweep.oldest_age_s, 60);
    world.cut(EU, false);
    world.pass(MINUTE);
    assert_eq!(world.sweep(WEST).copied, 30);
}

#[test]
fn a_drained_region_is_owed_and_not_paid() {
    let mut world = World::new();
    world.config.regions[2].offline = true;
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_eq!((world.versions(EAST, "k"), world.versions(EU, "k")), (1, 0));
    assert_eq!(world.sweep(WEST).owed, 1);
    world.config.regions[2].offline = false;
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn a_source_or_a_ledger_that_does_not_answer_keeps_the_message() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    let event = world.event(WEST, "k");
    world.cut(WEST, true);
    assert_eq!(world.deliver(WEST, &event), ["m-1"]);
    world.cut(WEST, false);
    // Without time to ask again.
    world.script.plan(1, Fault::SilenceBefore);
    let reply = world.invoke_for(WEST, &event, Duration::from_secs(60)).unwrap().unwrap();
    assert!(matches!(reply.answer, Answer::Batch(outcome) if outcome.batch_item_failures.len() == 1));
    assert_eq!(world.deliver(WEST, &event), [""; 0]);
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn what_one_more_question_finds_out_does_not_bring_a_message_nearer_to_its_death() {
    for fault in [Fault::SilenceBefore, Fault::SilenceAfter] {
        for at in 0.. {
            let world = World::new();
            world.put(WEST, "k", b"x", &[]);
            world.script.plan(at, fault);
            assert_eq!(world.deliver(WEST, &world.event(WEST, "k")), [""; 0], "{fault:?} at call {at}");
            if !world.script.happened() {
                assert!(at >= 5, "{at} calls");
                break;
            }
            world.settle();
            assert_one_copy_everywhere(&world, "k", b"x");
        }
    }
}

#[test]
fn one_bad_message_keeps_no_other_back() {
    let world = World::new();
    world.put(WEST, "good", b"x", &[]);
    world.put(WEST, "bad", b"x", &[("sealane-upload", "no regions")]);
    let poison = json!({"messageId": "m-2", "eventSource": "aws:sqs", "body": "{"});
    let good = world.event(WEST, "good")["Records"][0].clone();
    let foreign = message("m-4", EU, "good", "v1");
    let event = batch(&[message("m-3", WEST, "bad", "v2"), poison, foreign, good]);
    assert_eq!(world.deliver(WEST, &event), ["m-3", "m-2", "m-4"]);
    assert_one_copy_everywhere(&world, "good", b"x");
}

#[test]
fn a_damaged_copy_is_found_out_and_made_again() {
    let world = World::new();
    world.script.damage.store(1, SeqCst);
    world.put(WEST, "k", b"hello", &[]);
    assert_eq!(world.deliver(WEST, &world.event(WEST, "k")), [""; 0]);
    let owed = world.owed();
    assert_eq!(owed.len(), 1);
    assert!(owed[0].to_string().contains("it holds other bytes"), "{}", owed[0]);
    world.settle();
    assert!(ALL.iter().all(|name| world.body(name, "k") == b"hello"));
}

#[test]
fn bytes_that_differ_under_equal_checksums_are_found_out() {
    let world = World::new();
    *world.script.rotten.lock().unwrap() = Some(bucket(EU));
    world.put(WEST, "k", b"hello", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_eq!(world.owed().len(), 1);
    assert!(world.owed()[0].to_string().contains("bytes 0 to 5 differ"), "{}", world.owed()[0]);
}

#[test]
fn without_checksums_both_are_read_and_compared() {
    let world = World::new();
    world.script.hide_sums.store(true, SeqCst);
    world.put(WEST, "k", b"hello", &[]);
    for _ in 0..2 {
        world.deliver(WEST, &world.event(WEST, "k"));
    }
    assert_one_copy_everywhere(&world, "k", b"hello");
    world.put(WEST, "l", b"hello", &[]);
    world.script.damage.store(2, SeqCst);
    world.deliver(WEST, &world.event(WEST, "l"));
    assert_eq!(world.owed().len(), 2);
}

#[test]
fn what_was_deleted_is_not_brought_back() {
    let world = World::new();
    assert_eq!(world.deliver(WEST, &batch(&[message("m", WEST, "gone", "v9")])), [""; 0]);
    assert_eq!(world.owed(), []);
}

#[test]
fn the_newest_version_lies_on_top_whatever_the_order_of_events() {
    for order in [[0, 1], [1, 0]] {
        let world = World::new();
        world.put(WEST, "k", b"old", &[]);
        let old = world.event(WEST, "k");
        world.put(WEST, "k", b"new", &[]);
        let events = [old, world.event(WEST, "k")];
        for i in order {
            world.deliver(WEST, &events[i]);
        }
        assert!(ALL.iter().all(|name| world.history(name, "k") == ["old", "new"]));
        assert_eq!(world.owed(), []);
    }
}

#[test]
fn an_old_copy_that_was_written_late_gives_way() {
    let world = World::new();
    world.put(WEST, "k", b"old", &[]);
    let old = world.event(WEST, "k");
    // The worker dies between its copy into the first region and the proof.
    world.script.plan(7, world::faults::Fault::CrashAfter);
    assert!(world.invoke(WEST, &old).is_none());
    world.put(WEST, "k", b"new", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    // Its copy lands late, on top of the new one.
    world.put(EU, "k", b"old", &[(META_ORIGIN, &mark("k", WEST, "v1", EU))]);
    world.pass(Duration::from_secs(600));
    world.settle();
    assert!(ALL.iter().all(|name| world.body(name, "k") == b"new"));
}

#[test]
fn an_older_version_goes_where_it_belongs_and_the_newer_one_nowhere_else() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"old", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.cut(EU, false);
    world.put(WEST, "k", b"new", &[(META_UPLOAD, "u-1"), (META_REGIONS, "us-west-2,us-east-1")]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.pass(MINUTE);
    world.settle();
    assert_eq!(
        (world.history(EU, "k"), world.history(EAST, "k")),
        (vec!["old".to_owned()], vec!["old".to_owned(), "new".to_owned()])
    );
}

#[test]
fn an_upload_on_top_of_an_older_version_has_its_grace() {
    let mut world = World::new();
    world.policy.upload_grace = Duration::from_secs(20);
    world.cut(EU, true);
    world.put(WEST, "k", b"old", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.cut(EU, false);
    world.upload(&[WEST], "k", b"new");
    world.deliver(WEST, &world.event(WEST, "k"));
    for (wait, copies) in [(10, 1), (20, 2)] {
        world.pass(Duration::from_secs(wait));
        world.sweep(WEST);
        assert_eq!(world.versions(EU, "k"), copies, "after {wait} s more");
    }
}

#[test]
fn the_claim_of_a_dead_worker_is_taken_over_when_it_expires() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    world.script.plan(6, world::faults::Fault::CrashBefore);
    let event = world.event(WEST, "k");
    assert!(world.invoke(WEST, &event).is_none());
    world.deliver(WEST, &event);
    assert_ne!(world.owed(), [], "the claim holds");
    world.pass(world.policy.lease);
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn a_claim_outlasts_a_proof_whose_reads_are_slow() {
    let world = World::new();
    world.slow_reads(world.policy.call_max);
    world.put(WEST, "k", &[7; 300_000], &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    assert_one_copy_everywhere(&world, "k", &[7; 300_000]);
}

#[test]
fn parts_that_are_there_are_not_copied_again() {
    let world = World::of_parts();
    let body: Vec<u8> = (0..13_000_000_u32).map(|i| i.to_le_bytes()[i as usize % 3]).collect();
    world.put(WEST, "big", &body, &[]);
    let mut died = 0;
    for at in [8, 12, 16] {
        world.script.plan(at, world::faults::Fault::CrashAfter);
        died += usize::from(world.invoke(WEST, &world.event(WEST, "big")).is_none());
        world.script.heal();
        world.pass(Duration::from_secs(600));
    }
    assert_eq!(died, 3);
    world.settle();
    assert_eq!(world.script.parts_copied.load(SeqCst), 6, "three parts for each of two regions");
    assert_one_copy_everywhere(&world, "big", &body);
    assert!(
        ALL.iter().all(|name| world.objects(name).unfinished() <= 1),
        "only an upload begun in a crash is left"
    );
}

#[test]
fn what_the_deadline_leaves_is_owed_and_the_message_is_done() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[]);
    let event = world.event(WEST, "k");
    let reply = world.invoke_for(WEST, &event, world.policy.margin).unwrap().unwrap();
    assert_eq!(serde_json::to_string(&reply.answer).unwrap(), r#"{"batchItemFailures":[]}"#);
    assert_eq!((world.owed().len(), world.versions(EU, "k")), (2, 0));
    world.settle();
    assert_one_copy_everywhere(&world, "k", b"x");
}

#[test]
fn a_row_that_nobody_can_read_keeps_no_other_back() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    let index = Some(Key::new("us-west-2#owed", "0000000000000"));
    let odd = Row { key: Key::new("odd", EU), version: 1, body: "{}".to_owned(), index, expires_s: None };
    world.table.write(&odd, When::Always).now_or_never().unwrap().unwrap();
    world.cut(EU, false);
    world.pass(MINUTE);
    assert_eq!(world.sweep(WEST).copied, 1);
}

#[test]
fn a_sweep_says_what_is_owed() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"x", &[]);
    world.deliver(WEST, &world.event(WEST, "k"));
    world.pass(MINUTE);
    let reply = world.invoke(WEST, &tick()).unwrap().unwrap();
    let line: serde_json::Value = serde_json::from_str(&reply.metrics[0]).unwrap();
    assert_eq!(line["Region"], WEST);
    assert_eq!((&line["OwedCopies"], &line["OldestUnreplicatedAge"]), (&json!(1.0), &json!(60.0)));
    assert_eq!(line["ReplicationFailures"], json!(1.0));
}

#[test]
fn copies_that_were_made_and_that_failed_are_counted_by_destination() {
    let world = World::new();
    world.cut(EU, true);
    world.put(WEST, "k", b"four", &[]);
    let reply = world.invoke(WEST, &world.event(WEST, "k")).unwrap().unwrap();
    let lines: Vec<serde_json::Value> =
        reply.metrics.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |region: &str, by: Option<&str>| {
        let found = |line: &&serde_json::Value| line["Region"] == region && line["By"] == json!(by);
        lines.iter().find(|line| found(line) && line.get("ReplicationFailures").is_none()).cloned().unwrap()
    };
    let by = Some("replication");
    assert_eq!(of(EAST, by)["UploadSuccess"], json!(1.0));
    assert!(of(EAST, by)["UploadThroughput"].as_f64().unwrap() > 0.0);
    assert_eq!(of(EU, by)["UploadFailure"], json!(1.0));
    assert!(of(EU, by).get("UploadSuccess").is_none());
    // The alarms of a region read what that region answers for: the copies that it makes.
    let own = |name: &str| lines.iter().any(|line| line["Region"] == WEST && line[name] == json!(1.0));
    assert!(own("UploadSuccess") && own("UploadFailure"), "{lines:?}");
}
