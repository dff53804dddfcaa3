//! Uploads through the API, with a client that does what a client does.

use std::collections::BTreeMap;

use sealane::{checksum::Checksum, failover::Phase, ports::Objects as _, region::RegionName};
use serde_json::{Value, json};

use super::{
    buckets::Ailment,
    world::{DOCUMENT, EAST, Reply, WEST, World},
};

const NOW: u64 = 1_795_166_130_512;
const QUARTER_MS: u64 = 15 * 60 * 1_000;
const PART: usize = 5 << 20;

fn body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// What a client asks for that sends `bytes` in parts of 5 MiB.
fn ask(key: &str, bytes: &[u8]) -> Value {
    let parts: Vec<_> = match bytes {
        [] => vec![json!({"size_bytes": 0, "crc64nvme": Checksum::EMPTY})],
        bytes => bytes
            .chunks(PART)
            .map(|part| json!({"size_bytes": part.len(), "crc64nvme": Checksum::of(part)}))
            .collect(),
    };
    json!({"key": key, "size_bytes": bytes.len(), "parts": parts, "copies": 3})
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

impl World {
    /// Puts what `offer` has URLs for; what the store refused is told.
    async fn put(&self, offer: &Value, bytes: &[u8]) -> Result<(), String> {
        let bucket = self.cloud.bucket(text(&offer["upload"]["bucket"]));
        for part in offer["parts"].as_array().unwrap() {
            let headers: BTreeMap<String, String> = serde_json::from_value(part["headers"].clone()).unwrap();
            let place = usize::try_from(part["number"].as_u64().unwrap()).unwrap() - 1;
            let bytes = bytes.chunks(PART).nth(place).unwrap_or_default().to_vec();
            let put = bucket.put_signed(text(&part["url"]), &headers, bytes.into()).await;
            put.map_err(|error| format!("{error:?}"))?;
        }
        Ok(())
    }

    async fn act(&self, offer: &Value, verb: &str, body: Value) -> Reply {
        self.post(&format!("/v1/uploads/{}:{verb}", text(&offer["upload"]["id"])), body).await
    }

    async fn begun(&self, key: &str, bytes: &[u8]) -> Value {
        let reply = self.post("/v1/uploads", ask(key, bytes)).await;
        assert_eq!(reply.status.as_u16(), 201, "{}", reply.text);
        reply.json()
    }

    /// Begun, and all parts put.
    async fn sent(&self, key: &str, bytes: &[u8]) -> Value {
        let offer = self.begun(key, bytes).await;
        self.put(&offer, bytes).await.unwrap();
        offer
    }

    fn ails(&self, offer: &Value, ailment: Ailment) {
        let region: RegionName = text(&offer["upload"]["region"]).parse().unwrap();
        self.troubles[&region].be(ailment);
    }

    async fn versions(&self, offer: &Value) -> usize {
        self.cloud.bucket(text(&offer["upload"]["bucket"])).versions(text(&offer["upload"]["key"]))
    }

    /// Every row, as text.
    fn rows(&self) -> String {
        self.worksets[WEST].all().into_iter().map(|row| row.body).collect()
    }
}

#[tokio::test]
async fn an_upload_is_sent_by_its_urls_joined_and_proved() {
    let world = World::steady().await;
    for (key, size) in [("empty", 0), ("small.txt", 9), ("run/large.bin", 2 * PART + 7)] {
        let bytes = body(size);
        let begun = world.post("/v1/uploads", ask(key, &bytes)).await;
        let offer = begun.json();
        let upload = &offer["upload"];
        assert_eq!((&upload["state"], text(&upload["key"])), (&json!("open"), &*format!("lab/{key}")));
        assert_eq!(begun.header("location"), format!("/v1/uploads/{}", text(&upload["id"])));
        assert_eq!(offer["expires_ms"], NOW + QUARTER_MS);
        assert!(text(&upload["why"]).starts_with("object_write by "), "{upload}");
        assert_eq!(world.versions(&offer).await, 0, "nobody sees an object before it is completed");
        world.put(&offer, &bytes).await.unwrap();
        let done = world.act(&offer, "complete", json!({})).await;
        assert_eq!(done.status.as_u16(), 200, "{}", done.text);
        let done = done.json();
        let (upload, receipt) = (&done["upload"], &done["upload"]["receipt"]);
        let bucket = world.cloud.bucket(text(&upload["bucket"]));
        let version = text(&receipt["copies"][0]["version_id"]);
        let head = bucket.head(text(&upload["key"]), Some(version)).await.unwrap().unwrap();
        assert_eq!((head.size_bytes, head.checksum), (size as u64, Some(Checksum::of(&bytes))));
        assert_eq!(head.attributes.metadata["sealane-upload"], text(&upload["id"]));
        assert!(head.attributes.metadata["sealane-regions"].starts_with(text(&upload["region"])));
        assert_eq!((&upload["state"], &receipt["outcome"]), (&json!("completed"), &json!("degraded")));
        assert_eq!(
            (&receipt["copies"][0]["verified"], &receipt["copies"][0]["region"]),
            (&json!(true), &upload["region"])
        );
        assert_eq!(receipt["owed"].as_array().unwrap().len(), 2);
    }
}

/// The fake refuses as the signature does; that it does is proved with the real one in `tests/tests/uploads.rs`.
#[tokio::test]
async fn a_part_that_is_not_what_was_promised_is_refused_and_the_rest_is_not_joined() {
    let world = World::steady().await;
    let bytes = body(2 * PART + 7);
    let offer = world.begun("a", &bytes).await;
    let mut other = bytes.clone();
    other[PART + 1] ^= 1;
    assert!(world.put(&offer, &other).await.is_err());
    assert!(world.put(&offer, &bytes[..PART - 1]).await.unwrap_err().contains("the length differs"));
    let refused = world.act(&offer, "complete", json!({})).await;
    assert!(refused.problem(409, "parts-missing").contains("parts 2-3"));
    let shown = world.get(&format!("/v1/uploads/{}", text(&offer["upload"]["id"]))).await.json();
    assert_eq!(shown["stored"], json!({"parts": [[1, 1]], "size_bytes": PART}));
    world.put(&offer, &bytes).await.unwrap();
    assert_eq!(world.act(&offer, "complete", json!({})).await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_repetition_begins_nothing_and_gets_urls_anew_and_none_is_written_down() {
    let world = World::steady().await;
    let first = world.keyed("k1", "/v1/uploads", ask("a", b"nine bytes")).await;
    world.at(NOW + 60_000);
    let again = world.keyed("k1", "/v1/uploads", ask("a", b"nine bytes")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    let (one, two) = (first.json(), again.json());
    assert_eq!((&one["upload"], &one["parts"]), (&two["upload"], &two["parts"]));
    assert_eq!(two["expires_ms"], NOW + 60_000 + QUARTER_MS);
    let bucket = world.cloud.bucket(text(&one["upload"]["bucket"]));
    assert_eq!(bucket.unfinished(), 1);
    world.keyed("k1", "/v1/uploads", ask("b", b"nine bytes")).await.problem(422, "idempotency-key-reused");
    world.put(&one, b"nine bytes").await.unwrap();
    world.act(&one, "complete", json!({})).await;
    assert!(world.rows().contains("rosUhgp5mIg=") || world.rows().contains("sums"));
    assert!(!world.rows().contains("memory://"), "a row holds an URL");
    let late = world.keyed("k1", "/v1/uploads", ask("a", b"nine bytes")).await.json();
    assert_eq!((&late["upload"]["state"], &late["parts"]), (&json!("completed"), &json!([])));
}

#[tokio::test]
async fn a_repeated_completion_gives_the_same_receipt_with_its_key_or_another() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    let target = format!("/v1/uploads/{}:complete", text(&offer["upload"]["id"]));
    let first = world.keyed("k1", &target, json!({})).await;
    let again = world.keyed("k1", &target, json!({})).await;
    let other = world.keyed("k2", &target, json!({})).await;
    assert_eq!((first.status.as_u16(), &first.text), (200, &again.text));
    assert_eq!(first.json(), other.json());
    assert_eq!(world.versions(&offer).await, 1);
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_read_back() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    world.ails(&offer, Ailment::LosesCompletions);
    let done = world.act(&offer, "complete", json!({})).await;
    assert_eq!((done.status.as_u16(), world.versions(&offer).await), (200, 1), "{}", done.text);
}

/// A lost answer is neither yes nor no: it is called unknown until somebody can look.
#[tokio::test]
async fn a_completion_that_nobody_can_look_up_is_unknown_and_found_later() {
    for (ailment, made) in [(Ailment::LosesSight, 1), (Ailment::JoinsNothing, 0)] {
        let world = World::steady().await;
        let offer = world.sent("a", b"abc").await;
        world.ails(&offer, ailment);
        world.act(&offer, "complete", json!({})).await.problem(503, "outcome-unknown");
        assert_eq!(world.versions(&offer).await, made);
        world.ails(&offer, Ailment::None);
        let done = world.act(&offer, "complete", json!({})).await;
        assert_eq!((done.status.as_u16(), world.versions(&offer).await), (200, 1), "{}", done.text);
    }
}

/// What was completed and written over before anybody looked is found below.
#[tokio::test]
async fn an_object_that_was_written_over_at_once_is_found_below() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    world.ails(&offer, Ailment::LosesSight);
    world.act(&offer, "complete", json!({})).await.problem(503, "outcome-unknown");
    world.ails(&offer, Ailment::None);
    let bucket = world.cloud.bucket(text(&offer["upload"]["bucket"]));
    bucket.put("lab/a", "newer".into(), Checksum::of(b"newer"), &Default::default()).await.unwrap();
    let done = world.act(&offer, "complete", json!({})).await.json();
    let version = text(&done["upload"]["receipt"]["copies"][0]["version_id"]);
    let head = bucket.head("lab/a", Some(version)).await.unwrap().unwrap();
    assert_eq!(head.checksum, Some(Checksum::of(b"abc")));
}

#[tokio::test]
async fn where_no_bucket_answers_nothing_is_begun_or_left_and_it_is_tried_again_later() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    world.troubles.values().for_each(|trouble| trouble.be(Ailment::BeginsNothing));
    let refused = world.post("/v1/uploads", ask("b", b"abc")).await;
    refused.problem(503, "no-region");
    let from = offer["upload"]["region"].clone();
    world.act(&offer, "failover", json!({"from": from})).await.problem(503, "no-region");
    world.troubles.values().for_each(|trouble| trouble.be(Ailment::None));
    let done = world.act(&offer, "complete", json!({})).await.json();
    assert_eq!((&done["upload"]["region"], &done["upload"]["state"]), (&from, &json!("completed")));
}

#[tokio::test]
async fn an_upload_leaves_a_region_for_one_that_was_not_tried_and_its_urls_end() {
    let world = World::steady().await;
    let first = world.sent("a", b"abc").await;
    let (mut offer, mut tried) = (first.clone(), Vec::new());
    for left in 1..=2 {
        let from = offer["upload"]["region"].clone();
        tried.push(from.clone());
        let moved = world.act(&offer, "failover", json!({"from": from, "reason": "too slow"})).await;
        assert_eq!(moved.status.as_u16(), 200, "{}", moved.text);
        let moved = moved.json();
        assert!(!tried.contains(&moved["upload"]["region"]), "{moved}");
        assert_eq!(moved["upload"]["tried"].as_array().unwrap().len(), left);
        assert_eq!(moved["upload"]["owed_aborts"], json!([]));
        assert!(world.put(&offer, b"abc").await.is_err(), "the old URL is good for nothing");
        // Whoever asks again, by another key as well, is told of the move that was made.
        let again = world.act(&offer, "failover", json!({"from": from})).await.json();
        assert_eq!(again["upload"]["region"], moved["upload"]["region"]);
        offer = moved;
    }
    let last = offer["upload"]["region"].clone();
    world.act(&offer, "failover", json!({"from": last})).await.problem(409, "regions-spent");
    world.put(&offer, b"abc").await.unwrap();
    let done = world.act(&offer, "complete", json!({})).await.json();
    let receipt = &done["upload"]["receipt"];
    assert_eq!((&receipt["copies"][0]["region"], receipt["failed"].as_array().unwrap().len()), (&last, 2));
    assert_eq!(receipt["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(world.versions(&first).await, 0);
}

#[tokio::test]
async fn parts_in_a_region_out_of_reach_are_owed_an_abort_and_freed_later() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    let bucket = text(&offer["upload"]["bucket"]);
    world.cloud.cut(bucket, true);
    world.act(&offer, "complete", json!({})).await.problem(503, "bucket-unavailable");
    let from = offer["upload"]["region"].clone();
    let moved = world.act(&offer, "failover", json!({"from": from})).await.json();
    assert_eq!(moved["upload"]["owed_aborts"], json!([from]));
    world.put(&moved, b"abc").await.unwrap();
    world.cloud.cut(bucket, false);
    assert_eq!(world.cloud.bucket(bucket).unfinished(), 1);
    let done = world.act(&moved, "complete", json!({})).await.json();
    assert_eq!((&done["upload"]["owed_aborts"], world.cloud.bucket(bucket).unfinished()), (&json!([]), 0));
    assert_eq!(done["upload"]["receipt"]["leftovers"], json!([]));
}

/// Two regions that completed it, one of them unheard, hold one object to replication: the same upload,
/// the same bytes.
#[tokio::test]
async fn a_completion_that_was_left_in_doubt_does_no_harm_in_the_next_region() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    world.ails(&offer, Ailment::LosesSight);
    world.act(&offer, "complete", json!({})).await.problem(503, "outcome-unknown");
    let from = offer["upload"]["region"].clone();
    let moved = world.act(&offer, "failover", json!({"from": from})).await.json();
    world.put(&moved, b"abc").await.unwrap();
    assert_eq!(world.act(&moved, "complete", json!({})).await.status.as_u16(), 200);
    for side in [&offer, &moved] {
        let bucket = world.cloud.bucket(text(&side["upload"]["bucket"]));
        let head = bucket.head("lab/a", None).await.unwrap().unwrap();
        assert_eq!(head.attributes.metadata["sealane-upload"], text(&offer["upload"]["id"]));
        assert_eq!(head.checksum, Some(Checksum::of(b"abc")));
    }
}

#[tokio::test]
async fn an_upload_that_was_given_up_stays_so_and_takes_nothing_more() {
    let world = World::steady().await;
    let offer = world.begun("a", b"abc").await;
    let target = format!("/v1/uploads/{}", text(&offer["upload"]["id"]));
    let bucket = text(&offer["upload"]["bucket"]);
    world.cloud.cut(bucket, true);
    world.call("lab", "DELETE", &target, Value::Null).await.problem(503, "bucket-unavailable");
    world.cloud.cut(bucket, false);
    assert_eq!(world.get(&target).await.json()["upload"]["state"], "open");
    for _ in 0..2 {
        let ended = world.call("lab", "DELETE", &target, Value::Null).await;
        assert_eq!((ended.status.as_u16(), &ended.json()["upload"]["state"]), (200, &json!("aborted")));
    }
    assert_eq!(world.cloud.bucket(bucket).unfinished(), 0);
    assert!(world.put(&offer, b"abc").await.is_err());
    for (verb, body) in
        [("complete", json!({})), ("sign", json!({"from": 1})), ("failover", json!({"from": WEST}))]
    {
        world.act(&offer, verb, body).await.problem(409, "upload-ended");
    }
    let done = world.sent("b", b"abc").await;
    world.act(&done, "complete", json!({})).await;
    let target = format!("/v1/uploads/{}", text(&done["upload"]["id"]));
    let refused = world.call("lab", "DELETE", &target, Value::Null).await;
    assert!(refused.problem(409, "upload-ended").contains("is completed"));
}

/// A completion of which nobody was told is found by whoever gives the upload up.
#[tokio::test]
async fn what_is_there_is_not_called_given_up() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    world.ails(&offer, Ailment::LosesSight);
    world.act(&offer, "complete", json!({})).await.problem(503, "outcome-unknown");
    world.ails(&offer, Ailment::None);
    let target = format!("/v1/uploads/{}", text(&offer["upload"]["id"]));
    world.call("lab", "DELETE", &target, Value::Null).await.problem(409, "upload-ended");
    let shown = world.get(&target).await.json();
    assert_eq!((&shown["upload"]["state"], &shown["stored"]), (&json!("completed"), &Value::Null));
}

#[tokio::test]
async fn parts_that_the_store_gave_up_are_told() {
    let world = World::steady().await;
    let offer = world.begun("a", b"abc").await;
    let bucket = world.cloud.bucket(text(&offer["upload"]["bucket"]));
    let [open] = bucket.uploads("lab/a").await.unwrap().try_into().unwrap();
    bucket.abort("lab/a", &open.upload).await.unwrap();
    let refused = world.act(&offer, "complete", json!({})).await.problem(409, "upload-ended");
    assert!(refused.contains("no longer has the parts"), "{refused}");
}

#[tokio::test]
async fn urls_come_in_pages() {
    let world = World::steady().await;
    let part = json!({"size_bytes": PART, "crc64nvme": Checksum::EMPTY});
    let all = json!({"key": "a", "size_bytes": PART * 1_200, "parts": vec![part; 1_200]});
    let offer = world.post("/v1/uploads", all).await;
    assert!(offer.text.len() < 1 << 20, "{}", offer.text.len());
    let offer = offer.json();
    let numbers = |page: &Value| -> Vec<u64> {
        page["parts"].as_array().unwrap().iter().map(|part| part["number"].as_u64().unwrap()).collect()
    };
    assert_eq!((numbers(&offer), &offer["next"]), ((1..=500).collect(), &json!(501)));
    let next = world.act(&offer, "sign", json!({"from": 501})).await.json();
    assert_eq!((numbers(&next), &next["next"]), ((501..=1000).collect(), &json!(1001)));
    let some = world.act(&offer, "sign", json!({"from": 1199, "to": 1200})).await.json();
    assert_eq!((numbers(&some), &some["next"]), (vec![1199, 1200], &Value::Null));
    for ask in [
        json!({"from": 0}),
        json!({"from": 1201}),
        json!({"from": 1, "to": 501}),
        json!({"from": 5, "to": 4}),
    ] {
        world.act(&offer, "sign", ask).await.problem(422, "invalid-upload");
    }
}

#[tokio::test]
async fn residency_is_kept_whoever_asks_for_it() {
    let tags = "priority: 3, residency: [eu], bucket: bucket-eu";
    let rules = "replication: {rules: [{prefix: lab/patients/, residency: [eu]}]},";
    let document =
        DOCUMENT.replace("bucket: bucket-eu", tags).replace("    regions:", &format!("    {rules} regions:"));
    let world = World::of(&document, &[]);
    world.record(Phase::Steady).await;
    let place = async |key: &str, residency: &[&str]| {
        let part = json!({"size_bytes": 3, "crc64nvme": Checksum::of(b"abc")});
        let ask = json!({"key": key, "size_bytes": 3, "parts": [part], "residency": residency});
        world.post("/v1/uploads", ask).await
    };
    for (key, residency) in [("a", &["eu"][..]), ("patients/a", &[])] {
        let offer = place(key, residency).await.json();
        assert_eq!(offer["upload"]["region"], "eu-west-1", "{offer}");
        let moved = world.act(&offer, "failover", json!({"from": "eu-west-1"})).await;
        moved.problem(409, "regions-spent");
    }
    let refused = place("a", &["mars"]).await;
    refused.problem(422, "invalid-upload");
    assert_eq!(refused.json()["errors"][0]["field"], "residency");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named_by_field() {
    let world = World::steady().await;
    let good = ask("a", b"abc");
    let edits: [(&str, Value); 7] = [
        ("key", json!("../other/a")),
        ("size_bytes", json!(4)),
        ("parts", json!([{"size_bytes": 3, "crc64nvme": "none"}])),
        ("copies", json!(4)),
        ("data_in", json!("eu-north-1")),
        ("storage_class", json!("ATTIC")),
        ("content_type", json!("text\r\nx: y")),
    ];
    for (field, value) in edits {
        let mut ask = good.clone();
        ask[field] = value;
        let refused = world.post("/v1/uploads", ask).await;
        refused.problem(422, "invalid-upload");
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    let offer = world.begun("a", b"abc").await;
    let elsewhere = ["us-west-2", "us-east-1"].into_iter().find(|name| offer["upload"]["region"] != *name);
    world.act(&offer, "failover", json!({"from": elsewhere})).await.problem(422, "invalid-upload");
    world.act(&offer, "failover", json!({"from": "eu-north-1"})).await.problem(400, "unknown-region");
    world.act(&offer, "explode", json!({})).await.problem(404, "no-such-route");
    world.get("/v1/uploads/up-1").await.problem(400, "invalid-path");
}

#[tokio::test]
async fn another_tenant_s_upload_is_not_there() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    let target = format!("/v1/uploads/{}", text(&offer["upload"]["id"]));
    for (method, verb, body) in [
        ("GET", "", Value::Null),
        ("DELETE", "", Value::Null),
        ("POST", ":sign", json!({"from": 1})),
        ("POST", ":complete", json!({})),
        ("POST", ":failover", json!({"from": offer["upload"]["region"]})),
    ] {
        let refused = world.call("other", method, &format!("{target}{verb}"), body).await;
        refused.problem(404, "upload-not-found");
    }
    assert_eq!(world.act(&offer, "complete", json!({})).await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_outage_of_the_tables_is_no_missing_upload_and_begins_nothing() {
    let world = World::steady().await;
    let offer = world.sent("a", b"abc").await;
    world.worksets[WEST].cut(true);
    let target = format!("/v1/uploads/{}", text(&offer["upload"]["id"]));
    world.get(&target).await.problem(503, "unavailable");
    world.act(&offer, "complete", json!({})).await.problem(503, "unavailable");
    world.post("/v1/uploads", ask("b", b"abc")).await.problem(503, "unavailable");
    let open: usize = ["bucket-west", "bucket-east", "bucket-eu"]
        .map(|name| world.cloud.bucket(name).unfinished())
        .iter()
        .sum();
    assert_eq!(open, 1);
    world.worksets[WEST].cut(false);
    world.record(Phase::Draining { to: EAST.parse().unwrap() }).await;
    world.act(&offer, "complete", json!({})).await.problem(503, "primary-moving");
}
