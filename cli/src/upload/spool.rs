//! What comes through a pipe, kept on disk: an upload may have to read it more than once.
//!
//! The spool lies beside the journals, so that an upload that is killed goes on from it. A process that
//! is killed before it has read the whole pipe leaves a part that is of no use to anybody: no journal
//! names it and nobody holds its lock, and the next upload removes it.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sealane::transport::Journals;

use crate::{
    console::{note, warn},
    fault::Fault,
};

/// Bytes copied at a time.
const CHUNK: usize = 256 << 10;

/// The file that a pipe was kept in.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    /// Locked as long as this lives, so that nobody takes it for a leftover.
    _held: Option<File>,
}

/// Why a pipe was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// More came than may be kept.
    #[error("more than {max_gib} GiB came through the pipe (raise `--spool-max-gib`, or ship a file)")]
    TooMuch {
        /// The cap.
        max_gib: u64,
    },
    /// The pipe broke.
    #[error("the pipe cannot be read")]
    Pipe(#[source] io::Error),
    /// The disk is full, or not writable.
    #[error("the pipe cannot be kept in `{}` (make room, or name another place with `--state-folder`)", path.display())]
    Disk {
        /// The spool.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Spool {
    /// Keeps all of `pipe` in a file of `folder`, at most `max_gib` of it.
    ///
    /// Blocks until the pipe ends. A pipe that is not kept whole leaves nothing.
    pub(crate) fn of(
        mut pipe: impl Read,
        folder: &Path,
        name: &str,
        max_gib: u64,
    ) -> Result<Self, SpoolError> {
        let path = folder.join("spool").join(name);
        let on_disk = |source| SpoolError::Disk { path: path.clone(), source };
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(on_disk)?;
        let mut file = held(&path).map_err(on_disk)?;
        let spool = Self { path: path.clone(), _held: file.try_clone().ok() };
        copy(&mut pipe, |bytes| file.write_all(bytes).map_err(on_disk), max_gib)
            .and_then(|()| file.sync_all().map_err(on_disk))
            .inspect_err(|_| spool.remove())?;
        Ok(spool)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Frees the disk. Called when nobody has to read it again.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            warn(&[format!("the spool `{}` cannot be removed: {error}", self.path.display())]);
        }
    }

    /// The spool of an earlier run, if what it ships is one.
    pub(crate) fn at(path: &Path, folder: &Path) -> Option<Self> {
        let spools = fs::canonicalize(folder.join("spool")).ok()?;
        path.starts_with(spools).then(|| Self { path: path.to_owned(), _held: None })
    }
}

/// Makes the file and locks it. One that was removed between the two is made again.
fn held(path: &Path) -> io::Result<File> {
    loop {
        let file = File::create_new(path)?;
        file.lock()?;
        let there = fs::metadata(path).map(|there| there.ino());
        if there.is_ok_and(|there| file.metadata().is_ok_and(|held| held.ino() == there)) {
            return Ok(file);
        }
    }
}

/// Removes what processes left that were killed while they read a pipe.
///
/// Nothing is removed while there are journals that cannot be read, since they may name it.
pub(crate) fn sweep(journals: &Journals) {
    let Ok(spools) = fs::read_dir(journals.folder().join("spool")) else { return };
    let named: Vec<PathBuf> = match journals.list() {
        Ok((entries, odd)) if odd.is_empty() => {
            entries.into_iter().map(|entry| entry.record.source.path).collect()
        }
        _ => return,
    };
    for path in spools.filter_map(|spool| fs::canonicalize(spool.ok()?.path()).ok()) {
        let unheld =
            || File::open(&path).is_ok_and(|file| file.try_lock().is_ok() && fs::remove_file(&path).is_ok());
        if !named.contains(&path) && unheld() {
            note(&format!(
                "`{}` was left by an upload that was killed while it read a pipe, and is removed",
                path.display()
            ));
        }
    }
}

fn copy(
    pipe: &mut impl Read,
    mut keep: impl FnMut(&[u8]) -> Result<(), SpoolError>,
    max_gib: u64,
) -> Result<(), SpoolError> {
    let (mut left, mut chunk) = (max_gib.saturating_mul(1 << 30), vec![0; CHUNK]);
    loop {
        let read = match pipe.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SpoolError::Pipe(error)),
        };
        left = left.checked_sub(read as u64).ok_or(SpoolError::TooMuch { max_gib })?;
        keep(&chunk[..read])?;
    }
}

impl From<SpoolError> for Fault {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_kept_and_freed_again() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::of(&b"ACGT"[..], folder.path(), "u-1", 1).unwrap();
        assert_eq!(fs::read(spool.path()).unwrap(), b"ACGT");
        let found = fs::canonicalize(spool.path()).unwrap();
        assert!(Spool::at(&found, folder.path()).is_some());
        assert!(Spool::at(Path::new("/etc/passwd"), folder.path()).is_none());
        spool.remove();
        assert!(!found.exists());
    }

    #[test]
    fn what_a_killed_process_left_of_a_pipe_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let held = Spool::of(&b"ACGT"[..], folder.path(), "u-1", 1).unwrap();
        let (left, named) = (folder.path().join("spool/u-2"), folder.path().join("spool/u-3"));
        fs::write(&left, "AC").unwrap();
        fs::write(&named, "ACGT").unwrap();
        let journals = Journals::new(folder.path().to_owned());
        let journal = journals.begin(record(&named)).unwrap();
        sweep(&journals);
        assert!(held.path().exists() && named.exists() && !left.exists());
        drop((held, journal));
        fs::write(folder.path().join("odd.json"), "no journal").unwrap();
        fs::write(&left, "AC").unwrap();
        sweep(&journals);
        assert!(left.exists(), "a journal that cannot be read may name it");
    }

    /// The journal of an upload of `path`.
    fn record(path: &Path) -> sealane::upload::Record {
        use sealane::{transport::Source, upload};
        let regions = ["us-west-2".parse().unwrap()];
        upload::Record {
            format: upload::JOURNAL_FORMAT,
            upload_id: "u-3".to_owned(),
            begun: sealane::time::Timestamp::default(),
            source: Source::open(path).unwrap().identity(),
            key: "reads".parse().unwrap(),
            plan: upload::Plan::new(&upload::Policy::default(), &regions, &regions).unwrap(),
            part_size: sealane::units::ByteSize::mib(8),
            classes: upload::Classes::default(),
            regions: std::collections::BTreeMap::default(),
        }
    }

    #[test]
    fn a_pipe_that_is_not_kept_whole_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let endless = Spool::of(io::repeat(7), folder.path(), "u-1", 0).unwrap_err();
        assert!(matches!(endless, SpoolError::TooMuch { max_gib: 0 }), "{endless}");
        assert_eq!(fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_is_told_as_one() {
        let full = |_: &[u8]| -> Result<(), SpoolError> {
            let mut full = File::options().write(true).open("/dev/full").unwrap();
            let path = PathBuf::from("/dev/full");
            full.write_all(b"x").map_err(|source| SpoolError::Disk { path, source })
        };
        let error = copy(&mut &b"ACGT"[..], full, 1).unwrap_err();
        assert!(
            matches!(&error, SpoolError::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull)
        );
    }
}
