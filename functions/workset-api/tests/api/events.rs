//! Every recorded event of this function, through the gateway's conversion.

use std::fs;

use super::world::{World, from_event};

#[tokio::test]
async fn every_recorded_event_is_answered_as_it_should_be() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
    // In this order: a workset is registered before it is read.
    let cases = [
        ("register", 201),
        ("get", 200),
        ("list", 200),
        ("transition", 200),
        ("not-found", 404),
        ("register-invalid", 422),
        ("bad-json", 400),
        ("live", 200),
        ("ready", 200),
        ("regions", 200),
        ("route", 200),
        ("failovers", 200),
        ("status-page", 200),
    ];
    let world = World::steady().await;
    for (name, status) in cases {
        let event = fs::read_to_string(format!("{folder}/workset-api-{name}.json")).unwrap();
        let reply = world.send(from_event(&event)).await;
        assert_eq!(reply.status.as_u16(), status, "{name}: {}", reply.text);
        assert!(event.contains(reply.header("x-request-id")), "{name}");
    }
    let files = fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.filter(|name| name.starts_with("workset-api-")).count(), cases.len());
}
