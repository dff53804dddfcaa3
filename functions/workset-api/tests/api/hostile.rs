//! Requests that nobody should send.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, called, token};

/// JSON of any shape, with the names of real fields among its keys.
fn value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        prop::sample::select(vec![
            "id",
            "bucket",
            "prefix",
            "priority",
            "type",
            "metadata",
            "samples",
            "preferred_region",
            "to",
            "reason",
            "error",
            "category",
            "details",
            "progress",
            "step",
            "token",
            "if_version",
            "lease_s",
            "results_uri",
            "metrics",
            "key",
            "size_bytes",
            "parts",
            "crc64nvme",
            "copies",
            "residency",
            "from",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let word = prop::sample::select(vec![
        "ws-001",
        "my-bucket",
        "p/",
        "ready",
        "in_progress",
        "us-west-2",
        "urgent",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

fn run(method: &str, target: &str, body: &str) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let world = World::steady().await;
        world.register("ws-001").await;
        world.send(called(token("lab"), method, target, body)).await.status.as_u16()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the body, the fault is never ours.
    #[test]
    fn no_body_breaks_the_api(
        body in prop_oneof![value().prop_map(|v| v.to_string()), any::<String>()],
        target in prop::sample::select(vec![
            "/v1/worksets",
            "/v1/worksets:claim",
            "/v1/uploads",
            "/v1/uploads/up-00000000000000000000000000000000:sign",
            "/v1/worksets/ws-001/transitions",
            "/v1/worksets/ws-001/progress",
            "/v1/worksets/ws-001/cancel",
            "/v1/worksets/ws-001/lock",
            "/v1/worksets/ws-001/lock/renew",
            "/v1/worksets/ws-001/lock/release",
        ]),
    ) {
        let status = run("POST", target, &body);
        prop_assert!(status < 500);
    }

    /// Nor does any path or query.
    #[test]
    fn no_target_breaks_the_api(
        path in prop_oneof![
            "/v1/(worksets|queue|route|failovers|copies/owed|regions)",
            "/v1/worksets/[a-zA-Z0-9%._~:-]{1,12}(/events|/conflicts|/lock)?",
            "/v1/uploads/(up-)?[a-f0-9%._~:-]{1,34}",
            "/[a-zA-Z0-9%._~:/-]{0,24}",
        ],
        query in prop_oneof![
            "(needs|strategy|session|lat|lon|residency|tried|data_in|region|state|limit|cursor)=[a-zA-Z0-9%.,_-]{0,16}",
            "[a-zA-Z0-9%.,_=&-]{0,24}",
        ],
    ) {
        let target = [path, query].join("?");
        let status = run("GET", &target, "");
        prop_assert!(status < 500);
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let world = World::steady().await;
    world.get("/v1/nothing").await.problem(404, "no-such-route");
    let refused = world.call("lab", "PUT", "/v1/worksets/ws-001", Value::Null).await;
    refused.problem(405, "method-not-allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD,PATCH,DELETE");
    world.get("/v1/worksets/x").await.problem(400, "invalid-path");
    world.get("/v1/worksets?state=gone").await.problem(400, "invalid-query");
    world.get("/v1/worksets?cursor=x").await.problem(400, "invalid-query");
    world.get("/v1/worksets?tenant=other").await.problem(400, "invalid-query");
    world.post("/v1/worksets?region=eu-west-1", json!({})).await.problem(400, "invalid-query");
    world.post("/v1/worksets", json!({"tenant": "other"})).await.problem(422, "invalid-body");
    world.post("/v1/worksets", json!({"id": "x".repeat(1 << 20)})).await.problem(413, "body-too-large");
    let mut plain = called(token("lab"), "POST", "/v1/worksets", "{}");
    plain.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    world.send(plain).await.problem(415, "unsupported-media-type");
}

/// The gateway hands paths over decoded: what was one name to the caller is one to the API.
#[tokio::test]
async fn a_path_is_not_cut_at_what_was_escaped() {
    let world = World::steady().await;
    world.register("ws-001").await;
    for (method, target) in [("DELETE", "/v1/worksets/ws-001#x"), ("POST", "/v1/worksets/ws-001#/cancel")] {
        let asked = called(token("lab"), method, target, "{}");
        world.send(asked).await.problem(400, "invalid-path");
    }
    assert_eq!(world.get("/v1/worksets/ws-001").await.json()["workset"]["state"], "ready");
    world.get("/problems/../v1/regions").await.problem(404, "no-such-route");
    world.get("/v1/worksets/../regions").await.problem(404, "no-such-route");
}
