//! What the document says of routes, asked of the routes.

use std::{fs, path::Path};

use serde_json::json;
use workset_api::{Kind, openapi::ROUTES};

use super::world::{World, called, token};

/// An id that an upload could have.
const UPLOAD: &str = "/v1/uploads/up-00000000000000000000000000000000";

/// Every parameter that the document names is one that the route reads: what it does not read, it refuses.
#[tokio::test]
async fn every_documented_parameter_is_known_to_its_route() {
    let world = World::steady().await;
    let document = workset_api::openapi::document();
    for route in &ROUTES {
        let target = route.path.replace("{id}", "ws-001");
        for parameter in document["paths"][route.path][route.method]["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "query" {
                let reply = world.get(&format!("{target}?{name}=1")).await;
                assert!(!reply.text.contains("unknown field"), "{target}: {}", reply.text);
            }
        }
    }
}

/// An upload and what can be done with one share a route; each has its own methods.
#[tokio::test]
async fn methods_of_an_upload_and_of_its_calls_are_told_apart() {
    let world = World::steady().await;
    for (target, method, allowed) in [
        (":sign", "GET", "POST"),
        (":complete", "DELETE", "POST"),
        (":failover", "OPTIONS", "POST"),
        ("", "POST", "GET,HEAD,DELETE"),
        ("", "PUT", "GET,HEAD,DELETE"),
    ] {
        let refused = world.call("lab", method, &format!("{UPLOAD}{target}"), json!({})).await;
        refused.problem(405, "method-not-allowed");
        assert_eq!(refused.header("allow"), allowed, "{method} {target}");
    }
}

/// Fields in an array would be read in the order in which the code declares them.
#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let world = World::steady().await;
    for body in ["[]", "[null, null]", " \n[60]", "null", "1", "\"text\""] {
        for target in ["/v1/worksets:claim", "/v1/worksets/ws-001/lock", "/v1/worksets/ws-001/cancel"] {
            let refused = world.send(called(token("lab"), "POST", target, body)).await;
            refused.problem(422, "invalid-body");
        }
    }
    world.send(called(token("lab"), "POST", "/v1/worksets", "{")).await.problem(400, "invalid-json");
}

/// A field that may be left out may be null, which is the same.
#[tokio::test]
async fn null_is_as_good_as_nothing() {
    let world = World::steady().await;
    world.register("ws-001").await;
    let bare = json!({"to": "in_progress", "reason": null, "error": null, "progress": null, "results_uri": null,
                      "metrics": null, "token": null, "if_version": null});
    let moved = world.post("/v1/worksets/ws-001/transitions", bare).await;
    assert_eq!(moved.status.as_u16(), 200, "{}", moved.text);
    let bare = json!({"id": "ws-002", "bucket": "my-bucket", "prefix": "p/", "priority": null, "type": null,
                      "metadata": null, "preferred_region": null});
    let registered = world.post("/v1/worksets", bare).await;
    assert_eq!(registered.status.as_u16(), 201, "{}", registered.text);
    let claimed = world.post("/v1/worksets:claim", json!({"lease_s": null, "priority": null})).await;
    assert_eq!(claimed.json()["workset"]["id"], "ws-002", "{}", claimed.text);
}

#[tokio::test]
async fn a_token_that_names_no_tenant_opens_nothing() {
    let nobody = json!({"jwt": {"claims": {"sub": "ada", "scope": "read write"}, "scopes": null}});
    let world = World::steady().await;
    world.send(called(Some(nobody), "GET", "/v1/worksets", "")).await.problem(403, "no-tenant");
}

/// Every kind of problem is met by some test, which names it.
#[test]
fn every_kind_of_problem_is_produced_by_a_test() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api");
    let read = |entry: Result<fs::DirEntry, _>| fs::read_to_string(entry.unwrap().path()).unwrap();
    let tests: String = fs::read_dir(sources).unwrap().map(read).collect();
    for kind in Kind::ALL {
        let (name, page) = (format!("\"{}\"", kind.name()), format!("\"/problems/{}\"", kind.name()));
        assert!(tests.contains(&name) || tests.contains(&page), "no test meets `{}`", kind.name());
    }
}
