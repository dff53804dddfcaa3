//! The forms in which events come, and what is refused.

use std::error::Error;

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;

fn record(version: &str, source: &str, name: &str, key: &str) -> Value {
    json!({
        "eventVersion": version, "eventSource": source, "awsRegion": "us-west-2", "eventName": name,
        "eventTime": "2026-01-01T00:00:00.000Z", "somethingNew": {"a": 1},
        "s3": {
            "s3SchemaVersion": "1.0", "bucket": {"name": "data", "arn": "arn:aws:s3:::data"},
            "object": {"key": key, "size": 1024, "eTag": "\"abc\"", "versionId": "v1", "sequencer": "0055AED6DCD90281E5"}
        }
    })
}

fn notification(version: &str, source: &str, name: &str, key: &str) -> Value {
    json!({"Records": [record(version, source, name, key)]})
}

fn bridge(source: &str, detail_type: &str, key: &str) -> Value {
    json!({
        "version": "0", "source": source, "detail-type": detail_type, "region": "us-west-2",
        "detail": {
            "version": "0", "bucket": {"name": "data"}, "reason": "PutObject",
            "object": {"key": key, "size": 1024, "etag": "abc", "version-id": "v1", "sequencer": "0055AED6DCD90281E5"}
        }
    })
}

fn sns(inner: &Value) -> Value {
    json!({"Type": "Notification", "TopicArn": "arn:aws:sns:us-west-2:000000000000:t", "Message": inner.to_string()})
}

fn parse(value: &Value) -> Result<Message, EventError> {
    Message::parse(value.to_string().as_bytes())
}

fn expected(key: &str) -> Hint {
    Hint {
        region: Some("us-west-2".parse().unwrap()),
        bucket: "data".to_owned(),
        key: key.to_owned(),
        version_id: Some("v1".to_owned()),
        sequencer: Some("0055AED6DCD90281E5".parse().unwrap()),
        size: Some(ByteSize(1024)),
        etag: Some("abc".to_owned()),
        kind: Kind::Created,
    }
}

fn only(message: Result<Message, EventError>) -> Hint {
    match message.unwrap() {
        Message::Hints(mut hints) if hints.len() == 1 => hints.remove(0),
        other => panic!("want one hint, found {other:?}"),
    }
}

#[test]
fn all_three_forms_give_the_same_hint() {
    let plain = notification("2.1", "aws:s3", "ObjectCreated:Put", "run+1/a%2Bb.txt");
    assert_eq!(only(parse(&plain)), expected("run 1/a+b.txt"));
    assert_eq!(only(parse(&sns(&plain))), expected("run 1/a+b.txt"));
    let bridged = bridge("aws.s3", "Object Created", "run 1/a+b.txt");
    assert_eq!(only(parse(&bridged)), expected("run 1/a+b.txt"));
    assert_eq!(only(parse(&sns(&bridged))), expected("run 1/a+b.txt"));
}

#[test]
fn newer_minor_versions_are_read_and_major_ones_refused() {
    let of = |version| parse(&notification(version, "aws:s3", "ObjectCreated:Put", "k"));
    assert_eq!(only(of("2.99")), expected("k"));
    assert!(matches!(of("3.0"), Err(EventError::Version(v)) if v == "3.0"));
}

#[test]
fn foreign_sources_are_refused_by_name() {
    for value in [
        notification("2.1", "minio:s3", "ObjectCreated:Put", "k"),
        sns(&notification("2.1", "aws:sqs", "ObjectCreated:Put", "k")),
        bridge("aws.ec2", "Object Created", "k"),
    ] {
        let error = parse(&value).unwrap_err();
        assert!(matches!(error, EventError::ForeignSource(_)), "{error}");
    }
    let error = parse(&notification("2.1", "minio:s3", "ObjectCreated:Put", "k")).unwrap_err();
    assert!(error.to_string().contains("`minio:s3`"), "{error}");
}

#[test]
fn test_events_are_recognized_in_every_wrapping() {
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "data"});
    for value in [test.clone(), sns(&test)] {
        assert_eq!(parse(&value).unwrap(), Message::Test { bucket: "data".to_owned() });
    }
}

#[test]
fn kinds_are_told_apart() {
    let cases = [
        ("ObjectCreated:CompleteMultipartUpload", Kind::Created),
        ("s3:ObjectCreated:Copy", Kind::Created),
        ("ObjectRemoved:Delete", Kind::Removed),
        ("ObjectRemoved:DeleteMarkerCreated", Kind::DeleteMarker),
        ("ObjectTagging:Put", Kind::Other),
    ];
    for (name, kind) in cases {
        assert_eq!(only(parse(&notification("2.1", "aws:s3", name, "k"))).kind, kind, "{name}");
    }
    let mut deleted = bridge("aws.s3", "Object Deleted", "k");
    assert_eq!(only(parse(&deleted)).kind, Kind::Removed);
    deleted["detail"]["deletion-type"] = json!("Delete Marker Created");
    assert_eq!(only(parse(&deleted)).kind, Kind::DeleteMarker);
}

#[test]
fn a_missing_field_is_named_by_the_source() {
    let mut value = notification("2.1", "aws:s3", "ObjectCreated:Put", "k");
    value["Records"][0]["s3"]["object"].as_object_mut().unwrap().remove("key");
    let error = parse(&value).unwrap_err();
    let source = error.source().unwrap().to_string();
    assert!(source.contains("`key`"), "{source}");
}

#[test]
fn fields_that_cannot_be_are_named() {
    for key in ["%zz", "%FF", ""] {
        let error = parse(&notification("2.1", "aws:s3", "ObjectCreated:Put", key)).unwrap_err();
        assert!(matches!(error, EventError::Field { field: "key", .. }), "{error}");
    }
    let mut value = notification("2.1", "aws:s3", "ObjectCreated:Put", "k");
    value["Records"][0]["awsRegion"] = json!("nowhere");
    assert!(matches!(parse(&value), Err(EventError::Field { field: "region", .. })));
}

#[test]
fn one_wrapping_is_looked_into_and_no_more() {
    let twice = sns(&sns(&notification("2.1", "aws:s3", "ObjectCreated:Put", "k")));
    assert!(matches!(parse(&twice), Err(EventError::NotAnEvent)));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let error = Message::parse(&vec![b' '; BODY_LEN_MAX + 1]).unwrap_err();
    assert!(matches!(error, EventError::TooLarge { what: "bytes", .. }));
    let records = vec![Value::Null; RECORDS_MAX + 1];
    assert!(matches!(parse(&json!({"Records": records})), Err(EventError::TooLarge { what: "records", .. })));
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(Message::parse(deep.as_bytes()), Err(EventError::NotJson(_))));
}

/// Any JSON, with the words of events sprinkled in.
fn value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "Records",
        "Message",
        "TopicArn",
        "Event",
        "s3:TestEvent",
        "detail",
        "source",
        "aws.s3",
        "eventSource",
        "aws:s3",
        "eventVersion",
        "2.1",
        "s3",
        "bucket",
        "object",
        "key",
        "name",
        "eventName",
        "sequencer",
        "version",
        "0",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((word.clone(), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

/// Where in a valid event to put something else.
fn pointer() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/Records",
        "/Records/0",
        "/Records/0/eventSource",
        "/Records/0/eventVersion",
        "/Records/0/awsRegion",
        "/Records/0/eventName",
        "/Records/0/s3",
        "/Records/0/s3/bucket",
        "/Records/0/s3/bucket/name",
        "/Records/0/s3/object",
        "/Records/0/s3/object/key",
        "/Records/0/s3/object/size",
        "/Records/0/s3/object/sequencer",
        "/Records/0/s3/object/versionId",
    ])
}

proptest! {
    /// No bytes make the reader panic.
    #[test]
    fn arbitrary_bytes_never_panic(body in vec(any::<u8>(), 0..300)) {
        prop_assert!(Message::parse(&body).is_err());
    }

    /// No JSON makes it panic, wrapped or not, and errors print on one line.
    #[test]
    fn arbitrary_json_never_panics(value in value()) {
        for form in [sns(&value), value] {
            if let Err(error) = parse(&form) {
                prop_assert!(!error.to_string().chars().any(char::is_control));
            }
        }
    }

    /// A valid event with one part replaced is read or refused, never half-read.
    #[test]
    fn damaged_events_are_read_or_refused(at in pointer(), damage in value()) {
        let mut event = notification("2.1", "aws:s3", "ObjectCreated:Put", "k");
        if let Some(place) = event.pointer_mut(at) {
            *place = damage;
        }
        if let Ok(Message::Hints(hints)) = parse(&event) {
            prop_assert!(hints.iter().all(|h| !h.key.is_empty() && !h.bucket.is_empty()));
        }
    }
}
