//! Has regions copy the parts of a large object, as the upload orchestrator's main wires its buckets:
//! so many parts into every endpoint at once, always so many of them in flight.

use std::{error::Error, time::Duration};

use clap::Parser;
use futures::{
    future::try_join_all,
    stream::{self, StreamExt as _, TryStreamExt as _},
};
use sealane::{
    aws::{Aws, Limits, S3Objects},
    config::Config,
    ports::{Attributes, CopySource, Objects as _, ObjectsError},
    region::Region,
};
use serde_json::json;

/// Bytes of a part.
const PART: u64 = 64 << 20;
/// What the orchestrator waits for one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
struct Args {
    /// Endpoint of a region; one region each
    #[arg(long = "endpoint", required = true)]
    endpoints: Vec<String>,
    /// Parts that each region copies
    #[arg(long, default_value_t = 4096)]
    parts: u32,
    /// Parts in flight to each region
    #[arg(long, default_value_t = 256)]
    at_once: usize,
    /// Goes through the SDK, to compare with
    #[arg(long)]
    sdk: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let config = configuration(&args)?;
    let aws = Aws::connect(config.primary_region.as_str()).await;
    let bucket = |region: &Region| match args.sdk {
        true => aws.objects(region, None, Limits::data(ATTEMPT_MAX)),
        false => aws.shipping(region, None, Limits::data(ATTEMPT_MAX)),
    };
    let buckets: Vec<S3Objects> = config.regions.iter().filter_map(bucket).collect();
    try_join_all(buckets.iter().map(|bucket| copied(bucket, &args))).await?;
    Ok(())
}

/// Copies every part into one region.
async fn copied(bucket: &S3Objects, args: &Args) -> Result<(), ObjectsError> {
    let source = CopySource {
        bucket: "source".to_owned(),
        key: "runs/2026-11-22/whole genome.bam".to_owned(),
        version_id: Some("3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".to_owned()),
        etag: Some("\"3858f62230ac3c915f300c664312c11f-9\"".to_owned()),
    };
    let upload = bucket.begin(&source.key, &Attributes::default()).await?;
    let copies = (1..=args.parts).map(|number| {
        let range = u64::from(number - 1) * PART..u64::from(number) * PART;
        bucket.copy_part(&source, &source.key, &upload, number, range)
    });
    stream::iter(copies).buffer_unordered(args.at_once).try_for_each(async |_| Ok(())).await
}

fn configuration(args: &Args) -> Result<Config, Box<dyn Error>> {
    let region = |(i, endpoint): (usize, &String)| json!({ "name": format!("eu-bench-{}", i + 1), "bucket": "bench", "endpoints": { "s3": endpoint } });
    let document = json!({
        "primary_region": "eu-bench-1",
        "regions": args.endpoints.iter().enumerate().map(region).collect::<Vec<_>>(),
        "control_regions": ["eu-bench-1"],
        "health": { "voters_min": 1 },
        "security": { "allow_local_endpoints": true },
        "upload": { "copies": args.endpoints.len(), "min_copies": 1 },
    });
    Ok(Config::read(Some(&document.to_string()), std::iter::empty())?)
}
