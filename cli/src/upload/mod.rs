//! `sealane upload`: ships a file or a folder to several regions at once.

mod batch;
mod each;
mod estimate;
mod job;
mod send;
mod spool;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sealane::{
    config::Config,
    region::RegionName,
    replication::Asked,
    route::Strategy,
    transport::{JournalFile, Journals, ShipError, Source},
    upload::{Access, Leftover, ObjectKey, Outcome, Plan, Receipt, StorageClass},
};
use serde::Serialize;

use crate::{
    console::{Console, note, warn},
    exit::Exit,
    fault::Fault,
    named,
    route::steer,
    state,
};
use job::Job;
pub(crate) use spool::{Spool, SpoolError};

/// Arguments of `sealane upload`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// The file or folder; a folder is shipped as one `.tar.zst` archive. `-` is standard input, and needs `--key`
    #[arg(required_unless_present = "resume")]
    path: Option<PathBuf>,

    /// Key of the object in every region [default: the file's name, or the folder's with `.tar.zst`]
    #[arg(long)]
    key: Option<ObjectKey>,

    /// Regions that shall hold a copy [default: as a rule of `replication.rules` says, else `upload.copies`]
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

    /// Megabits a second to set aside in each region, and to send at most [default: one upload's share of
    /// `capacity` is set aside, and `capacity.max_bandwidth_mbps` is kept to]
    #[arg(long, value_name = "MBPS", value_parser = clap::value_parser!(u32).range(1..))]
    bandwidth: Option<u32>,

    /// Accept fewer than `min_copies` verified copies, but at least one
    #[arg(long)]
    allow_degraded: bool,

    /// Keep the SHA-256 with each copy and in the receipt; the source is read once more for it
    #[arg(long)]
    sha256: bool,

    /// File to write the receipt to, as JSON
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,

    /// Storage class of every copy, as S3 calls it [default: what fits `--access`, else as a rule says, else the store's own]
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<StorageClass>,

    /// How the copies will be read: `frequent`, `infrequent`, `rare`, `archive` or `unknown`
    #[arg(long, value_name = "HOW", conflicts_with = "storage_class")]
    access: Option<Access>,

    /// Days for which the copies will be kept, for the choice of the class
    #[arg(long, value_name = "DAYS", requires = "access")]
    keep_days: Option<u32>,

    /// Go on with an upload, or with `--each` a batch, that was stopped: the one of this id, else the newest of PATH, else the only one
    #[arg(long, value_name = "ID", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    #[arg(conflicts_with_all = ["copies", "min_copies", "strategy", "prefer", "session", "storage_class", "access"])]
    resume: Option<String>,

    /// Ship each file of a folder as an object of its own, below the key as a prefix, with one receipt for all
    #[arg(long, conflicts_with = "dry_run")]
    each: bool,

    /// Small files in flight at once with `--each` [default: 16]
    #[arg(long, value_name = "N", requires = "each", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    jobs: Option<u16>,

    /// Most that is kept of standard input, in GiB, before it is shipped
    #[arg(long, value_name = "GIB", default_value_t = 64)]
    spool_max_gib: u64,

    /// Send nothing; show the route, the requests, and what transfer and storage would cost
    #[arg(long, conflicts_with_all = ["resume", "receipt"])]
    dry_run: bool,

    /// Region that the data is sent from, for the cost of sending [default: from outside of AWS]
    #[arg(long, value_name = "REGION")]
    data_in: Option<String>,

    /// Folder in which uploads note how to go on [default: `upload.state_folder`]
    #[arg(long, value_name = "FOLDER")]
    state_folder: Option<PathBuf>,
}

/// Ships what `args` name and prints the receipt.
pub(crate) async fn run(mut args: Args, mut config: Config, console: Console) -> Result<Exit, Fault> {
    let journals = state::journals(args.state_folder.as_deref(), &config);
    let batch = args.earlier_batch(&journals)?;
    args.settle(&mut config)?;
    if let Some(file) = &args.receipt {
        writable(file)?;
    }
    if args.each {
        return each::run(args, config, console, &journals, batch).await;
    }
    if args.dry_run {
        return estimate::run(&args, config, console).await;
    }
    spool::sweep(&journals);
    let earlier = args.resume.as_deref().map(|id| args.earlier(&journals, id)).transpose()?.flatten();
    let job = match earlier {
        Some(journal) => Job::resumed(journal, &journals, config).await?,
        None => Job::fresh(args.spooled(&journals)?, &args, journals, config).await?,
    };
    let shipped = send::shipped(&job, args.bandwidth, console).await;
    let receipt = shipped.inspect_err(|fault| warn(&left_behind(fault)))?.explaining(job.left_out());
    // Printed first: a receipt that cannot be kept must not be lost as well.
    console.show(&receipt)?;
    args.receipt.map(|file| keep(&receipt, file)).transpose()?;
    let exit = exit(&receipt, &job.order.plan);
    job.end(&receipt);
    Ok(exit)
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
        policy.sha256 |= self.sha256;
        Ok(())
    }

    /// What is to be shipped. The command line has it, unless an earlier upload says it.
    fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("."))
    }

    /// Standard input, kept beside the journals, if it is what is to be shipped.
    fn spooled(&self, journals: &Journals) -> Result<Option<Spool>, Fault> {
        if self.path() != Path::new("-") {
            return Ok(None);
        }
        if self.key.is_none() {
            return Err(Fault::NoKey { path: "-".into(), source: None });
        }
        let name = uuid::Uuid::now_v7().to_string();
        Ok(Some(Spool::of(io::stdin().lock(), journals.folder(), &name, self.spool_max_gib)?))
    }

    /// The class that was asked for, or that fits how the copies will be read.
    fn class(&self) -> Option<StorageClass> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let kept = self.keep_days.map(|days| DAY * days);
        self.storage_class.or(self.access.map(|access| StorageClass::fitting(access, kept)))
    }

    /// The upload to go on with; `None` when nothing of the path was stopped, so that it is
    /// shipped from its beginning.
    fn earlier(&self, journals: &Journals, id: &str) -> Result<Option<JournalFile>, Fault> {
        if !id.is_empty() {
            let found = journals.resume(id)?;
            return found.map(Some).ok_or_else(|| Fault::NothingToResume { what: format!("upload {id}") });
        }
        let (entries, odd) = journals.list()?;
        warn(&odd.iter().map(ToString::to_string).collect::<Vec<_>>());
        let path = self.followed();
        let fit = entries.into_iter().filter(|entry| {
            let record = &entry.record;
            let of_path = path.as_deref().is_none_or(|path| record.is_of(path));
            !entry.running && of_path && self.key.as_ref().is_none_or(|key| *key == record.key)
        });
        let newest = self.newest(fit, "upload that was stopped")?;
        Ok(newest.map(|entry| journals.resume(&entry.record.upload_id)).transpose()?.flatten())
    }

    /// The path that was named, from the root on.
    fn followed(&self) -> Option<PathBuf> {
        self.path.as_deref().map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// The last of what fits, if it is the only one or of a path that was named.
    fn newest<T>(
        &self,
        mut fit: impl DoubleEndedIterator<Item = T>,
        what: &'static str,
    ) -> Result<Option<T>, Fault> {
        let (newest, others, named) = (fit.next_back(), fit.count(), self.path.is_some());
        match newest {
            Some(_) if !named && others > 0 => Err(Fault::ManyToResume { count: others + 1 }),
            None if !named => Err(Fault::NothingToResume { what: what.to_owned() }),
            None => {
                note("nothing of it was stopped: it is shipped from its beginning");
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// What the command line itself says of where to go.
    fn asked(&self, config: &Config) -> Result<Asked, Fault> {
        Ok(Asked {
            copies: self.copies,
            min_copies: self.min_copies,
            preferred: named::full_regions(config, "--prefer", &self.prefer)?,
            class: self.class(),
        })
    }

    /// The keys of all objects that `source` becomes: with `--each` the key as a prefix, and the names below the folder.
    fn keys(&self, source: &Source) -> Result<Vec<ObjectKey>, Fault> {
        let key = self.key()?;
        if !self.each {
            return Ok(vec![key]);
        }
        let ending = if self.key.is_none() { ".tar.zst" } else { "" };
        let prefix = key.as_str().strip_suffix(ending).unwrap_or(key.as_str());
        let one = |(name, source): (String, Source)| {
            let refuse = |invalid| Fault::NoKey { path: source.path().to_owned(), source: Some(invalid) };
            format!("{prefix}/{name}").parse().map_err(refuse)
        };
        source.each().into_iter().map(one).collect()
    }

    /// The key that was given, else one from the name of what is shipped.
    fn key(&self) -> Result<ObjectKey, Fault> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        let given = self.path();
        let refuse = |source| Fault::NoKey { path: given.to_owned(), source };
        // `.` and `..` have a name only once they are followed.
        let path = fs::canonicalize(given).unwrap_or_else(|_| given.to_owned());
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

fn keep(receipt: &impl Serialize, file: PathBuf) -> Result<(), Fault> {
    let written = serde_json::to_string_pretty(receipt).map_err(io::Error::from);
    let written = written.and_then(|text| fs::write(&file, text + "\n"));
    written.map_err(|source| Fault::File { path: file, verb: "written", source })
}

/// What an upload without a receipt leaves in the buckets, in words.
fn left_behind(fault: &Fault) -> Vec<String> {
    let Fault::Ship(ShipError::Source { leftovers, .. }) = fault else { return Vec::new() };
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
        Args { path: Some(path.to_owned()), ..Args::default() }
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
    fn the_class_follows_from_how_the_copies_are_read() {
        let class = |access, keep_days| Args { access, keep_days, ..Args::default() }.class();
        assert_eq!(class(None, None), None);
        assert_eq!(class(Some(Access::Archive), Some(400)), Some(StorageClass::DeepArchive));
        assert_eq!(class(Some(Access::Infrequent), None), Some(StorageClass::StandardIa));
        let asked = Args { storage_class: Some(StorageClass::Glacier), ..Args::default() };
        assert_eq!(asked.class(), Some(StorageClass::Glacier));
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
