//! The journal of a batch: a line for the batch, and one more for each file that came to its receipt.
//!
//! Lines are only ever appended, so that a hundred thousand files cost as many short writes. What a process
//! has written outlives it; the disk is waited for each second, so that a machine that loses its power loses
//! the notes of the last one. A line that is not whole counts for nothing, nor does what comes after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::journal::{JournalError, Journals, failed, held, place, remove, with_cause};
use crate::{
    checksum::Checksum,
    time::Timestamp,
    upload::{BATCH_FORMAT, BatchRecord, ObjectKey, Receipt, Shipped},
};

/// How the files of these journals end.
const ENDING: &str = "batch";
/// Longest line that is read, in bytes: a receipt of thirty regions has a fiftieth of it.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Notes after which the disk is waited for, however fast they come.
const UNSYNCED_MAX: u32 = 1_000;
/// Time after which it is waited for at the next note.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A batch that has a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntry {
    /// What was asked for.
    pub record: BatchRecord,
    /// Files that have their receipt.
    pub shipped: u64,
    /// Whether a process is at it now.
    pub running: bool,
}

/// What an earlier run shipped, by key.
pub type ShippedFiles = BTreeMap<ObjectKey, Shipped>;

/// As much of a [`Shipped`] as it takes to count it.
#[derive(Deserialize)]
struct Named {
    receipt: Key,
}

#[derive(Deserialize)]
struct Key {
    key: ObjectKey,
}

/// A [`Shipped`] of somebody else's receipt.
#[derive(Serialize)]
struct Line<'a> {
    print: Checksum,
    receipt: &'a Receipt,
}

impl Journals {
    /// Begins the journal of a batch that nobody ran before.
    pub fn begin_batch(&self, record: BatchRecord) -> Result<BatchFile, JournalError> {
        fs::create_dir_all(self.folder()).map_err(failed(self.folder(), "written"))?;
        let (lock, path) = (self.lock(&record.batch_id)?, self.batch(&record.batch_id));
        let line = line_of(&record).map_err(failed(&path, "written"))?;
        place(&path, &line)?;
        BatchFile::open(path, lock, record, line.len() as u64)
    }

    /// Takes up the journal of a batch that was stopped, with what it shipped so far; `None` when there is none.
    ///
    /// A torn end is cut off, so that what is noted from now on can be read.
    pub fn resume_batch(&self, batch_id: &str) -> Result<Option<(BatchFile, ShippedFiles)>, JournalError> {
        let path = self.batch(batch_id);
        if !path.try_exists().map_err(failed(&path, "read"))? {
            return Ok(None);
        }
        let lock = self.lock(batch_id)?;
        let mut shipped = ShippedFiles::new();
        let found = read(&path, |one: Shipped| {
            shipped.insert(one.receipt.key.clone(), one);
        })?;
        // It may have ended between the look and the lock.
        let Some((record, whole)) = found else { return Ok(None) };
        Ok(Some((BatchFile::open(path, lock, record, whole)?, shipped)))
    }

    /// Every batch that has a journal, oldest first, and the files that are none.
    pub fn batches(&self) -> Result<(Vec<BatchEntry>, Vec<JournalError>), JournalError> {
        let (mut entries, mut odd) = (Vec::new(), Vec::new());
        for path in self.files(ENDING)? {
            let mut keys = BTreeSet::new();
            let found = read(&path, |named: Named| {
                keys.insert(named.receipt.key);
            });
            match found {
                Ok(Some((record, _))) => {
                    let running = self.is_running(&record.batch_id);
                    entries.push(BatchEntry { record, shipped: keys.len() as u64, running });
                }
                Ok(None) => {}
                Err(error) => odd.push(error),
            }
        }
        entries.sort_by_key(|entry| (entry.record.begun, entry.record.batch_id.clone()));
        Ok((entries, odd))
    }

    fn batch(&self, batch_id: &str) -> PathBuf {
        self.folder().join(format!("{batch_id}.{ENDING}"))
    }
}

/// Reads the journal of a batch, shows each note to `see`, and says how many bytes of it are whole.
fn read<T: DeserializeOwned>(
    path: &Path,
    see: impl FnMut(T),
) -> Result<Option<(BatchRecord, u64)>, JournalError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed(path, "read"))?,
    };
    let found = read_lines(BufReader::new(file), see).map_err(failed(path, "read"))?;
    let odd = |source| JournalError::Unreadable { path: path.to_owned(), source };
    let (record, whole) = found.map_err(|error| odd(Some(error)))?;
    if record.format == BATCH_FORMAT { Ok(Some((record, whole))) } else { Err(odd(None)) }
}

/// The batch, and the bytes of the lines that are whole.
type Lines = Result<(BatchRecord, u64), serde_json::Error>;

fn read_lines<T: DeserializeOwned>(mut lines: impl BufRead, mut see: impl FnMut(T)) -> io::Result<Lines> {
    let (mut record, mut whole, mut line) = (None, 0, Vec::new());
    loop {
        line.clear();
        let len = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        match &record {
            None => match serde_json::from_slice::<BatchRecord>(&line) {
                Ok(found) => record = Some(found),
                Err(error) => return Ok(Err(error)),
            },
            Some(record) => match serde_json::from_slice::<T>(&line) {
                Ok(one) if line.ends_with(b"\n") => see(one),
                Ok(_) | Err(_) => return Ok(Ok((BatchRecord::clone(record), whole))),
            },
        }
        whole += len as u64;
    }
}

fn line_of(of: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(of)?;
    line.push(b'\n');
    Ok(line)
}

/// The journal of one batch, locked while this lives.
#[derive(Debug)]
pub struct BatchFile {
    path: PathBuf,
    lock: File,
    record: BatchRecord,
    end: Mutex<End>,
}

/// Where the next line goes.
#[derive(Debug)]
struct End {
    file: File,
    /// Lines that the disk may not have yet.
    unsynced: u32,
    synced: Timestamp,
    trouble: Option<JournalError>,
}

impl End {
    fn append(&mut self, line: &[u8], now: Timestamp) -> io::Result<()> {
        self.file.write_all(line)?;
        self.unsynced += 1;
        if self.unsynced >= UNSYNCED_MAX || now.since(self.synced) >= SYNC_EVERY {
            self.file.sync_data()?;
            (self.unsynced, self.synced) = (0, now);
        }
        Ok(())
    }
}

impl BatchFile {
    /// Goes on after the first `whole` bytes.
    fn open(path: PathBuf, lock: File, record: BatchRecord, whole: u64) -> Result<Self, JournalError> {
        let open = || {
            let file = File::options().append(true).open(&path)?;
            file.set_len(whole)?;
            Ok(file)
        };
        let file = open().map_err(failed(&path, "written"))?;
        let end = End { file, unsynced: 0, synced: Timestamp::default(), trouble: None };
        Ok(Self { path, lock, record, end: Mutex::new(end) })
    }

    /// What was asked for.
    pub const fn record(&self) -> &BatchRecord {
        &self.record
    }

    /// Notes that the file with this [`print`](super::Source::print) came to `receipt`, if that can be relied on.
    ///
    /// After a note that could not be kept no other is: it would stand after a line that may be torn.
    pub fn note(&self, print: Checksum, receipt: &Receipt, now: Timestamp) {
        let mut end = held(&self.end);
        if !receipt.outcome.is_success() || end.trouble.is_some() {
            return;
        }
        let appended = line_of(&Line { print, receipt }).and_then(|line| end.append(&line, now));
        end.trouble = appended.map_err(failed(&self.path, "written")).err();
    }

    /// Why the first note that was lost could not be kept. The batch goes on without.
    pub fn trouble(&self) -> Option<String> {
        held(&self.end).trouble.as_ref().map(with_cause)
    }

    /// Ends the batch: nothing is left to go on with.
    pub fn close(self) -> Result<(), JournalError> {
        remove(&self.path, self.lock)
    }
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
