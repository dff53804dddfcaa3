//! Uploads and downloads of the program as a process, against stores on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has to fail")]

mod stage;
mod store;

use std::{fs, process::Stdio};

use serde_json::Value;
use stage::{PART, Stage, signal, told};

#[test]
fn a_killed_upload_goes_on_with_the_parts_that_were_in_flight() {
    let stage = Stage::new();
    let file = stage.file("run.bin", 4 * PART + 17);
    let mut child = stage.hanging("upload run.bin", 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let (listed, _) = stage.ends("uploads list", 0);
    assert!(listed.contains("stopped") && listed.contains("us-east-1"), "{listed}");
    stage.go_on();
    let (stdout, stderr) = stage.ends("upload --resume --json", 0);
    assert!(stderr.contains("note: going on with upload"), "{stderr}");
    let receipt: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&receipt["outcome"], &receipt["leftovers"]), (&"complete".into(), &Value::Array(vec![])));
    stage.assert_holds("run.bin", &file);
    for store in &stage.stores {
        let again = store.state().arrived.len() - 5;
        assert!(again <= 2, "{again} parts were sent again, and 2 were in flight");
    }
    assert_eq!(stage.ends("uploads list", 0).0, "nothing is unfinished\n");
}

#[test]
fn ctrl_c_says_how_to_go_on_and_a_second_one_ends_at_once() {
    let stage = Stage::new();
    let file = stage.file("run.bin", 4 * PART);
    let child = stage.hanging("upload run.bin", 1);
    signal(&child, "-INT");
    let (stdout, stderr) = told(&child.wait_with_output().unwrap(), "upload", 130);
    assert_eq!(stdout, "");
    let id = stderr.split("sealane upload --resume=").nth(1).unwrap().split('`').next().unwrap().to_owned();
    let child = stage.hanging(&format!("upload --resume={id}"), 1);
    stage.stores[0].wait(|state| state.listings > 0);
    signal(&child, "-TERM");
    signal(&child, "-INT");
    told(&child.wait_with_output().unwrap(), "upload --resume", 130);
    stage.go_on();
    stage.ends(&format!("upload --resume={id}"), 0);
    stage.assert_holds("run.bin", &file);
}

#[test]
fn an_upload_whose_source_changed_is_not_resumed_and_nothing_is_lost() {
    let stage = Stage::new();
    stage.file("run.bin", 3 * PART);
    let mut child = stage.hanging("upload run.bin", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.go_on();
    stage.file("run.bin", 3 * PART + 1);
    let (_, stderr) = stage.ends("upload run.bin --resume", 1);
    assert!(
        stderr.contains("is not what was being shipped: it had 15728640 bytes and has 15728641"),
        "{stderr}"
    );
    assert!(stage.stores.iter().all(|store| store.state().open.len() == 1));
    let id = stderr.split("sealane uploads abort ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    fs::remove_file(stage.path("run.bin")).unwrap();
    let (_, stderr) = stage.ends("upload --resume", 1);
    assert!(stderr.contains("there is no `"), "{stderr}");
    let (stdout, _) = stage.ends(&format!("uploads abort {id}"), 0);
    assert!(stdout.contains("given up"), "{stdout}");
    assert!(stage.stores.iter().all(|store| store.state().open.is_empty()));
    let (_, stderr) = stage.ends("upload --resume", 1);
    assert!(stderr.contains("there is no upload that was stopped to go on with"), "{stderr}");
}

#[test]
fn old_uploads_that_nobody_knows_are_given_up_only_when_told_so() {
    let stage = Stage::new();
    stage.file("run.bin", 3 * PART);
    let mut child = stage.hanging("upload run.bin", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.stores[0]
        .state()
        .open
        .insert("theirs".to_owned(), store::Open { key: "old".to_owned(), ..Default::default() });
    let (stdout, stderr) = stage.ends("uploads abort --older-than 1h", 0);
    assert!(stdout.contains("theirs") && stderr.contains("--yes"), "{stdout}{stderr}");
    assert_eq!(stage.stores[0].state().open.len(), 2);
    stage.ends("uploads abort --older-than 1h --yes", 0);
    let state = stage.stores[0].state();
    assert!(state.open.len() == 1 && !state.open.contains_key("theirs"), "what can be resumed is kept");
}

#[test]
fn class_and_key_of_each_region_are_named_in_every_way_of_writing() {
    let stage = Stage::new();
    stage.file("small", 10);
    stage.file("large", 2 * PART);
    stage.ends("upload small --access infrequent", 0);
    let mut child = stage.hanging("upload large --storage-class standard_ia", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    // What was begun in one region is gone, so that the resumed run begins it anew.
    stage.stores[1].state().open.clear();
    stage.go_on();
    stage.ends("upload large --resume", 0);
    for (store, (key, count)) in stage.stores.iter().zip([("alias/a", 2), ("alias/b", 3)]) {
        let state = store.state();
        assert_eq!(
            (&state.classes, &state.kms_keys),
            (&vec!["STANDARD_IA".to_owned(); count], &vec![key.to_owned(); count])
        );
    }
}

/// Ships a file and gives back the name of its receipt.
fn shipped(stage: &Stage, name: &str) -> String {
    stage.ends(&format!("upload {name} --receipt {name}.json"), 0);
    format!("{name}.json")
}

#[test]
fn what_was_shipped_comes_back_from_whichever_region_has_it() {
    let stage = Stage::new();
    let file = stage.file("run.bin", 3 * PART + 17);
    let receipt = shipped(&stage, "run.bin");
    let (_, stderr) = stage.ends(&format!("download {receipt}"), 1);
    assert!(stderr.contains("`run.bin` is there already"), "{stderr}");
    // The first region by name fails in the middle.
    stage.stores[1].state().reads_left = Some(2);
    let (stdout, stderr) = stage.ends(&format!("download {receipt} --to back.bin --json"), 0);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["shares"].as_array().unwrap().len(), 2, "{stdout}");
    assert!(stderr.contains("us-east-1"), "{stderr}");
    assert!(fs::read(stage.path("back.bin")).unwrap() == fs::read(&file).unwrap());
    stage.stores[0].state().flips_bits = true;
    let (stdout, stderr) = stage.ends("download --key run.bin --to wrong.bin", 1);
    assert!(
        stdout.is_empty() && stderr.contains("CRC64NVME") && !stage.path("wrong.bin").exists(),
        "{stderr}"
    );
    let hidden = fs::read_dir(stage.folder.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "part"));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn a_batch_comes_back_file_by_file() {
    let stage = Stage::new();
    fs::create_dir_all(stage.path("run-7/reads")).unwrap();
    fs::write(stage.path("run-7/reads/a"), "ACGT").unwrap();
    fs::write(stage.path("run-7/b"), "").unwrap();
    stage.ends("upload run-7 --each --sha256 --receipt batch.json", 0);
    let (stdout, _) = stage.ends("download batch.json --to back", 0);
    assert!(stdout.contains("2 of 2 objects"), "{stdout}");
    assert_eq!(fs::read(stage.path("back/reads/a")).unwrap(), b"ACGT");
    assert_eq!(fs::read(stage.path("back/b")).unwrap(), b"");
    let (stdout, _) = stage.ends("download batch.json --to back", 1);
    assert!(stdout.contains("is there already"), "{stdout}");
    stage.ends("download batch.json --to other --unpack", 2);
    // The sum goes with the receipt; one that says another is found out, and named.
    let batch = fs::read_to_string(stage.path("batch.json")).unwrap();
    let told: Value = serde_json::from_str(&batch).unwrap();
    let sum = told["receipts"][1]["sha256"].as_str().unwrap();
    stage.ends("verify batch.json", 0);
    fs::write(stage.path("other.json"), batch.replace(sum, &"0".repeat(64))).unwrap();
    let (stdout, _) = stage.ends("verify other.json", 1);
    assert!(stdout.contains(&format!("its SHA-256 is `{sum}`")), "{stdout}");
    let (stdout, _) = stage.ends("download other.json --to else", 1);
    assert!(stdout.contains("whose SHA-256 is"), "{stdout}");
}

#[test]
fn a_folder_comes_back_as_it_was() {
    let stage = Stage::new();
    fs::create_dir_all(stage.path("run-7/reads")).unwrap();
    fs::write(stage.path("run-7/reads/a"), "ACGT").unwrap();
    fs::write(stage.path("run-7/b"), "").unwrap();
    let receipt = shipped(&stage, "run-7");
    let (stdout, _) = stage.ends(&format!("download {receipt} --unpack --to back"), 0);
    assert!(stdout.contains("unpacked 2 files"), "{stdout}");
    assert_eq!(fs::read(stage.path("back/reads/a")).unwrap(), b"ACGT");
    assert_eq!(fs::read(stage.path("back/b")).unwrap(), b"");
    let (_, stderr) = stage.ends(&format!("download {receipt} --unpack --to back"), 1);
    assert!(stderr.contains("`back` is there already"), "{stderr}");
}

#[test]
fn a_dry_run_tells_the_cost_and_sends_nothing() {
    let stage = Stage::new();
    stage.file("run.bin", 3 * PART);
    let (stdout, _) = stage.ends("upload run.bin --dry-run --access infrequent", 0);
    for told in ["us-west-2", "us-east-1", "3 parts", "STANDARD_IA", "a month", "30 days at least"] {
        assert!(stdout.contains(told), "`{told}` is not in {stdout}");
    }
    let (stdout, _) = stage.ends("upload run.bin --dry-run --json", 0);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["costs"][0]["writes"], 5);
    assert!(report["month_usd"].as_f64().unwrap() > 0.0);
    assert!(stage.stores.iter().all(|s| s.state().arrived.is_empty() && s.state().classes.is_empty()));
    assert_eq!(stage.ends("uploads list", 0).0, "nothing is unfinished\n");
}

#[test]
fn an_upload_goes_where_the_rules_say_and_a_contradiction_is_refused_by_name() {
    let stage = Stage::new();
    stage.rules("[{prefix: here/, residency: [us], copies: 1}, {prefix: cold/, storage_class: STANDARD_IA}]");
    let file = stage.file("run.bin", PART + 1);
    let (stdout, _) = stage.ends("upload run.bin --key here/k --dry-run", 0);
    assert!(stdout.contains("by rule 0 of `replication.rules` (`here/`)\n"), "{stdout}");
    let (stdout, _) = stage.ends("upload run.bin --key cold/k --dry-run --json", 0);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let classes = [0, 1].map(|copy| report["costs"][copy]["storage_class"].as_str().unwrap().to_owned());
    assert_eq!(
        (classes, &report["rule"]["place"]),
        (["STANDARD", "STANDARD_IA"].map(str::to_owned), &1.into())
    );
    let (_, stderr) = stage.ends("upload run.bin --key here/k --min-copies 2", 2);
    assert!(stderr.contains("rule 0 of `replication.rules` (`here/`) makes 1"), "{stderr}");
    let holders =
        |key: &str| [0, 1].map(|store: usize| stage.stores[store].state().objects.contains_key(key));
    assert_eq!(holders("here/k"), [false; 2], "nothing was sent");
    stage.ends("upload run.bin --key here/k --prefer us-west-2", 0);
    assert_eq!(holders("here/k"), [true, false]);
    stage.ends("upload run.bin --key here/l --copies 2", 0);
    stage.assert_holds("here/l", &file);
    stage.ends("upload run.bin --key cold/k --prefer us-west-2", 0);
    assert_eq!([0, 1].map(|store: usize| stage.stores[store].state().classes.len()), [0, 1]);
}

#[test]
fn each_file_of_a_folder_goes_where_its_own_rule_says() {
    let stage = Stage::new();
    stage.rules("[{prefix: run-7/tmp/, copies: 1}]");
    fs::create_dir_all(stage.path("run-7/tmp")).unwrap();
    fs::write(stage.path("run-7/tmp/a"), "ACGT").unwrap();
    fs::write(stage.path("run-7/b"), "ACGT").unwrap();
    stage.ends("upload run-7 --each --prefer us-west-2", 0);
    let held =
        [0, 1].map(|store: usize| stage.stores[store].state().objects.keys().cloned().collect::<Vec<_>>());
    assert_eq!(held, [vec!["run-7/b", "run-7/tmp/a"], vec!["run-7/b"]]);
}

#[test]
fn standard_output_holds_the_receipt_and_standard_error_a_line_of_json_for_each_step() {
    let stage = Stage::new();
    stage.file("run.bin", 3 * PART);
    let (stdout, stderr) = stage.ends("upload run.bin --json", 0);
    let receipt: Value = serde_json::from_str(&stdout).unwrap();
    let lines: Vec<Value> = stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let last = |event: &str| lines.iter().rfind(|line| line["event"] == event).unwrap();
    assert_eq!(last("sent")["bytes"], receipt["size"]);
    assert_eq!(lines.iter().filter(|line| line["event"] == "verified").count(), 2);
    for copy in receipt["copies"].as_array().unwrap() {
        assert!(copy["attempts"] == 1 && copy["throughput_bytes_s"].as_u64().unwrap() > 0, "{copy}");
    }
}

#[test]
fn the_files_of_a_folder_are_shipped_as_objects_with_one_receipt() {
    let stage = Stage::new();
    fs::create_dir_all(stage.path("run-7/reads")).unwrap();
    for number in 0..40 {
        fs::write(stage.path(&format!("run-7/reads/{number:02}")), vec![number; usize::from(number)])
            .unwrap();
    }
    stage.file("run-7/large", PART + 1);
    let (stdout, _) = stage.ends("upload run-7 --each --jobs 8 --receipt batch.json", 0);
    assert!(stdout.contains("41 of 41 objects"), "{stdout}");
    for store in &stage.stores {
        let state = store.state();
        assert_eq!((state.objects.len(), state.open.len()), (41, 0));
        assert_eq!(state.objects["run-7/reads/07"].body, [7; 7]);
    }
    let (stdout, _) = stage.ends("verify batch.json", 0);
    assert_eq!(stdout.lines().count(), 1 + 2 * 41, "{stdout}");
    stage.stores[0].state().objects.remove("run-7/reads/07");
    let (stdout, _) = stage.ends("verify batch.json", 1);
    assert!(stdout.contains("missing"), "{stdout}");
    assert_eq!(stage.ends("uploads list", 0).0, "nothing is unfinished\n");
}

#[test]
fn a_pipe_is_kept_until_it_is_shipped_and_outlives_its_process() {
    use std::io::Write as _;
    let stage = Stage::new();
    let file = stage.file("run.bin", 3 * PART + 17);
    for store in &stage.stores {
        store.state().stalls_after = Some(1);
    }
    let mut child = stage.command("upload - --key piped").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(&file).unwrap()).unwrap();
    stage.stores[0].wait(|state| !state.arrived.is_empty());
    stage.stores[1].wait(|state| !state.arrived.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    stage.go_on();
    stage.ends("upload --resume", 0);
    stage.assert_holds("piped", &file);
    let spool = stage.path(".local/state/sealane/uploads/spool");
    assert_eq!(fs::read_dir(spool).unwrap().count(), 0, "the spool is freed");
    let (_, stderr) = stage.ends("upload -", 2);
    assert!(stderr.contains("`-` gives no object key"), "{stderr}");
}
