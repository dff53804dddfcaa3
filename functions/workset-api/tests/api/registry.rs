//! The registry beyond registering and moving: amendments, pages of one priority, conflicts, the queue, tags.

use sealane::ports::{Key, Row, Rows, When};
use serde_json::{Value, json};

use super::world::{EAST, EU, WEST, World};

async fn tag(world: &World) -> String {
    world.get("/v1/worksets/ws-001").await.header("etag").to_owned()
}

async fn to(world: &World, state: &str) -> Value {
    let moved = world.post("/v1/worksets/ws-001/transitions", json!({"to": state})).await;
    assert_eq!(moved.status.as_u16(), 200, "{}", moved.text);
    moved.json()
}

#[tokio::test]
async fn a_transition_deletes_nothing() {
    let world = World::steady().await;
    world.register("ws-001").await;
    for state in ["in_progress", "complete", "archived"] {
        to(&world, state).await;
    }
    let deleted = world.post("/v1/worksets/ws-001/transitions", json!({"to": "deleted"})).await;
    deleted.problem(403, "missing-scope");
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["workset"]["state"], "archived");
}

#[tokio::test]
async fn an_amendment_names_the_version_that_it_was_decided_on() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let amend = async |body: Value, tag: &str| {
        let headers = [("if-match", tag)];
        world.with_headers("PATCH", "/v1/worksets/ws-001", body, &headers).await
    };
    let body = json!({"priority": "urgent", "metadata": {"samples": ["s1"]}, "reason": "the ward asks"});
    world
        .call("lab", "PATCH", "/v1/worksets/ws-001", body.clone())
        .await
        .problem(428, "precondition-required");
    let old = tag(&world).await;
    assert_eq!(old, "\"1-us-west-2\"");
    let amended = amend(body.clone(), &old).await;
    assert_eq!((amended.status.as_u16(), amended.header("etag")), (200, "\"2-us-west-2\""));
    assert_eq!(amended.json()["workset"]["priority"], "urgent");
    for passed in [&old, "", ", ,", ",\"7-us-west-2\","] {
        amend(body.clone(), passed).await.problem(412, "precondition-failed");
    }
    amend(body.clone(), "nonsense").await.problem(400, "invalid-header");
    amend(json!({"preferred_region": "us-east-2"}), "*").await.problem(422, "invalid-workset");
    amend(json!({}), "*").await.problem(422, "invalid-workset");
    amend(json!({"state": "complete"}), "*").await.problem(422, "invalid-body");
    assert_eq!(
        amend(json!({"priority": "low"}), &format!("{old}, \"2-us-west-2\"")).await.status.as_u16(),
        200
    );
    to(&world, "canceled").await;
    amend(body, "*").await.problem(409, "move-refused");
}

#[tokio::test]
async fn a_read_of_what_the_caller_holds_is_not_sent_again() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let held = tag(&world).await;
    let again =
        world.with_headers("GET", "/v1/worksets/ws-001", Value::Null, &[("if-none-match", &held)]).await;
    assert_eq!((again.status.as_u16(), again.text.as_str(), again.header("etag")), (304, "", held.as_str()));
    to(&world, "canceled").await;
    let news =
        world.with_headers("GET", "/v1/worksets/ws-001", Value::Null, &[("if-none-match", &held)]).await;
    assert_eq!(news.status.as_u16(), 200);
}

#[tokio::test]
async fn a_workset_is_put_away_brought_back_and_deleted() {
    let world = World::steady().await;
    world.register("ws-001").await;
    world.post("/v1/worksets/ws-001/restore", json!({})).await.problem(409, "illegal-move");
    to(&world, "in_progress").await;
    to(&world, "complete").await;
    let refused = world.post("/v1/worksets/ws-001/cancel", json!({})).await.problem(409, "illegal-move");
    assert!(refused.contains("it may become `archived`"), "{refused}");
    let act = async |verb: &str| {
        let done = world.post(&format!("/v1/worksets/ws-001/{verb}"), json!({"reason": "tidy"})).await;
        done.json()["workset"]["state"].clone()
    };
    assert_eq!(act("archive").await, "archived");
    assert_eq!(act("restore").await, "ready");
    assert_eq!(act("cancel").await, "canceled");
    world.register("ws-002").await;
    let delete = async |tag: &'static str| {
        world.with_headers("DELETE", "/v1/worksets/ws-002", Value::Null, &[("if-match", tag)]).await
    };
    world
        .call("lab", "DELETE", "/v1/worksets/ws-002", Value::Null)
        .await
        .problem(428, "precondition-required");
    delete("*").await.problem(409, "illegal-move");
    for verb in ["in_progress", "complete", "archived"] {
        world.post("/v1/worksets/ws-002/transitions", json!({"to": verb})).await;
    }
    delete("\"1-us-west-2\"").await.problem(412, "precondition-failed");
    assert_eq!(delete("*").await.json()["workset"]["state"], "deleted");
    assert_eq!(world.get("/v1/worksets/ws-002/events").await.json()["events"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_retry_waits_out_its_delay_and_only_errors_that_may_pass_are_retried() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let fail = async |category: &str| {
        to(&world, "in_progress").await;
        let error = json!({"category": category, "details": "lost the node"});
        world.post("/v1/worksets/ws-001/transitions", json!({"to": "error", "error": error})).await;
    };
    let retry = async || world.post("/v1/worksets/ws-001/retry", json!({})).await;
    retry().await.problem(409, "illegal-move");
    fail("transient").await;
    assert_eq!(retry().await.json()["workset"]["state"], "retrying");
    let early = retry().await;
    early.problem(409, "move-refused");
    assert!((1..=3).contains(&early.header("retry-after").parse::<u64>().unwrap()));
    world.at(1_795_166_130_512 + 2_000);
    assert_eq!(retry().await.json()["workset"]["state"], "ready");
    fail("data").await;
    assert!(retry().await.problem(409, "move-refused").contains("`data`"));
}

#[tokio::test]
async fn a_list_of_one_priority_pages_and_keeps_its_cursor_to_itself() {
    let world = World::steady().await;
    for (n, priority) in ["low", "urgent", "low", "normal", "low"].iter().enumerate() {
        let body =
            json!({"id": format!("ws-{n:03}"), "bucket": "my-bucket", "prefix": "p/", "priority": priority});
        world.post("/v1/worksets", body).await;
    }
    let first = world.get("/v1/worksets?priority=low&limit=2").await.json();
    let cursor = first["next"].as_str().unwrap();
    let rest = world.get(&format!("/v1/worksets?priority=low&limit=2&cursor={cursor}")).await.json();
    let ids = |page: &Value| {
        page["worksets"].as_array().unwrap().iter().map(|w| w["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!([ids(&first), ids(&rest)].concat(), ["ws-000", "ws-002", "ws-004"]);
    assert_eq!(rest["next"], Value::Null);
    world.get(&format!("/v1/worksets?priority=urgent&cursor={cursor}")).await.problem(400, "invalid-query");
    world.get("/v1/worksets?priority=soon").await.problem(400, "invalid-query");
}

#[tokio::test]
async fn the_queue_counts_every_state_and_names_the_next() {
    let world = World::steady().await;
    let empty = world.get("/v1/queue").await.json();
    assert_eq!(empty["depth"].as_object().unwrap().len(), 10, "zeros are told: {empty}");
    for id in ["ws-001", "ws-002", "ws-003"] {
        world.register(id).await;
    }
    to(&world, "canceled").await;
    world.at(1_795_166_130_512 + 5_000);
    let queue = world.get("/v1/queue").await.json();
    assert_eq!((&queue["depth"]["ready"], &queue["depth"]["canceled"]), (&json!(2), &json!(1)));
    assert_eq!((&queue["next_ready"], &queue["next_ready_age_ms"]), (&json!("ws-002"), &json!(5_000)));
    assert_eq!((&queue["more_than_counted"], &queue["served_by"]), (&json!([]), &json!(WEST)));
    world.worksets.values().for_each(|door| door.cut(true));
    world.get("/v1/queue").await.problem(503, "unavailable");
}

/// What replication brings in after two regions took writes: the rows of the one, and both histories.
#[tokio::test]
async fn writes_that_met_around_a_failover_are_told_with_the_one_that_was_kept() {
    let world = World::steady().await;
    world.register("ws-001").await;
    assert_eq!(world.get("/v1/worksets/ws-001/conflicts").await.json()["conflicts"], json!([]));
    to(&world, "in_progress").await;
    let door = &world.worksets[WEST];
    let mine =
        door.all().into_iter().find(|row| row.key.sort.starts_with("event#00000000000000000002#")).unwrap();
    let mut event: Value = serde_json::from_str(&mine.body).unwrap();
    event["region"] = json!(EAST);
    event["to"] = json!("canceled");
    event["request"] = json!("another");
    for version in [2, 4] {
        event["version"] = json!(version);
        let sort = format!("event#{version:020}#{EAST}#00000000");
        let key = Key::new(mine.key.partition.clone(), sort);
        let row = Row { key, version: 1, body: event.to_string(), index: None, expires_s: None };
        door.write(&row, When::Absent).await.unwrap();
    }
    to(&world, "complete").await;
    let told = world.get("/v1/worksets/ws-001/conflicts").await.json();
    let summary: Vec<_> = told["conflicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["version"].clone(), c["kept"].clone(), c["writes"].as_array().unwrap().len()))
        .collect();
    assert_eq!(summary, [(json!(4), Value::Null, 1), (json!(2), json!(WEST), 2)], "{told}");
    world.get("/v1/worksets/ws-404/conflicts").await.problem(404, "workset-not-found");
}

#[tokio::test]
async fn a_read_says_how_stale_it_may_be_or_that_this_is_not_known() {
    let world = World::steady().await;
    world.register("ws-001").await;
    for target in ["/v1/worksets/ws-001", "/v1/worksets", "/v1/worksets/ws-001/events"] {
        assert_eq!(world.get(target).await.json()["staleness_ms"], 0, "{target}");
    }
    let elsewhere = world.get(&format!("/v1/worksets/ws-001?region={EU}")).await.json();
    assert_eq!((&elsewhere["served_by"], &elsewhere["staleness_ms"]), (&json!(EU), &Value::Null));
    world.control.cut(true);
    world.at(1_795_166_130_512 + 31_000);
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["staleness_ms"], Value::Null);
}

#[tokio::test]
async fn the_document_is_the_one_that_the_code_makes_and_is_served() {
    let made = format!("{:#}\n", workset_api::openapi::document());
    let served = world_document().await;
    assert!(
        made == served,
        "write `docs/openapi.json` anew: cargo run -q -p workset-api --no-default-features --example openapi"
    );
    let document: Value = serde_json::from_str(&served).unwrap();
    let text = document["paths"].to_string();
    for kind in workset_api::Kind::ALL {
        let anywhere = ["no-such-route", "method-not-allowed", "misconfigured"].contains(&kind.name());
        assert!(
            anywhere || text.contains(&format!("`{}`", kind.name())),
            "no route tells of `{}`",
            kind.name()
        );
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for part in document.to_string().split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "`{name}` is not described");
    }
}

async fn world_document() -> String {
    World::steady().await.get("/openapi.json").await.text
}

#[tokio::test]
async fn every_problem_has_a_page_and_the_document_has_all_of_them() {
    let world = World::steady().await;
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROBLEMS.md")).unwrap();
    assert_eq!(
        document,
        workset_api::pages(),
        "write `docs/PROBLEMS.md` anew: cargo run -q -p workset-api --no-default-features --example problems"
    );
    for kind in workset_api::Kind::ALL {
        let page = world.get(&format!("/problems/{}", kind.name())).await;
        assert!(page.status.is_success() && document.contains(&page.text), "{}", kind.name());
    }
    world.get("/problems/nothing").await.problem(404, "no-such-route");
}

/// Every field of a reply is described, and every field that is promised is there.
#[tokio::test]
async fn replies_have_the_shape_that_the_document_gives_them() {
    let world = World::steady().await;
    let document = workset_api::openapi::document();
    let body = json!({
        "id": "ws-001", "bucket": "my-bucket", "prefix": "p/", "metadata": {"samples": ["s"]}, "preferred_region": EU,
    });
    let registered = world.post("/v1/worksets", body).await.json();
    let claimed = world.post("/v1/worksets:claim", json!({})).await.json();
    let token = claimed["lock"]["token"].clone();
    let begin = json!({"to": "in_progress", "token": token, "reason": "x", "progress": {"step": "a"}});
    let moved = world.post("/v1/worksets/ws-001/transitions", begin).await.json();
    let locked = world.post("/v1/worksets/ws-001/lock/renew", json!({"token": token})).await.json();
    let error = json!({"category": "transient", "details": "d"});
    let failed = json!({"to": "error", "error": error, "metrics": {"n": 1}, "token": token});
    world.post("/v1/worksets/ws-001/transitions", failed).await;
    world.post("/v1/worksets/ws-001/retry", json!({"token": token})).await;
    let shown = async |target: &str| world.get(target).await.json();
    let parts = json!([{"size_bytes": 0, "crc64nvme": "AAAAAAAAAAA="}]);
    let offer = world.post("/v1/uploads", json!({"key": "a", "size_bytes": 0, "parts": parts})).await.json();
    let upload = format!("/v1/uploads/{}", offer["upload"]["id"].as_str().unwrap());
    let open = shown(&upload).await;
    let ended = world.call("lab", "DELETE", &upload, Value::Null).await.json();
    for (schema, reply) in [
        ("Offered", offer),
        ("UploadShown", open),
        ("OneUpload", ended),
        ("OneWritten", registered),
        ("Claimed", claimed),
        ("OneWritten", moved),
        ("LockReply", locked),
        ("One", shown("/v1/worksets/ws-001").await),
        ("Many", shown("/v1/worksets").await),
        ("Events", shown("/v1/worksets/ws-001/events").await),
        ("Conflicts", shown("/v1/worksets/ws-001/conflicts").await),
        ("Queue", shown("/v1/queue").await),
        ("LockShown", shown("/v1/worksets/ws-001/lock").await),
        ("Problem", shown("/v1/worksets/ws-404").await),
        ("Standing", shown("/v1/live").await),
    ] {
        fits(&document["components"]["schemas"], &json!({"$ref": format!("/{schema}")}), &reply, schema);
    }
}

/// Asserts that `value` has the fields of `schema`, and those in it theirs.
fn fits(schemas: &Value, schema: &Value, value: &Value, at: &str) {
    let named = schema["$ref"].as_str().map(|name| &schemas[name.rsplit('/').next().unwrap()]);
    let schema = named.unwrap_or(schema);
    if let Some(of) = schema["oneOf"].as_array() {
        if !value.is_null() {
            fits(schemas, &of[0], value, at);
        }
        return;
    }
    if let Some(names) = schema["enum"].as_array() {
        assert!(names.contains(value), "{at}: {value}");
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        values.iter().for_each(|value| fits(schemas, items, value, at));
    }
    if let (Some(known), Some(fields)) = (schema["properties"].as_object(), value.as_object()) {
        let required = schema["required"].as_array().unwrap();
        required
            .iter()
            .for_each(|name| assert!(fields.contains_key(name.as_str().unwrap()), "{at} lacks {name}"));
        for (name, value) in fields {
            let described =
                known.get(name).or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()));
            let free = at == "Metadata" || ["metadata", "metrics"].contains(&at);
            assert!(free || described.is_some(), "{at} has `{name}`, which is not described");
            described.into_iter().for_each(|schema| fits(schemas, schema, value, name));
        }
    }
}
