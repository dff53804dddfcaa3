//! Uploads through the API as a client of its own makes them: over HTTP, against a store that checks
//! the signature of every URL by itself.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod log;
mod serve;
mod stage;
mod store;

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use sealane::checksum::Checksum;
use serde_json::{Value, json};

use serve::send;
use stage::{CALLERS_TOKEN, SESSION_TOKEN, Stage};
use store::{ACCESS_KEY, SECRET};

/// The client that the documents show.
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/upload.py");

/// Runs the client; its receipt.
fn run(stage: &Stage, file: &Path, key: &str) -> Value {
    let mut python = Command::new("python3");
    let run = python.arg(CLIENT).arg(file).arg(key).env("SEALANE_API", stage.api()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 253).unwrap()).collect()
}

/// Forty lines and the standard library are enough, in several parts and through two failovers.
#[test]
fn the_client_of_the_documents_ships_a_file_and_leaves_regions_that_fail() {
    assert!(std::fs::read_to_string(CLIENT).unwrap().lines().count() <= 40);
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    for (name, len) in [("empty", 0), ("two-parts", (8 << 20) + 5)] {
        let (file, body) = (folder.path().join(name), bytes(len));
        std::fs::write(&file, &body).unwrap();
        let receipt = run(&stage, &file, name);
        assert_eq!(receipt["key"], format!("lab/{name}"));
        let region = receipt["copies"][0]["region"].as_str().unwrap();
        assert_eq!(stage.holds(region, &format!("lab/{name}")), Some(Checksum::of(&body)), "{receipt}");
    }
    stage.refuse(&["us-west-2", "us-east-1"]);
    let receipt = run(&stage, &folder.path().join("two-parts"), "again");
    assert_eq!(receipt["copies"][0]["region"], "eu-west-1", "{receipt}");
    let failed = receipt["failed"].as_array().unwrap().len();
    assert_eq!(receipt["attempts"].as_array().unwrap().len(), failed + 1);
    assert_eq!(stage.holds("eu-west-1", "lab/again"), Some(Checksum::of(&bytes((8 << 20) + 5))));
    assert_eq!(stage.unfinished(), 0, "what was left behind is freed");
}

/// The real signature lets through the part that was promised, and nothing else: no other bytes, length,
/// part or key, and nothing after a quarter of an hour.
#[test]
fn an_url_is_good_for_the_part_that_was_promised_and_for_nothing_else() {
    let stage = Stage::new();
    let part = json!({"size_bytes": 9, "crc64nvme": "rosUhgp5mIg="});
    let offer = stage.post("/v1/uploads", &json!({"key": "run 1/ä+b.txt", "size_bytes": 9, "parts": [part]}));
    let promised = &offer["parts"][0];
    let url = promised["url"].as_str().unwrap();
    let headers: BTreeMap<String, String> = serde_json::from_value(promised["headers"].clone()).unwrap();
    assert!(
        url.contains("X-Amz-Expires=900")
            && url.contains("X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-crc64nvme"),
        "{url}"
    );
    let put = |url: &str, headers: &BTreeMap<String, String>, body: &[u8]| send("PUT", url, headers, body).0;
    let with = |name: &str, value: &str| {
        let mut headers = headers.clone();
        headers.insert(name.to_owned(), value.to_owned());
        headers
    };
    let sum = "x-amz-checksum-crc64nvme";
    assert_eq!(put(url, &headers, b"123456780"), 400, "other bytes");
    let other = Checksum::of(b"123456780").to_string();
    assert_eq!(put(url, &with(sum, &other), b"123456780"), 403, "other bytes with their checksum");
    let longer = with("content-length", "10");
    assert_eq!(put(url, &longer, b"1234567890"), 403, "another length");
    let mut bare = headers.clone();
    bare.remove(sum);
    assert_eq!(put(url, &bare, b"123456789"), 403, "no checksum");
    assert_eq!(
        put(&url.replace("partNumber=1", "partNumber=2"), &headers, b"123456789"),
        403,
        "another part"
    );
    assert_eq!(put(&url.replace("run%201", "run%202"), &headers, b"123456789"), 403, "another key");
    assert_eq!(put(&url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000"), &headers, b"123456789"), 403);
    stage.pass(Duration::from_secs(901));
    assert_eq!(put(url, &headers, b"123456789"), 403, "too late");
    stage.pass(Duration::ZERO);
    assert_eq!(put(url, &headers, b"123456789"), 200, "what was promised");
    let id = offer["upload"]["id"].as_str().unwrap();
    let done = stage.post(&format!("/v1/uploads/{id}:complete"), &json!({}));
    assert_eq!(done["upload"]["state"], "completed", "{done}");
    assert_eq!(put(url, &headers, b"123456789"), 404, "an URL ends with its upload");
    assert!(!stage.rows().contains("X-Amz") && !stage.rows().contains("Signature"), "a row holds an URL");
}

#[test]
fn an_url_ends_no_later_than_the_credentials_behind_it() {
    let stage = Stage::with(Some(Duration::from_secs(400)));
    let part = json!({"size_bytes": 9, "crc64nvme": "rosUhgp5mIg="});
    let offer = stage.post("/v1/uploads", &json!({"key": "a", "size_bytes": 9, "parts": [part]}));
    let url = offer["parts"][0]["url"].as_str().unwrap();
    let (_, rest) = url.split_once("X-Amz-Expires=").unwrap();
    let expires_s: u64 = rest.split('&').next().unwrap().parse().unwrap();
    assert!((300..=400).contains(&expires_s), "{url}");
    assert!(url.contains("X-Amz-Security-Token=a%20token%2Fof%2Ba%20session"), "{url}");
}

/// More parts than the store tells at once.
#[test]
fn parts_are_joined_from_every_page_of_their_list() {
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let (file, body) = (folder.path().join("five-parts"), bytes((32 << 20) + 1));
    std::fs::write(&file, &body).unwrap();
    let receipt = run(&stage, &file, "five-parts");
    let region = receipt["copies"][0]["region"].as_str().unwrap();
    assert_eq!(stage.holds(region, "lab/five-parts"), Some(Checksum::of(&body)), "{receipt}");
}

/// What was completed unheard and written over by another since is found below, whatever its key is made of.
#[test]
fn an_object_that_was_written_over_is_found_among_the_versions_of_its_key() {
    let stage = Stage::new();
    let part = json!({"size_bytes": 9, "crc64nvme": "rosUhgp5mIg="});
    let key = "a & b/<c>+d.txt";
    let offer = stage.post("/v1/uploads", &json!({"key": key, "size_bytes": 9, "parts": [part]}));
    let target = format!("/v1/uploads/{}", offer["upload"]["id"].as_str().unwrap());
    put(&offer, b"123456789");
    let region = offer["upload"]["region"].as_str().unwrap();
    stage.complete_unheard(region);
    stage.write_over(region, &format!("lab/{key}"));
    let done = stage.post(&format!("{target}:complete"), &json!({}));
    let version = done["upload"]["receipt"]["copies"][0]["version_id"].as_str().unwrap();
    assert_eq!(stage.version(region, &format!("lab/{key}"), version), Some(Checksum::of(b"123456789")));
}

/// Puts the one part of `offer`; the status.
fn put(offer: &Value, body: &[u8]) -> u16 {
    let part = &offer["parts"][0];
    let headers: BTreeMap<String, String> = serde_json::from_value(part["headers"].clone()).unwrap();
    send("PUT", part["url"].as_str().unwrap(), &headers, body).0
}

/// At the most verbose level that a function can be set to, with the real client of the stores: begun, shown,
/// signed, completed, moved, given up, and refused by the API and by the stores.
#[test]
fn nothing_that_lets_its_reader_in_is_ever_in_the_log() {
    log::capture();
    let stage = Stage::with(Some(Duration::from_secs(400)));
    let mut secrets = Vec::new();
    let mut call = |method: &str, path: &str, body: Value| {
        let (status, told) = stage.call(method, path, &body);
        for part in told["parts"].as_array().into_iter().flatten() {
            let url = part["url"].as_str().unwrap();
            secrets.extend([url, url.split_once("X-Amz-Signature=").unwrap().1].map(str::to_owned));
        }
        (status, told)
    };
    let part = json!({"size_bytes": 9, "crc64nvme": "rosUhgp5mIg="});
    for key in ["a", "b"] {
        let ask = json!({"key": key, "size_bytes": 9, "parts": [part]});
        let (status, offer) = call("POST", "/v1/uploads", ask);
        assert_eq!(status, 201, "{offer}");
        let target = format!("/v1/uploads/{}", offer["upload"]["id"].as_str().unwrap());
        let act = |verb: &str| format!("{target}:{verb}");
        assert_eq!(put(&offer, b"123456780"), 400);
        assert_eq!(call("POST", &act("complete"), json!({})).0, 409);
        stage.doubt(true);
        assert_eq!(call("POST", &act("complete"), json!({})).0, 500);
        assert_eq!(
            call("POST", &act("failover"), json!({"from": offer["upload"]["region"], "reason": "x"})).0,
            500
        );
        assert_eq!(call("DELETE", &target, Value::Null).0, 500);
        assert_eq!(call("POST", "/v1/uploads", json!({"key": "c", "size_bytes": 9, "parts": [part]})).0, 500);
        stage.doubt(false);
        let (_, moved) = call("POST", &act("failover"), json!({"from": offer["upload"]["region"]}));
        assert_eq!(call("POST", &act("sign"), json!({"from": 1})).0, 200);
        assert_eq!(call("GET", &target, Value::Null).0, 200);
        assert_eq!(put(&moved, b"123456789"), 200);
        match key {
            "a" => assert_eq!(call("POST", &act("complete"), json!({})).0, 200),
            _ => assert_eq!(call("DELETE", &target, Value::Null).0, 200),
        }
        assert_eq!(call("POST", &act("sign"), json!({"from": 1})).0, 409);
    }
    let encoded = "a%20token%2Fof%2Ba%20session";
    let fixed = [SECRET, ACCESS_KEY, SESSION_TOKEN, encoded, CALLERS_TOKEN, "X-Amz-", "Signature=", "Bearer"];
    secrets.extend(fixed.map(str::to_owned));
    secrets.extend(stage.signatures());
    let logged = log::logged();
    let found: Vec<_> = secrets.iter().filter(|secret| logged.contains(*secret)).collect();
    assert!(secrets.len() > 30 && found.is_empty(), "{found:?} in {logged}");
    for told in ["answered", "refused", "SignatureDoesNotMatch", "as verbose as can be"] {
        assert!(logged.contains(told), "`{told}` is not in {logged}");
    }
}
