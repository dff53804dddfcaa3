use super::*;
use crate::{
    health::{Failure, Vote},
    region::{Capacity, Endpoints, HealthCheck, Role},
};
use proptest::{collection::vec, prelude::*};
use std::time::Duration;

/// A region of this name, with settings that do not matter here.
fn region(name: &str) -> Region {
    Region {
        name: name.parse().unwrap(),
        role: Role::Full,
        bucket: Some(format!("archive-{name}")),
        kms_key: None,
        priority: 1,
        weight: 1,
        coordinates: None,
        residency: vec![],
        capacity: Capacity { max_concurrent_uploads: 1, max_bandwidth_mbps: 1 },
        health_check: HealthCheck::default(),
        offline: false,
        endpoints: Endpoints { api: Some("https://api.example".to_owned()), ..Endpoints::default() },
        transfer_out_usd_per_gb: None,
    }
}

fn regions(n: usize) -> Vec<Region> {
    (1..=n).map(|i| region(&format!("us-east-{i}"))).collect()
}

/// A tick of the first region: which others answered, by region and capability.
fn tick(
    row: Observation,
    regions: &[Region],
    now: Timestamp,
    ok: impl Fn(usize, Capability) -> bool,
) -> Observation {
    let policy = Policy::default();
    let probed = regions.iter().enumerate().skip(1).fold(row, |row, (i, region)| {
        region.capabilities().iter().fold(row, |row, &capability| {
            let good = Probe::Good(Duration::from_millis(80));
            let outcome = if ok(i, capability) { good } else { Probe::Bad(Failure::Timeout) };
            row.observe(region, capability, outcome, &policy, now)
        })
    });
    probed.seal(regions)
}

fn start(regions: &[Region]) -> Observation {
    Observation::new(regions[0].name)
}

fn at(tick: u64) -> Timestamp {
    Timestamp::from_millis(1_764_000_000_000 + tick * 10_000)
}

/// A row after a few good ticks.
fn settled(regions: &[Region]) -> Observation {
    (0..3).fold(start(regions), |row, t| tick(row, regions, at(t), |_, _| true))
}

#[test]
fn losing_most_of_the_world_at_once_is_self_doubt() {
    let regions = regions(4);
    let lost = |n: usize| tick(settled(&regions), &regions, at(4), |i, _| i > n).is_suspect();
    assert_eq!([lost(0), lost(1), lost(2), lost(3)], [false, false, true, true]);
}

#[test]
fn an_observer_of_one_region_never_doubts_itself() {
    let regions = regions(2);
    assert!(!tick(settled(&regions), &regions, at(4), |_, _| false).is_suspect());
}

#[test]
fn one_capability_down_everywhere_is_no_self_doubt() {
    let regions = regions(4);
    assert!(!tick(settled(&regions), &regions, at(4), |_, c| c != Capability::ObjectWrite).is_suspect());
}

#[test]
fn doubt_lasts_until_the_votes_have_risen() {
    let regions = regions(4);
    let cut = (4..9).fold(settled(&regions), |row, t| tick(row, &regions, at(t), |_, _| false));
    let first = tick(cut, &regions, at(9), |_, _| true);
    assert!(first.is_suspect(), "its votes still say down");
    assert!(!tick(first, &regions, at(10), |_, _| true).is_suspect());
}

#[test]
fn what_failed_once_is_missed_and_still_held_up() {
    let regions = regions(4);
    let missed = |row: &Observation| row.missed().collect::<Vec<_>>();
    let api = (regions[2].name, Capability::Api);
    let mut row = tick(settled(&regions), &regions, at(4), |i, c| i != 2 || c != Capability::Api);
    assert_eq!((missed(&row), row.holds_up(api.0, api.1)), (vec![api], true));
    for t in 5..7 {
        row = tick(row, &regions, at(t), |i, c| i != 2 || c != Capability::Api);
    }
    assert_eq!((missed(&row), row.holds_up(api.0, api.1)), (vec![api], false), "now it is voted down");
}

#[test]
fn a_doubt_is_no_vote_and_is_over_when_it_is_no_longer_told() {
    let regions = regions(4);
    let doubted = [(regions[1].name, Capability::TableWrite), (regions[2].name, Capability::Api)];
    let settled = settled(&regions);
    let row = settled.clone().doubt(&doubted).seal(&regions);
    assert_eq!(row.missed().collect::<Vec<_>>(), doubted);
    assert!(!row.is_suspect());
    assert_eq!(row.track(regions[2].name, Capability::Api), settled.track(regions[2].name, Capability::Api));
    assert_eq!(row.doubt(&doubted[..1]).missed().count(), 1);
    let sizes = [&settled, &settled.clone().doubt(&doubted)].map(|r| serde_json::to_vec(r).unwrap().len());
    assert!(sizes[1] <= sizes[0] + 2 * regions.len(), "{sizes:?}");
}

#[test]
fn an_observer_that_doubts_most_of_the_world_doubts_itself() {
    let regions = regions(4);
    let of = |n: usize| regions[1..=n].iter().flat_map(|r| r.capabilities().iter().map(|c| (r.name, *c)));
    let suspects = |n| settled(&regions).doubt(&of(n).collect::<Vec<_>>()).seal(&regions).is_suspect();
    assert_eq!([1, 2, 3].map(suspects), [false, true, true]);
}

#[test]
fn a_row_without_doubts_still_reads() {
    let regions = regions(2);
    let mut row = serde_json::to_value(settled(&regions)).unwrap();
    for (_, watched) in row["regions"].as_object_mut().unwrap() {
        watched.as_object_mut().unwrap().remove("doubted").unwrap();
    }
    assert_eq!(serde_json::from_value::<Observation>(row).unwrap(), settled(&regions));
}

#[test]
fn regions_that_are_no_longer_watched_leave_the_row() {
    let mut regions = regions(4);
    let row = settled(&regions).hear(regions[2].name, 7);
    regions[3].health_check.enabled = false;
    let name = regions.remove(2).name;
    let row = row.seal(&regions);
    assert_eq!((row.track(name, Capability::Api), row.heard(name)), (None, None));
    assert_eq!(row.track(regions[2].name, Capability::Api), None);
    assert!(row.track(regions[1].name, Capability::Api).is_some());
}

#[test]
fn a_row_of_eight_regions_stays_small() {
    let row = (0..200).fold(start(&regions(8)), |row, t| {
        let regions = regions(8);
        let row = regions.iter().fold(row, |row, r| {
            row.measure(
                r.name,
                Lag::new(Some(Duration::from_secs(t * 1_000)), Some(Duration::from_secs(t * 1_000))),
            )
        });
        let row = regions.iter().fold(row, |row, r| row.hear(r.name, u64::MAX - t));
        // Replicas that never catch up and probes that flap: as large as it gets.
        tick(row, &regions, at(t), |i, _| !(t + i as u64).is_multiple_of(3))
    });
    let size = serde_json::to_vec(&row).unwrap().len();
    assert!(size < 5 * 1024, "{size} bytes");
}

proptest! {
    /// A prober whose own network comes and goes never casts an unsuspecting vote
    /// against regions that are well.
    #[test]
    fn a_cut_off_observer_condemns_nobody(others in 2..7_usize, network in vec(any::<bool>(), 1..40)) {
        let regions = regions(others + 1);
        let mut row = settled(&regions);
        for (t, up) in (4..).zip(network) {
            row = tick(row, &regions, at(t), |_, _| up);
            let condemned = regions.iter().any(|r| row.track(r.name, Capability::Api).is_some_and(|t| t.vote() == Vote::Down));
            prop_assert!(!condemned || row.is_suspect());
        }
    }

    /// While fewer than half are lost, an observer trusts what it sees.
    #[test]
    fn losing_the_lesser_part_is_no_self_doubt(others in 2..8_usize, lost in 0..4_usize, ticks in 1..10_u64) {
        prop_assume!(2 * lost <= others);
        let regions = regions(others + 1);
        let row = (4..4 + ticks).fold(settled(&regions), |row, t| tick(row, &regions, at(t), |i, _| i > lost));
        prop_assert!(!row.is_suspect());
    }

    /// Each seal advances the number by one, whatever happened in the tick.
    #[test]
    fn each_tick_is_one_number(answers in vec(any::<bool>(), 1..20)) {
        let regions = regions(3);
        let count = answers.len() as u64;
        let row = (0..).zip(answers).fold(start(&regions), |row, (t, ok)| tick(row, &regions, at(t), |_, _| ok));
        prop_assert_eq!(row.seq(), count);
    }

    /// What is stored reads back the same.
    #[test]
    fn rows_round_trip(
        n in 1..9_usize,
        answers in vec(any::<[bool; 8]>(), 0..20),
        lag_s in (any::<Option<u32>>(), any::<Option<u32>>()),
    ) {
        let regions = regions(n);
        let row = (0..).zip(answers).fold(start(&regions), |row, (t, ok)| tick(row, &regions, at(t), |i, _| ok[i]));
        let seconds = |s: u32| Duration::from_secs(s.into());
        let row = row.measure(regions[n - 1].name, Lag::new(lag_s.0.map(seconds), lag_s.1.map(seconds)));
        let row = row.hear(regions[0].name, u64::MAX);
        let body = serde_json::to_string(&row).unwrap();
        prop_assert_eq!(serde_json::from_str::<Observation>(&body).unwrap(), row);
    }
}
