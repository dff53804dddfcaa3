//! The contracts of the ports, through the real clients, on the simulated cloud.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{sync::Arc, time::Duration};

use sealane::{
    aws::Limits,
    ports::{ApiError, Apis as _, Objects as _},
    region::{Region, RegionName},
};
use sealane_tests::{objects_contract, rows_contract};
use serde_json::json;
use simulator::cloud::{self, Cloud, Place};

fn cloud() -> Cloud {
    Cloud::new(1, &cloud::config(&json!({})))
}

fn region(cloud: &Cloud, name: &str) -> Region {
    cloud.configuration().region(name.parse().unwrap()).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn rows_in_simulated_dynamodb_keep_the_contract() {
    let cloud = cloud();
    let tables = cloud.configuration().tables.clone();
    for (name, index) in [(tables.ledger, "by-due"), (tables.worksets, "by-state")] {
        for at in ["us-west-2", "eu-west-1"] {
            let region = region(&cloud, at);
            let rows = cloud.aws(Place::Region(region.name)).rows(&region, &name, index, Limits::CALL);
            // A read that need not be consistent sees what is at most two seconds old.
            let settled = async || tokio::time::sleep(Duration::from_secs(2)).await;
            rows_contract::keeps(&rows, &format!("contract-{at}"), settled).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn objects_in_simulated_s3_keep_the_contract() {
    let cloud = cloud();
    let aws = cloud.aws(Place::Client(0));
    let bucket =
        |name: &str| aws.objects(&region(&cloud, name), None, Limits::data(Duration::from_secs(20))).unwrap();
    objects_contract::keeps(&bucket("us-west-2"), &bucket("us-east-1"), "contract").await;
    let shipping = |name: &str| {
        aws.shipping(&region(&cloud, name), None, Limits::data(Duration::from_secs(20)).once()).unwrap()
    };
    objects_contract::keeps(&shipping("us-west-2"), &shipping("us-east-1"), "shipping").await;
}

#[tokio::test(start_paused = true)]
async fn a_listing_shows_a_marker_where_it_lies_whatever_happened_within_its_second() {
    let cloud = cloud();
    let region = region(&cloud, "us-west-2");
    let aws = cloud.aws(Place::Client(0));
    let bucket = aws.objects(&region, None, Limits::data(Duration::from_secs(20))).unwrap();
    // Of one second: two versions, a marker, and two more.
    for deed in [Some("a"), Some("b"), None, Some("c"), Some("d")] {
        match deed {
            Some(body) => cloud.store(region.name, "k", body.into()),
            None => cloud.hide(region.name, "k"),
        }
    }
    let listed = bucket.list_versions("k", None, 100).await.unwrap();
    let markers: Vec<_> = listed.entries.iter().map(|listed| listed.is_marker).collect();
    assert_eq!(markers, [false, false, true, false, false]);
    let mut ids: Vec<_> = listed.entries.iter().map(|listed| listed.version_id.clone()).collect();
    ids.reverse();
    assert!(ids.is_sorted(), "the newest first: {ids:?}");
}

#[tokio::test(start_paused = true)]
async fn an_api_is_live_while_its_handler_is_installed() {
    let cloud = cloud();
    let name: RegionName = "us-east-1".parse().unwrap();
    let apis = cloud.aws(Place::Client(1)).apis(
        &cloud.configuration().regions,
        Limits::probe(Duration::from_secs(2)),
        &cloud.configuration().security,
    );
    assert!(matches!(apis.live(name).await, Err(ApiError::NoAnswer { .. })));
    let answer =
        Arc::new(move |request: http::Request<bytes::Bytes>| -> futures::future::BoxFuture<'static, _> {
            assert_eq!(request.uri().path(), "/v1/live");
            let body = bytes::Bytes::from(json!({"region": name}).to_string());
            Box::pin(async move { http::Response::new(body) })
        });
    cloud.install_api(name, answer);
    apis.live(name).await.unwrap();
    cloud.remove_api(name);
    assert!(matches!(apis.live(name).await, Err(ApiError::NoAnswer { .. })));
}
