//! The manifest of a folder archive: what was packed, so that what is unpacked can be checked.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};

use crate::{checksum::Checksum, units::ByteSize};

/// The format that [`Manifest::to_json`] writes and [`Manifest::from_json`] reads.
pub const FORMAT: u32 = 1;

/// One file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its size as read.
    pub size: ByteSize,
    /// Its permission bits, as Unix has them.
    pub mode: u32,
    /// When it was last changed, in seconds since the Unix epoch; negative before it.
    pub mtime_s: i64,
    /// The checksum of its bytes as read.
    pub crc64: Checksum,
}

/// Every file of an archive, by its path in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    entries: BTreeMap<String, Entry>,
}

/// How much an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Bytes in them, before packing.
    pub size: ByteSize,
}

/// Why a manifest, or a path for it, was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The path leads out of the archive, or has no name at all.
    #[error("the path `{path}` {problem} (want a path below the folder, as in `a/b.txt`)")]
    Path {
        /// The path, with control characters escaped.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two files of one path.
    #[error("the path `{path}` is in the manifest twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// The document is of another format.
    #[error("the manifest has format `{found}` (this version reads `{FORMAT}`)")]
    Format {
        /// The format it claims.
        found: u32,
    },
    /// The totals are not those of the files.
    #[error("the manifest says {claimed:?}, but its files make {found:?} (it is damaged)")]
    Totals {
        /// What the document says.
        claimed: Totals,
        /// What its files add up to.
        found: Totals,
    },
    /// The document is no manifest.
    #[error("the manifest is not valid JSON of its format")]
    Json(#[from] serde_json::Error),
}

/// The document, as it is written.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    totals: Totals,
    files: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    path: String,
    #[serde(flatten)]
    entry: Entry,
}

/// The path as the archive has it: relative, steps parted by `/`, no `.` or `..`.
///
/// ```
/// use std::path::Path;
/// use sealane::upload::manifest::normalize;
///
/// assert_eq!(normalize(Path::new("./a//b.txt")).unwrap(), "a/b.txt");
/// assert!(normalize(Path::new("a/../../etc/passwd")).is_err());
/// ```
pub fn normalize(path: &Path) -> Result<String, ManifestError> {
    let refuse =
        |problem| ManifestError::Path { path: path.to_string_lossy().escape_debug().to_string(), problem };
    let mut steps = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(step) => steps.push(step.to_str().ok_or_else(|| refuse("is not UTF-8"))?),
            Component::CurDir => {}
            Component::ParentDir => return Err(refuse("holds a `..`")),
            Component::RootDir | Component::Prefix(_) => return Err(refuse("is absolute")),
        }
    }
    let joined = steps.join("/");
    if joined.is_empty() {
        return Err(refuse("names no file"));
    }
    if joined.contains('\0') {
        return Err(refuse("holds a NUL"));
    }
    Ok(joined)
}

impl Manifest {
    /// Adds one file under its normalized path.
    pub fn add(&mut self, path: &Path, entry: Entry) -> Result<(), ManifestError> {
        let path = normalize(path)?;
        if self.entries.contains_key(&path) {
            return Err(ManifestError::Twice { path });
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// The files in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The file of this path.
    pub fn file(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// How much the archive holds.
    pub fn totals(&self) -> Totals {
        self.entries.values().fold(Totals::default(), |sum, entry| Totals {
            files: sum.files + 1,
            size: ByteSize(sum.size.0.saturating_add(entry.size.0)),
        })
    }

    /// The manifest as a JSON document.
    pub fn to_json(&self) -> Result<String, ManifestError> {
        let files =
            self.entries.iter().map(|(path, entry)| Row { path: path.clone(), entry: *entry }).collect();
        Ok(serde_json::to_string_pretty(&Document { format: FORMAT, totals: self.totals(), files })?)
    }

    /// Reads a document, and trusts neither its paths nor its totals.
    pub fn from_json(text: &[u8]) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(text)?;
        if document.format != FORMAT {
            return Err(ManifestError::Format { found: document.format });
        }
        let mut manifest = Self::default();
        for row in document.files {
            manifest.add(Path::new(&row.path), row.entry)?;
        }
        let (claimed, found) = (document.totals, manifest.totals());
        if claimed != found {
            return Err(ManifestError::Totals { claimed, found });
        }
        Ok(manifest)
    }
}

impl Totals {
    /// The most bytes that the files can take as a `tar.zst` stream with their
    /// manifest, so that a part size can be chosen before the first byte is packed.
    ///
    /// A file whose path has up to 1 KiB adds at most 3 KiB of headers and padding to the tar
    /// and 7 KiB to the manifest; zstd adds at most 1/128 to what it cannot compress, where its
    /// own bound (`ZSTD_COMPRESSBOUND`) is 1/256, and the rest is room for flushes.
    pub fn archive_size_max(&self) -> ByteSize {
        let plain = self.size.0.saturating_add(self.files.saturating_mul(10 << 10)).saturating_add(64 << 10);
        ByteSize(plain.saturating_add(plain / 128).saturating_add(64 << 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::btree_map, prelude::*};

    prop_compose! {
        fn entry()(size in 0..1_u64 << 50, mode: u32, mtime_s: i64, crc: u64) -> Entry {
            Entry { size: ByteSize(size), mode, mtime_s, crc64: Checksum::from_u64(crc) }
        }
    }

    proptest! {
        /// What is normalized is relative, has no empty, `.` or `..` step, and stays as it is.
        #[test]
        fn normalized_paths_stay_below_the_folder(text in "[./a\\\\\n é]{0,16}|\\PC{0,40}") {
            if let Ok(path) = normalize(Path::new(&text)) {
                prop_assert!(path.split('/').all(|step| !matches!(step, "" | "." | "..")), "{}", path);
                prop_assert_eq!(normalize(Path::new(&path)).unwrap(), path);
            }
        }

        /// A manifest reads back as it was written, and its totals add up.
        #[test]
        fn manifests_round_trip(files in btree_map("[a-z]{1,6}(/[a-z]{1,6}){0,3}", entry(), 0..20)) {
            let mut manifest = Manifest::default();
            for (path, entry) in &files {
                manifest.add(Path::new(path), *entry).unwrap();
            }
            let read = Manifest::from_json(manifest.to_json().unwrap().as_bytes()).unwrap();
            prop_assert_eq!(&read, &manifest);
            prop_assert_eq!(read.totals().files, files.len() as u64);
            prop_assert!(read.totals().archive_size_max() > read.totals().size);
        }

        /// No bytes make the reader panic.
        #[test]
        fn odd_documents_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Manifest::from_json(&bytes).is_err());
        }
    }

    #[test]
    fn a_document_cannot_smuggle_a_path_out() {
        let text = r#"{"format":1,"totals":{"files":1,"size":0},"files":[{"path":"../x","size":0,"mode":420,"mtime_s":0,"crc64":"AAAAAAAAAAA="}]}"#;
        let error = Manifest::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the path `../x` holds a `..` (want a path below the folder, as in `a/b.txt`)"
        );
    }

    #[test]
    fn one_path_is_packed_once() {
        let entry = Entry { size: ByteSize(1), mode: 0o644, mtime_s: 0, crc64: Checksum::EMPTY };
        let mut manifest = Manifest::default();
        manifest.add(Path::new("a/b"), entry).unwrap();
        assert!(matches!(manifest.add(Path::new("a/./b"), entry), Err(ManifestError::Twice { .. })));
    }

    #[test]
    fn totals_that_do_not_add_up_are_damage() {
        let text = r#"{"format":1,"totals":{"files":2,"size":0},"files":[]}"#;
        assert!(matches!(Manifest::from_json(text.as_bytes()), Err(ManifestError::Totals { .. })));
    }
}
