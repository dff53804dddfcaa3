//! The rules of sources, on real files.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::{ffi::OsStrExt, fs::symlink},
};

use proptest::{collection::btree_map, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::{
    checksum::Checksum,
    upload::{Manifest, manifest::Entry},
};

const PART: ByteSize = ByteSize(1_000);

/// Everything that reading gives.
fn read(source: &Source, part_size: ByteSize) -> Result<(Vec<Block>, Whole), SourceError> {
    let mut blocks = Vec::new();
    let whole = source.read(part_size, |block| {
        blocks.push(block);
        ControlFlow::Continue(())
    })?;
    Ok((blocks, whole.unwrap()))
}

fn bytes(blocks: &[Block]) -> Vec<u8> {
    blocks.iter().flat_map(|block| block.bytes.iter().copied()).collect()
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

/// The files of an archive, and its last entry read as a manifest.
fn unpack(archive: &[u8]) -> (BTreeMap<String, Vec<u8>>, Manifest) {
    let mut files = BTreeMap::new();
    let mut last = None;
    let mut tar = tar::Archive::new(zstd::Decoder::new(archive).unwrap());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if entry.header().entry_type().is_file() {
            last = Some(name.clone());
            files.insert(name, content);
        }
    }
    assert_eq!(last.as_deref(), Some(MANIFEST_NAME));
    let manifest = Manifest::from_json(&files.remove(MANIFEST_NAME).unwrap()).unwrap();
    (files, manifest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is unpacked is what lay in the folder, and the manifest says the same of it.
    #[test]
    fn folders_unpack_to_what_they_were(files in btree_map("[a-c]{1,2}/[d-f]{1,2}\\.txt", prop::collection::vec(any::<u8>(), 0..4_000), 1..8)) {
        let folder = TempDir::new().unwrap();
        for (name, content) in &files {
            file(&folder, name, content);
        }
        let source = Source::open(folder.path()).unwrap();
        let (blocks, whole) = read(&source, PART).unwrap();
        let archive = bytes(&blocks);
        prop_assert_eq!(whole.checksum, Checksum::of(&archive));
        prop_assert!(whole.size <= source.size_max());
        let (unpacked, manifest) = unpack(&archive);
        prop_assert_eq!(&unpacked, &files);
        prop_assert_eq!(manifest.totals(), source.totals());
        for (name, content) in &files {
            let &Entry { size, crc64, .. } = manifest.file(name).unwrap();
            prop_assert_eq!((size.0, crc64), (content.len() as u64, Checksum::of(content)));
        }
    }
}

#[test]
fn the_same_folder_gives_the_same_archive() {
    let folder = TempDir::new().unwrap();
    for name in ["b/2", "a/1", "c", "deep/er/still/x"] {
        file(&folder, name, name.repeat(3_000).as_bytes());
    }
    fs::create_dir(folder.path().join("hollow")).unwrap();
    let (_, first) = read(&Source::open(folder.path()).unwrap(), PART).unwrap();
    let (blocks, again) = read(&Source::open(folder.path()).unwrap(), ByteSize(333)).unwrap();
    assert_eq!(first, again);
    assert_eq!(first.files, 4);
    let mut tar = tar::Archive::new(zstd::Decoder::new(io::Cursor::new(bytes(&blocks))).unwrap());
    let names: Vec<_> =
        tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(
        names,
        [
            "a",
            "a/1",
            "b",
            "b/2",
            "c",
            "deep",
            "deep/er",
            "deep/er/still",
            "deep/er/still/x",
            "hollow",
            MANIFEST_NAME
        ]
        .map(|name| match name {
            "a" | "b" | "deep" | "deep/er" | "deep/er/still" | "hollow" => format!("{name}/"),
            _ => name.to_owned(),
        })
    );
}

#[test]
fn long_names_survive_packing() {
    let folder = TempDir::new().unwrap();
    let name = format!("{}/{}", "d".repeat(200), "é".repeat(100));
    file(&folder, &name, b"x");
    let (blocks, _) = read(&Source::open(folder.path()).unwrap(), PART).unwrap();
    assert_eq!(unpack(&bytes(&blocks)).0.keys().collect::<Vec<_>>(), [&name]);
}

#[test]
fn a_file_is_cut_at_part_boundaries() {
    let folder = TempDir::new().unwrap();
    for (size, lengths) in [(0, vec![0]), (999, vec![999]), (1_000, vec![1_000]), (1_001, vec![1_000, 1])] {
        let content = vec![7; size];
        let source = Source::open(&file(&folder, "f", &content)).unwrap();
        let (blocks, whole) = read(&source, PART).unwrap();
        assert_eq!(blocks.iter().map(|b| b.bytes.len()).collect::<Vec<_>>(), lengths);
        assert_eq!(whole, Whole { size: ByteSize(size as u64), checksum: Checksum::of(&content), files: 1 });
        assert_eq!(source.size_max(), ByteSize(size as u64));
    }
}

#[test]
fn reading_stops_when_nobody_takes_more() {
    let folder = TempDir::new().unwrap();
    file(&folder, "a", &[1; 5_000]);
    let path = file(&folder, "b", &[2; 5_000]);
    for source in [Source::open(&path).unwrap(), Source::open(folder.path()).unwrap()] {
        let mut taken = 0;
        let whole = source.read(ByteSize(10), |_| {
            taken += 1;
            ControlFlow::Break(())
        });
        assert!(matches!(whole, Ok(None)), "{whole:?}");
        assert_eq!(taken, 1);
    }
}

/// Opens a source of one file, changes it after the first block, and reads on.
fn changed_by(as_folder: bool, change: impl Fn(&Path)) -> SourceError {
    let folder = TempDir::new().unwrap();
    // Bytes that do not compress, so that blocks come out while the file is still read.
    let noise = std::iter::successors(Some(1_u32), |x| Some(x.wrapping_mul(1_664_525).wrapping_add(1)));
    let noise: Vec<u8> = noise.map(|x| x.to_be_bytes()[0]).take(1_000_000).collect();
    let path = file(&folder, "a", &noise);
    let source = Source::open(if as_folder { folder.path() } else { &path }).unwrap();
    let mut changed = false;
    let whole = source.read(PART, |_| {
        if !changed {
            change(&path);
            changed = true;
        }
        ControlFlow::Continue(())
    });
    whole.unwrap_err()
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let grow = |path: &Path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
    let shrink = |path: &Path| OpenOptions::new().write(true).open(path).unwrap().set_len(400_000).unwrap();
    let touch = |path: &Path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    let changes: [&dyn Fn(&Path); 3] = [&grow, &shrink, &touch];
    for as_folder in [false, true] {
        for change in changes {
            let error = changed_by(as_folder, change);
            assert!(matches!(&error, SourceError::Changed { path, .. } if path.ends_with("a")), "{error}");
        }
    }
}

#[test]
fn a_file_that_was_replaced_before_reading_is_named() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "a", b"one");
    let source = Source::open(&path).unwrap();
    let other = file(&folder, "b", b"two");
    fs::rename(other, &path).unwrap();
    assert!(matches!(read(&source, PART), Err(SourceError::Changed { .. })));
}

#[test]
fn what_cannot_be_shipped_is_named_with_a_remedy() {
    let folder = TempDir::new().unwrap();
    let hollow = folder.path().join("hollow");
    fs::create_dir_all(hollow.join("deep")).unwrap();
    let refused = |path: &Path| Source::open(path).unwrap_err();
    assert!(matches!(refused(&hollow), SourceError::EmptyFolder { .. }));
    assert!(matches!(refused(&folder.path().join("gone")), SourceError::Missing { .. }));
    assert!(matches!(refused(Path::new("/dev/null")), SourceError::Special { kind: "a device", .. }));
    let linked = folder.path().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink("/nowhere", linked.join("link")).unwrap();
    let error = refused(&linked);
    assert!(matches!(error, SourceError::Special { kind: "a symbolic link", .. }));
    assert!(error.to_string().contains("link`"), "{error}");
    let packed = folder.path().join("packed");
    fs::create_dir(&packed).unwrap();
    fs::write(packed.join(MANIFEST_NAME), "{}").unwrap();
    assert!(matches!(refused(&packed), SourceError::Reserved { .. }));
    let odd = folder.path().join("odd");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join(std::ffi::OsStr::from_bytes(b"\xff.txt")), "x").unwrap();
    assert!(matches!(refused(&odd), SourceError::Name(_)));
}

#[test]
fn a_file_without_permission_is_found_before_anything_is_sent() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "locked", b"x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Whoever may read everything, such as root, is not refused.
    if File::open(&path).is_ok() {
        return;
    }
    assert!(matches!(Source::open(folder.path()), Err(SourceError::Unreadable { .. })));
}
