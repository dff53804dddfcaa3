//! What reads tell of writes that were just made.

use std::collections::BTreeSet;

use aws_smithy_runtime_api::client::{http::HttpConnector as _, orchestrator::HttpRequest};
use aws_smithy_types::body::SdkBody;
use sealane::aws::Limits;
use serde_json::{Value, json};

use super::*;
use crate::cloud::config;

async fn call(cloud: &Cloud, operation: &str, body: &Value) -> String {
    let limits = Limits { connect: Duration::from_secs(1), attempt: Duration::from_secs(4), attempts: 1 };
    let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
    request.set_method("POST").unwrap();
    request.set_uri("https://dynamodb.us-west-2.sim/").unwrap();
    request.headers_mut().insert("x-amz-target", format!("{TARGET}{operation}"));
    let from = Place::Region("us-west-2".parse().unwrap());
    let answer = cloud.connector(from, limits).call(request).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    String::from_utf8_lossy(answer.body().bytes().unwrap()).into_owned()
}

/// The versions that reads just after a second write tell of, over twenty rounds.
async fn told(table: &str, consistent: bool) -> BTreeSet<bool> {
    let cloud = Cloud::new(1, &config(&Value::Null));
    let mut told = BTreeSet::new();
    for version in 1..=20 {
        let item = json!({"pk": {"S": "a"}, "sk": {"S": "b"}, "v": {"N": version.to_string()},
                          "body": {"S": format!("body {version}.")}});
        call(&cloud, "PutItem", &json!({"TableName": table, "Item": item})).await;
        let get = json!({"TableName": table, "Key": {"pk": {"S": "a"}, "sk": {"S": "b"}},
                         "ConsistentRead": consistent});
        told.insert(call(&cloud, "GetItem", &get).await.contains(&format!("body {version}.")));
        sleep(STALE_MAX * 2).await;
    }
    told
}

#[tokio::test(start_paused = true)]
async fn only_a_consistent_read_tells_what_was_just_written() {
    let tables = config(&Value::Null).tables;
    for table in [&tables.control, &tables.health] {
        assert_eq!(told(table, true).await, BTreeSet::from([true]), "{table}");
        assert!(told(table, false).await.contains(&false), "{table}");
    }
}
