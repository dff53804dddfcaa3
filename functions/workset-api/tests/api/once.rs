//! Calls that are sent again: each rule of idempotency.

use serde_json::{Value, json};

use super::world::{WEST, World, called, token};

const NOW: u64 = 1_795_166_130_512;

fn new(id: &str) -> Value {
    json!({"id": id, "bucket": "my-bucket", "prefix": "p/"})
}

#[tokio::test]
async fn a_call_that_writes_needs_a_key() {
    let world = World::steady().await;
    for target in
        ["/v1/worksets", "/v1/worksets:claim", "/v1/worksets/ws-001/transitions", "/v1/worksets/ws-001/lock"]
    {
        let mut request = called(token("lab"), "POST", target, "{}");
        request.headers_mut().remove("idempotency-key");
        world.send(request).await.problem(400, "idempotency-key-missing");
        world.keyed(&"k".repeat(129), target, json!({})).await.problem(400, "invalid-header");
        world.keyed("two words", target, json!({})).await.problem(400, "invalid-header");
    }
}

#[tokio::test]
async fn the_reply_to_a_repetition_is_the_first_one_and_says_so() {
    let world = World::steady().await;
    let first = world.keyed("k1", "/v1/worksets", new("ws-001")).await;
    world.post("/v1/worksets/ws-001/transitions", json!({"to": "in_progress"})).await;
    let again = world.keyed("k1", "/v1/worksets", new("ws-001")).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    for name in ["etag", "location", "sealane-served-by"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
}

#[tokio::test]
async fn a_move_that_is_sent_again_is_not_made_again() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let target = "/v1/worksets/ws-001/transitions";
    for _ in 0..3 {
        let moved = world.keyed("k1", target, json!({"to": "in_progress"})).await;
        assert_eq!((moved.status.as_u16(), &moved.json()["workset"]["version"]), (200, &json!(2)));
    }
    let step = json!({"progress": {"step": "align"}});
    for _ in 0..3 {
        world.keyed("k1", "/v1/worksets/ws-001/progress", step.clone()).await;
    }
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["workset"]["version"], 3, "another operation");
}

#[tokio::test]
async fn a_claim_that_is_sent_again_claims_nothing_more() {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.register("ws-002").await;
    let first = world.keyed("k1", "/v1/worksets:claim", json!({})).await;
    assert_eq!(world.keyed("k1", "/v1/worksets:claim", json!({})).await.text, first.text);
    assert_eq!(world.keyed("k2", "/v1/worksets:claim", json!({})).await.json()["workset"]["id"], "ws-002");
}

#[tokio::test]
async fn a_key_belongs_to_one_body_of_one_operation_of_one_tenant() {
    let world = World::steady().await;
    world.keyed("k1", "/v1/worksets", new("ws-001")).await;
    let detail =
        world.keyed("k1", "/v1/worksets", new("ws-002")).await.problem(422, "idempotency-key-reused");
    assert!(detail.contains("`k1`"), "{detail}");
    world.get("/v1/worksets/ws-002").await.problem(404, "workset-not-found");
    let mut foreign = called(token("other"), "POST", "/v1/worksets", &new("ws-002").to_string());
    foreign.headers_mut().insert("idempotency-key", "k1".parse().unwrap());
    assert_eq!(world.send(foreign).await.status.as_u16(), 201);
}

#[tokio::test]
async fn what_was_refused_is_decided_anew() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let target = "/v1/worksets/ws-001/transitions";
    let done = json!({"to": "complete"});
    world.keyed("k1", target, done.clone()).await.problem(409, "illegal-move");
    world.post(target, json!({"to": "in_progress"})).await;
    assert_eq!(world.keyed("k1", target, done).await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_reply_is_kept_for_35_days_and_no_longer() {
    let world = World::steady().await;
    world.keyed("k1", "/v1/worksets", new("ws-001")).await;
    let days = |days: u64| NOW + days * 86_400_000;
    world.at(days(35) - 1);
    assert_eq!(world.keyed("k1", "/v1/worksets", new("ws-001")).await.header("idempotency-replayed"), "true");
    world.at(days(35));
    assert_eq!(world.keyed("k1", "/v1/worksets", new("ws-002")).await.status.as_u16(), 201);
}

/// The write arrived, its answer and the owner of the call are lost: the row of the call says that
/// it was begun, and the history that it was done.
async fn orphaned(world: &World) {
    world.register("ws-001").await;
    let target = "/v1/worksets/ws-001/transitions";
    world.keyed("k1", target, json!({"to": "in_progress"})).await;
    let rows = world.worksets[WEST].all();
    let mut row = rows.into_iter().find(|row| row.key.partition.ends_with("#k1")).unwrap();
    let mut call: Value = serde_json::from_str(&row.body).unwrap();
    call["stage"] = json!("at_work");
    row.body = call.to_string();
    sealane::ports::Rows::write(&world.worksets[WEST], &row, sealane::ports::When::Always).await.unwrap();
}

#[tokio::test]
async fn a_call_that_somebody_is_at_waits_its_turn() {
    let world = World::steady().await;
    orphaned(&world).await;
    let waits = world.keyed("k1", "/v1/worksets/ws-001/transitions", json!({"to": "in_progress"})).await;
    waits.problem(409, "call-in-progress");
    assert_eq!(waits.header("retry-after"), "31");
}

#[tokio::test]
async fn a_call_whose_owner_died_after_the_write_is_found_done() {
    for later in [None, Some("complete")] {
        let world = World::steady().await;
        orphaned(&world).await;
        if let Some(to) = later {
            world.post("/v1/worksets/ws-001/transitions", json!({"to": to})).await;
        }
        let before = world.get("/v1/worksets/ws-001").await.json()["workset"].clone();
        world.at(NOW + 30_000);
        let target = "/v1/worksets/ws-001/transitions";
        let found = world.keyed("k1", target, json!({"to": "in_progress"})).await;
        assert_eq!((found.status.as_u16(), &found.json()["workset"]), (200, &before), "{}", found.text);
        assert_eq!(
            world.keyed("k1", target, json!({"to": "in_progress"})).await.header("idempotency-replayed"),
            "true"
        );
    }
}

#[tokio::test]
async fn an_outage_is_no_reply_to_keep() {
    let world = World::steady().await;
    world.worksets[WEST].cut(true);
    world.keyed("k1", "/v1/worksets", new("ws-001")).await.problem(503, "unavailable");
    world.worksets[WEST].cut(false);
    assert_eq!(world.keyed("k1", "/v1/worksets", new("ws-001")).await.status.as_u16(), 201);
}

/// What was kept of the call `k1` becomes what it was when its owner was about to act, or before.
async fn forgotten(world: &World, steps: &[&str]) {
    let rows = world.worksets[WEST].all();
    let mut row = rows.into_iter().find(|row| row.key.partition.ends_with("#k1")).unwrap();
    let mut call: Value = serde_json::from_str(&row.body).unwrap();
    (call["stage"], call["steps"]) = (json!("released"), json!(steps));
    row.body = call.to_string();
    sealane::ports::Rows::write(&world.worksets[WEST], &row, sealane::ports::When::Always).await.unwrap();
}

/// Claims with the key `k1`, of two that wait.
async fn claimed() -> World {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.register("ws-002").await;
    let first = world.keyed("k1", "/v1/worksets:claim", json!({"lease_s": 60})).await;
    assert_eq!(first.json()["lock"]["token"], 1);
    world
}

/// The reply could not be kept, and the lock was renewed and its workset moved on since.
#[tokio::test]
async fn a_claim_finds_the_lock_that_it_took_whatever_its_holder_did_since() {
    let world = claimed().await;
    let again = || world.keyed("k1", "/v1/worksets:claim", json!({"lease_s": 60}));
    world.post("/v1/worksets/ws-001/lock/renew", json!({"token": 1, "lease_s": 600})).await;
    for known in [&["ws-001"][..], &[]] {
        forgotten(&world, known).await;
        let found = again().await;
        assert_eq!(found.status.as_u16(), 201, "{}", found.text);
        let found = found.json();
        assert_eq!((&found["workset"]["id"], &found["lock"]["token"]), (&json!("ws-001"), &json!(1)));
        assert_eq!(found["lock"]["expires_ms"], NOW + 600_000);
    }
    let begin = json!({"to": "in_progress", "token": 1});
    world.post("/v1/worksets/ws-001/transitions", begin).await;
    forgotten(&world, &["ws-001"]).await;
    assert_eq!(again().await.json()["workset"]["state"], "in_progress");
    let held = world.get("/v1/worksets/ws-001/lock").await.json();
    assert_eq!(held["lock"]["token"], 1, "it was not given back");
    assert_eq!(world.get("/v1/worksets/ws-002/lock").await.json()["token_last"], 0);
}

#[tokio::test]
async fn a_claim_whose_lock_is_gone_takes_no_other_in_its_place() {
    let world = claimed().await;
    let again = || world.keyed("k1", "/v1/worksets:claim", json!({"lease_s": 60}));
    world.post("/v1/worksets/ws-001/lock/release", json!({"token": 1})).await;
    forgotten(&world, &["ws-001"]).await;
    again().await.problem(409, "lock-not-held");
    world.keyed("k2", "/v1/worksets/ws-001/lock", json!({})).await;
    forgotten(&world, &[]).await;
    again().await.problem(409, "lock-superseded");
    assert_eq!(world.get("/v1/worksets/ws-002/lock").await.json()["token_last"], 0);
}

#[tokio::test]
async fn a_lock_that_is_asked_for_again_is_the_same_one() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let ask = || world.keyed("k1", "/v1/worksets/ws-001/lock", json!({"lease_s": 60}));
    let first = ask().await.json();
    forgotten(&world, &["lock"]).await;
    assert_eq!(ask().await.json(), first);
    world.post("/v1/worksets/ws-001/lock/renew", json!({"token": 1, "lease_s": 600})).await;
    forgotten(&world, &[]).await;
    let renewed = ask().await.json();
    assert_eq!(
        (&renewed["lock"]["token"], &renewed["lock"]["expires_ms"]),
        (&json!(1), &json!(NOW + 600_000))
    );
    world.at(NOW + 600_000);
    world.post("/v1/worksets/ws-001/lock", json!({})).await;
    forgotten(&world, &[]).await;
    ask().await.problem(409, "lock-superseded");
}
