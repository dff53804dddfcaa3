//! The contracts on the fakes.

use sealane::memory::{Cloud, MemoryRows};
use sealane_tests::{objects_contract, rows_contract};

#[tokio::test]
async fn rows_in_memory_keep_the_contract() {
    rows_contract::keeps(&MemoryRows::default(), "memory", async || ()).await;
}

#[tokio::test]
async fn objects_in_memory_keep_the_contract() {
    let cloud = Cloud::default();
    objects_contract::keeps(&cloud.bucket("near"), &cloud.bucket("far"), "memory").await;
}
