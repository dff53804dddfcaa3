//! Every sample event of this function goes through it.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use upload_orchestrator::Answer;
use world::{WEST, World};

const PREFIX: &str = "upload-orchestrator-";

fn samples() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let named = files.filter_map(|path| {
        let name = path.file_stem()?.to_str()?.strip_prefix(PREFIX)?.to_owned();
        Some((name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()))
    });
    named.collect()
}

/// The keys that the messages are about; each is put before the message is delivered.
const KEYS: [&str; 4] = [
    "run-0042/manifest.json",
    "run-0042/Südhang/lane 1+2 (final).fastq.gz",
    "run-0042/reads.tar.zst",
    "run-0042/qc/report.html",
];

#[test]
fn each_sample_has_its_outcome() {
    // How many messages the queue keeps; `None` for the tick.
    let expected = BTreeMap::from([
        ("duplicate", Some(0)),
        ("eventbridge", Some(0)),
        ("foreign-source", Some(1)),
        ("malformed-body", Some(1)),
        ("s3-encoded-key", Some(0)),
        ("s3-multipart", Some(0)),
        ("s3-put", Some(0)),
        ("s3-test-event", Some(0)),
        ("sns-wrapped", Some(0)),
        ("sweep-schedule", None),
        ("two-records", Some(0)),
    ]);
    let samples = samples();
    assert_eq!(
        samples.keys().map(String::as_str).collect::<Vec<_>>(),
        expected.keys().copied().collect::<Vec<_>>()
    );
    for (name, event) in &samples {
        let world = World::new();
        for key in KEYS {
            world.put(WEST, key, b"x", &[]);
        }
        let reply = world.invoke(WEST, event).unwrap().unwrap();
        match (&reply.answer, expected[name.as_str()]) {
            (Answer::Batch(outcome), Some(kept)) => {
                let ids: Vec<_> = event["Records"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|r| r["messageId"].as_str().unwrap())
                    .collect();
                let told: Vec<_> =
                    outcome.batch_item_failures.iter().map(|i| i.item_identifier.as_str()).collect();
                assert_eq!(told.len(), kept, "{name}");
                assert!(told.iter().all(|id| ids.contains(id)), "{name}");
            }
            (Answer::Sweep(sweep), None) => assert_eq!(sweep.owed, 0, "{name}"),
            (answer, _) => panic!("{name}: {answer:?}"),
        }
    }
}

#[test]
fn the_reply_to_a_poisoned_batch_has_the_exact_form() {
    let reply = World::new().invoke(WEST, &samples()["malformed-body"]).unwrap().unwrap();
    let json = serde_json::to_string(&reply.answer).unwrap();
    assert_eq!(json, r#"{"batchItemFailures":[{"itemIdentifier":"1902e3d6-fc4e-48a0-acc5-0ba12b882769"}]}"#);
}
