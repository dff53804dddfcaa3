//! What is shipped: a file as it is, or a folder as one archive.
//!
//! A source is listed once, when it is opened, and may be read several times:
//! every reading gives the same bytes or ends in [`SourceError::Changed`].

use std::{
    fs::{self, Metadata},
    io::{self, Read},
    ops::ControlFlow,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use walkdir::WalkDir;

use super::{
    archive,
    blocks::{Block, Blocks, Whole},
    item::{Item, cannot_read},
    room::Room,
};
use crate::{
    checksum::{Checksum, Crc64},
    units::ByteSize,
    upload::{
        Identity, Layout, TooLarge,
        manifest::{ManifestError, Totals, normalize},
    },
};

/// Where the manifest lies in an archive: its last entry.
pub const MANIFEST_NAME: &str = ".sealane-manifest.json";

/// Bytes read at a time: so few that they are still in the processor's cache when they are summed.
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

    /// Each file of a folder by itself, with its name below the folder; a file has only itself.
    pub fn each(&self) -> Vec<(String, Self)> {
        let one = |item: &Item| {
            let totals = Totals { files: 1, size: ByteSize(item.size()) };
            (item.name.clone(), Self { kind: Arc::new(Kind::File(item.clone())), totals })
        };
        match &*self.kind {
            Kind::File(item) => vec![one(item)],
            Kind::Folder { items, .. } => items.iter().filter(|item| !item.is_folder).map(one).collect(),
        }
    }

    /// What tells it, wherever it lies, from what it may become: a sum over name, mode, size, time of the
    /// last write and inode of everything in it.
    pub fn print(&self) -> Checksum {
        let mut print = Crc64::new();
        match &*self.kind {
            Kind::File(item) => item.print(&mut print),
            Kind::Folder { items, .. } => items.iter().for_each(|item| item.print(&mut print)),
        }
        print.finish()
    }

    /// What tells it from what it may become.
    pub fn identity(&self) -> Identity {
        let path = fs::canonicalize(self.path()).unwrap_or_else(|_| self.path().to_owned());
        Identity { path, files: self.totals.files, size: self.totals.size, print: self.print() }
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

    /// Reads the source once, in blocks of `part_size`, as many at a time in memory as `emit` holds on to.
    ///
    /// `None` when `emit` breaks off. Blocks on the file system and in `emit`;
    /// what was emitted is good only once this returns the whole.
    pub fn read(
        &self,
        part_size: ByteSize,
        emit: impl FnMut(Block) -> ControlFlow<()>,
    ) -> Result<Option<Whole>, SourceError> {
        self.read_in(Room::endless(), part_size, emit)
    }

    /// As [`read`](Self::read), in the buffers of `room`: waits for those that are held on to.
    pub(super) fn read_in(
        &self,
        room: Room,
        part_size: ByteSize,
        emit: impl FnMut(Block) -> ControlFlow<()>,
    ) -> Result<Option<Whole>, SourceError> {
        let blocks = Blocks::new(part_size, self.size_max(), room, emit);
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
    let mut file = item.open()?.unsummed();
    while file.left() > 0 {
        let Ok(space) = blocks.space(CHUNK) else { return Ok(None) };
        match file.read(space) {
            Ok(0) => break,
            Ok(n) => blocks.filled(n),
            Err(error) => return Err(cannot_read(&item.path, error)),
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

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
