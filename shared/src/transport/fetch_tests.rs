//! What is fetched is what was shipped, whichever regions fail and whenever.

use bytes::Bytes;
use futures::FutureExt as _;
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::{
    memory::{Cloud, Fault, Flaky, ManualClock},
    ports::Attributes,
    time::Timestamp,
};

const KEY: &str = "run.bin";

fn region(i: usize) -> RegionName {
    format!("us-west-{i}").parse().unwrap()
}

fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i ^ (i >> 8)).to_le_bytes()[0]).collect()
}

/// A bucket a fault, each with the object put before the fault counts its calls.
fn buckets(faults: &[Fault], body: &[u8]) -> BTreeMap<RegionName, Flaky> {
    let cloud = Cloud::default();
    let bucket = |(i, fault): (usize, &Fault)| {
        let inner = cloud.bucket(&format!("b{i}"));
        let (body, sum) = (Bytes::copy_from_slice(body), Checksum::of(body));
        inner.put(KEY, body, sum, &Attributes::default()).now_or_never().unwrap().unwrap();
        (region(i), Flaky::new(inner, *fault))
    };
    faults.iter().enumerate().map(bucket).collect()
}

fn wanted(regions: usize) -> Wanted {
    Wanted {
        key: KEY.parse().unwrap(),
        candidates: (0..regions).map(|i| Candidate { region: region(i), version_id: None }).collect(),
        sha256: None,
        expected: None,
        range: ByteSize(10),
        concurrency: 3,
        timeout: Duration::from_secs(5),
        seed: 7,
    }
}

async fn fetched(
    wanted: &Wanted,
    buckets: &BTreeMap<RegionName, Flaky>,
) -> (TempDir, Result<Fetched, FetchError>) {
    let (folder, clock) = (TempDir::new().unwrap(), ManualClock::at(Timestamp::from_millis(1)));
    let to = folder.path().join("out");
    let done = fetch(wanted, buckets, (&to, false), &|_| (), &clock).await;
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), usize::from(done.is_ok()), "nothing but a whole file is left: {left:?}");
    (folder, done)
}

#[tokio::test(start_paused = true)]
async fn objects_of_every_size_come_back() {
    for size in [0, 1, 9, 10, 11, 100] {
        let body = noise(size);
        let (folder, done) = fetched(&wanted(1), &buckets(&[Fault::None], &body)).await;
        let done = done.unwrap();
        assert_eq!((done.size, done.checksum), (ByteSize(size as u64), Checksum::of(&body)));
        assert!(fs::read(folder.path().join("out")).unwrap() == body);
        assert_eq!(done.shares[0].version_id.as_deref(), Some("v1"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_region_is_asked_only_for_what_is_lacking() {
    let body = noise(100);
    let buckets = buckets(&[Fault::CutAfterCalls(6), Fault::None], &body);
    let (folder, done) = fetched(&wanted(2), &buckets).await;
    let done = done.unwrap();
    assert!(fs::read(folder.path().join("out")).unwrap() == body);
    let sizes: Vec<_> = done.shares.iter().map(|share| share.size.0).collect();
    assert!(sizes.len() == 2 && sizes[0] > 0 && sizes.iter().sum::<u64>() == 100, "{done:?}");
    assert_eq!(done.failed[0].region, region(0));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_gives_wrong_bytes_is_left_and_named() {
    let body = noise(100);
    let buckets = buckets(&[Fault::CutAfterCalls(6), Fault::DamagesReads, Fault::None], &body);
    let (folder, done) = fetched(&wanted(3), &buckets).await;
    let done = done.unwrap();
    assert!(fs::read(folder.path().join("out")).unwrap() == body);
    let wrong: Vec<_> = done.failed.iter().filter(|line| line.reason.contains("wrong bytes")).collect();
    assert_eq!(wrong.iter().map(|line| line.region).collect::<Vec<_>>(), [region(1)], "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_gives_whole_is_no_file() {
    let buckets = buckets(&[Fault::DamagesReads, Fault::CutAfter(0)], &noise(100));
    let error = fetched(&wanted(2), &buckets).await.1.unwrap_err();
    let FetchError::Nowhere { failed, .. } = &error else { panic!("{error}") };
    assert_eq!(failed.len(), 2, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_not_what_the_receipt_says_is_not_taken() {
    let body = noise(50);
    let buckets = buckets(&[Fault::None, Fault::None], &body);
    let other = Bytes::from(noise(51));
    buckets[&region(0)]
        .inner()
        .put(KEY, other.clone(), Checksum::of(&other), &Attributes::default())
        .await
        .unwrap();
    let expected = Some((ByteSize(50), Checksum::of(&body)));
    let (folder, done) = fetched(&Wanted { expected, ..wanted(2) }, &buckets).await;
    let done = done.unwrap();
    assert!(done.failed[0].reason.contains("51 bytes"), "{done:?}");
    assert!(fs::read(folder.path().join("out")).unwrap() == body);
    // The receipt's version is asked for, not the newest.
    let mut pinned = Wanted { expected, ..wanted(1) };
    pinned.candidates[0].version_id = Some("v1".to_owned());
    assert_eq!(fetched(&pinned, &buckets).await.1.unwrap().shares[0].version_id.as_deref(), Some("v1"));
}

#[tokio::test(start_paused = true)]
async fn without_a_checksum_to_judge_by_nothing_is_called_whole() {
    let body = noise(20);
    let buckets = buckets(&[Fault::NoChecksums], &body);
    let error = fetched(&wanted(1), &buckets).await.1.unwrap_err();
    assert!(error.to_string().contains("give the receipt"), "{error}");
    let expected = Some((ByteSize(20), Checksum::of(&body)));
    assert!(fetched(&Wanted { expected, ..wanted(1) }, &buckets).await.1.is_ok());
}

#[tokio::test]
async fn what_is_there_is_replaced_only_when_told_so_and_only_by_a_whole_file() {
    let (folder, clock) = (TempDir::new().unwrap(), ManualClock::default());
    let to = folder.path().join("out");
    fs::write(&to, "mine").unwrap();
    let good = buckets(&[Fault::None], &noise(20));
    let refused = fetch(&wanted(1), &good, (&to, false), &|_| (), &clock).await;
    assert!(matches!(refused, Err(FetchError::Exists { .. })));
    let bad = buckets(&[Fault::DamagesReads], &noise(20));
    assert!(fetch(&wanted(1), &bad, (&to, true), &|_| (), &clock).await.is_err());
    assert_eq!(fs::read(&to).unwrap(), b"mine");
    fetch(&wanted(1), &good, (&to, true), &|_| (), &clock).await.unwrap();
    assert!(fs::read(&to).unwrap() == noise(20));
    let nowhere = folder.path().join("no/such");
    let refused = fetch(&wanted(1), &good, (&nowhere, false), &|_| (), &clock).await;
    assert!(matches!(refused, Err(FetchError::File { .. })));
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => Just(Fault::None),
        2 => (0..12_u32).prop_map(Fault::CutAfterCalls),
        1 => Just(Fault::DamagesReads),
        1 => Just(Fault::NoChecksums),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever fails when: a file that is there is what was shipped, and with one good
    /// region among them it is there.
    #[test]
    fn a_file_is_whole_or_absent(faults in vec(fault(), 1..5), size in 0..120_usize, concurrency in 1..5_usize) {
        let body = noise(size);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let buckets = buckets(&faults, &body);
        let expected = Some((ByteSize(size as u64), Checksum::of(&body)));
        let wanted = Wanted { expected, concurrency, ..wanted(faults.len()) };
        let (folder, done) = runtime.block_on(fetched(&wanted, &buckets));
        if done.is_ok() {
            prop_assert!(fs::read(folder.path().join("out")).unwrap() == body);
        }
        let last_is_good = matches!(faults.last(), Some(Fault::None | Fault::NoChecksums));
        prop_assert!(done.is_ok() || !last_is_good, "{:?}: {:?}", faults, done);
    }
}
