//! Worksets whose replicas hold one truth: what an API promises then, with a replica of its own and without.

use sealane::{
    failover::{Phase, Record},
    store::ControlTable,
};
use serde_json::{Value, json};

use super::world::{EAST, EU, Reply, WEST, World, called, token};

const STRONG: (&str, &str) = ("SEALANE_WORKSETS_CONSISTENCY", "strong");

/// Every table answers, us-west-2 takes the writes, and its replica and that of us-east-1 are one.
async fn steady() -> World {
    let world = World::with(&[STRONG]);
    world.record(Phase::Steady).await;
    world
}

/// The region `name` takes the writes from now on.
async fn moved_to(world: &World, name: &str) {
    let table = ControlTable::new(vec![world.control.replica()]);
    let old = table.record().await.unwrap().unwrap();
    let (version, epoch, active) = (old.version + 1, old.epoch + 1, name.parse().unwrap());
    table.swap(Some(&old), &Record { version, epoch, active, ..old.clone() }).await.unwrap();
}

async fn in_europe(world: &World, method: &str, target: &str, body: Value) -> Reply {
    world.send_to(&world.europe, called(token("lab"), method, target, &body.to_string())).await
}

fn registration(id: &str) -> Value {
    json!({"id": id, "bucket": "my-bucket", "prefix": "p/"})
}

#[tokio::test]
async fn what_is_read_by_its_key_is_never_stale_and_of_a_list_that_is_not_known() {
    let world = steady().await;
    world.register("ws-001").await;
    let mut stale = Vec::new();
    for target in ["/v1/worksets/ws-001", "/v1/worksets/ws-001/events", "/v1/worksets"] {
        for region in [WEST, EAST] {
            let read = world.get(&format!("{target}?region={region}")).await.json();
            assert_eq!(read["served_by"], region);
            stale.push(read["staleness_ms"].clone());
        }
    }
    assert_eq!(stale, [json!(0), json!(0), json!(0), json!(0), Value::Null, Value::Null]);
    // No lag has to be known for that, nor who is active.
    world.control.cut(true);
    world.health.cut(true);
    world.at(1_795_166_130_512 + 31_000);
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["staleness_ms"], 0);
}

#[tokio::test]
async fn a_region_without_a_replica_is_served_by_the_nearest_that_answers() {
    let world = steady().await;
    world.register("ws-001").await;
    let served = async || {
        let reply = in_europe(&world, "GET", "/v1/worksets/ws-001", Value::Null).await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
        reply.header("sealane-served-by").to_owned()
    };
    assert_eq!(served().await, EAST);
    world.worksets[EAST].cut(true);
    assert_eq!(served().await, WEST);
    world.worksets[WEST].cut(true);
    in_europe(&world, "GET", "/v1/worksets/ws-001", Value::Null).await.problem(503, "unavailable");
    in_europe(&world, "GET", "/v1/worksets", Value::Null).await.problem(503, "unavailable");
}

#[tokio::test]
async fn a_region_without_a_replica_is_asked_for_one_in_vain() {
    let world = steady().await;
    world.register("ws-001").await;
    for target in ["/v1/worksets/ws-001", "/v1/worksets", "/v1/worksets/ws-001/conflicts", "/v1/queue"] {
        let told = world.get(&format!("{target}?region={EU}")).await.problem(400, "unknown-region");
        assert_eq!(told, "`eu-west-1` has no replica of the worksets (want one of `us-west-2`, `us-east-1`)");
    }
}

#[tokio::test]
async fn writes_go_on_through_another_replica_when_the_nearest_is_silent() {
    let world = steady().await;
    world.register("ws-001").await;
    world.worksets[WEST].cut(true);
    let moved = world.post("/v1/worksets/ws-001/transitions", json!({"to": "in_progress"})).await;
    assert_eq!(moved.status.as_u16(), 200, "{}", moved.text);
    assert_eq!(world.register("ws-002").await.status.as_u16(), 201);
    assert_eq!(world.post("/v1/worksets:claim", json!({})).await.status.as_u16(), 201);
    world.worksets[EAST].cut(true);
    world.register("ws-003").await.problem(503, "unavailable");
    world.worksets[WEST].cut(false);
    let read = world.get("/v1/worksets/ws-001").await.json();
    assert_eq!(read["workset"]["version"], 2, "{read}");
}

#[tokio::test]
async fn who_may_write_is_the_active_regions_matter_as_ever() {
    let world = steady().await;
    moved_to(&world, EU).await;
    // No replica lies in the active region, and its API is not needed either.
    for (id, reply) in [
        ("ws-001", world.register("ws-001").await),
        ("ws-002", in_europe(&world, "POST", "/v1/worksets", registration("ws-002")).await),
    ] {
        assert_eq!((reply.status.as_u16(), &reply.json()["served_by"]), (201, &json!(EU)), "{id}");
        let events = world.get(&format!("/v1/worksets/{id}/events")).await.json();
        let event = &events["events"][0];
        assert_eq!((&event["region"], &event["epoch"]), (&json!(EU), &json!(2)), "{event}");
    }
    world.record(Phase::Draining { to: EAST.parse().unwrap() }).await;
    world.register("ws-003").await.problem(503, "primary-moving");
    world.control.cut(true);
    world.at(1_795_166_130_512 + 60_000);
    world.register("ws-003").await.problem(503, "primary-unknown");
}

#[tokio::test]
async fn nothing_collides_when_writes_move_in_the_middle_of_the_work() {
    let world = steady().await;
    world.register("ws-001").await;
    let to = async |state: &str| {
        let moved = world.post("/v1/worksets/ws-001/transitions", json!({"to": state})).await;
        assert_eq!(moved.status.as_u16(), 200, "{}", moved.text);
    };
    to("in_progress").await;
    for (active, state) in [(EAST, "complete"), (EU, "archived"), (WEST, "ready")] {
        moved_to(&world, active).await;
        to(state).await;
    }
    let told = world.get("/v1/worksets/ws-001/conflicts").await.json();
    assert_eq!((&told["conflicts"], &told["next"]), (&json!([]), &Value::Null));
    let events = world.get("/v1/worksets/ws-001/events").await.json();
    let regions: Vec<_> = events["events"].as_array().unwrap().iter().map(|e| e["region"].clone()).collect();
    assert_eq!(regions, [WEST, EU, EAST, WEST, WEST]);
    assert_eq!(events["collisions"], json!([]));
}

/// What a failover leaves of a call is all of it, so that a repetition gets the first reply again.
#[tokio::test]
async fn a_call_is_known_again_wherever_it_is_repeated() {
    let world = steady().await;
    let first = world.keyed("key-of-mine", "/v1/worksets", registration("ws-001")).await;
    moved_to(&world, EAST).await;
    world.worksets[WEST].cut(true);
    let again = world.keyed("key-of-mine", "/v1/worksets", registration("ws-001")).await;
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", first.json()));
}

#[tokio::test]
async fn an_api_is_ready_while_some_replica_answers() {
    let world = steady().await;
    let ready = async || in_europe(&world, "GET", "/v1/ready", Value::Null).await;
    assert_eq!(ready().await.json(), json!({"region": EU, "status": "ready"}));
    world.worksets[EAST].cut(true);
    assert_eq!(ready().await.status.as_u16(), 200);
    world.worksets[WEST].cut(true);
    assert!(ready().await.problem(503, "not-ready").contains("`worksets`"));
}

#[tokio::test]
async fn regions_are_said_to_be_in_step() {
    let world = steady().await;
    let told = world.get("/v1/regions").await.json();
    let lags: Vec<_> = told["regions"].as_array().unwrap().iter().map(|r| r["lag_ms"].clone()).collect();
    assert_eq!(lags[0], json!({EAST: 0, EU: 0}));
    assert_eq!(lags[3], json!({WEST: null, EAST: null, EU: null}), "a witness reads no worksets");
}
