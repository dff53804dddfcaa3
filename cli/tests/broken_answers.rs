//! Answers that break off in the middle, as the program meets them on real connections.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has to fail")]

mod stage;
mod store;

use std::fs;

use serde_json::Value;
use stage::{PART, Stage};
use store::{Ask, Cut, Place};

/// Every way in which an answer to `ask` may break off.
fn cuts(ask: Ask) -> impl Iterator<Item = Cut> {
    let places = [Place::StatusLine, Place::Body];
    places.into_iter().flat_map(move |place| [false, true].map(|carries_out| Cut { ask, place, carries_out }))
}

#[test]
fn a_write_whose_answer_breaks_off_is_looked_up_or_repeated_and_never_called_done() {
    for (ask, size) in [(Ask::Put, 1_000), (Ask::Part, 2 * PART + 17), (Ask::Complete, 2 * PART + 17)] {
        for cut in cuts(ask) {
            let stage = Stage::new();
            let file = stage.file("run.bin", size);
            stage.stores[0].state().cuts = vec![cut];
            let (stdout, _) = stage.ends("upload run.bin --json", 0);
            let receipt: Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(receipt["outcome"], "complete", "{cut:?}: {receipt}");
            stage.assert_holds("run.bin", &file);
            let version = stage.stores[0].state().objects["run.bin"].version.clone();
            let copies = receipt["copies"].as_array().unwrap();
            let named = copies.iter().find(|copy| copy["region"] == "us-west-2").unwrap();
            assert_eq!(named["version_id"], version.as_str(), "{cut:?}");
            assert!(stage.stores[0].state().cuts.is_empty(), "{cut:?} was met");
        }
    }
}

#[test]
fn a_write_whose_every_answer_breaks_off_is_not_called_done() {
    for ask in [Ask::Put, Ask::Part, Ask::Complete] {
        let stage = Stage::new();
        stage.file("run.bin", if ask == Ask::Put { 1_000 } else { 2 * PART });
        let cut = Cut { ask, place: Place::Body, carries_out: false };
        stage.stores[0].state().cuts = vec![cut; 60];
        let (stdout, stderr) = stage.ends("upload run.bin --min-copies 1 --json", 0);
        let receipt: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(receipt["outcome"], "degraded", "{ask:?}: {receipt}{stderr}");
        let copies = receipt["copies"].as_array().unwrap();
        assert_eq!((copies.len(), &copies[0]["region"]), (1, &"us-east-1".into()), "{ask:?}");
        assert!(!stage.stores[0].state().objects.contains_key("run.bin"));
        let open = stage.stores[0].state().open.len();
        let left = receipt["leftovers"].as_array().unwrap().len();
        assert_eq!((open, left), (0, 0), "{ask:?}: {receipt}");
    }
}

#[test]
fn a_read_whose_answer_breaks_off_is_repeated_and_the_file_is_whole() {
    for cut in cuts(Ask::Get) {
        let stage = Stage::new();
        let file = stage.file("run.bin", 2 * PART + 17);
        stage.ends("upload run.bin --receipt run.json", 0);
        for store in &stage.stores {
            store.state().cuts = vec![cut];
        }
        stage.ends("download run.json --to back.bin", 0);
        assert!(fs::read(stage.path("back.bin")).unwrap() == fs::read(&file).unwrap(), "{cut:?}");
        assert!(stage.stores.iter().any(|store| store.state().cuts.is_empty()), "{cut:?} was met");
    }
}
