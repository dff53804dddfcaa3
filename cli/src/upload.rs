//! `sealane upload`: ships a file or a folder to several regions at once.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sealane::{
    aws::SystemClock,
    config::Config,
    region::{Capability, RegionName},
    retry::RetryBudgets,
    route::{
        Outcome::{Dropped, Kept},
        Request, Route, Strategy,
    },
    transport::{Leases, Order, ShipError, Source, ship_through},
    upload::{Leftover, ObjectKey, Outcome, Plan, Receipt},
};
use uuid::Uuid;

use crate::{
    console::{Console, warn},
    exit::Exit,
    fault::Fault,
    named,
    progress::Bars,
    route::{eligible, ranked, steer},
    world::World,
};

/// Arguments of `sealane upload`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file or folder; a folder is shipped as one `.tar.zst` archive
    path: PathBuf,

    /// Key of the object in every region [default: the file's name, or the folder's with `.tar.zst`]
    #[arg(long)]
    key: Option<ObjectKey>,

    /// Regions that shall hold a copy [default: `upload.copies`]
    #[arg(long, value_name = "N")]
    copies: Option<usize>,

    /// Verified copies that make a success [default: `upload.min_copies`, else a majority]
    #[arg(long, value_name = "M")]
    min_copies: Option<usize>,

    /// How regions are ranked [default: `load_balancing.strategy`]
    #[arg(long)]
    strategy: Option<Strategy>,

    /// Region that comes first when it is usable; may be repeated
    #[arg(long, value_name = "REGION")]
    prefer: Vec<String>,

    /// Session that keeps its region, such as a run's id
    #[arg(long, value_name = "KEY")]
    session: Option<String>,

    /// Megabits a second to set aside in each region [default: one upload's share of `capacity`]
    #[arg(long, value_name = "MBPS", value_parser = clap::value_parser!(u32).range(1..))]
    bandwidth: Option<u32>,

    /// Accept fewer than `min_copies` verified copies, but at least one
    #[arg(long)]
    allow_degraded: bool,

    /// File to write the receipt to, as JSON
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

/// Ships what `args` name and prints the receipt.
pub(crate) async fn run(mut args: Args, mut config: Config, console: Console) -> Result<Exit, Fault> {
    args.settle(&mut config)?;
    let (source, key) = (Source::open(&args.path)?, args.key()?);
    if let Some(file) = &args.receipt {
        writable(file)?;
    }
    let eligible = eligible(&config);
    // What can never fit is refused before anything is asked of the network.
    Plan::new(&config.upload, &eligible, &eligible)?;
    let world = World::connect(config).await;
    let request = Request { session: args.session, ..Request::new(Capability::ObjectWrite) };
    let route = ranked(&world.config, request, &world.look().await);
    let plan = Plan::new(&world.config.upload, &eligible, &route.ranked)?;
    let order = Order {
        upload_id: Uuid::now_v7().to_string(),
        key,
        plan,
        policy: world.config.upload,
        seed: Uuid::new_v4().as_u64_pair().0,
    };
    let receipt = shipped(&world, &source, &order, args.bandwidth).await;
    let receipt = receipt.inspect_err(|error| warn(&left_behind(error)))?.explaining(left_out(&route));
    // Printed first: a receipt that cannot be kept must not be lost as well.
    console.show(&receipt)?;
    args.receipt.map(|file| keep(&receipt, file)).transpose()?;
    Ok(exit(&receipt, &order.plan))
}

/// Ships by `order`, with a lease in each region that can be asked for one.
async fn shipped(
    world: &World,
    source: &Source,
    order: &Order,
    bandwidth_mbps: Option<u32>,
) -> Result<Receipt, ShipError> {
    let bars = Bars::new(source.size_max());
    let holder = format!("sealane upload {}", order.key.as_str());
    let leases =
        Leases::new(&world.config, world.leases(), &SystemClock, &order.upload_id, &holder, bandwidth_mbps);
    let (buckets, budgets, progress) = (world.buckets(), RetryBudgets::default(), |news| bars.show(news));
    let receipt = tokio::select! {
        receipt = ship_through(&leases, &budgets, source, &buckets, order, &progress, &SystemClock) => receipt,
        never = leases.keep() => match never {},
    };
    bars.clear();
    receipt.map(|receipt| receipt.without_leases(leases.without()))
}

/// Why the route left a region out, in words.
fn left_out(route: &Route) -> impl Fn(RegionName) -> Option<String> {
    |region| {
        let choice = route.choices.iter().find(|choice| choice.region == region)?;
        match &choice.outcome {
            Dropped(reason) => Some(reason.to_string()),
            Kept { .. } => None,
        }
    }
}

impl Args {
    /// Puts what the command line says over what the configuration says.
    fn settle(&mut self, config: &mut Config) -> Result<(), Fault> {
        let preferred: Vec<RegionName> = named::full_regions(config, "--prefer", &self.prefer)?;
        if !preferred.is_empty() {
            config.load_balancing.preferred_regions = preferred;
        }
        steer(config, self.strategy, self.session.as_deref());
        let policy = &mut config.upload;
        policy.copies = self.copies.unwrap_or(policy.copies);
        policy.min_copies = self.min_copies.or(policy.min_copies);
        policy.allow_degraded |= self.allow_degraded;
        Ok(())
    }

    /// The key that was given, else one from the name of what is shipped.
    fn key(&self) -> Result<ObjectKey, Fault> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        let refuse = |source| Fault::NoKey { path: self.path.clone(), source };
        // `.` and `..` have a name only once they are followed.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refuse(None))?;
        let ending = if path.is_dir() { ".tar.zst" } else { "" };
        format!("{name}{ending}").parse().map_err(|invalid| refuse(Some(invalid)))
    }
}

/// Refuses a file that has no place to be, before anything is shipped. Leaves no trace.
fn writable(file: &Path) -> Result<(), Fault> {
    let refuse = |source| Fault::File { path: file.to_owned(), verb: "written", source };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.is_dir() {
        return Err(refuse(io::ErrorKind::IsADirectory.into()));
    }
    let folder = fs::metadata(folder).map_err(refuse)?;
    if folder.is_dir() { Ok(()) } else { Err(refuse(io::ErrorKind::NotADirectory.into())) }
}

fn keep(receipt: &Receipt, file: PathBuf) -> Result<(), Fault> {
    let written = serde_json::to_string_pretty(receipt).map_err(io::Error::from);
    let written = written.and_then(|text| fs::write(&file, text + "\n"));
    written.map_err(|source| Fault::File { path: file, verb: "written", source })
}

/// What an upload without a receipt leaves in the buckets, in words.
fn left_behind(error: &ShipError) -> Vec<String> {
    let ShipError::Source { leftovers, .. } = error else { return Vec::new() };
    let told = leftovers.iter().map(|Leftover { region, bucket, key, upload }| {
        let upload = upload.as_deref().unwrap_or("whose id is not known");
        format!("the unfinished multipart upload {upload} of `{key}` stays in `{bucket}` in {region} (the lifecycle rule frees it)")
    });
    told.collect()
}

/// Owed copies are no failure: replication pays them. Fewer than `min_copies` is said aloud.
fn exit(receipt: &Receipt, plan: &Plan) -> Exit {
    match receipt.outcome {
        Outcome::Degraded if receipt.copies.len() < plan.min_copies => Exit::Degraded,
        Outcome::Complete | Outcome::Degraded => Exit::Done,
        Outcome::Failed => Exit::Failed,
        Outcome::Unknown => Exit::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use sealane::{
        checksum::Crc64,
        units::ByteSize,
        upload::{CopyLine, How, Policy, Shipment},
    };

    use super::*;

    fn args(path: &Path) -> Args {
        Args {
            path: path.to_owned(),
            key: None,
            copies: None,
            min_copies: None,
            strategy: None,
            prefer: Vec::new(),
            session: None,
            bandwidth: None,
            allow_degraded: false,
            receipt: None,
        }
    }

    #[test]
    fn the_key_is_the_name_of_what_is_shipped() {
        let root = tempfile::tempdir().unwrap();
        let (folder, file) = (root.path().join("run-7"), root.path().join("reads.fastq"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "x").unwrap();
        assert_eq!(args(&file).key().unwrap().as_str(), "reads.fastq");
        assert_eq!(args(&folder).key().unwrap().as_str(), "run-7.tar.zst");
        assert_eq!(args(&folder.join(".")).key().unwrap().as_str(), "run-7.tar.zst");
        assert!(matches!(args(Path::new("/")).key(), Err(Fault::NoKey { .. })));
    }

    #[test]
    fn a_check_for_writing_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("receipt.json");
        writable(&file).unwrap();
        assert!(!file.exists());
        fs::write(&file, "older").unwrap();
        writable(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "older");
        assert!(writable(root.path()).is_err() && writable(&root.path().join("no/such")).is_err());
        assert!(writable(&file.join("below")).is_err());
    }

    /// A receipt with `copies` verified copies, of which the plan wants three and needs two.
    fn receipt(outcome: Outcome, copies: usize) -> (Receipt, Plan) {
        let regions: Vec<RegionName> =
            ["us-west-2", "us-east-1", "eu-west-1"].map(|name| name.parse().unwrap()).to_vec();
        let policy = Policy { copies: 3, ..Policy::default() };
        let plan = Plan::new(&policy, &regions, &regions).unwrap();
        let (key, checksum) = ("reads".parse::<ObjectKey>().unwrap(), Crc64::new().finish());
        let shipment =
            Shipment { upload_id: "u".to_owned(), key: key.clone(), size: ByteSize(0), checksum, files: 1 };
        let copy = |region: &RegionName| CopyLine {
            region: *region,
            bucket: "bucket".to_owned(),
            key: key.clone(),
            version_id: None,
            size: ByteSize(0),
            checksum,
            verified: true,
            how: How::ReadBack,
            attempts: 1,
            duration_ms: 1,
            throughput_bytes_s: 0,
        };
        let copies = regions.iter().take(copies).map(copy).collect();
        (Receipt { outcome, copies, ..Receipt::judge(&shipment, &plan, &[]) }, plan)
    }

    #[test]
    fn the_exit_code_tells_owed_from_too_few() {
        let code = |outcome, copies| {
            let (receipt, plan) = receipt(outcome, copies);
            exit(&receipt, &plan)
        };
        assert_eq!(code(Outcome::Complete, 3), Exit::Done);
        assert_eq!(code(Outcome::Degraded, 2), Exit::Done);
        assert_eq!(code(Outcome::Degraded, 1), Exit::Degraded);
        assert_eq!(code(Outcome::Failed, 0), Exit::Failed);
        assert_eq!(code(Outcome::Unknown, 1), Exit::Unknown);
    }
}
