//! Every route against everybody who may not use it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::world::{World, called, scoped};

/// An id that nobody's upload has.
const UPLOAD: &str = "/v1/uploads/up-00000000000000000000000000000000";

/// Every route, the scope that it asks for, and a body that it reads.
fn routes() -> Vec<(&'static str, String, &'static str, Value)> {
    let part = json!({"size_bytes": 9, "crc64nvme": "rosUhgp5mIg="});
    let ask = json!({"key": "a", "size_bytes": 9, "parts": [part]});
    let of_upload = |verb: &str| format!("{UPLOAD}{verb}");
    let uploads = [
        ("POST", "/v1/uploads".to_owned(), "write", ask),
        ("GET", of_upload(""), "read", Value::Null),
        ("DELETE", of_upload(""), "write", Value::Null),
        ("POST", of_upload(":sign"), "write", json!({"from": 1})),
        ("POST", of_upload(":complete"), "write", json!({})),
        ("POST", of_upload(":failover"), "write", json!({"from": "us-west-2"})),
    ];
    let others =
        others().into_iter().map(|(method, target, scope, body)| (method, target.to_owned(), scope, body));
    others.chain(uploads).collect()
}

/// The same but for uploads.
fn others() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let none = Value::Null;
    let token = || json!({"token": 1});
    vec![
        ("GET", "/", "read", none.clone()),
        ("GET", "/openapi.json", "read", none.clone()),
        ("GET", "/problems/internal", "read", none.clone()),
        ("GET", "/v1/ready", "read", none.clone()),
        ("GET", "/v1/regions", "read", none.clone()),
        ("GET", "/v1/route", "read", none.clone()),
        ("GET", "/v1/failovers", "read", none.clone()),
        ("GET", "/v1/copies/owed", "read", none.clone()),
        ("GET", "/v1/queue", "read", none.clone()),
        ("GET", "/v1/worksets", "read", none.clone()),
        ("GET", "/v1/worksets/ws-001", "read", none.clone()),
        ("GET", "/v1/worksets/ws-001/events", "read", none.clone()),
        ("GET", "/v1/worksets/ws-001/conflicts", "read", none.clone()),
        ("GET", "/v1/worksets/ws-001/lock", "read", none.clone()),
        ("POST", "/v1/worksets", "write", json!({"id": "ws-009", "bucket": "my-bucket", "prefix": "p"})),
        ("POST", "/v1/worksets:claim", "write", json!({})),
        ("PATCH", "/v1/worksets/ws-001", "write", json!({"priority": "low"})),
        ("POST", "/v1/worksets/ws-001/transitions", "write", json!({"to": "in_progress"})),
        ("POST", "/v1/worksets/ws-001/progress", "write", json!({"progress": {"step": "x"}})),
        ("POST", "/v1/worksets/ws-001/retry", "write", json!({})),
        ("POST", "/v1/worksets/ws-001/cancel", "write", json!({})),
        ("POST", "/v1/worksets/ws-001/archive", "write", json!({})),
        ("POST", "/v1/worksets/ws-001/restore", "write", json!({})),
        ("POST", "/v1/worksets/ws-001/lock", "write", json!({})),
        ("POST", "/v1/worksets/ws-001/lock/renew", "write", token()),
        ("POST", "/v1/worksets/ws-001/lock/release", "write", token()),
        ("DELETE", "/v1/worksets/ws-001", "operate", none),
        ("POST", "/v1/worksets/ws-001/lock/break", "operate", json!({})),
    ]
}

async fn call(
    world: &World,
    authorizer: Option<Value>,
    (method, target, _, body): &(&str, String, &str, Value),
) -> (u16, String) {
    let mut request = called(authorizer, method, target, &body.to_string());
    request.headers_mut().insert("if-match", "*".parse().unwrap());
    let reply = world.send(request).await;
    let kind = reply.text.parse::<Value>().ok().and_then(|body| Some(body["type"].as_str()?.to_owned()));
    (reply.status.as_u16(), kind.unwrap_or_default())
}

#[tokio::test]
async fn nobody_without_a_token_passes() {
    let world = World::steady().await;
    for route in routes() {
        assert_eq!(
            call(&world, None, &route).await,
            (401, "/problems/unauthenticated".to_owned()),
            "{route:?}"
        );
    }
    assert_eq!(world.send(called(None, "GET", "/v1/live", "")).await.status.as_u16(), 200);
}

#[tokio::test]
async fn no_scope_stands_for_another() {
    let world = World::steady().await;
    for route in routes() {
        let others = ["read", "write", "operate"].into_iter().filter(|scope| *scope != route.2);
        for scopes in [others.collect::<Vec<_>>().join(" "), String::new()] {
            let refused = call(&world, scoped("lab", &scopes), &route).await;
            assert_eq!(refused, (403, "/problems/missing-scope".to_owned()), "{route:?} with `{scopes}`");
        }
        let (status, kind) = call(&world, scoped("lab", route.2), &route).await;
        assert!(status != 401 && status != 403, "{route:?}: {status} {kind}");
    }
}

/// The document names every route of this matrix with its scope, and no other.
#[test]
fn the_matrix_and_the_document_name_the_same_routes() {
    let matrix = routes().into_iter().map(|(method, target, scope, _)| {
        let path = target.replace("ws-001", "{id}").replace("/problems/internal", "/problems/{name}");
        let path = path.replace(UPLOAD, "/v1/uploads/{id}");
        (method.to_lowercase(), path, scope.to_owned())
    });
    let matrix: BTreeSet<_> =
        matrix.chain([("get".to_owned(), "/v1/live".to_owned(), String::new())]).collect();
    let document: BTreeSet<_> = workset_api::openapi::ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned(), route.scope.to_owned()))
        .collect();
    assert_eq!(matrix, document);
}

/// Whoever asks with another tenant's ids learns nothing of them and changes nothing.
#[tokio::test]
async fn another_tenant_s_ids_are_not_there() {
    let world = World::steady().await;
    world.register("ws-001").await;
    assert_eq!(world.post("/v1/worksets/ws-001/lock", json!({})).await.status.as_u16(), 201);
    let before = (world.worksets["us-west-2"].all().len(), world.get("/v1/worksets/ws-001").await.text);
    let mut calls = 0;
    for route in routes().iter().filter(|route| route.1.contains("/ws-001")) {
        let (status, kind) = call(&world, scoped("other", "read write operate"), route).await;
        // A lock that nobody of that tenant ever took is not held, whosoever workset it may be.
        let unheld =
            route.1.contains("/lock/") && (status, kind.as_str()) == (409, "/problems/lock-not-held");
        assert!(
            unheld || (status, kind.as_str()) == (404, "/problems/workset-not-found"),
            "{route:?}: {status} {kind}"
        );
        calls += 1;
    }
    assert!(calls > 15);
    assert_eq!(
        (world.worksets["us-west-2"].all().len(), world.get("/v1/worksets/ws-001").await.text),
        before
    );
    let listed = world.call("other", "GET", "/v1/worksets", Value::Null).await.json();
    assert_eq!(listed["worksets"], json!([]));
    let claimed = world.call("other", "POST", "/v1/worksets:claim", json!({})).await.json();
    assert_eq!(claimed["workset"], Value::Null);
}

#[tokio::test]
async fn a_tenant_that_asks_too_often_waits_and_others_do_not() {
    let world = World::with(&[("SEALANE_API_RATE_LIMIT", "2"), ("SEALANE_API_RATE_BURST", "3")]);
    world.record(sealane::failover::Phase::Steady).await;
    for left in ["2", "1", "0"] {
        let reply = world.get("/v1/worksets").await;
        assert_eq!((reply.status.as_u16(), reply.header("ratelimit-policy")), (200, "\"tenant\";q=3;w=2"));
        assert!(
            reply.header("ratelimit").starts_with(&format!("\"tenant\";r={left};t=")),
            "{}",
            reply.header("ratelimit")
        );
    }
    let refused = world.get("/v1/worksets").await;
    refused.problem(429, "rate-limited");
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("1", "\"tenant\";r=0;t=1"));
    assert_eq!(world.call("other", "GET", "/v1/worksets", Value::Null).await.status.as_u16(), 200);
    assert_eq!(world.send(called(None, "GET", "/v1/live", "")).await.status.as_u16(), 200);
    world.at(1_795_166_130_512 + 500);
    assert_eq!(world.get("/v1/worksets").await.status.as_u16(), 200);
    world.get("/v1/worksets").await.problem(429, "rate-limited");
}

/// A signed request is judged by the policies of its signer, which the gateway has asked.
#[tokio::test]
async fn a_signed_request_has_the_tenant_of_its_account() {
    let world = World::steady().await;
    let signer = json!({"iam": {"accountId": "000000000001", "userArn": "arn:aws:iam::000000000001:user/a"}});
    let body = json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "p"}).to_string();
    let made = world.send(called(Some(signer), "POST", "/v1/worksets", &body)).await;
    assert_eq!((made.status.as_u16(), &made.json()["workset"]["tenant"]), (201, &json!("000000000001")));
}
