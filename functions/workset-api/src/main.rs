//! The API of one region as a Lambda function behind an HTTP API.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    aws::{Aws, DynamoRows, Limits, SystemClock},
    config::Config,
    edge,
    region::{Region, RegionName},
    store::{HealthTable, LedgerTable, WorksetTable},
};
use workset_api::{Deps, router_with_uploads};

/// A replica that is cut off must leave time to ask the others within the function's 15 s.
const LIMITS: Limits =
    Limits { connect: Duration::from_millis(800), attempt: Duration::from_secs(1), attempts: 2 };

/// What a bucket is asked once: a region that hangs must leave time for another, and joining many parts takes seconds.
const BUCKET_LIMITS: Limits =
    Limits { connect: Duration::from_millis(800), attempt: Duration::from_secs(4), attempts: 1 };

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    sealane::lambda::init_log();
    let (config, home) = (edge::config()?, edge::home()?);
    let aws = Aws::connect(home.as_str()).await;
    let buckets = aws.uploads(&config, BUCKET_LIMITS);
    lambda_http::run(router_with_uploads(deps(&aws, config, home), buckets)).await
}

fn deps(aws: &Aws, config: Config, home: RegionName) -> Deps<DynamoRows, SystemClock> {
    let tables = &config.tables;
    let rows = |region: &Region, table: &str, index| aws.rows(region, table, index, LIMITS);
    let full = || config.regions.iter().filter(|r| r.is_full());
    let heard = config.told_states();
    let table = |r: &Region| WorksetTable::new(rows(r, &tables.worksets, "by-state")).telling(heard.clone());
    let worksets = |r: &Region| (r.name, table(r));
    let ledger = |r: &Region| (r.name, LedgerTable::new(rows(r, &tables.ledger, "by-due")));
    let own_first = |r: &&Region| r.name != home;
    let mut watched: Vec<_> = config.regions.iter().collect();
    watched.sort_by_key(own_first);
    Deps {
        home,
        worksets: config.workset_regions().map(worksets).collect::<BTreeMap<_, _>>(),
        ledger: full().map(ledger).collect::<BTreeMap<_, _>>(),
        health: watched.into_iter().map(|r| HealthTable::new(rows(r, &tables.health, ""))).collect(),
        control: aws.control(&config, home, LIMITS),
        clock: SystemClock,
        config: config.clone(),
    }
}
