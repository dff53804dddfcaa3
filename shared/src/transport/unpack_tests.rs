//! What is unpacked is what was packed; whatever else an archive holds stays out.

use std::{ops::ControlFlow, os::unix::fs::MetadataExt};

use proptest::{collection::vec, prelude::*};
use tar::{Builder, Header};
use tempfile::TempDir;

use super::*;
use crate::{transport::Source, units::ByteSize, upload::manifest};

/// The folder at `root` packed as an upload would.
fn packed(root: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let take = |block: crate::transport::Block| {
        bytes.extend_from_slice(&block.bytes);
        ControlFlow::Continue(())
    };
    Source::open(root).unwrap().read(ByteSize::mib(5), take).unwrap().unwrap();
    bytes
}

fn unpacked(archive: &[u8]) -> (TempDir, Result<Totals, UnpackError>) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("archive.tar.zst");
    fs::write(&file, archive).unwrap();
    let totals = unpack(&file, &folder.path().join("out"));
    if totals.is_err() {
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["archive.tar.zst"], "a failure leaves nothing");
    }
    (folder, totals)
}

/// An archive with these entries and a manifest that names the regular files among them.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut manifest = Manifest::default();
    for (name, kind, body) in entries {
        let mut header = Header::new_gnu();
        // Written straight into the header: the builder would refuse such names.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        header.set_size(body.len() as u64);
        header.set_mtime(7);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, *body).unwrap();
        let entry = manifest::Entry {
            size: ByteSize(body.len() as u64),
            mode: 0o755,
            mtime_s: 7,
            crc64: Checksum::of(body),
        };
        // A name that no manifest takes is not in it.
        let _refused = manifest.add(Path::new(name), entry);
    }
    let text = manifest.to_json().unwrap();
    let mut header = Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(7);
    tar.append_data(&mut header, MANIFEST_NAME, text.as_bytes()).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the files, what is unpacked has the same names, bytes, modes and times.
    #[test]
    fn a_folder_survives_the_round_trip(files in vec((vec("[a-z]{1,4}", 1..4), vec(any::<u8>(), 0..300), 0..8_u32), 1..6)) {
        let from = TempDir::new().unwrap();
        for (steps, body, bits) in &files {
            let path = from.path().join(steps.join("/"));
            let made = path.parent().map(fs::create_dir_all);
            if made.is_none_or(|made| made.is_err()) || path.is_dir() || fs::write(&path, body).is_err() {
                continue;
            }
            fs::set_permissions(&path, Permissions::from_mode(0o600 | bits)).unwrap();
        }
        let (folder, totals) = unpacked(&packed(from.path()));
        let (out, was) = (folder.path().join("out"), Source::open(from.path()).unwrap().totals());
        prop_assert_eq!(totals.unwrap(), was);
        for entry in walkdir::WalkDir::new(from.path()).min_depth(1) {
            let entry = entry.unwrap();
            let twin = out.join(entry.path().strip_prefix(from.path()).unwrap());
            let (was, is) = (entry.metadata().unwrap(), fs::metadata(&twin).unwrap());
            prop_assert_eq!((was.mode(), was.mtime()), (is.mode(), is.mtime()));
            if was.is_file() {
                prop_assert_eq!(fs::read(entry.path()).unwrap(), fs::read(&twin).unwrap());
            }
        }
    }

    /// No damage makes it panic, and none goes unseen: what is unpacked at all is what was packed.
    #[test]
    fn a_damaged_archive_is_refused_or_whole(at in 0..10_000_usize, bit in 0..8_u8, cut: bool) {
        let from = TempDir::new().unwrap();
        fs::write(from.path().join("a"), "some bytes, some bytes").unwrap();
        let mut bytes = packed(from.path());
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        let (folder, totals) = unpacked(&bytes);
        if totals.is_ok() {
            prop_assert_eq!(fs::read(folder.path().join("out/a")).unwrap(), b"some bytes, some bytes");
        }
    }
}

#[test]
fn nothing_is_written_outside_of_the_folder() {
    for name in ["../up", "/tmp/abs", "a/../../up", ".."] {
        let (folder, refused) = unpacked(&archive(&[(name, EntryType::Regular, b"x")]));
        assert!(matches!(refused, Err(UnpackError::Name(_))), "{name}: {refused:?}");
        assert!(!folder.path().join("up").exists());
    }
}

#[test]
fn links_and_devices_are_refused() {
    use EntryType::{Block, Char, Fifo, Link, Regular, Symlink};
    for kind in [Symlink, Link, Char, Block, Fifo] {
        let entries: [(&str, EntryType, &[u8]); 2] = [("way", kind, b""), ("way/in", Regular, b"x")];
        let (_folder, refused) = unpacked(&archive(&entries));
        assert!(matches!(refused, Err(UnpackError::Entry { .. })), "{kind:?}: {refused:?}");
    }
}

#[test]
fn a_file_that_comes_twice_is_refused() {
    let twice: [(&str, EntryType, &[u8]); 2] =
        [("a", EntryType::Regular, b"1"), ("a", EntryType::Regular, b"2")];
    assert!(matches!(unpacked(&archive(&twice)).1, Err(UnpackError::File { .. })));
}

#[test]
fn an_archive_lends_no_rights() {
    let (folder, totals) = unpacked(&archive(&[("tool", EntryType::Regular, b"x")]));
    totals.unwrap();
    assert_eq!(fs::metadata(folder.path().join("out/tool")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn an_archive_of_somebody_else_is_refused() {
    let mut tar = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_mtime(7);
    tar.append_data(&mut header, "a", &b"x"[..]).unwrap();
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    assert!(matches!(unpacked(&bytes).1, Err(UnpackError::Manifest(None))));
    assert!(matches!(unpacked(b"no archive").1, Err(UnpackError::Archive(_))));
}

#[test]
fn what_is_there_is_not_replaced() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("out"), "mine").unwrap();
    let refused = unpack(&folder.path().join("none"), &folder.path().join("out"));
    assert!(matches!(refused, Err(UnpackError::Exists { .. })));
}
