//! A source that is not at rest: whenever it goes away, shrinks or grows, it is named, and nothing of
//! it is called done or left lying about unnamed.

use std::{
    error::Error,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use tempfile::TempDir;

use super::*;
use crate::{
    memory::{Cloud, Fault, Flaky, ManualClock},
    retry::RetryBudgets,
    time::Timestamp,
    transport::{Journal, Journals, Rates, ship_with},
    upload::{JOURNAL_FORMAT, Outcome, Plan, Record},
};

const KEY: &str = "run-0042.bin";
/// The smallest part there is.
const PART: usize = 5 << 20;

/// What becomes of a file behind an upload's back.
#[derive(Debug, Clone, Copy)]
enum Change {
    Vanishes,
    Shrinks,
    Grows,
}

const CHANGES: [Change; 3] = [Change::Vanishes, Change::Shrinks, Change::Grows];

impl Change {
    fn befalls(self, path: &Path) {
        let open = || File::options().append(true).open(path).unwrap();
        match self {
            Self::Vanishes => fs::remove_file(path).unwrap(),
            Self::Shrinks => open().set_len(PART as u64 + 1).unwrap(),
            Self::Grows => open().write_all(b"more").unwrap(),
        }
    }
}

/// Lets every lane in. When it is asked for the `at`th time the file changes.
struct Door {
    path: PathBuf,
    change: Option<Change>,
    at: usize,
    asked: AtomicUsize,
}

impl Gate for Door {
    async fn enter(&self, _region: RegionName) -> Result<(), Reason> {
        let asked = self.asked.fetch_add(1, SeqCst) + 1;
        if let Some(change) = self.change.filter(|_| asked == self.at) {
            change.befalls(&self.path);
        }
        Ok(())
    }

    async fn leave(&self, _region: RegionName, _outcome: lease::Outcome) {}
}

/// Regions with these faults, a file of two parts and a bit, and a folder for the journal.
struct Stage {
    folder: TempDir,
    cloud: Cloud,
    faults: Vec<Fault>,
}

impl Stage {
    fn of(faults: &[Fault]) -> Self {
        let (folder, cloud) = (TempDir::new().unwrap(), Cloud::default());
        let noise: Vec<u8> =
            (0..2 * PART + 17).map(|i| (i ^ (i >> 8) ^ (i >> 16)).to_le_bytes()[0]).collect();
        fs::write(folder.path().join(KEY), noise).unwrap();
        cloud.set_now(Timestamp::from_millis(1_000));
        Self { folder, cloud, faults: faults.to_vec() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(KEY)
    }

    fn journals(&self) -> Journals {
        Journals::new(self.folder.path().join("state"))
    }

    fn buckets(&self) -> BTreeMap<RegionName, Flaky> {
        let bucket = |(i, fault): (usize, &Fault)| {
            (region(i), Flaky::new(self.cloud.bucket(&format!("b{i}")), *fault))
        };
        self.faults.iter().enumerate().map(bucket).collect()
    }

    fn record(&self, source: &Source, copies: usize) -> Record {
        let regions: Vec<_> = (0..self.faults.len()).map(region).collect();
        Record {
            format: JOURNAL_FORMAT,
            upload_id: "u-1".to_owned(),
            begun: Timestamp::from_millis(1_000),
            source: source.identity(),
            key: KEY.parse().unwrap(),
            plan: Plan::new(&Policy { copies, ..Policy::default() }, &regions, &regions).unwrap(),
            part_size: ByteSize(PART as u64),
            classes: Classes::AsSource,
            regions: BTreeMap::new(),
        }
    }

    /// Ships the file with a journal, taken up if there is one.
    async fn ship(
        &self,
        source: &Source,
        (copies, sha256): (usize, bool),
        (change, at): (Option<Change>, usize),
    ) -> Result<Receipt, ShipError> {
        let journals = self.journals();
        let journal = match journals.resume("u-1").unwrap() {
            Some(journal) => journal,
            None => journals.begin(self.record(source, copies)).unwrap(),
        };
        let Record { upload_id, key, plan, part_size, classes, .. } = journal.record();
        let policy =
            Policy { copies, part_size, sha256, concurrency: 1, concurrency_max: 1, ..Policy::default() };
        let order = Order { upload_id, key, plan, policy, classes, seed: 7 };
        let door = Door { path: self.path(), change, at, asked: AtomicUsize::default() };
        let (budgets, rates) = (RetryBudgets::default(), Rates::new([]));
        let means = Means { gate: &door, budgets: &budgets, rates: &rates, journal: &journal };
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        ship_with(&means, source, &self.buckets(), &order, &|_| (), &clock).await
    }

    /// Asserts that what is unfinished in a bucket stands in the journal, and among `leftovers`.
    fn assert_nothing_unnamed(&self, leftovers: &[Leftover], at: &str) {
        let journal = self.journals().resume("u-1").unwrap().unwrap();
        let noted: Vec<_> = journal.unfinished().into_iter().map(|(region, _)| region).collect();
        for i in 0..self.faults.len() {
            let open = self.cloud.bucket(&format!("b{i}")).unfinished();
            let named = noted.contains(&region(i)) && leftovers.iter().any(|left| left.region == region(i));
            assert!(open == 0 || named, "{at}: {open} uploads in {} are named by nobody", region(i));
        }
    }

    fn versions(&self) -> usize {
        (0..self.faults.len()).map(|i| self.cloud.bucket(&format!("b{i}")).versions(KEY)).sum()
    }
}

fn region(i: usize) -> RegionName {
    format!("us-west-{i}").parse().unwrap()
}

/// The upload came to nothing because of the file `name`.
fn assert_named(error: &ShipError, name: &Path, at: &str) -> Vec<Leftover> {
    let ShipError::Source { source, leftovers } = error else { panic!("{at}: {error}") };
    assert!(matches!(source, SourceError::Changed { .. } | SourceError::Missing { .. }), "{at}: {source}");
    let told = std::iter::successors(Some(error as &dyn Error), |&e| e.source()).map(ToString::to_string);
    let told: Vec<_> = told.collect();
    assert!(told.iter().any(|text| text.contains(&name.display().to_string())), "{at}: {told:?}");
    leftovers.clone()
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_not_at_rest_before_its_first_reading_is_named_and_shipped_nowhere() {
    for (sha256, change) in [false, true].into_iter().flat_map(|sha256| CHANGES.map(|c| (sha256, c))) {
        let (stage, at) = (Stage::of(&[Fault::None; 2]), format!("{change:?}, sha256: {sha256}"));
        let source = Source::open(&stage.path()).unwrap();
        change.befalls(&stage.path());
        let error = stage.ship(&source, (2, sha256), (None, 0)).await.unwrap_err();
        let leftovers = assert_named(&error, &stage.path(), &at);
        assert_eq!((stage.versions(), leftovers.len()), (0, 0), "{at}");
        stage.assert_nothing_unnamed(&leftovers, &at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_after_it_was_summed_is_named_and_shipped_nowhere() {
    for (change, fault) in CHANGES.into_iter().flat_map(|c| [(c, Fault::None), (c, Fault::CutAfter(0))]) {
        let (stage, at) = (Stage::of(&[Fault::None, fault]), format!("{change:?}, {fault:?}"));
        let source = Source::open(&stage.path()).unwrap();
        // What it should be is known, so there is a receipt: of a failure.
        let receipt = stage.ship(&source, (2, true), (Some(change), 1)).await.unwrap();
        assert_eq!((receipt.outcome, receipt.copies.len()), (Outcome::Failed, 0), "{at}: {receipt}");
        let path = stage.path().display().to_string();
        assert!(receipt.failed.iter().any(|failed| failed.reason.contains(&path)), "{at}: {receipt}");
        assert_eq!(stage.versions(), 0, "{at}");
        stage.assert_nothing_unnamed(&receipt.leftovers, &at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_before_a_lane_moves_is_named_by_what_the_lane_owes() {
    for (sha256, change) in [false, true].into_iter().flat_map(|sha256| CHANGES.map(|c| (sha256, c))) {
        let faults = [Fault::CutAfter(1), Fault::None, Fault::None];
        let (stage, at) = (Stage::of(&faults), format!("{change:?}, sha256: {sha256}"));
        let source = Source::open(&stage.path()).unwrap();
        // The third to be let in is the region that takes over.
        let receipt = stage.ship(&source, (2, sha256), (Some(change), 3)).await.unwrap();
        let held: Vec<_> = receipt.copies.iter().map(|copy| copy.region).collect();
        assert_eq!((held, receipt.outcome), (vec![region(1)], Outcome::Failed), "{at}: {receipt}");
        assert_eq!(stage.versions(), 1, "{at}");
        let path = stage.path().display().to_string();
        assert!(receipt.owed.iter().any(|owed| owed.reason.contains(&path)), "{at}: {receipt}");
        stage.assert_nothing_unnamed(&receipt.leftovers, &at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_before_an_upload_goes_on_is_named_and_nothing_is_joined() {
    for change in CHANGES {
        let (mut stage, at) = (Stage::of(&[Fault::CutAfter(1); 2]), format!("{change:?}"));
        let source = Source::open(&stage.path()).unwrap();
        let receipt = stage.ship(&source, (2, false), (None, 0)).await.unwrap();
        assert_eq!(receipt.outcome, Outcome::Failed);
        assert_eq!(receipt.leftovers.len(), 2, "what is cut off cannot be tidied: {receipt}");
        stage.assert_nothing_unnamed(&receipt.leftovers, &at);
        // Both regions are back, and hold a part each.
        stage.faults = vec![Fault::None; 2];
        let error = stage.ship(&source, (2, false), (Some(change), 1)).await.unwrap_err();
        let leftovers = assert_named(&error, &stage.path(), &at);
        assert_eq!((stage.versions(), leftovers.len()), (0, 0), "{at}");
        stage.assert_nothing_unnamed(&leftovers, &at);
    }
}
