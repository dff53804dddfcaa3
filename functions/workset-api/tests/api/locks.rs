//! The locks of worksets over HTTPS, and claiming the next one.

use axum::Router;
use serde_json::{Value, json};

use super::world::{EAST, EU, Reply, WEST, World, called, token};

const NOW: u64 = 1_795_166_130_512;

async fn claim(world: &World, api: &Router) -> Reply {
    world.send_to(api, called(token("lab"), "POST", "/v1/worksets:claim", "{}")).await
}

async fn lock(world: &World) -> Value {
    let taken = world.post("/v1/worksets/ws-001/lock", json!({"lease_s": 60})).await;
    assert_eq!(taken.status.as_u16(), 201, "{}", taken.text);
    taken.json()["lock"].clone()
}

#[tokio::test]
async fn a_lock_is_taken_renewed_and_given_back() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let held = lock(&world).await;
    assert_eq!(
        (&held["owner"], &held["token"], &held["expires_ms"]),
        (&json!("ada"), &json!(1), &json!(NOW + 60_000))
    );
    let refused = world.post("/v1/worksets/ws-001/lock", json!({})).await;
    assert!(refused.problem(409, "locked").contains("`ada`"));
    assert_eq!(refused.header("retry-after"), "61");
    let renewed = world.post("/v1/worksets/ws-001/lock/renew", json!({"token": 1, "lease_s": 120})).await;
    assert_eq!(renewed.json()["lock"]["expires_ms"], NOW + 120_000);
    world.post("/v1/worksets/ws-001/lock/release", json!({"token": 2})).await.problem(409, "lock-superseded");
    let free = world.post("/v1/worksets/ws-001/lock/release", json!({"token": 1})).await;
    assert_eq!((&free.json()["lock"], &free.json()["token_last"]), (&Value::Null, &json!(1)));
    world.post("/v1/worksets/ws-001/lock/release", json!({"token": 1})).await.problem(409, "lock-not-held");
    assert_eq!(lock(&world).await["token"], 2);
}

#[tokio::test]
async fn a_lock_is_another_s_to_take_once_it_has_expired_and_its_first_holder_writes_no_more() {
    let world = World::steady().await;
    world.register("ws-001").await;
    lock(&world).await;
    world.at(NOW + 59_999);
    world.post("/v1/worksets/ws-001/lock", json!({})).await.problem(409, "locked");
    world.at(NOW + 60_000);
    assert_eq!(lock(&world).await["token"], 2);
    let begin = |token: u64| json!({"to": "in_progress", "token": token});
    let target = "/v1/worksets/ws-001/transitions";
    world.post(target, begin(1)).await.problem(409, "lock-superseded");
    assert_eq!(world.post(target, begin(2)).await.json()["workset"]["fence"], 2);
}

#[tokio::test]
async fn while_a_lock_is_held_nobody_writes_without_its_token() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let token = lock(&world).await["token"].clone();
    let tag = world.get("/v1/worksets/ws-001").await.header("etag").to_owned();
    world.post("/v1/worksets/ws-001/cancel", json!({})).await.problem(409, "locked");
    world.post("/v1/worksets/ws-001/transitions", json!({"to": "in_progress"})).await.problem(409, "locked");
    let headers = [("if-match", tag.as_str())];
    let amended = world.with_headers("PATCH", "/v1/worksets/ws-001", json!({"priority": "low"}), &headers);
    amended.await.problem(409, "locked");
    let moved =
        world.post("/v1/worksets/ws-001/transitions", json!({"to": "in_progress", "token": token})).await;
    assert_eq!(moved.status.as_u16(), 200, "{}", moved.text);
    let step = json!({"progress": {"step": "align"}, "token": token});
    assert_eq!(world.post("/v1/worksets/ws-001/progress", step).await.status.as_u16(), 200);
    world
        .post("/v1/worksets/ws-001/progress", json!({"progress": {"step": "x"}}))
        .await
        .problem(409, "locked");
}

#[tokio::test]
async fn an_operator_breaks_a_lock_and_its_holder_writes_no_more() {
    let world = World::steady().await;
    world.register("ws-001").await;
    lock(&world).await;
    assert_eq!(world.post("/v1/worksets/ws-001/lock/break", json!({})).await.status.as_u16(), 200);
    let late = world.post("/v1/worksets/ws-001/cancel", json!({"token": 1})).await;
    late.problem(409, "lock-not-held");
    assert_eq!(world.post("/v1/worksets/ws-001/cancel", json!({})).await.status.as_u16(), 200);
    world.post("/v1/worksets/ws-001/lock", json!({})).await.problem(409, "not-lockable");
}

#[tokio::test]
async fn a_lock_is_shown_and_one_of_no_workset_is_not_there() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let free = world.get("/v1/worksets/ws-001/lock").await.json();
    assert_eq!((&free["lock"], &free["is_expired"]), (&Value::Null, &json!(false)));
    lock(&world).await;
    world.at(NOW + 60_000);
    let late = world.get("/v1/worksets/ws-001/lock").await.json();
    assert_eq!((&late["lock"]["token"], &late["is_expired"]), (&json!(1), &json!(true)));
    world.get("/v1/worksets/ws-404/lock").await.problem(404, "workset-not-found");
    world.post("/v1/worksets/ws-404/lock", json!({})).await.problem(404, "workset-not-found");
    world.post("/v1/worksets/ws-001/lock", json!({"lease_s": 0})).await.problem(422, "invalid-body");
}

/// Nothing exclusive goes on while the locks cannot be read.
#[tokio::test]
async fn without_the_control_table_no_lock_is_taken_and_nothing_is_written() {
    let world = World::with(&[("SEALANE_API_CACHE_TTL", "5s")]);
    world.record(sealane::failover::Phase::Steady).await;
    world.register("ws-001").await;
    world.control.cut(true);
    world.post("/v1/worksets/ws-001/lock", json!({})).await.problem(503, "unavailable");
    claim(&world, &world.router).await.problem(503, "outcome-unknown");
    world.post("/v1/worksets/ws-001/cancel", json!({})).await.problem(503, "unavailable");
    world.control.cut(false);
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["workset"]["version"], 1);
}

#[tokio::test]
async fn claims_go_by_priority_then_age_and_pass_over_what_is_held() {
    let world = World::steady().await;
    for (id, priority, ms) in
        [("ws-low", "low", 0), ("ws-new", "normal", 9), ("ws-old", "normal", 5), ("ws-now", "urgent", 20)]
    {
        world.at(NOW + ms);
        let body = json!({"id": id, "bucket": "my-bucket", "prefix": "p/", "priority": priority});
        assert_eq!(world.post("/v1/worksets", body).await.status.as_u16(), 201);
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let claimed = claim(&world, &world.router).await;
        assert_eq!(claimed.status.as_u16(), 201, "{}", claimed.text);
        assert_eq!(claimed.json()["lock"]["token"], 1);
        seen.push(claimed.json()["workset"]["id"].clone());
    }
    assert_eq!(seen, ["ws-now", "ws-old", "ws-new", "ws-low"]);
    let none = claim(&world, &world.router).await;
    assert_eq!((none.status.as_u16(), &none.json()["workset"]), (200, &Value::Null));
    // A holder that died: its lock runs out, and the next claim takes over with a higher token.
    world.at(NOW + 20 + 3_600_000);
    assert_eq!(claim(&world, &world.router).await.json()["lock"]["token"], 2);
    let low = json!({"priority": "low"});
    assert_eq!(world.post("/v1/worksets:claim", low).await.json()["workset"]["id"], "ws-low");
}

#[tokio::test]
async fn of_two_regions_that_claim_at_once_each_gets_another_workset() {
    for _ in 0..20 {
        let world = World::steady().await;
        world.register("ws-001").await;
        let (west, east) = tokio::join!(claim(&world, &world.router), claim(&world, &world.east));
        let got = [west.json()["workset"]["id"].clone(), east.json()["workset"]["id"].clone()];
        assert_eq!(got.iter().filter(|id| **id == json!("ws-001")).count(), 1, "{got:?}");
        assert_eq!(got.iter().filter(|id| id.is_null()).count(), 1, "{got:?}");
    }
}

/// The index may still show what has been moved or called off.
#[tokio::test]
async fn a_claim_gives_back_what_is_no_longer_ready() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let stale: Vec<_> = world.worksets[WEST].all();
    world.post("/v1/worksets/ws-001/cancel", json!({})).await;
    assert!(!stale.is_empty());
    let none = claim(&world, &world.router).await;
    assert_eq!(none.json()["workset"], Value::Null);
    assert!([EAST, EU].iter().all(|region| !world.worksets[*region].all().is_empty()));
}
