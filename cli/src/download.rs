//! `sealane download`: brings an object back from the best region that has it, and proves it whole.

mod batch;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use sealane::{
    aws::SystemClock,
    config::Config,
    region::{Capability, RegionName},
    route::Request,
    transport::{Candidate, Fetched, Wanted, fetch, unpack},
    units::ByteSize,
    upload::{ObjectKey, Receipt, manifest::Totals},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    console::{Console, warn},
    exit::Exit,
    fault::Fault,
    named,
    route::ranked,
    signals,
    telling::Telling,
    verify,
    world::World,
};

/// Arguments of `sealane download`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// The receipt, as `sealane upload --receipt` wrote it; with that of a batch, every object of it below one folder
    #[arg(required_unless_present = "key")]
    receipt: Option<PathBuf>,

    /// Key of the object, where there is no receipt
    #[arg(long, conflicts_with = "receipt")]
    key: Option<ObjectKey>,

    /// Where to put it: a file, or the folder for a batch or what is unpacked [default: the last part of the key, in
    /// the working folder]
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,

    /// Unpack a folder that was shipped as an archive, and compare it with its manifest
    #[arg(long, conflicts_with = "overwrite")]
    unpack: bool,

    /// Replace what is there, once the new file is proved whole
    #[arg(long)]
    overwrite: bool,

    /// Region to ask first; may be repeated
    #[arg(long, value_name = "REGION")]
    prefer: Vec<String>,
}

/// What was fetched, and where it lies.
#[derive(Debug, Serialize)]
struct Report {
    path: PathBuf,
    #[serde(flatten)]
    fetched: Fetched,
    #[serde(skip_serializing_if = "Option::is_none")]
    unpacked: Option<Totals>,
}

/// Fetches what `args` name.
pub(crate) async fn run(args: Args, mut config: Config, console: Console) -> Result<Exit, Fault> {
    let preferred = named::full_regions(&config, "--prefer", &args.prefer)?;
    if !preferred.is_empty() {
        config.load_balancing.preferred_regions = preferred;
    }
    if let Some(several) = args.receipt.clone().map(verify::read_batch).transpose()?.flatten() {
        return match args.unpack {
            true => Err(Fault::UnpackOfMany),
            false => batch::run(&args, &several, config, console).await,
        };
    }
    let receipt = args.receipt.clone().map(verify::read).transpose()?;
    let Some(key) = args.wanted_key(receipt.as_ref()) else { return Ok(Exit::Usage) };
    let place = args.place(&key);
    if (args.unpack || !args.overwrite) && place.symlink_metadata().is_ok() {
        return Err(Fault::Exists { path: place });
    }
    let world = World::connect(config).await;
    let route = ranked(&world.config, Request::new(Capability::ObjectRead), &world.look().await);
    let wanted = wanted(key, receipt.as_ref(), &world, &route.ranked);
    let report = brought(&args, &world, &wanted, place, console.is_json()).await?;
    warn(&report.fetched.failed.iter().map(|f| format!("{} {}", f.region, f.reason)).collect::<Vec<_>>());
    console.show(&report)?;
    Ok(Exit::Done)
}

/// What is to be fetched: by the receipt, if there is one.
fn wanted(key: ObjectKey, receipt: Option<&Receipt>, world: &World, ranked: &[RegionName]) -> Wanted {
    let full = world.config.full_regions().map(|region| region.name);
    let policy = world.config.upload;
    Wanted {
        key,
        candidates: candidates(receipt, ranked, full),
        expected: receipt.map(|receipt| (receipt.size, receipt.checksum)),
        sha256: receipt.and_then(|receipt| receipt.sha256),
        range: policy.part_size,
        concurrency: policy.concurrency,
        timeout: policy.part_timeout,
        seed: Uuid::new_v4().as_u64_pair().0,
    }
}

/// Fetches, and unpacks if that was asked for. An archive that is unpacked is not kept.
async fn brought(
    args: &Args,
    world: &World,
    wanted: &Wanted,
    place: PathBuf,
    json: bool,
) -> Result<Report, Fault> {
    let file = if args.unpack { archive(&place) } else { place.clone() };
    let telling = Telling::new(json, wanted.expected.map_or(ByteSize(0), |(size, _)| size));
    let progress = |news| telling.show(news);
    let buckets = world.buckets();
    let overwrite = args.overwrite || args.unpack;
    let fetched = tokio::select! {
        fetched = fetch(wanted, &buckets, (&file, overwrite), &progress, &SystemClock) => fetched,
        () = signals::stop() => {
            telling.clear();
            return Err(Fault::Stopped { resume: None });
        }
    };
    telling.clear();
    let fetched = fetched?;
    if !args.unpack {
        return Ok(Report { path: place, fetched, unpacked: None });
    }
    let unpacked = unpack(&file, &place);
    fs::remove_file(&file).map_err(|source| Fault::File { path: file, verb: "removed", source })?;
    Ok(Report { path: place, fetched, unpacked: Some(unpacked?) })
}

/// Where an archive lies until it is unpacked: beside its folder.
fn archive(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}.{}.tar.zst", std::process::id()))
}

/// The regions to ask, best first: those that the receipt vouches for, then those that may have
/// been paid what they were owed. Without a receipt every region that holds data.
///
/// What the route leaves out comes last, since it may answer all the same.
fn candidates(
    receipt: Option<&Receipt>,
    ranked: &[RegionName],
    full: impl Iterator<Item = RegionName>,
) -> Vec<Candidate> {
    let vouched: Vec<Candidate> = match receipt {
        Some(receipt) => {
            let copies = receipt.copies.iter();
            copies
                .map(|copy| Candidate { region: copy.region, version_id: copy.version_id.clone() })
                .collect()
        }
        None => full.map(|region| Candidate { region, version_id: None }).collect(),
    };
    let owed = receipt.into_iter().flat_map(|receipt| &receipt.owed);
    let owed = owed.map(|line| Candidate { region: line.region, version_id: None });
    let mut all: Vec<(bool, Candidate)> = vouched.into_iter().map(|one| (false, one)).collect();
    all.extend(owed.map(|one| (true, one)));
    let rank = |region| ranked.iter().position(|one| *one == region).unwrap_or(usize::MAX);
    all.sort_by_key(|(owed, one)| (*owed, rank(one.region)));
    all.into_iter().map(|(_, one)| one).collect()
}

impl Args {
    /// The receipt's key, else the one that was given. The command line is refused without either.
    fn wanted_key(&self, receipt: Option<&Receipt>) -> Option<ObjectKey> {
        receipt.map(|receipt| receipt.key.clone()).or(self.key.clone())
    }

    /// Where the file, or the folder, shall lie.
    fn place(&self, key: &ObjectKey) -> PathBuf {
        if let Some(to) = &self.to {
            return to.clone();
        }
        let name = key.as_str().rsplit('/').next().unwrap_or_default();
        let name = if self.unpack { name.strip_suffix(".tar.zst").unwrap_or(name) } else { name };
        PathBuf::from(name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fetched { key, size, checksum, shares, duration_ms, .. } = &self.fetched;
        let seconds = std::time::Duration::from_millis(*duration_ms).as_secs_f64();
        let path = self.path.display();
        writeln!(
            f,
            "`{path}`: {size} of `{}` in {seconds:.1} s, CRC64NVME {checksum} as shipped",
            key.as_str()
        )?;
        if let Some(Totals { files, size }) = self.unpacked {
            writeln!(f, "unpacked {files} files of {size}, each as the manifest says")?;
        }
        for share in shares {
            let version = share.version_id.as_deref().unwrap_or("none");
            writeln!(f, "  {}  {} of version {version}", share.region, share.size)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> RegionName {
        name.parse().unwrap()
    }

    #[test]
    fn the_best_region_is_asked_first_and_none_is_left_out() {
        let full = ["us-west-2", "us-east-1", "eu-west-1"].map(region);
        let ranked = [region("eu-west-1"), region("us-west-2")];
        let asked: Vec<_> = candidates(None, &ranked, full.into_iter()).iter().map(|c| c.region).collect();
        assert_eq!(asked, ["eu-west-1", "us-west-2", "us-east-1"].map(region));
    }

    #[test]
    fn the_file_is_named_by_the_key_and_the_folder_by_its_archive() {
        let key: ObjectKey = "runs/run-7.tar.zst".parse().unwrap();
        let place = |unpack| Args { unpack, ..Args::default() }.place(&key);
        assert_eq!(place(false), Path::new("run-7.tar.zst"));
        assert_eq!(place(true), Path::new("run-7"));
        let to = Some("else".into());
        assert_eq!(Args { to, ..Args::default() }.place(&key), Path::new("else"));
    }
}
