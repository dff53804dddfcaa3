//! Bad input is named with its remedy and its exit code, before anything is asked of the network.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has to fail")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Nothing listens on these ports, so a test that reaches them fails fast and does no harm.
const CONFIG: &str = "\
primary_region: us-west-2
regions:
  - {name: us-west-2, bucket: bucket-a, endpoints: {dynamodb: 'http://127.0.0.1:1', s3: 'http://127.0.0.1:1', sqs: 'http://127.0.0.1:1', api: 'http://127.0.0.1:1'}}
  - {name: us-east-1, bucket: bucket-b, endpoints: {dynamodb: 'http://127.0.0.1:1', s3: 'http://127.0.0.1:1', sqs: 'http://127.0.0.1:1'}}
  - {name: us-east-2, role: witness, endpoints: {dynamodb: 'http://127.0.0.1:1'}}
security: {allow_local_endpoints: true}
control_regions: [us-west-2, us-east-1]
upload: {copies: 2}
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path().join("sealane.yaml"), config).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sealane(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealane"));
        command.args(arguments.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.path());
        command.output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs `arguments` and asserts the exit code and that standard error says all of `told`.
fn refused(folder: &Folder, arguments: &str, code: i32, told: &[&str]) {
    let output = folder.sealane(arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments}: nothing but results on standard output");
    for words in told {
        assert!(stderr.contains(words), "{arguments}: `{words}` is not in: {stderr}");
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let folder = Folder::new(CONFIG);
    for arguments in ["--help", "-h", "help"] {
        let output = folder.sealane(arguments);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("Exit codes:"), "{arguments}");
    }
}

#[test]
fn an_unknown_region_is_answered_with_the_configured_ones() {
    let folder = Folder::new(CONFIG);
    fs::write(folder.path().join("reads"), "x").unwrap();
    let full = ["`mars`", "that holds data (want one of `us-west-2`, `us-east-1`)"];
    refused(&folder, "upload reads --prefer mars", 2, &full);
    refused(&folder, "route --data-in mars", 2, &full);
    refused(&folder, "worksets get ws-001 --region mars", 2, &full);
    refused(&folder, "failover move mars --by ada --reason drill", 2, &full);
    refused(&folder, "failover approve us-east-2 --by ada", 2, &["`us-east-2`", "that holds data"]);
    refused(&folder, "failover approve us-east-2 --by=", 2, &["--by", "want a word"]);
    refused(&folder, "failover approve us-east-2 --by ada --reason=", 2, &["--reason", "want a word"]);
    let any = ["`mars`", "(want one of `us-west-2`, `us-east-1`, `us-east-2`)"];
    refused(&folder, "route --tried mars", 2, &any);
    refused(&folder, "failover pin mars --rule stay --by ada --reason drill --for 1h", 2, &any);
    refused(&folder, "failover unpin mars --by ada --reason over", 2, &any);
    refused(&folder, "failover undrain mars --by ada --reason over", 2, &any);
    refused(&folder, "failover drain us-east-2 --by ada --reason drill --for 1h", 2, &["`us-east-2`"]);
    refused(&folder, "failover propose mars --by ada --reason drill", 2, &full);
    refused(&folder, "failover reject mars --by ada --reason drill", 2, &full);
}

#[test]
fn an_unknown_name_is_answered_with_the_legal_ones() {
    let folder = Folder::new(CONFIG);
    let strategies = ["`fastest`", "`round_robin`", "`geographic`", "`cost`"];
    refused(&folder, "upload reads --strategy fastest", 2, &strategies);
    refused(&folder, "route --strategy fastest", 2, &strategies);
    refused(&folder, "route --needs fly", 2, &["`fly`", "`object_write`"]);
    refused(&folder, "worksets list --state gone", 2, &["`gone`", "ready"]);
    refused(&folder, "worksets transition ws-001 --to gone", 2, &["`gone`", "archived"]);
    refused(
        &folder,
        "failover pin us-west-2 --rule maybe --by a --reason b --for 1h",
        2,
        &["maybe", "forbid"],
    );
    refused(&folder, "failover pin us-west-2 --rule stay --by a --reason b --for 0s", 2, &["`0s`"]);
    refused(&folder, "failover history --output prose", 2, &["prose", "table", "json"]);
    refused(&folder, "route --lat 91 --lon 0", 2, &["`91`", "-90 to 90"]);
    refused(&folder, "route --lat 9", 2, &["--lon"]);
    refused(&folder, "fly", 2, &["fly"]);
}

#[test]
fn a_ruling_has_an_owner_a_reason_and_an_end() {
    let folder = Folder::new(CONFIG);
    for command in ["pin us-west-2 --rule stay", "drain us-west-2"] {
        refused(&folder, &format!("failover {command} --by ada --reason drill"), 2, &["--for"]);
        refused(&folder, &format!("failover {command} --by ada --for 1h"), 2, &["--reason"]);
        refused(&folder, &format!("failover {command} --reason drill --for 1h"), 2, &["--by"]);
        let long = format!("failover {command} --by ada --reason drill --for 8760h");
        refused(&folder, &long, 2, &["`8760h` is too long"]);
    }
    for command in ["unpin", "undrain", "propose", "move", "reject"] {
        refused(&folder, &format!("failover {command} us-west-2 --by ada"), 2, &["--reason"]);
        refused(&folder, &format!("failover {command} us-west-2 --reason drill"), 2, &["--by"]);
    }
}

#[test]
fn copies_that_do_not_fit_are_refused_before_anything_is_sent() {
    let folder = Folder::new(CONFIG);
    fs::write(folder.path().join("reads"), "x").unwrap();
    refused(&folder, "upload reads --copies 3", 2, &["`copies` is 3", "only 2 regions hold data"]);
    refused(&folder, "upload reads --copies 0", 2, &["`copies` is 0"]);
    refused(&folder, "upload reads --min-copies 3", 2, &["`min_copies` is 3"]);
}

#[test]
fn a_source_that_cannot_be_shipped_is_named() {
    let folder = Folder::new(CONFIG);
    fs::create_dir(folder.path().join("empty")).unwrap();
    refused(&folder, "upload nowhere", 1, &["there is no `nowhere`", "check the path"]);
    refused(&folder, "upload empty", 1, &["the folder `empty` holds no file"]);
    refused(&folder, "upload /dev/null", 1, &["`/dev/null`"]);
    fs::write(folder.path().join("reads"), "x").unwrap();
    refused(&folder, "upload reads --key ../up", 2, &["`../up`", "`..`"]);
    refused(&folder, "upload reads --key .sealane/x", 2, &["`.sealane/`"]);
    refused(&folder, "upload reads --receipt no/such.json", 1, &["`no/such.json` cannot be written"]);
}

#[test]
fn a_configuration_that_does_not_fit_is_told_whole_and_on_one_line() {
    let folder = Folder::new("primary_region: mars\nfailover: {strategy: at_once}\n");
    let told = ["`primary_region`", "`failover.strategy`", "`regions`"];
    refused(&folder, "regions", 2, &told);
    assert_eq!(text(&folder.sealane("regions").stderr).lines().count(), 1);
    refused(&folder, "regions --config no.yaml", 2, &["`no.yaml` cannot be read", "No such file"]);
    fs::write(folder.path().join("bad.yaml"), "regions: [").unwrap();
    refused(&folder, "regions --config bad.yaml", 2, &["want YAML or JSON"]);
    fs::remove_file(folder.path().join("sealane.yaml")).unwrap();
    refused(&folder, "regions", 2, &["there is no configuration", "`--config`", "`SEALANE_CONFIG`"]);
}

#[test]
fn a_receipt_that_is_none_is_refused() {
    let folder = Folder::new(CONFIG);
    refused(&folder, "verify nowhere.json", 1, &["`nowhere.json` cannot be read"]);
    refused(&folder, "verify sealane.yaml", 1, &["`sealane.yaml` is not a receipt"]);
}

#[test]
fn a_workset_that_is_not_valid_is_refused_with_every_problem() {
    let folder = Folder::new(CONFIG);
    fs::write(folder.path().join("none.json"), "[]").unwrap();
    let told = ["`id`", "`prefix`", "`metadata`"];
    refused(
        &folder,
        "worksets register --id -x --bucket bucket-a --prefix ../up --samples none.json",
        2,
        &["-x"],
    );
    refused(
        &folder,
        "worksets register --id=a#b --bucket bucket-a --prefix ../up --samples none.json",
        2,
        &told,
    );
    refused(
        &folder,
        "worksets register --id ws-1 --bucket b --prefix p --samples no.json",
        1,
        &["`no.json`"],
    );
    refused(
        &folder,
        "worksets register --id ws-1 --bucket b --prefix p --samples sealane.yaml",
        1,
        &["not JSON"],
    );
    refused(&folder, "worksets get a#b", 2, &["`a#b`"]);
}

#[test]
fn without_any_table_a_route_follows_the_settings_and_says_so() {
    let folder = Folder::new(CONFIG);
    let output = folder.sealane("route --strategy priority --explain");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stdout.contains("health unknown everywhere") && stdout.contains("a witness holds no data"),
        "{stdout}"
    );
    assert!(stderr.contains("warning: health could not be read"), "{stderr}");
}

#[test]
fn silence_is_told_as_silence() {
    let folder = Folder::new(CONFIG);
    refused(
        &folder,
        "failover status",
        1,
        &["the record of the active region cannot be read", "no connection"],
    );
    refused(&folder, "worksets get ws-001 --region us-west-2", 1, &["no region's api answered: us-west-2"]);
    refused(&folder, "replication owed", 1, &["the ledger cannot be read"]);
    for command in ["replication dlq", "replication redrive --apply"] {
        let output = folder.sealane(command);
        assert_eq!(output.status.code(), Some(4), "{command}: {}", text(&output.stderr));
        for told in
            ["unknown: us-west-2: queue `sealane-uploads` of us-west-2 did not answer", "unknown: us-east-1"]
        {
            assert!(text(&output.stdout).contains(told), "{command}: {}", text(&output.stdout));
        }
    }
    refused(&folder, "replication dlq --region us-east-2", 2, &["`us-east-2`", "that holds data"]);
}

#[test]
fn where_objects_go_is_shown_without_asking_anybody() {
    let folder = Folder::new(&format!("{CONFIG}replication: {{rules: [{{prefix: raw/, copies: 1}}]}}\n"));
    let output = folder.sealane("replication plan --from us-west-2 --size 10GiB");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for words in
        ["rule 0 (`raw/`): it stays in us-west-2", "no rule: one copy, straight from us-west-2", "$0.2000"]
    {
        assert!(shown.contains(words), "`{words}` is not in: {shown}");
    }
    let output = folder.sealane("replication plan --prefix raw/ --json");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["ways"].as_array().unwrap().len(), 2, "{plan}");
    refused(
        &folder,
        "replication plan --from us-east-2",
        2,
        &["`us-east-2`, given as `--from`", "that holds data"],
    );
    refused(&folder, "replication plan --size 10GB", 2, &["`10GB` is not a size", "GiB"]);
}

#[test]
fn an_upload_that_reaches_nobody_claims_nothing() {
    let folder = Folder::new(&CONFIG.replace("{copies: 2}", "{copies: 2, failover_delay: 0s}"));
    fs::write(folder.path().join("reads"), "x").unwrap();
    let output = folder.sealane("upload reads --json --receipt receipt.json");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let kept = fs::read_to_string(folder.path().join("receipt.json")).unwrap();
    assert_eq!(kept, text(&output.stdout), "the receipt is kept as it was printed");
    let verified = folder.sealane("verify receipt.json");
    assert_eq!(verified.status.code(), Some(1));
    assert_eq!(text(&verified.stdout), "the receipt claims no copy\n");
}
