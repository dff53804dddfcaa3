//! Batches that are stopped and gone on with, as a process, against stores on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has to fail")]

mod stage;
mod store;

use std::{collections::BTreeMap, fs, process::Child};

use serde_json::Value;
use stage::{PART, Stage, signal, told};

const FILES: usize = 12;

/// A folder of small files.
fn folder(stage: &Stage) {
    fs::create_dir_all(stage.path("run-7/reads")).unwrap();
    for number in 0..FILES {
        fs::write(stage.path(&format!("run-7/reads/{number:02}")), vec![7; number]).unwrap();
    }
}

/// Starts a batch whose stores take `puts` small files and then none.
fn stuck(stage: &Stage, arguments: &str, puts: usize) -> Child {
    for store in &stage.stores {
        let mut state = store.state();
        state.puts_max = Some(state.puts.len() + puts);
    }
    let child = stage.command(arguments).spawn().unwrap();
    for store in &stage.stores {
        store.wait(|state| state.waiting > 0 && state.puts_max.is_some_and(|most| state.puts.len() >= most));
    }
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn go_on(stage: &Stage) {
    stage.go_on();
    for store in &stage.stores {
        store.state().puts_max = None;
        // What a dead process has sent comes to its end first.
        store.wait(|state| state.waiting == 0);
    }
}

/// How often each key was put, in both stores together.
fn puts(stage: &Stage) -> BTreeMap<String, usize> {
    let mut puts = BTreeMap::new();
    for store in &stage.stores {
        store.state().puts.iter().for_each(|key| *puts.entry(key.clone()).or_default() += 1);
    }
    puts
}

fn keys(batch: &Value) -> Vec<String> {
    let receipts = batch["receipts"].as_array().unwrap();
    receipts.iter().map(|receipt| receipt["key"].as_str().unwrap().to_owned()).collect()
}

fn all() -> Vec<String> {
    (0..FILES).map(|number| format!("run-7/reads/{number:02}")).collect()
}

#[test]
fn a_batch_that_is_killed_between_files_ships_what_lacks_and_has_every_receipt() {
    for killed_after in [0, 1, 5, FILES - 1] {
        let stage = Stage::new();
        folder(&stage);
        kill(stuck(&stage, "upload run-7 --each --jobs 1", killed_after));
        let (listed, _) = stage.ends("uploads list", 0);
        assert!(listed.contains("stopped") && listed.contains(" of 12 files)"), "{listed}");
        let before = puts(&stage);
        go_on(&stage);
        let (stdout, stderr) = stage.ends("upload run-7 --each --resume --receipt batch.json --json", 0);
        assert!(stderr.contains("note: going on with batch"), "{stderr}");
        let batch: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&batch["outcome"], keys(&batch)), (&"complete".into(), all()));
        // With one file at a time, at most the one that was under way is sent again.
        let (after, mut again) = (puts(&stage), 0);
        for (key, count) in &before {
            again += usize::from(after[key] > *count && *count == 2);
        }
        assert!(again <= 1, "{before:?} {after:?}");
        stage.ends("verify batch.json", 0);
        assert_eq!(stage.ends("uploads list", 0).0, "nothing is unfinished\n");
    }
}

#[test]
fn a_file_that_changed_is_sent_again_and_one_that_is_gone_keeps_its_receipt() {
    let stage = Stage::new();
    folder(&stage);
    kill(stuck(&stage, "upload run-7 --each --jobs 1", 6));
    go_on(&stage);
    let before = puts(&stage);
    fs::write(stage.path("run-7/reads/02"), "other").unwrap();
    fs::remove_file(stage.path("run-7/reads/00")).unwrap();
    let (stdout, _) = stage.ends("upload --each --resume --json --receipt batch.json", 0);
    let mut wanted = all();
    wanted.rotate_left(1);
    assert_eq!(keys(&serde_json::from_str(&stdout).unwrap()), wanted, "what is gone comes last");
    let after = puts(&stage);
    let (changed, kept) = ("run-7/reads/02", "run-7/reads/03");
    assert_eq!((after[changed], after[kept]), (before[changed] + 2, before[kept]));
    assert!(stage.stores.iter().all(|store| store.state().objects[changed].body == b"other"));
    stage.ends("verify batch.json", 0);
}

#[test]
fn a_large_file_of_a_batch_goes_on_with_its_parts_and_what_was_asked_for_holds() {
    let stage = Stage::new();
    folder(&stage);
    let large = stage.file("run-7/large", 4 * PART + 17);
    let arguments = "upload run-7 --each --key lab/r --storage-class STANDARD_IA --sha256";
    let child = stage.hanging(arguments, 2);
    kill(child);
    go_on(&stage);
    let (listed, _) = stage.ends("uploads list --json", 0);
    let lines: Value = serde_json::from_str(&listed).unwrap();
    let id = lines[0]["upload_id"].as_str().unwrap();
    assert_eq!((&lines[0]["batch"]["files"], &lines[0]["key"]), (&13.into(), &"lab/r/".into()), "{listed}");
    let (stdout, _) = stage.ends(&format!("upload --resume={id} --json"), 0);
    let batch: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((keys(&batch).len(), &batch["batch_id"]), (13, &id.into()));
    assert!(batch["receipts"].as_array().unwrap().iter().all(|receipt| receipt["sha256"].is_string()));
    stage.assert_holds("lab/r/large", &large);
    for store in &stage.stores {
        let state = store.state();
        assert!(state.arrived.len() <= 5 + 2, "2 parts were in flight: {:?}", state.arrived);
        assert!(state.classes.iter().all(|class| class == "STANDARD_IA"));
    }
    assert_eq!(stage.ends("uploads list", 0).0, "nothing is unfinished\n");
}

#[test]
fn a_batch_is_given_up_with_what_it_began_and_what_it_shipped_stays() {
    let stage = Stage::new();
    folder(&stage);
    stage.file("run-7/large", 3 * PART);
    kill(stage.hanging("upload run-7 --each", 1));
    go_on(&stage);
    assert!(stage.stores.iter().all(|store| store.state().open.len() == 1));
    let (listed, _) = stage.ends("uploads list --json", 0);
    let lines: Value = serde_json::from_str(&listed).unwrap();
    let (stdout, _) = stage.ends(&format!("uploads abort {}", lines[0]["upload_id"].as_str().unwrap()), 0);
    assert!(stdout.contains("given up") && !stdout.contains("stopped"), "{stdout}");
    assert!(stage.stores.iter().all(|store| store.state().open.is_empty()));
    assert_eq!(stage.ends("uploads list", 0).0, "nothing is unfinished\n");
    let (_, stderr) = stage.ends("upload --each --resume", 1);
    assert!(stderr.contains("there is no batch that was stopped to go on with"), "{stderr}");
}

#[test]
fn a_batch_that_is_told_to_stop_says_how_to_go_on() {
    let stage = Stage::new();
    folder(&stage);
    let child = stuck(&stage, "upload run-7 --each --jobs 2", 3);
    signal(&child, "-INT");
    let (_, stderr) = told(&child.wait_with_output().unwrap(), "upload --each", 130);
    let id = stderr.split("sealane upload --resume=").nth(1).unwrap().split('`').next().unwrap().to_owned();
    go_on(&stage);
    let (stdout, _) = stage.ends(&format!("upload --resume={id}"), 0);
    assert!(stdout.contains("12 of 12 objects"), "{stdout}");
    let (_, stderr) = stage.ends(&format!("upload --each --resume={id}"), 1);
    assert!(stderr.contains("there is no batch"), "{stderr}");
}
