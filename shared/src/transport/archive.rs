//! Packing a folder: a `tar.zst` stream that is the same for the same files.
//!
//! Names are sorted, owners are 0, times are whole seconds, zstd runs in one
//! thread at a fixed level. The last entry is the manifest, whose checksums
//! were taken from the very bytes that went into the archive.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
};

use tar::{Builder, EntryType, Header};
use zstd::Encoder;

use super::{
    blocks::{Block, Blocks, Whole},
    item::Item,
    source::{MANIFEST_NAME, SourceError},
};
use crate::{
    units::ByteSize,
    upload::manifest::{Entry, Manifest},
};

/// The compression level; zstd's own default.
const LEVEL: i32 = 3;

/// Packs `items` into `blocks`; `None` when the receiver wants no more.
pub(super) fn pack<E: FnMut(Block) -> ControlFlow<()>>(
    root: &Path,
    items: &[Item],
    blocks: Blocks<E>,
) -> Result<Option<Whole>, SourceError> {
    let failed = |source| SourceError::Pack { path: root.to_owned(), source };
    let mut tar = Builder::new(Encoder::new(blocks, LEVEL).map_err(failed)?);
    let mut manifest = Manifest::default();
    for item in items {
        match append(&mut tar, item, &mut manifest) {
            Ok(()) => {}
            Err(Halt::Source(error)) => return Err(error),
            Err(Halt::Output(_)) if tar.get_ref().get_ref().stopped() => return Ok(None),
            Err(Halt::Output(error)) => return Err(failed(error)),
        }
    }
    let files = manifest.totals().files;
    let newest = items.iter().map(Item::mtime_s).max().unwrap_or_default();
    let text = manifest.to_json().map_err(SourceError::Name)?;
    let mut header = header(EntryType::Regular, text.len() as u64, 0o644, newest);
    if let Err(error) = tar.append_data(&mut header, MANIFEST_NAME, text.as_bytes()) {
        return if tar.get_ref().get_ref().stopped() { Ok(None) } else { Err(failed(error)) };
    }
    match tar.into_inner().and_then(Encoder::finish) {
        Ok(blocks) => Ok(blocks.finish(files)),
        // Only the receiver can fail here: nothing is read any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Why packing ends early.
enum Halt {
    /// A file is not what was listed.
    Source(SourceError),
    /// The archive takes no more.
    Output(io::Error),
}

fn append<W: Write>(tar: &mut Builder<W>, item: &Item, manifest: &mut Manifest) -> Result<(), Halt> {
    let Item { name, mode, .. } = item;
    if item.is_folder {
        let mut header = header(EntryType::Directory, 0, *mode, item.mtime_s());
        return tar.append_data(&mut header, format!("{name}/"), io::empty()).map_err(Halt::Output);
    }
    let mut header = header(EntryType::Regular, item.size(), *mode, item.mtime_s());
    let mut file = item.open().map_err(Halt::Source)?;
    if let Err(error) = tar.append_data(&mut header, name, &mut file) {
        return Err(file.failure().map_or(Halt::Output(error), Halt::Source));
    }
    let crc64 = file.finish().map_err(Halt::Source)?;
    let entry = Entry { size: ByteSize(item.size()), mode: *mode, mtime_s: item.mtime_s(), crc64 };
    manifest.add(Path::new(name), entry).map_err(|error| Halt::Source(SourceError::Name(error)))
}

fn header(kind: EntryType, size: u64, mode: u32, mtime_s: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    // A tar header has no time before 1970; the manifest keeps it.
    header.set_mtime(u64::try_from(mtime_s).unwrap_or_default());
    header
}
