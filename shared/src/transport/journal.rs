//! Where an upload writes down what a later run needs.
//!
//! One small file an upload, written whole beside itself and put in place in one step,
//! so that a process may die at any moment and leave the last or the one before. A
//! lock beside it tells an upload that runs from one that was interrupted.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    region::RegionName,
    upload::{Begun, JOURNAL_FORMAT, Note, Record},
};

/// Takes notes of an upload, and knows those of an earlier run.
pub trait Journal: Send + Sync {
    /// Whether notes are kept at all.
    fn keeps(&self) -> bool {
        true
    }
    /// Whether there was an earlier run of this upload.
    fn resumed(&self) -> bool;
    /// What may be unfinished, by region.
    fn unfinished(&self) -> Vec<(RegionName, Begun)>;
    /// Keeps one note, before this returns.
    fn note(&self, note: Note);
}

/// Keeps nothing: the upload cannot be resumed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unkept;

impl Journal for Unkept {
    fn keeps(&self) -> bool {
        false
    }

    fn resumed(&self) -> bool {
        false
    }

    fn unfinished(&self) -> Vec<(RegionName, Begun)> {
        Vec::new()
    }

    fn note(&self, _note: Note) {}
}

/// Why a journal cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The folder or a file in it does not do.
    #[error("the journal `{path}` cannot be {verb} (name another folder with `--state-folder`)", path = .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        verb: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("`{path}` is not the journal of an upload of this version (move it away)", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// Another process has it.
    #[error("upload {upload_id} is running in another process (wait for it, or end it first)")]
    Running {
        /// The upload.
        upload_id: String,
    },
}

pub(super) fn failed(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::File { path, verb, source }
}

/// The journals of one user's uploads.
#[derive(Debug, Clone)]
pub struct Journals {
    folder: PathBuf,
}

/// An upload that has a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was written down.
    pub record: Record,
    /// Whether a process is at it now.
    pub running: bool,
}

impl Journals {
    /// The journals in `folder`, which is made when the first one is written.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every upload that has a journal, oldest first, and the files that are none.
    pub fn list(&self) -> Result<(Vec<Entry>, Vec<JournalError>), JournalError> {
        let (mut entries, mut odd) = (Vec::new(), Vec::new());
        for path in self.files("json")? {
            match read(&path) {
                Ok(Some(record)) => {
                    let running = self.is_running(&record.upload_id);
                    entries.push(Entry { record, running });
                }
                // It ended between the listing and the reading.
                Ok(None) => {}
                Err(error) => odd.push(error),
            }
        }
        entries.sort_by_key(|entry| (entry.record.begun, entry.record.upload_id.clone()));
        Ok((entries, odd))
    }

    /// The files whose names end so.
    pub(super) fn files(&self, ending: &str) -> Result<Vec<PathBuf>, JournalError> {
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(failed(&self.folder, "read"))?,
        };
        let mut paths = Vec::new();
        for file in files {
            let path = file.map_err(failed(&self.folder, "read"))?.path();
            if path.extension().is_some_and(|found| found == ending) {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    /// Begins the journal of an upload that nobody ran before.
    pub fn begin(&self, record: Record) -> Result<JournalFile, JournalError> {
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder, "written"))?;
        let lock = self.lock(&record.upload_id)?;
        let path = self.path(&record.upload_id);
        write(&path, &record)?;
        Ok(JournalFile { path, lock, resumed: false, record: Mutex::new(record), trouble: Mutex::default() })
    }

    /// Takes up the journal of an upload that was interrupted; `None` when there is none.
    pub fn resume(&self, upload_id: &str) -> Result<Option<JournalFile>, JournalError> {
        let path = self.path(upload_id);
        if read(&path)?.is_none() {
            return Ok(None);
        }
        let lock = self.lock(upload_id)?;
        // Read under the lock: it may have ended in the meantime.
        let file = |record| {
            let (record, trouble) = (Mutex::new(record), Mutex::default());
            JournalFile { path: path.clone(), lock, resumed: true, record, trouble }
        };
        Ok(read(&path)?.map(file))
    }

    fn path(&self, upload_id: &str) -> PathBuf {
        self.folder.join(format!("{upload_id}.json"))
    }

    /// Whether some process holds the lock.
    pub(super) fn is_running(&self, upload_id: &str) -> bool {
        let lock = File::open(self.folder.join(format!("{upload_id}.lock")));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The lock of an upload, which the system frees when its process ends in whatever way.
    pub(super) fn lock(&self, upload_id: &str) -> Result<File, JournalError> {
        let path = self.folder.join(format!("{upload_id}.lock"));
        let file = File::create(&path).map_err(failed(&path, "written"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(JournalError::Running { upload_id: upload_id.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(&path, "locked")(error)),
        }
    }
}

fn read(path: &Path) -> Result<Option<Record>, JournalError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed(path, "read"))?,
    };
    let odd = |source| JournalError::Unreadable { path: path.to_owned(), source };
    let record: Record = serde_json::from_str(&text).map_err(|error| odd(Some(error)))?;
    if record.format == JOURNAL_FORMAT { Ok(Some(record)) } else { Err(odd(None)) }
}

fn write(path: &Path, record: &Record) -> Result<(), JournalError> {
    let text = serde_json::to_vec(record).map_err(io::Error::from);
    place(path, &text.map_err(failed(path, "written"))?)
}

/// Writes `text` so that a reader, now or after a crash, finds what was there before or all of it.
pub(super) fn place(path: &Path, text: &[u8]) -> Result<(), JournalError> {
    let beside = path.with_extension("tmp");
    let put = || {
        let mut file = File::create(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    put().map_err(failed(path, "written"))
}

/// Removes a journal, and then its lock.
pub(super) fn remove(path: &Path, lock: File) -> Result<(), JournalError> {
    fs::remove_file(path).map_err(failed(path, "removed"))?;
    let beside = path.with_extension("lock");
    let removed = fs::remove_file(&beside).map_err(failed(&beside, "removed"));
    drop(lock);
    removed
}

/// What went wrong, with its cause.
pub(super) fn with_cause(error: &JournalError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// The journal of one upload, locked while this lives.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    lock: File,
    resumed: bool,
    record: Mutex<Record>,
    trouble: Mutex<Option<JournalError>>,
}

impl JournalFile {
    /// What is written down now.
    pub fn record(&self) -> Record {
        held(&self.record).clone()
    }

    /// Why the first note that was lost could not be kept. The upload goes on without.
    pub fn trouble(&self) -> Option<String> {
        held(&self.trouble).as_ref().map(with_cause)
    }

    /// Ends the upload: nothing is left to go on with.
    pub fn close(self) -> Result<(), JournalError> {
        remove(&self.path, self.lock)
    }
}

pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal for JournalFile {
    fn resumed(&self) -> bool {
        self.resumed
    }

    fn unfinished(&self) -> Vec<(RegionName, Begun)> {
        held(&self.record).regions.iter().map(|(region, begun)| (*region, begun.clone())).collect()
    }

    fn note(&self, note: Note) {
        let mut record = held(&self.record);
        let before = record.clone();
        record.apply(note);
        if *record == before {
            return;
        }
        if let Err(error) = write(&self.path, &record) {
            held(&self.trouble).get_or_insert(error);
        }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
