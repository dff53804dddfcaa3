//! Bringing an object back: range by range, from one region after the other, and proved whole.
//!
//! Rule: a file takes its name only after size and full-object checksum were found to be those of
//! what was shipped. A region that fails in the middle is left for the next one, which is asked only for
//! the ranges that are lacking. Which region gave wrong bytes is found out and said.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::{calls::Patience, digest, progress::Progress, proof, ranges::Ranges};
use crate::{
    checksum::Checksum,
    ports::{Clock, Objects},
    region::RegionName,
    time::millis,
    units::ByteSize,
    upload::{META_SHA256, ObjectKey, Reason, RegionReason, Sha256},
};

/// Where a copy may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The region.
    pub region: RegionName,
    /// The version that is meant; `None` for the newest.
    pub version_id: Option<String>,
}

/// What is to be fetched.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The key in every region.
    pub key: ObjectKey,
    /// The regions to ask, best first.
    pub candidates: Vec<Candidate>,
    /// Size and checksum, if they are known beforehand; else the first region that has the
    /// object says them, and the others have to agree.
    pub expected: Option<(ByteSize, Checksum)>,
    /// The SHA-256 of the whole, if it is known; else the metadata of what is fetched may say it.
    pub sha256: Option<Sha256>,
    /// Bytes asked for at a time. At least 1.
    pub range: ByteSize,
    /// Ranges in flight; with `range`, what is held in memory. At least 1.
    pub concurrency: usize,
    /// Longest wait for one range.
    pub timeout: Duration,
    /// Spreads the waits of downloads that fail together.
    pub seed: u64,
}

/// What one region gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The region.
    pub region: RegionName,
    /// The version that was read.
    pub version_id: Option<String>,
    /// Bytes of the file that came from there.
    pub size: ByteSize,
}

/// What was fetched, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// The key.
    pub key: ObjectKey,
    /// Its size.
    pub size: ByteSize,
    /// The checksum of the bytes as they were received, which is that of what was shipped.
    pub checksum: Checksum,
    /// The regions that its bytes came from.
    pub shares: Vec<Share>,
    /// Regions that were asked in vain, and why.
    pub failed: Vec<RegionReason>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No region gave the whole.
    #[error("no region gave `{key}` whole: {}", told(.failed))]
    Nowhere {
        /// The key.
        key: String,
        /// Each region that was asked, and why it did not do.
        failed: Vec<RegionReason>,
    },
    /// The file could not be written.
    #[error("`{path}` cannot be written (make room, or name another place with `--to`)", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is something of this name.
    #[error("`{path}` is there already (say `--overwrite` to replace it)", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

fn told(failed: &[RegionReason]) -> String {
    let lines: Vec<_> = failed.iter().map(|line| format!("{} {}", line.region, line.reason)).collect();
    if lines.is_empty() { "no region was asked".to_owned() } else { lines.join(", ") }
}

/// Fetches into a file beside `to` and gives it that name when it is proved whole.
///
/// What is at `to` is replaced only with `overwrite`, and only then.
pub async fn fetch<O: Objects>(
    wanted: &Wanted,
    buckets: &BTreeMap<RegionName, O>,
    (to, overwrite): (&Path, bool),
    progress: &(dyn Fn(Progress) + Send + Sync),
    clock: &impl Clock,
) -> Result<Fetched, FetchError> {
    if !overwrite && to.symlink_metadata().is_ok() {
        return Err(FetchError::Exists { path: to.to_owned() });
    }
    let began = clock.now();
    let beside = Beside::create(to)?;
    let mut fetching = Fetching {
        wanted,
        progress,
        file: &beside,
        whole: None,
        sha256: wanted.sha256,
        shares: Vec::new(),
        failed: Vec::new(),
    };
    for candidate in &wanted.candidates {
        let Some(bucket) = buckets.get(&candidate.region) else { continue };
        match fetching.from(bucket, candidate).await? {
            Ok(checksum) => {
                if let Err(reason) = fetching.proves_sha256()? {
                    fetching.give_up(candidate.region, reason);
                    continue;
                }
                beside.take_name(to, overwrite)?;
                let (shares, size) = (fetching.shares(), fetching.size());
                let duration_ms = millis(clock.now().since(began));
                let (key, failed) = (wanted.key.clone(), fetching.failed);
                return Ok(Fetched { key, size, checksum, shares, failed, duration_ms });
            }
            Err(reason) => fetching.give_up(candidate.region, reason),
        }
    }
    Err(FetchError::Nowhere { key: wanted.key.as_str().to_owned(), failed: fetching.failed })
}

/// What is known of an object that is on its way.
struct Fetching<'a> {
    wanted: &'a Wanted,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    file: &'a Beside,
    /// Its checksum and the ranges that are here, once a region said what it is.
    whole: Option<(Checksum, Ranges)>,
    /// The SHA-256 that it has to have, if somebody said it.
    sha256: Option<Sha256>,
    /// The regions that were read from, in the order of asking, with the version that was read.
    shares: Vec<(RegionName, Option<String>)>,
    failed: Vec<RegionReason>,
}

impl Fetching<'_> {
    /// Fetches what is lacking from one region; the checksum of the whole when it is whole.
    async fn from<O: Objects>(
        &mut self,
        bucket: &O,
        candidate: &Candidate,
    ) -> Result<Result<Checksum, Reason>, FetchError> {
        let Wanted { key, timeout, seed, .. } = self.wanted;
        let patience = Patience { limit: *timeout, seed: *seed, purse: None, elsewhere: None };
        let region = candidate.region;
        let version_id = candidate.version_id.as_deref();
        let head = match proof::look(bucket, key.as_str(), version_id, patience).await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Err(unfit("does not have it".to_owned()))),
            Err(failed) => return Ok(Err(failed.reason)),
        };
        if let Err(reason) = self.agree(ByteSize(head.size_bytes), head.checksum) {
            return Ok(Err(reason));
        }
        let said = head.attributes.metadata.get(META_SHA256).and_then(|sum| sum.clone().try_into().ok());
        self.sha256 = self.sha256.or(said);
        (self.progress)(Progress::Began { region });
        self.shares.push((region, head.version_id.clone()));
        if let Err(reason) = self.ranges(bucket, region, head.version_id.as_deref(), patience).await? {
            return Ok(Err(reason));
        }
        let Some((checksum, ranges)) = &mut self.whole else { return Ok(Err(Reason::Stopped)) };
        let found = ranges.checksum();
        if found == *checksum {
            for (region, reason) in ranges.damaged() {
                self.failed.push(RegionReason { region, reason });
            }
            (self.progress)(Progress::Verified { region });
            return Ok(Ok(found));
        }
        let expected = *checksum;
        // Nobody can tell yet who gave the wrong bytes: each has to be asked anew by the next.
        ranges.doubt();
        Ok(Err(Reason::ChecksumDiffers { expected, found }))
    }

    /// Whether the file has the SHA-256 that it has to have.
    fn proves_sha256(&self) -> Result<Result<(), Reason>, FetchError> {
        let Some(wanted) = self.sha256 else { return Ok(Ok(())) };
        let path = &self.file.path;
        let found =
            digest::of_file(path).map_err(|source| FetchError::File { path: path.clone(), source })?;
        let differs = || unfit(format!("gave bytes whose SHA-256 is `{found}` and not `{wanted}`"));
        Ok(if found == wanted { Ok(()) } else { Err(differs()) })
    }

    /// Whether a copy of this size and checksum is the one that is wanted.
    fn agree(&mut self, size: ByteSize, checksum: Option<Checksum>) -> Result<(), Reason> {
        let known = self.whole.as_ref().map(|(sum, ranges)| (ranges.size(), *sum)).or(self.wanted.expected);
        let (expected, sum) = match (known, checksum) {
            (Some(known), _) => known,
            (None, Some(checksum)) => (size, checksum),
            (None, None) => {
                return Err(unfit("keeps no checksum to judge it by (give the receipt)".to_owned()));
            }
        };
        if size != expected {
            return Err(Reason::SizeDiffers { expected, found: size });
        }
        if let Some(found) = checksum.filter(|found| *found != sum) {
            return Err(Reason::ChecksumDiffers { expected: sum, found });
        }
        self.whole.get_or_insert_with(|| (sum, Ranges::new(expected, self.wanted.range)));
        Ok(())
    }

    /// Reads the ranges that are lacking, several at a time.
    async fn ranges<O: Objects>(
        &mut self,
        bucket: &O,
        region: RegionName,
        version_id: Option<&str>,
        patience: Patience<'_>,
    ) -> Result<Result<(), Reason>, FetchError> {
        let Some((_, ranges)) = &mut self.whole else { return Ok(Err(Reason::Stopped)) };
        let (key, file) = (self.wanted.key.as_str(), self.file);
        let reads = stream::iter(ranges.lacking()).map(async |(number, range)| {
            let bytes = patience.retry(|| bucket.read(key, version_id, range.clone())).await;
            let bytes = bytes.map_err(|failed| Halt::Region(failed.reason))?;
            if bytes.len() as u64 != range.end - range.start {
                let detail = format!("gave {} bytes of {}", bytes.len(), range.end - range.start);
                return Err(Halt::Region(unfit(detail)));
            }
            let checksum = Checksum::of(&bytes);
            file.write(bytes, range.start).await.map_err(Halt::File)?;
            Ok((number, checksum))
        });
        let mut reads = reads.buffer_unordered(self.wanted.concurrency.max(1));
        loop {
            match reads.try_next().await {
                Ok(Some((number, checksum))) => {
                    ranges.received(number, region, checksum);
                    let bytes = ranges.of(region);
                    (self.progress)(Progress::Received { region, bytes });
                }
                Ok(None) => return Ok(Ok(())),
                Err(Halt::Region(reason)) => return Ok(Err(reason)),
                Err(Halt::File(error)) => return Err(error),
            }
        }
    }

    fn give_up(&mut self, region: RegionName, reason: Reason) {
        (self.progress)(Progress::Dropped { region, reason: reason.clone() });
        self.failed.push(RegionReason { region, reason: reason.to_string() });
    }

    fn size(&self) -> ByteSize {
        self.whole.as_ref().map_or(ByteSize(0), |(_, ranges)| ranges.size())
    }

    /// The regions that bytes of the file came from.
    fn shares(&self) -> Vec<Share> {
        let of = |region| self.whole.as_ref().map_or(ByteSize(0), |(_, ranges)| ranges.of(region));
        let share = |(region, version_id): &(RegionName, Option<String>)| Share {
            region: *region,
            version_id: version_id.clone(),
            size: of(*region),
        };
        let only = self.shares.len() == 1;
        self.shares.iter().map(share).filter(|share| only || share.size.0 > 0).collect()
    }
}

/// Why reading ends early.
enum Halt {
    /// Another region may do better.
    Region(Reason),
    /// No region would.
    File(FetchError),
}

fn unfit(detail: String) -> Reason {
    Reason::Unfit { detail }
}

/// The file while it is not whole: beside the one that it is to become, so that it can take
/// that one's name in one step. It is removed unless it does.
struct Beside {
    path: PathBuf,
    file: Arc<File>,
}

impl Beside {
    fn create(to: &Path) -> Result<Self, FetchError> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let path = to.with_file_name(format!(".{name}.{}.part", std::process::id()));
        // Another process of this number died here long ago, if it is there.
        let file = File::create(&path).map_err(|source| FetchError::File { path: path.clone(), source })?;
        Ok(Self { path, file: Arc::new(file) })
    }

    async fn write(&self, bytes: bytes::Bytes, at: u64) -> Result<(), FetchError> {
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, at)).await;
        written.map_err(io::Error::from).flatten().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> FetchError {
        FetchError::File { path: self.path.clone(), source }
    }

    /// Makes it durable under its name, which somebody may have taken meanwhile.
    fn take_name(&self, to: &Path, overwrite: bool) -> Result<(), FetchError> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let place = || if overwrite { fs::rename(&self.path, to) } else { fs::hard_link(&self.path, to) };
        let taken = self.file.sync_all().and_then(|()| place());
        taken.and_then(|()| File::open(folder)?.sync_all()).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => FetchError::Exists { path: to.to_owned() },
            _ => self.failed(source),
        })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already where it took its name.
        let _gone = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
