//! The contracts on the real adapters and the local cloud.
//!
//! `cargo xtask test` runs these with `LOCAL_CLOUD_RECORD` naming the `cloud.json` of a running
//! cloud; without it they are ignored, and fail if they are run all the same.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{collections::BTreeMap, fs};

use sealane::{
    aws::{Aws, Limits},
    config::Config,
    edge,
    region::Region,
};
use sealane_tests::{objects_contract, rows_contract};
use serde_json::Value;

/// The variable that names `cloud.json`.
const RECORD: &str = "LOCAL_CLOUD_RECORD";

/// The local cloud as a client has it.
struct LocalCloud {
    config: Config,
    aws: Aws,
    tables: BTreeMap<String, String>,
    /// Keeps the keys of two runs on one cloud apart.
    scope: String,
}

impl LocalCloud {
    async fn join() -> Self {
        let path = std::env::var_os(RECORD)
            .unwrap_or_else(|| panic!("`{RECORD}` is not set (use `cargo xtask test`)"));
        let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let config = edge::config_from(record["config"].as_str(), std::iter::empty()).unwrap();
        let aws = Aws::connect(config.primary_region.as_str()).await;
        let tables = serde_json::from_value(record["tables"].clone()).unwrap();
        Self { config, aws, tables, scope: format!("contract-{}", std::process::id()) }
    }

    fn full(&self) -> Vec<&Region> {
        self.config.regions.iter().filter(|region| region.is_full()).collect()
    }
}

#[tokio::test]
#[ignore = "needs a local cloud: `cargo xtask test`"]
async fn rows_in_dynamodb_keep_the_contract() {
    let cloud = LocalCloud::join().await;
    for (what, index) in [("ledger", "by-due"), ("worksets", "by-state")] {
        for region in cloud.full() {
            let rows = cloud.aws.rows(region, &cloud.tables[what], index, Limits::CALL);
            rows_contract::keeps(&rows, &format!("{}-{what}-{}", cloud.scope, region.name), async || ())
                .await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a local cloud: `cargo xtask test`"]
async fn objects_in_s3_keep_the_contract() {
    let cloud = LocalCloud::join().await;
    let regions = cloud.full();
    for (near, far) in [(regions[0], regions[1]), (regions[2], regions[0])] {
        let bucket = |region| {
            cloud.aws.objects(region, None, Limits::data(std::time::Duration::from_secs(20))).unwrap()
        };
        objects_contract::keeps(&bucket(near), &bucket(far), &format!("{}-{}", cloud.scope, near.name)).await;
        let shipping = |region| {
            cloud.aws.shipping(region, None, Limits::data(std::time::Duration::from_secs(20)).once()).unwrap()
        };
        let scope = format!("{}-shipping-{}", cloud.scope, near.name);
        objects_contract::keeps(&shipping(near), &shipping(far), &scope).await;
    }
}
