//! Unpacking an archive that Sealane packed, and trusting nothing in it.
//!
//! Only files and folders are unpacked, only below the folder that was named, and only under
//! names that lead nowhere else. Every file is compared with the manifest; the folder takes
//! its name only when all of them are what the manifest says.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tar::{Archive, Entry, EntryType};
use zstd::Decoder;

use super::source::MANIFEST_NAME;
use crate::{
    checksum::{Checksum, Crc64},
    upload::manifest::{Manifest, ManifestError, Totals, normalize},
};

/// The largest manifest that is read: some four million files.
const MANIFEST_MAX: u64 = 1 << 30;
/// The largest window that a frame may ask for: 128 MiB, zstd's own limit.
const WINDOW_LOG_MAX: u32 = 27;
/// Permission bits that an archive may set: none that lend rights.
const MODE_MASK: u32 = 0o777;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// There is something where the folder should be.
    #[error("`{path}` is there already (name another folder with `--to`)", path = .path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder could not be written.
    #[error("`{path}` cannot be written", path = .path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no archive, or a damaged one.
    #[error("the archive cannot be read (is it a `tar.zst`?)")]
    Archive(#[source] io::Error),
    /// The archive holds what Sealane never packs.
    #[error("the archive holds `{name}`, which {problem} (it was not packed by sealane)")]
    Entry {
        /// Its name, with control characters escaped.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A name that leads out of the folder.
    #[error("the archive holds a name that is not unpacked")]
    Name(#[source] ManifestError),
    /// There is no manifest, or it cannot be read.
    #[error("the archive has no manifest that can be read")]
    Manifest(#[source] Option<ManifestError>),
    /// A file is not what the manifest says.
    #[error("the file `{name}` of the archive {problem} (it is damaged)")]
    Differs {
        /// Its name.
        name: String,
        /// What differs.
        problem: &'static str,
    },
}

/// What was found of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    size: u64,
    crc64: Checksum,
}

/// Unpacks the `tar.zst` at `archive` as the folder `to`, which must not be there yet.
///
/// Blocks on the file system. Whatever fails, `to` is not there afterwards.
pub fn unpack(archive: &Path, to: &Path) -> Result<Totals, UnpackError> {
    if to.symlink_metadata().is_ok() {
        return Err(UnpackError::Exists { path: to.to_owned() });
    }
    let opened = File::open(archive).map_err(UnpackError::Archive)?;
    let mut decoder = Decoder::new(opened).map_err(UnpackError::Archive)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(UnpackError::Archive)?;
    let beside = Beside::create(to)?;
    let mut unpacking =
        Unpacking { root: &beside.0, found: BTreeMap::new(), folders: Vec::new(), manifest: None };
    let mut tar = Archive::new(decoder);
    for entry in tar.entries().map_err(UnpackError::Archive)? {
        unpacking.take(entry.map_err(UnpackError::Archive)?)?;
    }
    let totals = unpacking.finish()?;
    fs::rename(&beside.0, to).map_err(failed(to))?;
    Ok(totals)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> UnpackError {
    let path = path.to_owned();
    move |source| UnpackError::File { path, source }
}

/// The folder while it is not whole: removed unless it took its name.
struct Beside(PathBuf);

impl Beside {
    fn create(to: &Path) -> Result<Self, UnpackError> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let path = to.with_file_name(format!(".{name}.{}.unpacking", std::process::id()));
        fs::create_dir(&path).map_err(failed(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already where it took its name.
        let _gone = fs::remove_dir_all(&self.0);
    }
}

struct Unpacking<'a> {
    root: &'a Path,
    found: BTreeMap<String, Found>,
    /// Folders with their mode and time, which are set when nothing is written into them any more.
    folders: Vec<(PathBuf, u32, u64)>,
    manifest: Option<Manifest>,
}

impl Unpacking<'_> {
    fn take<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), UnpackError> {
        let path = entry.path().map_err(UnpackError::Archive)?.into_owned();
        let refuse = |problem| {
            let name = path.to_string_lossy().escape_debug().to_string();
            UnpackError::Entry { name, problem }
        };
        if self.manifest.is_some() {
            return Err(refuse("comes after the manifest"));
        }
        let name = normalize(&path).map_err(UnpackError::Name)?;
        let header = entry.header();
        let (kind, size) = (header.entry_type(), entry.size());
        let mode = header.mode().map_err(UnpackError::Archive)? & MODE_MASK;
        let mtime = header.mtime().map_err(UnpackError::Archive)?;
        match kind {
            EntryType::Regular if name == MANIFEST_NAME && size > MANIFEST_MAX => {
                Err(refuse("is too large for a manifest"))
            }
            EntryType::Regular if name == MANIFEST_NAME => {
                let mut text = Vec::new();
                entry.read_to_end(&mut text).map_err(UnpackError::Archive)?;
                let manifest = Manifest::from_json(&text).map_err(|e| UnpackError::Manifest(Some(e)))?;
                self.manifest = Some(manifest);
                Ok(())
            }
            EntryType::Regular => self.file(&name, &mut entry, mode, mtime),
            EntryType::Directory => self.folder(&name, mode, mtime),
            _ => Err(refuse("is neither a file nor a folder")),
        }
    }

    fn folder(&mut self, name: &str, mode: u32, mtime: u64) -> Result<(), UnpackError> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(failed(&path))?;
        self.folders.push((path, mode, mtime));
        Ok(())
    }

    fn file(&mut self, name: &str, body: &mut impl Read, mode: u32, mtime: u64) -> Result<(), UnpackError> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(self.root);
        fs::create_dir_all(folder).map_err(failed(folder))?;
        // A second file of one name is refused here.
        let mut file = File::create_new(&path).map_err(failed(&path))?;
        let mut summed = Summed { body, sum: Crc64::new(), broken: None };
        if let Err(error) = io::copy(&mut summed, &mut file) {
            return Err(match summed.broken {
                Some(broken) => UnpackError::Archive(broken),
                None => failed(&path)(error),
            });
        }
        let found = Found { size: summed.sum.len(), crc64: summed.sum.finish() };
        let set = file.set_permissions(Permissions::from_mode(mode));
        set.and_then(|()| file.set_modified(time(mtime))).map_err(failed(&path))?;
        self.found.insert(name.to_owned(), found);
        Ok(())
    }

    /// Compares what was unpacked with the manifest.
    fn finish(self) -> Result<Totals, UnpackError> {
        let manifest = self.manifest.ok_or(UnpackError::Manifest(None))?;
        let differs = |name: &str, problem| UnpackError::Differs { name: name.to_owned(), problem };
        for (name, entry) in manifest.files() {
            let found = self.found.get(name).ok_or_else(|| differs(name, "is missing"))?;
            if found.size != entry.size.0 {
                return Err(differs(name, "has another size than the manifest says"));
            }
            if found.crc64 != entry.crc64 {
                return Err(differs(name, "has other bytes than the manifest says"));
            }
        }
        if let Some(name) = self.found.keys().find(|name| manifest.file(name).is_none()) {
            return Err(differs(name, "is not in the manifest"));
        }
        // The innermost first, so that no folder is shut before what lies in it.
        for (path, mode, mtime) in self.folders.iter().rev() {
            let folder = File::open(path).map_err(failed(path))?;
            let set = folder.set_modified(time(*mtime));
            set.and_then(|()| folder.set_permissions(Permissions::from_mode(*mode))).map_err(failed(path))?;
        }
        Ok(manifest.totals())
    }
}

fn time(mtime: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(mtime)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A body that is summed while it is read, and whose own failure is told from the disk's.
struct Summed<'a, R> {
    body: &'a mut R,
    sum: Crc64,
    broken: Option<io::Error>,
}

impl<R: Read> Read for Summed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body.read(buffer) {
            Ok(n) => {
                self.sum.update(&buffer[..n]);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.broken = Some(error);
                Err(told)
            }
        }
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
