//! Ships with this library, as `sealane upload` does it: one file to every endpoint, or each file
//! of a folder as an object of its own.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sealane::{
    aws::{Aws, Limits, S3Objects, SystemClock},
    config::Config,
    lease,
    region::RegionName,
    retry::RetryBudgets,
    transport::{Gate, Order, Source, ship_through},
    upload::{Classes, Outcome, Plan, Policy, Reason, Receipt},
};
use serde_json::json;

#[derive(Debug, Parser)]
struct Args {
    /// Endpoint of a region; one region each, the first ones hold the copies
    #[arg(long = "endpoint", required = true)]
    endpoints: Vec<String>,
    /// Copies; one each endpoint if left out
    #[arg(long)]
    copies: Option<usize>,
    /// The file, or the folder whose files are objects of their own
    #[arg(long)]
    path: PathBuf,
    /// Files of a folder that are under way at once
    #[arg(long, default_value_t = 16)]
    files: usize,
    /// Leaves it to the store to compare the checksum, as the peers do
    #[arg(long)]
    unvalidated: bool,
}

/// What the uploads of a process share.
struct Shipper {
    buckets: BTreeMap<RegionName, S3Objects>,
    regions: Vec<RegionName>,
    policy: Policy,
    budgets: RetryBudgets,
}

/// Nobody else ships here: every lane is let in.
struct Open;

impl Gate for Open {
    async fn enter(&self, _: RegionName) -> Result<(), Reason> {
        Ok(())
    }

    async fn leave(&self, _: RegionName, _: lease::Outcome) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let shipper = Shipper::new(&args).await?;
    if args.path.is_file() {
        return shipper.ship(&args.path, "object").await;
    }
    let mut files =
        fs::read_dir(&args.path)?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    files.sort();
    let shipped = stream::iter(files).map(|file| {
        let shipper = &shipper;
        async move {
            let name = file.file_name().and_then(|name| name.to_str()).ok_or("a name that is no text")?;
            shipper.ship(&file, name).await
        }
    });
    shipped.buffer_unordered(args.files).try_collect().await
}

impl Shipper {
    async fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let config = configuration(args)?;
        let aws = Aws::connect(config.primary_region.as_str()).await;
        let limits = Limits::data(config.upload.part_timeout).once();
        let bucket = |region| Some((region, aws.shipping(config.region(region)?, None, limits)?));
        let regions: Vec<RegionName> = config.regions.iter().map(|region| region.name).collect();
        Ok(Self {
            buckets: regions.iter().copied().filter_map(bucket).collect(),
            regions,
            policy: config.upload,
            budgets: RetryBudgets::default(),
        })
    }

    async fn ship(&self, path: &Path, key: &str) -> Result<(), Box<dyn Error>> {
        let source = Source::open(path)?;
        let order = Order {
            classes: Classes::AsSource,
            upload_id: uuid::Uuid::now_v7().to_string(),
            key: key.parse()?,
            plan: Plan::new(&self.policy, &self.regions, &self.regions)?,
            policy: self.policy,
            seed: 1,
        };
        let Self { buckets, budgets, .. } = self;
        let receipt = ship_through(&Open, budgets, &source, buckets, &order, &|_| (), &SystemClock).await?;
        judge(&receipt)
    }
}

/// What is owed is no failure: a region that was left behind is one of the cases.
fn judge(receipt: &Receipt) -> Result<(), Box<dyn Error>> {
    match receipt.outcome {
        Outcome::Complete | Outcome::Degraded => Ok(()),
        Outcome::Failed | Outcome::Unknown => Err(serde_json::to_string(receipt)?.into()),
    }
}

fn configuration(args: &Args) -> Result<Config, Box<dyn Error>> {
    let region = |(i, endpoint): (usize, &String)| json!({ "name": format!("eu-bench-{}", i + 1), "bucket": "bench", "endpoints": { "s3": endpoint } });
    let document = json!({
        "primary_region": "eu-bench-1",
        "regions": args.endpoints.iter().enumerate().map(region).collect::<Vec<_>>(),
        "control_regions": ["eu-bench-1"],
        "health": { "voters_min": 1 },
        "security": { "allow_local_endpoints": true },
        "upload": {
            "copies": args.copies.unwrap_or(args.endpoints.len()),
            "min_copies": 1,
            "sync_validation": !args.unvalidated,
        },
    });
    let variables = std::env::vars().filter(|(name, _)| name.starts_with("SEALANE_"));
    Ok(Config::read(Some(&document.to_string()), variables)?)
}
