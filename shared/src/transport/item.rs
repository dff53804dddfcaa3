//! One file or folder of a source, and reading it as what it was listed as.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::source::SourceError;
use crate::checksum::{Checksum, Crc64};

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mtime_s: i64,
    mtime_ns: i64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            mtime_s: meta.mtime(),
            mtime_ns: meta.mtime_nsec(),
        }
    }

    /// What differs in `now`, in words.
    fn difference(&self, now: &Self) -> Option<String> {
        if self.size != now.size {
            return Some(format!("it had {} bytes and has {}", self.size, now.size));
        }
        if (self.device, self.inode) != (now.device, now.inode) {
            return Some("another file took its place".to_owned());
        }
        (self != now).then(|| "it was written to".to_owned())
    }
}

/// One file or folder, as it was when the source was opened.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its name in the archive.
    pub(super) name: String,
    /// Whether it is a folder.
    pub(super) is_folder: bool,
    /// Its permission bits.
    pub(super) mode: u32,
    stamp: Stamp,
}

impl Item {
    /// What `meta` says of the file or folder at `path`.
    pub(super) fn new(path: &Path, name: String, meta: &Metadata) -> Self {
        let (mode, stamp) = (meta.mode() & 0o7777, Stamp::of(meta));
        Self { path: path.to_owned(), name, is_folder: meta.is_dir(), mode, stamp }
    }

    /// Its size in bytes.
    pub(super) const fn size(&self) -> u64 {
        self.stamp.size
    }

    /// When it was last written to, in seconds since the Unix epoch.
    pub(super) const fn mtime_s(&self) -> i64 {
        self.stamp.mtime_s
    }

    /// Sums up all that tells it from what it may become. The number of its device is left
    /// out: it may differ after the machine was started anew.
    pub(super) fn print(&self, sum: &mut Crc64) {
        let Stamp { device: _, inode, size, mtime_s, mtime_ns } = self.stamp;
        sum.update(self.name.as_bytes());
        sum.update(&[0, u8::from(self.is_folder)]);
        sum.update(&self.mode.to_le_bytes());
        for number in [inode, if self.is_folder { 0 } else { size }] {
            sum.update(&number.to_le_bytes());
        }
        for number in [mtime_s, mtime_ns] {
            sum.update(&number.to_le_bytes());
        }
    }

    /// Opens the file, if it is still the one that was listed.
    pub(super) fn open(&self) -> Result<Watched<'_>, SourceError> {
        let file = File::open(&self.path).map_err(|error| cannot_read(&self.path, error))?;
        let watched = Watched { item: self, file, read: 0, sum: Some(Crc64::new()), failed: None };
        watched.compare()?;
        Ok(watched)
    }

    fn changed(&self, detail: String) -> SourceError {
        SourceError::Changed { path: self.path.clone(), detail }
    }
}

/// A listed file while it is read: gives as many bytes as were listed, and sums them.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    item: &'a Item,
    file: File,
    read: u64,
    /// `None` where the reader sums the bytes itself.
    sum: Option<Crc64>,
    failed: Option<io::Error>,
}

impl Watched<'_> {
    /// The same file for a reader that sums the bytes itself: once is enough.
    pub(super) fn unsummed(self) -> Self {
        Self { sum: None, ..self }
    }

    /// Listed bytes that were not read so far.
    pub(super) const fn left(&self) -> u64 {
        self.item.size() - self.read
    }

    /// The error that reading ended in, if it did.
    pub(super) fn failure(&mut self) -> Option<SourceError> {
        self.failed.take().map(|source| SourceError::Unreadable { path: self.item.path.clone(), source })
    }

    /// The checksum of the bytes, if they were the whole file and it stayed as it was; of none
    /// where the reader summed them.
    pub(super) fn finish(mut self) -> Result<Checksum, SourceError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let (listed, read) = (self.item.size(), self.read);
        if read < listed {
            return Err(self.item.changed(format!("it ended after {read} of {listed} bytes")));
        }
        let more = self.file.read(&mut [0]).map_err(|error| cannot_read(&self.item.path, error))?;
        if more > 0 {
            return Err(self.item.changed(format!("it has more than its {listed} bytes")));
        }
        self.compare()?;
        Ok(self.sum.unwrap_or_default().finish())
    }

    /// Compares the open file with what was listed.
    fn compare(&self) -> Result<(), SourceError> {
        let now = self.file.metadata().map_err(|error| cannot_read(&self.item.path, error))?;
        match self.item.stamp.difference(&Stamp::of(&now)) {
            Some(detail) => Err(self.item.changed(detail)),
            None => Ok(()),
        }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        let room = left.min(buffer.len());
        loop {
            match self.file.read(&mut buffer[..room]) {
                Ok(n) => {
                    self.read += n as u64;
                    if let Some(sum) = &mut self.sum {
                        sum.update(&buffer[..n]);
                    }
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some(io::Error::new(error.kind(), error.to_string()));
                    return Err(error);
                }
            }
        }
    }
}

/// Why `path` does not read, by what the system said.
pub(super) fn cannot_read(path: &Path, source: io::Error) -> SourceError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => SourceError::Missing { path },
        _ => SourceError::Unreadable { path, source },
    }
}
