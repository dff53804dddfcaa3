//! The sample events are shaped as AWS sends them: each parses as the published type.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{fs, path::Path};

use aws_lambda_events::{
    apigw::ApiGatewayV2httpRequest, eventbridge::EventBridgeEvent, s3::S3Event, sns::SnsEvent, sqs::SqsEvent,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Cases that are damaged or foreign on purpose inside their envelope.
const DAMAGED: [&str; 4] = ["malformed", "malformed-body", "foreign-source", "s3-test-event"];

fn parse<T: DeserializeOwned>(name: &str, event: &Value) -> T {
    T::deserialize(event).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_sample_event_is_of_a_published_shape() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let event: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        check(&name, &event);
        seen += 1;
    }
    assert!(seen >= 30, "{seen} events");
}

fn check(name: &str, event: &Value) {
    if event.get("version").is_some_and(|v| v == "2.0") {
        parse::<ApiGatewayV2httpRequest>(name, event);
    } else if event.get("detail-type").is_some() {
        parse::<EventBridgeEvent<Value>>(name, event);
    } else if event.pointer("/Records/0/Sns").is_some() {
        parse::<SnsEvent>(name, event);
    } else if event.pointer("/Records/0/messageId").is_some() {
        let batch: SqsEvent = parse(name, event);
        let plain = !DAMAGED.iter().any(|case| name.ends_with(case)) && name.contains("s3-");
        for body in batch.records.iter().filter(|_| plain).filter_map(|r| r.body.as_deref()) {
            parse::<S3Event>(name, &serde_json::from_str(body).unwrap());
        }
    } else {
        assert!(event.get("alarmData").is_some(), "{name} is of no known shape");
    }
}
