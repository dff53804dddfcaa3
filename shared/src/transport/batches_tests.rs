//! What the journal of a batch keeps, wherever the process that wrote it ended.

use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::{
    units::ByteSize,
    upload::{Outcome, Plan, Policy, Shipment},
};

fn record(id: &str, begun: u64) -> BatchRecord {
    BatchRecord {
        format: BATCH_FORMAT,
        batch_id: id.to_owned(),
        begun: Timestamp::from_millis(begun),
        path: "/run".into(),
        files: 3,
        size: ByteSize(9),
        key: None,
        copies: Some(2),
        min_copies: None,
        allow_degraded: false,
        sha256: false,
        class: None,
        strategy: None,
        preferred: vec!["us-west-2".parse().unwrap()],
        session: None,
    }
}

fn print(number: u32) -> Checksum {
    Checksum::of(&number.to_le_bytes())
}

fn receipt(number: u32, outcome: Outcome) -> Receipt {
    let region = ["us-west-2".parse().unwrap()];
    let plan = Plan::new(&Policy::default(), &region, &region).unwrap();
    let (size, key) = (ByteSize(3), format!("run/{number}").parse().unwrap());
    let shipment =
        Shipment { upload_id: format!("b-{number}"), key, size, checksum: print(number), files: 1 };
    Receipt { outcome, ..Receipt::judge(&shipment, &plan, &[]) }
}

fn note(file: &BatchFile, number: u32) {
    file.note(print(number), &receipt(number, Outcome::Complete), Timestamp::from_millis(5));
}

fn keys(shipped: &ShippedFiles) -> Vec<&str> {
    shipped.keys().map(ObjectKey::as_str).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever the text ends: what stands in whole lines is read, nothing else is, and what is noted
    /// afterwards is read, too.
    #[test]
    fn a_journal_is_read_up_to_where_it_is_torn(count in 0..6_u32, cut in 0..4_000_usize, zeros in 0..40_usize) {
        let folder = TempDir::new().unwrap();
        let journals = Journals::new(folder.path().to_owned());
        let file = journals.begin_batch(record("b", 1)).unwrap();
        let path = folder.path().join("b.batch");
        let head = fs::read(&path).unwrap().len();
        (0..count).for_each(|number| note(&file, number));
        drop(file);
        let mut text = fs::read(&path).unwrap();
        text.truncate(text.len().saturating_sub(cut).max(head));
        let whole = text.iter().filter(|byte| **byte == b'\n').count() - 1;
        // A machine that lost its power may leave a stretch of nothing.
        text.extend(vec![0; zeros]);
        fs::write(&path, text).unwrap();
        prop_assert_eq!(journals.batches().unwrap().0[0].shipped, whole as u64);
        let (file, shipped) = journals.resume_batch("b").unwrap().unwrap();
        prop_assert_eq!(shipped.len(), whole);
        note(&file, 99);
        drop(file);
        let (_, shipped) = journals.resume_batch("b").unwrap().unwrap();
        prop_assert_eq!(shipped.len(), whole + 1);
        for (key, one) in &shipped {
            let number = key.as_str()["run/".len()..].parse().unwrap();
            prop_assert_eq!(&one.receipt, &receipt(number, Outcome::Complete));
            prop_assert_eq!(one.print, print(number));
        }
    }

    /// The last note of a file is the one that counts, and only receipts that can be relied on are noted.
    #[test]
    fn what_came_to_nothing_is_not_noted(notes in vec((0..4_u32, 0..4_usize), 0..12)) {
        let folder = TempDir::new().unwrap();
        let journals = Journals::new(folder.path().to_owned());
        let file = journals.begin_batch(record("b", 1)).unwrap();
        let outcomes = [Outcome::Complete, Outcome::Degraded, Outcome::Unknown, Outcome::Failed];
        let mut wanted = BTreeMap::new();
        for (number, pick) in notes {
            file.note(print(number), &receipt(number, outcomes[pick]), Timestamp::from_millis(5));
            if outcomes[pick].is_success() {
                wanted.insert(number, outcomes[pick]);
            }
        }
        drop(file);
        let (_, shipped) = journals.resume_batch("b").unwrap().unwrap();
        let found: Vec<_> = shipped.values().map(|one| one.receipt.outcome).collect();
        prop_assert_eq!(found, wanted.into_values().collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_runs_in_one_process_and_is_forgotten_when_it_ended() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().join("state"));
    let (late, file) =
        (journals.begin_batch(record("late", 2)).unwrap(), journals.begin_batch(record("b", 1)));
    let file = file.unwrap();
    assert!(
        matches!(journals.resume_batch("b"), Err(JournalError::Running { upload_id }) if upload_id == "b")
    );
    note(&file, 1);
    let (entries, odd) = journals.batches().unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.record.batch_id.as_str(), e.shipped, e.running)).collect();
    assert_eq!((told, odd.len()), (vec![("b", 1, true), ("late", 0, true)], 0));
    drop(late);
    assert!(!journals.batches().unwrap().0[1].running);
    assert_eq!(journals.list().unwrap().0, [], "a batch is no upload");
    file.close().unwrap();
    assert!(journals.resume_batch("b").unwrap().is_none());
    let (late, shipped) = journals.resume_batch("late").unwrap().unwrap();
    assert_eq!((late.record(), keys(&shipped)), (&record("late", 2), vec![]));
    late.close().unwrap();
    assert_eq!(fs::read_dir(journals.folder()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn what_is_no_journal_of_a_batch_is_named() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().to_owned());
    let foreign = BatchRecord { format: BATCH_FORMAT + 1, ..record("foreign", 1) };
    fs::write(folder.path().join("foreign.batch"), serde_json::to_vec(&foreign).unwrap()).unwrap();
    fs::write(folder.path().join("odd.batch"), "{").unwrap();
    fs::write(folder.path().join("empty.batch"), "").unwrap();
    let (entries, odd) = journals.batches().unwrap();
    assert_eq!((entries, odd.len()), (Vec::new(), 3));
    let refused = journals.resume_batch("odd").unwrap_err().to_string();
    assert!(refused.contains("odd.batch` is not the journal"), "{refused}");
}

#[test]
fn after_a_note_that_could_not_be_kept_no_other_is() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().to_owned());
    let file = journals.begin_batch(record("b", 1)).unwrap();
    held(&file.end).file = File::options().write(true).open("/dev/full").unwrap();
    note(&file, 1);
    assert!(file.trouble().unwrap().contains("--state-folder"));
    held(&file.end).file = File::options().append(true).open(folder.path().join("b.batch")).unwrap();
    note(&file, 2);
    drop(file);
    assert!(journals.resume_batch("b").unwrap().unwrap().1.is_empty());
}

/// A hundred thousand files: a write each, and the disk is waited for each second or each thousand notes.
#[test]
fn the_disk_is_waited_for_once_for_many_notes() {
    let folder = TempDir::new().unwrap();
    let journals = Journals::new(folder.path().to_owned());
    let file = journals.begin_batch(record("b", 1)).unwrap();
    let (mut waits, receipt) = (0, receipt(1, Outcome::Complete));
    for number in 0..10_000_u64 {
        // A quarter of a millisecond each.
        file.note(print(1), &receipt, Timestamp::from_millis(10_000 + number / 4));
        waits += u32::from(held(&file.end).unsynced == 0);
    }
    // 2.5 seconds, in which a thousand notes come four times each second.
    assert!((10..=13).contains(&waits), "{waits}");
}
