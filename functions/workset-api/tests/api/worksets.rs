//! The rules of worksets over HTTPS.

use serde_json::{Value, json};

use super::world::{World, called};

#[tokio::test]
async fn registering_again_is_no_news_and_another_workset_is_refused() {
    let world = World::steady().await;
    let first = world.register("ws-001").await;
    assert_eq!((first.status.as_u16(), first.header("location")), (201, "/v1/worksets/ws-001"));
    assert_eq!(first.json()["workset"]["written_in"], "us-west-2");
    world.post("/v1/worksets/ws-001/transitions", json!({"to": "in_progress"})).await;
    let again = world.register("ws-001").await;
    assert_eq!((again.status.as_u16(), &again.json()["workset"]["state"]), (200, &json!("in_progress")));
    let other = json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "other/"});
    assert!(world.post("/v1/worksets", other).await.problem(409, "workset-exists").contains("`ws-001`"));
}

#[tokio::test]
async fn every_problem_of_a_registration_is_told_at_once() {
    let world = World::steady().await;
    let body = json!({"id": "-x", "bucket": "my-bucket", "prefix": "../", "preferred_region": "us-east-2"});
    let reply = world.post("/v1/worksets", body).await;
    reply.problem(422, "invalid-workset");
    let fields: Vec<_> =
        reply.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["id", "prefix", "preferred_region"]);
}

#[tokio::test]
async fn a_workset_makes_legal_moves_and_keeps_its_history() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let to = |to: &str| json!({"to": to, "reason": "night run"});
    let target = "/v1/worksets/ws-001/transitions";
    let moved = world.post(target, to("in_progress")).await;
    assert_eq!((moved.status.as_u16(), &moved.json()["workset"]["version"]), (200, &json!(2)));
    let refused = world.post(target, to("archived")).await.problem(409, "illegal-move");
    assert!(refused.contains("it may become `complete`, `error`, `canceled`"), "{refused}");
    world.post(target, json!({"to": "error"})).await.problem(422, "invalid-transition");
    world.post(target, json!({"to": "complete", "if_version": 1})).await.problem(409, "version-changed");
    world.post("/v1/worksets/ws-002/transitions", to("canceled")).await.problem(404, "workset-not-found");

    let mut seen = Vec::new();
    let mut target = "/v1/worksets/ws-001/events?limit=1".to_owned();
    loop {
        let page = world.get(&target).await.json();
        seen.extend(page["events"].as_array().unwrap().iter().map(|e| (e["to"].clone(), e["actor"].clone())));
        match &page["next"] {
            Value::String(next) => target = format!("/v1/worksets/ws-001/events?limit=1&cursor={next}"),
            _ => break,
        }
    }
    assert_eq!(seen, [(json!("in_progress"), json!("ada")), (json!("ready"), json!("ada"))]);
}

#[tokio::test]
async fn a_retry_that_is_too_early_says_when() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let target = "/v1/worksets/ws-001/transitions";
    world.post(target, json!({"to": "in_progress"})).await;
    let error = json!({"category": "transient", "details": "lost the node"});
    world.post(target, json!({"to": "error", "error": error})).await;
    assert_eq!(world.post(target, json!({"to": "retrying"})).await.status.as_u16(), 200);
    let early = world.post(target, json!({"to": "ready"})).await;
    early.problem(409, "move-refused");
    assert!(early.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn pages_of_a_list_join_without_gaps() {
    let world = World::steady().await;
    for n in 0..5 {
        world.at(1_795_166_130_512 + n);
        world.register(&format!("ws-{n:03}")).await;
    }
    world.post("/v1/worksets/ws-003/transitions", json!({"to": "canceled"})).await;
    for (filter, wanted) in [("", vec![0, 1, 2, 4, 3]), ("&state=ready", vec![0, 1, 2, 4])] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("/v1/worksets?limit=2{filter}{cursor}")).await.json();
            seen.extend(page["worksets"].as_array().unwrap().iter().map(|w| w["id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, wanted.iter().map(|n| json!(format!("ws-{n:03}"))).collect::<Vec<_>>());
    }
}

/// Whoever asks with another tenant's ids learns nothing of them and changes nothing.
#[tokio::test]
async fn a_foreign_workset_is_not_there() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let get = |target: &'static str| world.call("other", "GET", target, Value::Null);
    get("/v1/worksets/ws-001").await.problem(404, "workset-not-found");
    get("/v1/worksets/ws-001/events").await.problem(404, "workset-not-found");
    assert_eq!(get("/v1/worksets").await.json()["worksets"], json!([]));
    let moved =
        world.call("other", "POST", "/v1/worksets/ws-001/transitions", json!({"to": "canceled"})).await;
    moved.problem(404, "workset-not-found");
    let own = json!({"id": "ws-001", "bucket": "other-bucket", "prefix": "p/"});
    assert_eq!(world.call("other", "POST", "/v1/worksets", own).await.status.as_u16(), 201);
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["workset"]["bucket"], "my-bucket");
}

#[tokio::test]
async fn nobody_passes_without_an_authorizer_unless_the_api_is_open() {
    let closed = World::new("");
    for target in [
        "/",
        "/v1/ready",
        "/v1/regions",
        "/v1/route",
        "/v1/failovers",
        "/v1/copies/owed",
        "/v1/worksets",
        "/v1/worksets/ws-001",
        "/v1/worksets/ws-001/events",
    ] {
        closed.send(called(None, "GET", target, "")).await.problem(401, "unauthenticated");
    }
    for target in ["/v1/worksets", "/v1/worksets/ws-001/transitions"] {
        closed.send(called(None, "POST", target, "{}")).await.problem(401, "unauthenticated");
    }
    assert_eq!(closed.send(called(None, "GET", "/v1/live", "")).await.json()["region"], "us-west-2");
    let open = World::new("lab");
    assert_eq!(open.send(called(None, "GET", "/v1/worksets", "")).await.status.as_u16(), 200);
}
