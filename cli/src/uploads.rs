//! `sealane uploads`: what was begun and not finished, here and in the buckets.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use clap::Subcommand;
use futures::future::join_all;
use sealane::{
    config::Config,
    ports::{Objects, OpenUpload},
    region::RegionName,
    time::{Human, InvalidDuration, Timestamp, parse_duration},
    transport::{BatchEntry, BatchFile, Entry, Journals, tidy},
    upload::Record,
};
use serde::Serialize;

use crate::{
    console::{Console, note, warn},
    exit::Exit,
    fault::Fault,
    state,
    table::Table,
    upload::Spool,
    world::World,
};

/// Arguments of `sealane uploads`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,

    /// Folder in which uploads note how to go on [default: `upload.state_folder`]
    #[arg(long, global = true, value_name = "FOLDER")]
    state_folder: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List uploads that were stopped, and every multipart upload that is open in the buckets
    List {
        /// Only keys that begin with this
        #[arg(long, default_value = "")]
        prefix: String,
    },
    /// Give up an upload or a batch that was stopped, or old multipart uploads that nobody here knows
    Abort {
        /// The id of an upload or a batch that was stopped here
        #[arg(required_unless_present = "older_than", conflicts_with_all = ["older_than", "prefix", "yes"])]
        id: Option<String>,
        /// Multipart uploads that began at least this long ago, such as `48h`, and are not in a journal here
        #[arg(long, value_name = "TIME", value_parser = age)]
        older_than: Option<Duration>,
        /// Of those, only keys that begin with this
        #[arg(long, default_value = "")]
        prefix: String,
        /// Give them up; without it they are only listed
        #[arg(long)]
        yes: bool,
    },
}

/// The text is no age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no age (want a time such as `48h`)")]
struct InvalidAge(String, #[source] InvalidDuration);

fn age(text: &str) -> Result<Duration, InvalidAge> {
    parse_duration(text).map_err(|error| InvalidAge(text.escape_debug().to_string(), error))
}

/// How an unfinished upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// A process of this machine is at it.
    Running,
    /// It was stopped, and can be gone on with.
    Stopped,
    /// No journal here names it: another machine's, a copy under way, or an orphan.
    Foreign,
    /// It was given up just now.
    Aborted,
}

/// What is unfinished in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    upload_id: Option<String>,
    standing: Standing,
    source: Option<PathBuf>,
    key: String,
    region: Option<RegionName>,
    /// The multipart upload; `None` where none was begun, or its name was never heard.
    multipart: Option<String>,
    begun_ms: Timestamp,
    /// Of a batch: how many of its files have their receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<Share>,
}

/// How much of a batch is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Share {
    shipped: u64,
    files: u64,
}

impl Line {
    /// Whether something of it may be in a bucket still.
    pub(crate) fn is_left(&self) -> bool {
        self.standing != Standing::Aborted
    }
}

/// Everything that is unfinished.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct Report {
    lines: Vec<Line>,
    #[serde(skip)]
    now: Timestamp,
}

/// Lists or gives up what is unfinished.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let journals = state::journals(args.state_folder.as_deref(), &config);
    let (entries, odd) = journals.list()?;
    warn(&odd.iter().map(ToString::to_string).collect::<Vec<_>>());
    match args.command {
        Command::List { prefix } => {
            let (open, answered) = open(&World::connect(config).await.buckets(), &prefix).await;
            let (batches, odd) = journals.batches()?;
            warn(&odd.iter().map(ToString::to_string).collect::<Vec<_>>());
            let batches = batches.iter().map(of_batch_entry).filter(|line| line.key.starts_with(&prefix));
            let lines = batches.chain(joined(&entries, &open, &prefix)).collect();
            console.show(&Report { lines, now: World::now() })?;
            Ok(if answered { Exit::Done } else { Exit::Unknown })
        }
        Command::Abort { id: Some(id), .. } => {
            let buckets = World::connect(config).await.buckets();
            let lines = match journals.resume_batch(&id)? {
                Some((file, shipped)) => abort_batch(&journals, file, shipped.len() as u64, &buckets).await?,
                None => abort_one(&journals, &id, &buckets).await?,
            };
            let left = lines.iter().any(Line::is_left);
            console.show(&Report { lines, now: World::now() })?;
            Ok(if left { Exit::Failed } else { Exit::Done })
        }
        Command::Abort { id: None, older_than, prefix, yes } => {
            let buckets = World::connect(config).await.buckets();
            let (open, answered) = open(&buckets, &prefix).await;
            let old = orphans(joined(&entries, &open, &prefix), older_than.unwrap_or_default(), World::now());
            let lines = if yes { abort_all(&buckets, old).await } else { old };
            if !yes && !lines.is_empty() {
                note("nothing was given up (say `--yes` to give these up)");
            }
            let left = yes && lines.iter().any(Line::is_left);
            console.show(&Report { lines, now: World::now() })?;
            Ok(if left || !answered { Exit::Failed } else { Exit::Done })
        }
    }
}

/// What is open in each region, and whether all of them answered.
async fn open<O: Objects>(
    buckets: &BTreeMap<RegionName, O>,
    prefix: &str,
) -> (Vec<(RegionName, OpenUpload)>, bool) {
    let asked = buckets.iter().map(async |(region, bucket)| (*region, bucket.uploads(prefix).await));
    let (mut open, mut problems) = (Vec::new(), Vec::new());
    for (region, listed) in join_all(asked).await {
        match listed {
            Ok(listed) => open.extend(listed.into_iter().map(|one| (region, one))),
            Err(error) => problems.push(format!("{region} is left out: {error}")),
        }
    }
    warn(&problems);
    (open, problems.is_empty())
}

/// The journals' uploads, and below them what is open in the buckets and in no journal.
fn joined(entries: &[Entry], open: &[(RegionName, OpenUpload)], prefix: &str) -> Vec<Line> {
    let known = entries.iter().filter(|entry| entry.record.key.as_str().starts_with(prefix));
    let mut lines: Vec<Line> = known.flat_map(of_journal).collect();
    for (region, OpenUpload { key, upload, begun }) in open {
        let is_known = |entry: &Entry| {
            let noted = entry.record.regions.get(region);
            noted.is_some_and(|noted| noted.upload.as_deref() == Some(upload))
        };
        if !entries.iter().any(is_known) {
            lines.push(Line {
                upload_id: None,
                standing: Standing::Foreign,
                source: None,
                key: key.clone(),
                region: Some(*region),
                multipart: Some(upload.clone()),
                begun_ms: *begun,
                batch: None,
            });
        }
    }
    lines
}

/// One line a region in which something was begun, or one for the upload where nothing was.
fn of_journal(Entry { record, running }: &Entry) -> Vec<Line> {
    let standing = if *running { Standing::Running } else { Standing::Stopped };
    let line = |region: Option<RegionName>, multipart: Option<String>, begun_ms| Line {
        upload_id: Some(record.upload_id.clone()),
        standing,
        source: Some(record.source.path.clone()),
        key: record.key.as_str().to_owned(),
        region,
        multipart,
        begun_ms,
        batch: None,
    };
    if record.regions.is_empty() {
        return vec![line(None, None, record.begun)];
    }
    let of = record.regions.iter();
    of.map(|(region, begun)| line(Some(*region), begun.upload.clone(), begun.at)).collect()
}

/// The line of a batch.
fn of_batch_entry(BatchEntry { record, shipped, running }: &BatchEntry) -> Line {
    let name = || record.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Line {
        upload_id: Some(record.batch_id.clone()),
        standing: if *running { Standing::Running } else { Standing::Stopped },
        source: Some(record.path.clone()),
        key: format!("{}/", record.key.as_ref().map_or_else(name, |key| key.as_str().to_owned())),
        region: None,
        multipart: None,
        begun_ms: record.begun,
        batch: Some(Share { shipped: *shipped, files: record.files }),
    }
}

/// What stopped runs of a batch began of its files of several parts.
pub(crate) fn of_batch(journals: &Journals, batch_id: &str) -> Result<Vec<Record>, Fault> {
    let of_batch = |entry: &Entry| {
        let rest = entry.record.upload_id.strip_prefix(batch_id);
        !entry.running && rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let (entries, _) = journals.list()?;
    Ok(entries.into_iter().filter(of_batch).map(|entry| entry.record).collect())
}

/// Gives up what a batch began, and forgets it when nothing of that is left. What it has shipped stays.
async fn abort_batch<O: Objects>(
    journals: &Journals,
    file: BatchFile,
    shipped: u64,
    buckets: &BTreeMap<RegionName, O>,
) -> Result<Vec<Line>, Fault> {
    let mut lines = Vec::new();
    for Record { upload_id, .. } in of_batch(journals, &file.record().batch_id)? {
        lines.extend(abort_one(journals, &upload_id, buckets).await?);
    }
    let record = file.record().clone();
    let mut line = of_batch_entry(&BatchEntry { record, shipped, running: false });
    if !lines.iter().any(Line::is_left) {
        file.close()?;
        line.standing = Standing::Aborted;
    }
    lines.insert(0, line);
    Ok(lines)
}

/// Those of the lines that no journal names and that are old enough. What the store's clock says
/// is compared with ours, and S3 refuses clocks that are off by more than a quarter of an hour.
fn orphans(lines: Vec<Line>, older_than: Duration, now: Timestamp) -> Vec<Line> {
    let is_orphan =
        |line: &Line| line.standing == Standing::Foreign && now.since(line.begun_ms) >= older_than;
    lines.into_iter().filter(is_orphan).collect()
}

async fn abort_all<O: Objects>(buckets: &BTreeMap<RegionName, O>, lines: Vec<Line>) -> Vec<Line> {
    let aborted = lines.into_iter().map(async |line| {
        let bucket = line.region.and_then(|region| buckets.get(&region));
        let (Some(bucket), Some(multipart)) = (bucket, &line.multipart) else { return (line, None) };
        match bucket.abort(&line.key, multipart).await {
            Ok(()) => (Line { standing: Standing::Aborted, ..line }, None),
            Err(error) => (line, Some(error.to_string())),
        }
    });
    let (lines, problems): (Vec<_>, Vec<_>) = join_all(aborted).await.into_iter().unzip();
    warn(&problems.into_iter().flatten().collect::<Vec<_>>());
    lines
}

/// Gives up one upload that was stopped, and forgets it when nothing of it is left.
pub(crate) async fn abort_one<O: Objects>(
    journals: &Journals,
    id: &str,
    buckets: &BTreeMap<RegionName, O>,
) -> Result<Vec<Line>, Fault> {
    let journal = journals.resume(id)?;
    let journal = journal.ok_or_else(|| Fault::NothingToResume { what: format!("upload {id}") })?;
    let lines = of_journal(&Entry { record: journal.record(), running: false });
    let tidied = tidy(buckets, journal.record().key.as_str(), &journal, 0).await;
    let left = |line: &Line| tidied.iter().any(|left| Some(left.region) == line.region);
    let lines: Vec<Line> = lines
        .into_iter()
        .map(|line| if left(&line) { line } else { Line { standing: Standing::Aborted, ..line } })
        .collect();
    if tidied.is_empty() {
        // What came through a pipe is kept for nobody else.
        Spool::at(&journal.record().source.path, journals.folder()).iter().for_each(Spool::remove);
        journal.close()?;
    }
    Ok(lines)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return f.write_str("nothing is unfinished");
        }
        let mut table = Table::new(["upload", "state", "region", "began", "key", "multipart upload"]);
        for line in &self.lines {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let standing = match line.standing {
                Standing::Running => "running",
                Standing::Stopped => "stopped",
                Standing::Foreign => "not ours",
                Standing::Aborted => "given up",
            };
            let seconds = Duration::from_secs(self.now.since(line.begun_ms).as_secs());
            table.row(vec![
                or_dash(line.upload_id.clone()),
                standing.to_owned(),
                or_dash(line.region.map(|region| region.to_string())),
                format!("{} ago", Human(seconds)),
                match line.batch {
                    Some(Share { shipped, files }) => format!("{} ({shipped} of {files} files)", line.key),
                    None => line.key.clone(),
                },
                or_dash(line.multipart.clone()),
            ]);
        }
        table.fmt(f)
    }
}
