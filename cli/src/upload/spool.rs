//! What comes through a pipe, kept on disk: an upload may have to read it more than once.
//!
//! The spool lies beside the journals, so that an upload that is killed goes on from it.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use crate::{console::warn, fault::Fault};

/// Bytes copied at a time.
const CHUNK: usize = 256 << 10;

/// The file that a pipe was kept in.
#[derive(Debug)]
pub(crate) struct Spool(PathBuf);

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
        let mut file = File::create_new(&path).map_err(on_disk)?;
        let spool = Self(path.clone());
        copy(&mut pipe, |bytes| file.write_all(bytes).map_err(on_disk), max_gib)
            .and_then(|()| file.sync_all().map_err(on_disk))
            .inspect_err(|_| spool.remove())?;
        Ok(spool)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Frees the disk. Called when nobody has to read it again.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.0) {
            warn(&[format!("the spool `{}` cannot be removed: {error}", self.0.display())]);
        }
    }

    /// The spool of an earlier run, if what it ships is one.
    pub(crate) fn at(path: &Path, folder: &Path) -> Option<Self> {
        let spools = fs::canonicalize(folder.join("spool")).ok()?;
        path.starts_with(spools).then(|| Self(path.to_owned()))
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
