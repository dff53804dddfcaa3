//! What callers see while regions, tables or the record are out of reach.

use sealane::failover::Phase;
use serde_json::json;

use super::world::{EAST, EU, WEST, World};

#[tokio::test]
async fn reads_go_to_another_region_when_the_own_replica_is_silent() {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.worksets[WEST].cut(true);
    world.ledger[WEST].cut(true);
    for target in ["/v1/worksets/ws-001", "/v1/worksets", "/v1/worksets/ws-001/events", "/v1/copies/owed"] {
        let reply = world.get(target).await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
        let by = reply.header("sealane-served-by").to_owned();
        assert!([EAST, EU].contains(&by.as_str()) && reply.json()["served_by"] == by, "{by}");
    }
    // Not found is only said by a replica that answered.
    world.get("/v1/worksets/ws-002").await.problem(404, "workset-not-found");
}

#[tokio::test]
async fn an_outage_is_never_an_empty_list_or_not_found() {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.worksets.values().chain(world.ledger.values()).for_each(|door| door.cut(true));
    for target in ["/v1/worksets/ws-001", "/v1/worksets", "/v1/worksets/ws-001/events", "/v1/copies/owed"] {
        world.get(target).await.problem(503, "unavailable");
    }
}

#[tokio::test]
async fn a_forced_region_answers_itself_or_not_at_all() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let reply = world.get("/v1/worksets/ws-001?region=eu-west-1").await;
    assert_eq!(reply.header("sealane-served-by"), EU);
    world.worksets[EU].cut(true);
    world.get("/v1/worksets/ws-001?region=eu-west-1").await.problem(503, "unavailable");
    for unknown in ["us-east-2", "mars", "us-west-9"] {
        let detail =
            world.get(&format!("/v1/worksets?region={unknown}")).await.problem(400, "unknown-region");
        assert!(detail.contains("`us-west-2`, `us-east-1`, `eu-west-1`"), "{detail}");
    }
}

#[tokio::test]
async fn writes_go_to_the_primary_or_nowhere() {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.worksets[WEST].cut(true);
    let moved = world.post("/v1/worksets/ws-001/transitions", json!({"to": "in_progress"})).await;
    moved.problem(503, "unavailable");
    world.register("ws-002").await.problem(503, "unavailable");
    world.worksets[WEST].cut(false);
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["workset"]["version"], 1);
}

#[tokio::test]
async fn nobody_writes_while_the_primary_is_unknown_or_moving() {
    let world = World::new("");
    world.register("ws-001").await.problem(503, "primary-unknown");
    world.control.cut(true);
    assert!(world.register("ws-001").await.problem(503, "primary-unknown").contains("could not be read"));
    world.control.cut(false);
    world.record(Phase::Steady).await;
    assert_eq!(world.register("ws-001").await.status.as_u16(), 201);
    let to = EAST.parse().unwrap();
    for phase in [Phase::Draining { to }, Phase::Switching { to }] {
        world.record(phase).await;
        let detail = world.register("ws-002").await.problem(503, "primary-moving");
        assert!(detail.contains("from `us-west-2` to `us-east-1`"), "{detail}");
        assert_eq!(world.get("/v1/worksets/ws-001").await.status.as_u16(), 200);
    }
}

/// Fail static for reads; but a region that is cut off from the record may have been
/// left meanwhile, and two regions that take writes lose some.
#[tokio::test]
async fn a_region_that_cannot_read_the_record_takes_no_writes_and_goes_on_answering() {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.control.cut(true);
    world.at(1_795_166_190_512);
    assert_eq!(world.get("/v1/worksets/ws-001").await.status.as_u16(), 200);
    world.register("ws-002").await.problem(503, "primary-unknown");
    world.get("/v1/failovers").await.problem(503, "unavailable");
}

/// The record ages while a look at it is remembered, and not only until that look.
#[tokio::test]
async fn a_record_that_was_old_when_it_was_looked_at_is_not_remembered_for_longer() {
    let world = World::with(&[("SEALANE_API_CACHE_TTL", "5s")]);
    world.record(Phase::Steady).await;
    let start = 1_795_166_190_512;
    world.at(start);
    assert_eq!(world.register("ws-001").await.status.as_u16(), 201);
    world.control.cut(true);
    world.worksets[WEST].cut(true);
    world.at(start + 4_900);
    world.register("ws-002").await.problem(503, "unavailable");
    world.worksets[WEST].cut(false);
    assert_eq!(world.register("ws-002").await.status.as_u16(), 201, "the record is 4.9 s old");
    world.at(start + 5_100);
    world.register("ws-003").await.problem(503, "primary-unknown");
}

#[tokio::test]
async fn a_region_is_ready_when_all_its_own_tables_answer() {
    let world = World::steady().await;
    assert_eq!(world.get("/v1/ready").await.json(), json!({"region": "us-west-2", "status": "ready"}));
    let doors = [
        ("worksets", &world.worksets[WEST]),
        ("ledger", &world.ledger[WEST]),
        ("health", &world.health),
        ("control", &world.control),
    ];
    for (name, door) in doors {
        door.cut(true);
        let detail = world.get("/v1/ready").await.problem(503, "not-ready");
        assert!(detail.contains(&format!("`{name}`")), "{detail}");
        door.cut(false);
    }
}

#[tokio::test]
async fn a_replica_that_was_silent_five_times_is_asked_last_for_a_while() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let read = async || world.get("/v1/worksets/ws-001").await.header("sealane-served-by").to_owned();
    world.worksets[WEST].cut(true);
    for _ in 0..5 {
        assert_ne!(read().await, WEST);
    }
    let told = world.get("/v1/route?needs=table_read").await.json()["explanation"].to_string();
    assert!(told.contains("ejected here: 5 requests in a row unanswered; again in 30 s"), "{told}");
    world.worksets[WEST].cut(false);
    assert_ne!(read().await, WEST, "it answers again, but nobody waits for it yet");
    world.at(1_795_166_130_512 + 30_000);
    assert_eq!(read().await, WEST);
}

#[tokio::test]
async fn an_ejected_replica_is_still_the_last_resort() {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.worksets[WEST].cut(true);
    for _ in 0..5 {
        world.get("/v1/worksets/ws-001").await;
    }
    world.worksets[WEST].cut(false);
    [EAST, EU].iter().for_each(|region| world.worksets[*region].cut(true));
    assert_eq!(world.get("/v1/worksets/ws-001").await.header("sealane-served-by"), WEST);
    // Its answer ended the ejection.
    [EAST, EU].iter().for_each(|region| world.worksets[*region].cut(false));
    assert_eq!(world.get("/v1/worksets/ws-001").await.header("sealane-served-by"), WEST);
}

#[tokio::test]
async fn refusals_do_not_count_against_a_replica() {
    let world = World::steady().await;
    for _ in 0..8 {
        world.get("/v1/worksets/ws-404").await.problem(404, "workset-not-found");
    }
    world.register("ws-001").await;
    assert_eq!(world.get("/v1/worksets/ws-001").await.header("sealane-served-by"), WEST);
}

#[tokio::test]
async fn a_storm_of_retries_ends_with_the_budget_and_says_so() {
    let world = World::steady().await;
    world.worksets.values().for_each(|door| door.cut(true));
    let mut told = String::new();
    for _ in 0..140 {
        told = world.get("/v1/worksets/ws-001").await.problem(503, "unavailable");
    }
    assert!(told.contains("the retry budget for `"), "{told}");
    // A second later there are ten more.
    world.at(1_795_166_130_512 + 1_000);
    let told = world.get("/v1/worksets/ws-001").await.problem(503, "unavailable");
    assert!(!told.contains("the retry budget"), "{told}");
}
