//! The rules of shipping, against buckets in memory with faults.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
};

use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::{
    checksum::Checksum,
    memory::{Cloud, Fault, Flaky, ManualClock},
    ports::Attributes,
    replication::{META_CLASS, META_REGIONS, META_UPLOAD},
    time::Timestamp,
    transport::{Finding, recheck},
    units::ByteSize,
    upload::{AttemptOutcome, How, META_SHA256, Outcome, StorageClass},
};

const KEY: &str = "run-0042.bin";
/// The smallest part there is.
const PART: usize = 5 << 20;

/// A file of this size whose bytes differ from part to part.
fn file_of(folder: &Path, size: usize) -> PathBuf {
    let path = folder.join(format!("{size}.bin"));
    let noise: Vec<u8> = (0..size).map(|i| (i ^ (i >> 8) ^ (i >> 16)).to_le_bytes()[0]).collect();
    fs::write(&path, noise).unwrap();
    path
}

/// Two parts and a bit, made once for all tests.
static BIG: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let path = file_of(folder.path(), 2 * PART + 17);
    (folder, path)
});

fn region(i: usize) -> RegionName {
    format!("us-west-{i}").parse().unwrap()
}

/// One bucket a fault, best region first.
fn buckets(faults: &[Fault]) -> BTreeMap<RegionName, Flaky> {
    let cloud = Cloud::default();
    let bucket =
        |(i, fault): (usize, &Fault)| (region(i), Flaky::new(cloud.bucket(&format!("b{i}")), *fault));
    faults.iter().enumerate().map(bucket).collect()
}

fn order(buckets: &BTreeMap<RegionName, Flaky>, copies: usize) -> Order {
    let regions: Vec<_> = buckets.keys().copied().collect();
    let policy = Policy { copies, concurrency: 1, concurrency_max: 1, ..Policy::default() };
    Order {
        upload_id: "u-1".to_owned(),
        key: KEY.parse().unwrap(),
        plan: Plan::new(&policy, &regions, &regions).unwrap(),
        policy,
        classes: Classes::AsSource,
        seed: 7,
    }
}

async fn ship_file(path: &Path, buckets: &BTreeMap<RegionName, Flaky>, order: &Order) -> Receipt {
    let source = Source::open(path).unwrap();
    let clock = ManualClock::at(Timestamp::from_millis(1_000));
    ship(&source, buckets, order, &|_| (), &clock).await.unwrap()
}

/// What became of the big file when it was shipped to buckets with these faults.
async fn shipped(faults: &[Fault], copies: usize) -> (Receipt, BTreeMap<RegionName, Flaky>) {
    let buckets = buckets(faults);
    let receipt = ship_file(&BIG.1, &buckets, &order(&buckets, copies)).await;
    (receipt, buckets)
}

fn regions_of(receipt: &Receipt) -> Vec<RegionName> {
    receipt.copies.iter().map(|copy| copy.region).collect()
}

/// Asserts that every copy that the receipt names is there, byte by byte.
async fn assert_holds(receipt: &Receipt, buckets: &BTreeMap<RegionName, Flaky>, path: &Path) {
    let sent = fs::read(path).unwrap();
    for copy in &receipt.copies {
        let bucket = buckets[&copy.region].inner();
        let held = bucket.read(KEY, copy.version_id.as_deref(), 0..u64::MAX).await.unwrap();
        assert!(held == sent, "the copy in {} is not what was sent", copy.region);
        assert_eq!(copy.checksum, Checksum::of(&sent));
    }
}

#[tokio::test(start_paused = true)]
async fn one_reading_feeds_three_regions() {
    let (receipt, buckets) = shipped(&[Fault::None; 3], 3).await;
    assert_eq!(receipt.outcome, Outcome::Complete);
    assert_eq!(regions_of(&receipt), [region(0), region(1), region(2)]);
    assert!(receipt.copies.iter().all(|copy| copy.how == How::ChecksumAttribute));
    assert_holds(&receipt, &buckets, &BIG.1).await;
    let head = buckets[&region(1)].head(KEY, None).await.unwrap().unwrap();
    assert_eq!(head.attributes.metadata[META_UPLOAD], "u-1");
    assert_eq!(head.attributes.metadata[META_REGIONS], "us-west-0,us-west-1,us-west-2");
    assert!(buckets.values().all(|b| b.inner().unfinished() == 0 && b.inner().versions(KEY) == 1));
}

#[tokio::test(start_paused = true)]
async fn each_copy_is_kept_in_the_class_of_its_region() {
    let (ia, whose) = (StorageClass::StandardIa, |classes: &Classes| match classes {
        Classes::AsSource | Classes::All(_) => None,
        Classes::Each(_) => Some("rule"),
    });
    let folder = TempDir::new().unwrap();
    for path in [&BIG.1, &file_of(folder.path(), 17)] {
        for classes in [Classes::All(ia), Classes::Each([(region(1), ia)].into()), Classes::AsSource] {
            let buckets = buckets(&[Fault::None; 2]);
            let receipt =
                ship_file(path, &buckets, &Order { classes: classes.clone(), ..order(&buckets, 2) }).await;
            assert_eq!(receipt.outcome, Outcome::Complete);
            for (name, bucket) in &buckets {
                let Attributes { storage_class, metadata, .. } =
                    bucket.head(KEY, None).await.unwrap().unwrap().attributes;
                assert_eq!(
                    storage_class.as_deref(),
                    classes.of(*name).map(StorageClass::as_str),
                    "{classes:?}"
                );
                assert_eq!(metadata.get(META_CLASS).map(String::as_str), whose(&classes));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_cut_in_the_middle_is_owed_its_copy() {
    let (receipt, buckets) = shipped(&[Fault::None, Fault::CutAfter(1), Fault::None], 3).await;
    assert_eq!(receipt.outcome, Outcome::Degraded);
    assert_eq!(regions_of(&receipt), [region(0), region(2)]);
    assert_eq!(receipt.owed.iter().map(|owed| owed.region).collect::<Vec<_>>(), [region(1)]);
    assert_holds(&receipt, &buckets, &BIG.1).await;
    let unfinished: Vec<_> = buckets.values().map(|b| b.inner().unfinished()).collect();
    assert_eq!(unfinished, [0, 1, 0]);
    let left: Vec<_> = receipt.leftovers.iter().map(|left| (left.region, left.upload.is_some())).collect();
    assert_eq!(left, [(region(1), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_stalls_is_left_behind() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sparse");
    File::create(&path).unwrap().set_len(8 * PART as u64).unwrap();
    let buckets = buckets(&[Fault::StallAfter(1), Fault::None]);
    let receipt = ship_file(&path, &buckets, &order(&buckets, 2)).await;
    assert_eq!((regions_of(&receipt), receipt.outcome), (vec![region(1)], Outcome::Failed));
    assert_eq!(receipt.owed.len(), 1);
    assert!(
        receipt.owed[0].reason.contains("behind") || receipt.owed[0].reason.contains("no answer"),
        "{receipt}"
    );
    assert_holds(&receipt, &buckets, &path).await;
}

#[tokio::test(start_paused = true)]
async fn a_spare_region_takes_over_byte_for_byte() {
    for fault in [Fault::CutAfter(0), Fault::CutAfter(1), Fault::StallAfter(1), Fault::DamagesBodies] {
        let buckets = buckets(&[fault, Fault::None, Fault::None]);
        let told = Mutex::new(Vec::new());
        let source = Source::open(&BIG.1).unwrap();
        let tell = |progress| told.lock().unwrap().push(progress);
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        let receipt = ship(&source, &buckets, &order(&buckets, 2), &tell, &clock).await.unwrap();
        assert_eq!(receipt.outcome, Outcome::Complete, "{receipt}");
        assert_eq!(regions_of(&receipt), [region(2), region(1)]);
        assert_holds(&receipt, &buckets, &BIG.1).await;
        let told = told.into_inner().unwrap();
        assert!(told.contains(&Progress::Moved { from: region(0), to: region(2) }));
        assert!(told.contains(&Progress::Verified { region: region(2) }));
        let sent = Progress::Sent { region: region(2), bytes: ByteSize(2 * PART as u64 + 17) };
        assert!(told.contains(&sent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_spare_is_tried_when_every_first_region_failed() {
    let (receipt, buckets) = shipped(&[Fault::CutAfter(0), Fault::None], 1).await;
    assert_eq!((regions_of(&receipt), receipt.outcome), (vec![region(1)], Outcome::Complete));
    assert_holds(&receipt, &buckets, &BIG.1).await;
}

#[tokio::test(start_paused = true)]
async fn with_every_region_down_nothing_is_claimed() {
    let (receipt, _) = shipped(&[Fault::CutAfter(0), Fault::StallAfter(0), Fault::CutAfter(1)], 2).await;
    assert_eq!(receipt.outcome, Outcome::Failed);
    assert!(receipt.copies.is_empty() && receipt.owed.is_empty());
    assert_eq!(receipt.checksum, Checksum::of(&fs::read(&BIG.1).unwrap()));
    assert_eq!(receipt.attempts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_not_in_doubt() {
    let folder = TempDir::new().unwrap();
    let path = file_of(folder.path(), 100);
    let buckets = buckets(&[Fault::CutAfter(0), Fault::StallAfter(0)]);
    let receipt = ship_file(&path, &buckets, &order(&buckets, 2)).await;
    assert_eq!(receipt.outcome, Outcome::Failed, "{receipt}");
}

#[tokio::test(start_paused = true)]
async fn no_more_regions_are_tried_than_the_budget_says() {
    let buckets = buckets(&[Fault::CutAfter(0), Fault::CutAfter(0), Fault::None]);
    let mut order = order(&buckets, 1);
    order.policy.cross_region_retries = 1;
    let receipt = ship_file(&BIG.1, &buckets, &order).await;
    assert_eq!((receipt.outcome, receipt.attempts.len()), (Outcome::Failed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_region_whose_retries_are_spent_is_left_for_the_next() {
    let (source, buckets) = (Source::open(&BIG.1).unwrap(), buckets(&[Fault::BusyAt(2), Fault::None]));
    let (budgets, clock) = (RetryBudgets::default(), ManualClock::at(Timestamp::from_millis(1_000)));
    while budgets.retry(region(0), clock.now()).is_ok() {}
    let order = order(&buckets, 1);
    let receipt = ship_through(&Ungated, &budgets, &source, &buckets, &order, &|_| (), &clock).await.unwrap();
    assert_eq!(regions_of(&receipt), [region(1)]);
    let told = serde_json::to_string(&receipt).unwrap();
    assert!(told.contains("the retry budget for `us-west-0` is spent"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_busy_answer_is_asked_again_in_the_same_region() {
    for call in 1..=6 {
        let (receipt, _) = shipped(&[Fault::BusyAt(call)], 1).await;
        assert_eq!((receipt.outcome, receipt.attempts.len()), (Outcome::Complete, 1), "call {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_caught_wherever_it_flips() {
    for fault in [Fault::DamagesBodies, Fault::Rots, Fault::RotsUnseen] {
        let (receipt, buckets) = shipped(&[fault, Fault::None], 2).await;
        assert_eq!((regions_of(&receipt), receipt.outcome), (vec![region(1)], Outcome::Failed), "{fault:?}");
        assert_holds(&receipt, &buckets, &BIG.1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_store_keeps_no_checksum_the_bytes_are_read_back() {
    let (receipt, _) = shipped(&[Fault::NoChecksums], 1).await;
    assert_eq!((receipt.outcome, receipt.copies[0].how), (Outcome::Complete, How::ReadBack));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_up_before_it_is_judged() {
    let folder = TempDir::new().unwrap();
    for path in [&BIG.1, &file_of(folder.path(), 100)] {
        for fault in [Fault::LosesAnswers, Fault::LosesRequest] {
            let buckets = buckets(&[fault]);
            let receipt = ship_file(path, &buckets, &order(&buckets, 1)).await;
            assert_eq!(receipt.outcome, Outcome::Complete, "{fault:?}: {receipt}");
            assert_eq!(buckets[&region(0)].inner().versions(KEY), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_for_stays_unknown() {
    let (receipt, buckets) = shipped(&[Fault::DiesAtCompletion], 1).await;
    assert_eq!((receipt.outcome, receipt.copies.len()), (Outcome::Unknown, 0));
    assert_eq!(receipt.attempts[0].outcome, AttemptOutcome::Unknown);
    assert_eq!(buckets[&region(0)].inner().versions(KEY), 1);
}

#[tokio::test(start_paused = true)]
async fn objects_at_the_edge_of_a_part_arrive_whole() {
    let folder = TempDir::new().unwrap();
    for size in [0, 1, PART, PART + 1] {
        let path = file_of(folder.path(), size);
        let buckets = buckets(&[Fault::None, Fault::None]);
        let receipt = ship_file(&path, &buckets, &order(&buckets, 2)).await;
        assert_eq!((receipt.outcome, receipt.size), (Outcome::Complete, ByteSize(size as u64)));
        assert_holds(&receipt, &buckets, &path).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_is_shipped_nowhere() {
    let folder = TempDir::new().unwrap();
    let path = file_of(folder.path(), 2 * PART + 17);
    let source = Source::open(&path).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    let buckets = buckets(&[Fault::None, Fault::None]);
    let clock = ManualClock::default();
    let error = ship(&source, &buckets, &order(&buckets, 2), &|_| (), &clock).await.unwrap_err();
    assert!(
        matches!(error, ShipError::Source { source: SourceError::Changed { .. }, ref leftovers } if leftovers.is_empty())
    );
    assert!(buckets.values().all(|b| b.inner().unfinished() == 0 && b.inner().versions(KEY) == 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_between_two_readings_keeps_the_copies_of_the_first() {
    let folder = TempDir::new().unwrap();
    let path = file_of(folder.path(), 2 * PART + 17);
    let source = Source::open(&path).unwrap();
    let buckets = buckets(&[Fault::CutAfter(1), Fault::None, Fault::None]);
    let touch = |progress| {
        if matches!(progress, Progress::Moved { .. }) {
            fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        }
    };
    let clock = ManualClock::default();
    let receipt = ship(&source, &buckets, &order(&buckets, 2), &touch, &clock).await.unwrap();
    assert_eq!((regions_of(&receipt), receipt.outcome), (vec![region(1)], Outcome::Failed));
    assert!(receipt.owed[0].reason.contains("the source changed"), "{receipt}");
    assert_eq!(buckets[&region(2)].inner().versions(KEY), 0);
    assert_eq!(buckets[&region(2)].inner().unfinished(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_checked_again_byte_by_byte() {
    let (receipt, buckets) = shipped(&[Fault::None; 3], 3).await;
    buckets[&region(1)].inner().corrupt(KEY);
    let buckets: BTreeMap<_, _> =
        buckets.iter().filter(|(r, _)| **r != region(2)).map(|(r, b)| (*r, b.inner().clone())).collect();
    let found: Vec<_> = recheck(&receipt, &buckets).await.into_iter().map(|c| c.finding).collect();
    assert!(matches!(found[..], [Finding::Whole, Finding::Differs { .. }, Finding::Unknown { .. }]));
    let elsewhere = BTreeMap::from([(region(0), Cloud::default().bucket(&receipt.copies[0].bucket))]);
    assert_eq!(recheck(&receipt, &elsewhere).await[0].finding, Finding::Missing);
    let renamed = BTreeMap::from([(region(0), Cloud::default().bucket("renamed"))]);
    let finding = recheck(&receipt, &renamed).await.remove(0).finding;
    assert!(matches!(finding, Finding::Unknown { .. }), "a copy elsewhere is not a copy lost: {finding:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sha_256_goes_with_each_copy_and_a_receipt_that_says_another_is_found_out() {
    let buckets = buckets(&[Fault::None, Fault::CutAfter(1), Fault::None]);
    let mut order = order(&buckets, 2);
    order.policy.sha256 = true;
    let receipt = ship_file(&BIG.1, &buckets, &order).await;
    assert_eq!((receipt.outcome, receipt.copies.len()), (Outcome::Complete, 2));
    let sum = receipt.sha256.unwrap();
    for region in regions_of(&receipt) {
        let head = buckets[&region].head(KEY, None).await.unwrap().unwrap();
        assert_eq!(head.attributes.metadata[META_SHA256], sum.to_string());
    }
    let held: BTreeMap<_, _> = buckets.iter().map(|(r, b)| (*r, b.inner().clone())).collect();
    let findings = async |receipt: &Receipt| {
        recheck(receipt, &held).await.into_iter().map(|c| c.finding).collect::<Vec<_>>()
    };
    assert_eq!(findings(&receipt).await, [Finding::Whole, Finding::Whole]);
    let other = Receipt { sha256: Some([7; 32].into()), ..receipt };
    assert_eq!(
        findings(&other).await,
        [Finding::OtherSha256 { found: sum }, Finding::OtherSha256 { found: sum }]
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_that_cannot_be_named_is_refused_before_anything_is_sent() {
    let buckets = buckets(&[Fault::None]);
    let source = Source::open(&BIG.1).unwrap();
    let order = order(&buckets, 1);
    let odd = Order { upload_id: "no spaces".to_owned(), ..order.clone() };
    let clock = ManualClock::default();
    let refused = ship(&source, &buckets, &odd, &|_| (), &clock).await;
    assert!(matches!(refused, Err(ShipError::Metadata(_))), "{refused:?}");
    let refused = ship(&source, &BTreeMap::<_, Flaky>::new(), &order, &|_| (), &clock).await;
    assert!(matches!(refused, Err(ShipError::NoBucket { .. })), "{refused:?}");
}

/// A caller may run an upload on any runtime.
#[test]
fn an_upload_may_move_between_threads() {
    fn moves<T: Send>(_: T) {}
    let buckets = buckets(&[Fault::None]);
    let (source, order) = (Source::open(&BIG.1).unwrap(), order(&buckets, 1));
    moves(ship(&source, &buckets, &order, &|_| (), &ManualClock::default()));
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::None),
        2 => (0..4_u32).prop_map(Fault::CutAfter),
        1 => (0..4_u32).prop_map(Fault::StallAfter),
        1 => (1..7_u32).prop_map(Fault::BusyAt),
        4 => prop::sample::select(vec![
            Fault::LosesRequest, Fault::LosesAnswers, Fault::DiesAtCompletion, Fault::DamagesBodies,
            Fault::Rots, Fault::NoChecksums, Fault::RotsUnseen,
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever fails when: copies that are claimed are there, a try called failed left no
    /// whole copy, and what is left unfinished is listed.
    #[test]
    fn a_receipt_never_claims_more_than_the_buckets_hold(
        faults in vec(fault(), 1..5), copies in 1..4_usize, small: bool, concurrency in 1..4_usize,
    ) {
        let folder = TempDir::new().unwrap();
        let path = if small { file_of(folder.path(), 333) } else { BIG.1.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let buckets = buckets(&faults);
        let mut order = order(&buckets, copies.min(faults.len()));
        order.policy.concurrency = concurrency;
        let receipt = runtime.block_on(async {
            let receipt = ship_file(&path, &buckets, &order).await;
            assert_holds(&receipt, &buckets, &path).await;
            receipt
        });
        let enough = receipt.copies.len() >= order.plan.min_copies;
        prop_assert_eq!(receipt.outcome.is_success(), enough, "{}", receipt);
        for attempt in &receipt.attempts {
            let flaw = faults[buckets.keys().position(|r| *r == attempt.region).unwrap()];
            let none = matches!(attempt.outcome, AttemptOutcome::Failed | AttemptOutcome::Dropped);
            if none && !matches!(flaw, Fault::Rots | Fault::RotsUnseen) {
                prop_assert_eq!(buckets[&attempt.region].inner().versions(KEY), 0, "{:?}: {}", flaw, receipt);
            }
        }
        for (region, bucket) in &buckets {
            let listed = receipt.leftovers.iter().any(|left| left.region == *region);
            prop_assert!(bucket.inner().unfinished() == 0 || listed, "{}: {}", region, receipt);
        }
    }
}
