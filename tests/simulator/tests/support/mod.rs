//! What the tests of the cloud share.
#![allow(dead_code, reason = "each test file uses its own share")]

use sealane::{
    aws::{DynamoRows, Limits},
    ports::{Key, Row},
    region::{Region, RegionName},
};
use serde_json::json;
use simulator::cloud::{self, Cloud, Place};

pub(crate) fn cloud(seed: u64) -> Cloud {
    Cloud::new(seed, &cloud::config(&json!({})))
}

pub(crate) fn name(name: &str) -> RegionName {
    name.parse().unwrap()
}

pub(crate) fn region(cloud: &Cloud, of: &str) -> Region {
    cloud.configuration().region(name(of)).unwrap().clone()
}

/// The first region, from which most tests call.
pub(crate) fn here() -> Place {
    Place::Region(name("us-west-2"))
}

/// The health table of a region.
pub(crate) fn rows(cloud: &Cloud, from: Place, at: &str, limits: Limits) -> DynamoRows {
    cloud.aws(from).rows(&region(cloud, at), &cloud.configuration().tables.health, "", limits)
}

pub(crate) fn row(partition: &str, sort: &str, version: u64) -> Row {
    Row { key: Key::new(partition, sort), version, body: "{}".to_owned(), index: None, expires_s: None }
}
