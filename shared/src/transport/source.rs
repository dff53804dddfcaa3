//! What is shipped: a file as it is, or a folder as one archive.
//!
//! A source is listed once, when it is opened, and may be read several times:
//! every reading gives the same bytes or ends in [`SourceError::Changed`].

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Write},
    ops::ControlFlow,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use walkdir::WalkDir;

use super::{
    archive,
    blocks::{Block, Blocks, Whole},
};
use crate::{
    checksum::{Checksum, Crc64},
    units::ByteSize,
    upload::{
        Layout, TooLarge,
        manifest::{ManifestError, Totals, normalize},
    },
};

/// Where the manifest lies in an archive: its last entry.
pub const MANIFEST_NAME: &str = ".sealane-manifest.json";

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// Why a source cannot be shipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is nothing of this name.
    #[error("there is no `{path}` (check the path)", path = .path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// It is there but does not open, or does not read.
    #[error("`{path}` cannot be read (permit reading it, or ship without it)", path = .path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is neither a file nor a folder.
    #[error("`{path}` is {kind} (ship files and folders only; move it out or put a file in its place)", path = .path.display())]
    Special {
        /// Its path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// There is no file in the folder.
    #[error("the folder `{path}` holds no file (nothing would be shipped)", path = .path.display())]
    EmptyFolder {
        /// Its path.
        path: PathBuf,
    },
    /// A name that an archive cannot carry to every system.
    #[error("the folder holds a name that cannot be packed (rename it)")]
    Name(#[source] ManifestError),
    /// A file has the name of the manifest that Sealane adds.
    #[error("`{path}` has the name of the manifest that is packed with the folder (move it away)", path = .path.display())]
    Reserved {
        /// Its path.
        path: PathBuf,
    },
    /// It is not any more what it was when it was opened.
    #[error("`{path}` changed while it was shipped: {detail} (ship it again once it is at rest)", path = .path.display())]
    Changed {
        /// Its path.
        path: PathBuf,
        /// What was noticed.
        detail: String,
    },
    /// More than a bucket takes as one object.
    #[error("`{path}` is too large", path = .path.display())]
    TooLarge {
        /// Its path.
        path: PathBuf,
        /// The limit.
        #[source]
        source: TooLarge,
    },
    /// The archive could not be written.
    #[error("the folder `{path}` could not be packed", path = .path.display())]
    Pack {
        /// Its path.
        path: PathBuf,
        /// What the packer said.
        #[source]
        source: io::Error,
    },
}

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
    fn new(path: &Path, name: String, meta: &Metadata) -> Self {
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

    /// Opens the file, if it is still the one that was listed.
    pub(super) fn open(&self) -> Result<Watched<'_>, SourceError> {
        let file = File::open(&self.path).map_err(|error| cannot_read(&self.path, error))?;
        let watched = Watched { item: self, file, sum: Crc64::new(), failed: None };
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
    sum: Crc64,
    failed: Option<io::Error>,
}

impl Watched<'_> {
    /// The error that reading ended in, if it did.
    pub(super) fn failure(&mut self) -> Option<SourceError> {
        self.failed.take().map(|source| SourceError::Unreadable { path: self.item.path.clone(), source })
    }

    /// The checksum of the bytes, if they were the whole file and it stayed as it was.
    pub(super) fn finish(mut self) -> Result<Checksum, SourceError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let (listed, read) = (self.item.size(), self.sum.len());
        if read < listed {
            return Err(self.item.changed(format!("it ended after {read} of {listed} bytes")));
        }
        let more = self.file.read(&mut [0]).map_err(|error| cannot_read(&self.item.path, error))?;
        if more > 0 {
            return Err(self.item.changed(format!("it has more than its {listed} bytes")));
        }
        self.compare()?;
        Ok(self.sum.finish())
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
        let left = usize::try_from(self.item.size() - self.sum.len()).unwrap_or(usize::MAX);
        let room = left.min(buffer.len());
        loop {
            match self.file.read(&mut buffer[..room]) {
                Ok(n) => {
                    self.sum.update(&buffer[..n]);
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

#[derive(Debug)]
enum Kind {
    File(Item),
    Folder { root: PathBuf, items: Vec<Item> },
}

/// A file or a folder to ship. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source {
    kind: Arc<Kind>,
    totals: Totals,
}

impl Source {
    /// Lists what lies at `path` and opens each file once, so that what cannot
    /// be read is found before anything is sent.
    ///
    /// Blocks on the file system.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let meta = fs::metadata(path).map_err(|error| cannot_read(path, error))?;
        let (kind, files, bytes) = if meta.is_file() {
            let item = Item::new(path, String::new(), &meta);
            item.open()?;
            (Kind::File(item), 1, meta.len())
        } else if meta.is_dir() {
            let items = list(path)?;
            let files = items.iter().filter(|item| !item.is_folder).count() as u64;
            if files == 0 {
                return Err(SourceError::EmptyFolder { path: path.to_owned() });
            }
            let bytes = items.iter().filter(|item| !item.is_folder).map(Item::size).sum();
            (Kind::Folder { root: path.to_owned(), items }, files, bytes)
        } else {
            return Err(SourceError::Special { path: path.to_owned(), kind: kind_of(&meta) });
        };
        let source = Self { kind: Arc::new(kind), totals: Totals { files, size: ByteSize(bytes) } };
        let limit = |error| SourceError::TooLarge { path: path.to_owned(), source: error };
        Layout::new(source.size_max(), ByteSize(0)).map_err(limit)?;
        Ok(source)
    }

    /// The file or the folder.
    pub fn path(&self) -> &Path {
        match &*self.kind {
            Kind::File(item) => &item.path,
            Kind::Folder { root, .. } => root,
        }
    }

    /// Files, and the bytes in them before packing.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// The most bytes that are sent to one region: exact for a file, a bound for a folder.
    pub fn size_max(&self) -> ByteSize {
        match &*self.kind {
            Kind::File(_) => self.totals.size,
            // A folder's own entry costs an archive no more than a file's.
            Kind::Folder { items, .. } => {
                Totals { files: items.len() as u64, size: self.totals.size }.archive_size_max()
            }
        }
    }

    /// The part size, no less than `target`, in which the source fits one object.
    pub fn part_size(&self, target: ByteSize) -> ByteSize {
        crate::upload::part_size(self.size_max(), target)
    }

    /// The media type of what is sent.
    pub fn content_type(&self) -> &'static str {
        match &*self.kind {
            Kind::File(_) => "application/octet-stream",
            Kind::Folder { .. } => "application/zstd",
        }
    }

    /// Reads the source once, in blocks of `part_size`, one at a time in memory.
    ///
    /// `None` when `emit` breaks off. Blocks on the file system and in `emit`;
    /// what was emitted is good only once this returns the whole.
    pub fn read(
        &self,
        part_size: ByteSize,
        emit: impl FnMut(Block) -> ControlFlow<()>,
    ) -> Result<Option<Whole>, SourceError> {
        let blocks = Blocks::new(part_size, self.size_max(), emit);
        match &*self.kind {
            Kind::File(item) => read_file(item, blocks),
            Kind::Folder { root, items } => archive::pack(root, items, blocks),
        }
    }
}

fn read_file<E: FnMut(Block) -> ControlFlow<()>>(
    item: &Item,
    mut blocks: Blocks<E>,
) -> Result<Option<Whole>, SourceError> {
    let mut file = item.open()?;
    let mut chunk = vec![0; CHUNK.min(usize::try_from(item.size()).unwrap_or(CHUNK))];
    loop {
        let n = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) => return Err(cannot_read(&item.path, error)),
        };
        if blocks.write_all(&chunk[..n]).is_err() {
            return Ok(None);
        }
    }
    file.finish()?;
    Ok(blocks.finish(1))
}

/// Everything below `root`, in the order of the names.
fn list(root: &Path) -> Result<Vec<Item>, SourceError> {
    let mut items = Vec::new();
    for entry in WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            cannot_read(&path, error.into())
        })?;
        let path = entry.path();
        let meta = entry.metadata().map_err(|error| cannot_read(path, error.into()))?;
        let name = normalize(path.strip_prefix(root).unwrap_or(path)).map_err(SourceError::Name)?;
        if name == MANIFEST_NAME {
            return Err(SourceError::Reserved { path: path.to_owned() });
        }
        if !meta.is_file() && !meta.is_dir() {
            return Err(SourceError::Special { path: path.to_owned(), kind: kind_of(&meta) });
        }
        let item = Item::new(path, name, &meta);
        if !item.is_folder {
            item.open()?;
        }
        items.push(item);
    }
    Ok(items)
}

fn kind_of(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "of a kind that is not known"
    }
}

fn cannot_read(path: &Path, source: io::Error) -> SourceError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => SourceError::Missing { path },
        _ => SourceError::Unreadable { path, source },
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
