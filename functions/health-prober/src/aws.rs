//! The ways into every region on the AWS SDK.

use std::collections::BTreeMap;

use sealane::{
    aws::{Aws, DynamoRows, HttpApis, Limits, S3Objects},
    config::Config,
    region::Region,
    store::{HealthTable, MarksTable},
};

use crate::{Doors, Reach};

type AwsDoors = Doors<DynamoRows, S3Objects, HttpApis>;

/// Doors over one set of pooled connections, and new ones on demand.
#[derive(Debug)]
pub struct AwsReach {
    aws: Aws,
    config: Config,
    pooled: AwsDoors,
}

impl AwsReach {
    /// The ways into every region of `config`.
    pub fn new(aws: Aws, config: &Config) -> Self {
        let pooled = doors(&aws, config);
        Self { aws, config: config.clone(), pooled }
    }
}

impl Reach for AwsReach {
    type Rows = DynamoRows;
    type Objects = S3Objects;
    type Apis = HttpApis;

    fn pooled(&self) -> &AwsDoors {
        &self.pooled
    }

    fn fresh(&self) -> AwsDoors {
        doors(&self.aws.fresh(), &self.config)
    }
}

fn doors(aws: &Aws, config: &Config) -> AwsDoors {
    let limits = |region: &Region| Limits::probe(region.health_check.timeout);
    let table =
        |region: &Region| HealthTable::new(aws.rows(region, &config.tables.health, "", limits(region)));
    let data =
        |region: &Region| MarksTable::new(aws.rows(region, &config.tables.worksets, "", limits(region)));
    let bucket = |region: &Region| aws.objects(region, config.account_id.as_deref(), limits(region));
    let regions = || config.regions.iter().filter(|r| r.health_check.enabled);
    Doors {
        tables: regions().map(|r| (r.name, table(r))).collect::<BTreeMap<_, _>>(),
        data: regions().filter(|r| r.is_full()).map(|r| (r.name, data(r))).collect(),
        buckets: regions().filter_map(|r| Some((r.name, bucket(r)?))).collect(),
        // One pool serves every region; each probe keeps to its own region's timeout besides.
        apis: aws.apis(&config.regions, Limits::probe(longest(config)), &config.security),
    }
}

fn longest(config: &Config) -> std::time::Duration {
    config.regions.iter().map(|r| r.health_check.timeout).max().unwrap_or_default()
}
