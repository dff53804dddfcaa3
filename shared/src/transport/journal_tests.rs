//! What a journal keeps, whatever becomes of the process that wrote it.

use tempfile::TempDir;

use super::*;
use crate::{
    checksum::Checksum,
    time::Timestamp,
    units::ByteSize,
    upload::{Classes, Identity, Plan, Policy},
};

fn region() -> RegionName {
    "us-west-2".parse().unwrap()
}

fn record(id: &str, begun: u64) -> Record {
    Record {
        format: JOURNAL_FORMAT,
        upload_id: id.to_owned(),
        begun: Timestamp::from_millis(begun),
        source: Identity { path: "/run".into(), files: 1, size: ByteSize(1), print: Checksum::EMPTY },
        key: "run".parse().unwrap(),
        plan: Plan::new(&Policy::default(), &[region()], &[region()]).unwrap(),
        part_size: ByteSize::mib(8),
        classes: Classes::AsSource,
        regions: std::collections::BTreeMap::new(),
    }
}

fn beginning() -> Note {
    Note::Beginning { region: region(), bucket: "b".to_owned(), at: Timestamp::from_millis(3) }
}

#[test]
fn what_was_noted_is_there_after_the_process_is_gone() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().join("state/uploads"));
    let file = journals.begin(record("u-1", 1)).unwrap();
    assert!(!file.resumed());
    file.note(beginning());
    file.note(Note::Begun { region: region(), upload: "id".to_owned(), doubled: false });
    let written = file.record();
    // As a killed process would: nothing is closed, the system frees the lock.
    drop(file);
    let found = journals.resume("u-1").unwrap().unwrap();
    assert!(found.resumed());
    assert_eq!(found.record(), written);
    assert_eq!(found.unfinished()[0].1.upload.as_deref(), Some("id"));
    found.close().unwrap();
    assert!(journals.resume("u-1").unwrap().is_none());
    assert_eq!(fs::read_dir(journals.folder()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn an_upload_runs_in_one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().to_owned());
    let file = journals.begin(record("u-1", 1)).unwrap();
    let refused = journals.resume("u-1").unwrap_err();
    assert!(matches!(&refused, JournalError::Running { upload_id } if upload_id == "u-1"), "{refused}");
    assert!(journals.list().unwrap().0[0].running);
    drop(file);
    assert!(!journals.list().unwrap().0[0].running);
}

#[test]
fn uploads_are_listed_oldest_first_and_what_is_no_journal_is_named() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().to_owned());
    assert_eq!(Journals::new(folder.path().join("none")).list().unwrap().0, []);
    drop(journals.begin(record("late", 2)).unwrap());
    drop(journals.begin(record("early", 1)).unwrap());
    fs::write(folder.path().join("odd.json"), "{").unwrap();
    let foreign = Record { format: JOURNAL_FORMAT + 1, ..record("foreign", 1) };
    fs::write(folder.path().join("foreign.json"), serde_json::to_string(&foreign).unwrap()).unwrap();
    let (entries, odd) = journals.list().unwrap();
    let ids: Vec<_> = entries.iter().map(|entry| entry.record.upload_id.as_str()).collect();
    assert_eq!((ids, odd.len()), (vec!["early", "late"], 2));
}

#[test]
fn a_half_written_journal_leaves_the_one_before() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().to_owned());
    let file = journals.begin(record("u-1", 1)).unwrap();
    // A process that died while it wrote leaves this beside it.
    fs::write(folder.path().join("u-1.tmp"), "{\"format\":").unwrap();
    drop(file);
    assert_eq!(journals.resume("u-1").unwrap().unwrap().record(), record("u-1", 1));
}

#[test]
fn a_note_that_cannot_be_kept_is_told_and_stops_nothing() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().join("gone"));
    let file = journals.begin(record("u-1", 1)).unwrap();
    fs::remove_dir_all(journals.folder()).unwrap();
    file.note(beginning());
    assert_eq!(file.unfinished().len(), 1);
    assert!(file.trouble().unwrap().contains("--state-folder"));
}
