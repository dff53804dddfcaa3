use super::*;
use crate::{
    health::{Failure, Freshness, Probe, Why},
    region::{Capacity, Endpoints, HealthCheck, Role},
    time::Timestamp,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// The demo: three full regions and a witness.
fn regions() -> Vec<Region> {
    [
        ("us-west-2", Role::Full),
        ("us-east-1", Role::Full),
        ("eu-west-1", Role::Full),
        ("us-east-2", Role::Witness),
    ]
    .map(|(name, role)| Region {
        name: name.parse().unwrap(),
        role,
        bucket: (role == Role::Full).then(|| format!("archive-{name}")),
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
    })
    .into()
}

fn name(text: &str) -> RegionName {
    text.parse().unwrap()
}

fn at(tick: u64) -> Timestamp {
    Timestamp::from_millis(1_764_000_000_000 + tick * 10_000)
}

/// What an observer makes of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    Well,
    Slow,
    Dead,
    Nothing,
}

/// The row of `observer` after it has seen each region of `regions` so for long enough to vote.
fn row(observer: RegionName, regions: &[Region], sees: impl Fn(RegionName) -> Sees) -> Observation {
    let probes = |region: &Region| match sees(region.name) {
        Sees::Well => vec![Probe::Good(Duration::from_millis(80)); 2],
        Sees::Slow => vec![Probe::Good(Duration::from_millis(900)); 2],
        Sees::Dead => vec![Probe::Bad(Failure::Timeout); 3],
        Sees::Nothing => vec![],
    };
    let watch = |row: Observation, region: &Region| {
        let asked =
            region.capabilities().iter().flat_map(|&c| probes(region).into_iter().map(move |p| (c, p)));
        asked.fold(row, |row, (c, p)| row.observe(region, c, p, &Policy::default(), at(1)))
    };
    regions.iter().fold(Observation::new(observer), watch).seal(regions)
}

/// The rows of all observers, to whom every region looks well but `target`.
fn rows(target: RegionName, sees: impl Fn(RegionName) -> Sees) -> Vec<Observation> {
    let regions = regions();
    let of = |observer: RegionName| {
        row(observer, &regions, |region| if region == target { sees(observer) } else { Sees::Well })
    };
    regions.iter().map(|r| of(r.name)).collect()
}

fn fresh(rows: &[Observation]) -> Vec<(&Observation, bool)> {
    rows.iter().map(|row| (row, true)).collect()
}

fn west() -> RegionName {
    name("us-west-2")
}

/// The status of us-west-2's objects when the three outsiders see this.
fn west_seen(east: Sees, eu: Sees, witness: Sees, previous: Option<&Verdicts>) -> Status {
    let rows = rows(west(), |observer| match observer.as_str() {
        "us-east-1" => east,
        "eu-west-1" => eu,
        "us-east-2" => witness,
        _ => Sees::Well,
    });
    judge(&fresh(&rows), &regions(), &Policy::default(), previous).status(west(), Capability::ObjectWrite)
}

fn sees() -> impl Strategy<Value = Sees> {
    select(vec![Sees::Well, Sees::Slow, Sees::Dead, Sees::Nothing])
}

#[test]
fn the_majority_of_outsiders_decides() {
    use Sees::{Dead, Nothing, Slow, Well};
    assert_eq!(west_seen(Dead, Dead, Dead, None), Status::Unhealthy);
    assert_eq!(west_seen(Dead, Dead, Well, None), Status::Unhealthy);
    assert_eq!(west_seen(Dead, Well, Well, None), Status::Healthy);
    assert_eq!(west_seen(Slow, Slow, Well, None), Status::Degraded);
    assert_eq!(west_seen(Slow, Dead, Well, None), Status::Degraded);
    assert_eq!(west_seen(Dead, Nothing, Nothing, None), Status::Unknown);
    assert_eq!(west_seen(Well, Nothing, Nothing, None), Status::Unknown);
}

#[test]
fn a_tie_keeps_what_was_or_says_unknown() {
    use Sees::{Dead, Nothing, Slow, Well};
    let of = |sees| judge(&fresh(&rows(west(), |_| sees)), &regions(), &Policy::default(), None);
    let (was_well, was_dead) = (of(Well), of(Dead));
    assert_eq!(west_seen(Dead, Well, Nothing, None), Status::Unknown);
    assert_eq!(west_seen(Dead, Well, Nothing, Some(&was_well)), Status::Healthy);
    assert_eq!(west_seen(Dead, Well, Nothing, Some(&was_dead)), Status::Unhealthy);
    assert_eq!(west_seen(Slow, Well, Nothing, None), Status::Degraded);
    assert_eq!(west_seen(Slow, Well, Nothing, Some(&was_well)), Status::Healthy);
}

#[test]
fn a_dead_region_that_calls_itself_healthy_is_unhealthy() {
    // Its own row, from before it died, says that all is well, and is even fresh.
    let rows = rows(west(), |observer| if observer == west() { Sees::Well } else { Sees::Dead });
    let verdicts = judge(&fresh(&rows), &regions(), &Policy::default(), None);
    assert_eq!(verdicts.status(west(), Capability::Api), Status::Unhealthy);
    assert_eq!(verdicts.status(name("us-east-1"), Capability::Api), Status::Healthy);
}

#[test]
fn one_capability_down_leaves_the_others_up() {
    let regions = regions();
    let rows: Vec<_> = rows(west(), |_| Sees::Well)
        .into_iter()
        .map(|row| {
            let dead = Probe::Bad(Failure::Status(500));
            let fail = |row: Observation, _| {
                row.observe(&regions[0], Capability::TableWrite, dead, &Policy::default(), at(2))
            };
            (0..3).fold(row, fail).seal(&regions)
        })
        .collect();
    let verdicts = judge(&fresh(&rows), &regions, &Policy::default(), None);
    assert_eq!(verdicts.status(west(), Capability::TableWrite), Status::Unhealthy);
    assert_eq!(verdicts.status(west(), Capability::ObjectWrite), Status::Healthy);
    assert!(verdicts.panics().is_empty());
}

#[test]
fn a_drained_region_is_offline_whatever_the_votes() {
    let mut regions = regions();
    regions[0].offline = true;
    let verdicts = judge(&fresh(&rows(west(), |_| Sees::Well)), &regions, &Policy::default(), None);
    assert_eq!(verdicts.status(west(), Capability::Api), Status::Offline);
}

#[test]
fn an_unwatched_region_is_unknown_whatever_the_rows() {
    let mut regions = regions();
    regions[0].health_check.enabled = false;
    let verdicts = judge(&fresh(&rows(west(), |_| Sees::Well)), &regions, &Policy::default(), None);
    let verdict = verdicts.verdict(west(), Capability::Api).unwrap();
    assert_eq!((verdict.status, verdict.why), (Status::Unknown, Why::Unwatched));
}

#[test]
fn most_regions_down_at_once_is_a_panic_in_that_capability() {
    // Each observer sees one full region down for objects that the others confirm: two of three.
    let regions = regions();
    let policy = Policy::default();
    let rows: Vec<_> = rows(west(), |_| Sees::Well)
        .into_iter()
        .map(|row| {
            let dead = Probe::Bad(Failure::Timeout);
            let targets = regions[..2].iter().flat_map(|r| std::iter::repeat_n(r, 3));
            targets
                .fold(row, |row, r| row.observe(r, Capability::ObjectRead, dead, &policy, at(2)))
                .seal(&regions)
        })
        .collect();
    let verdicts = judge(&fresh(&rows), &regions, &policy, None);
    assert_eq!(verdicts.panics().iter().collect::<Vec<_>>(), [&Capability::ObjectRead]);
    let view = verdicts.view(west());
    assert!(view.panic && view.panics(Capability::ObjectRead) && !view.panics(Capability::Api));
    assert!(verdicts.to_string().starts_with("PANIC: over half of the regions look down for object_read"));

    // A drained region is no evidence that the rest of the world is well.
    let mut drained = regions.clone();
    drained[3] = Region { role: Role::Full, offline: true, ..drained[3].clone() };
    let verdicts = judge(&fresh(&rows), &drained, &policy, None);
    assert_eq!(verdicts.panics().iter().collect::<Vec<_>>(), [&Capability::ObjectRead]);
}

#[test]
fn half_of_the_regions_down_is_no_panic() {
    let mut regions = regions();
    regions[2].role = Role::Witness;
    let verdicts = judge(&fresh(&rows(west(), |_| Sees::Dead)), &regions, &Policy::default(), None);
    assert_eq!(verdicts.status(west(), Capability::Api), Status::Unhealthy);
    assert!(verdicts.panics().is_empty() && !verdicts.view(west()).panic);
}

#[test]
fn what_does_not_answer_here_is_not_fast_here() {
    // eu-west-1 alone has lost us-west-2, which once answered it in 1 ms.
    let (regions, policy) = (regions(), Policy::default());
    let (fast, dead) = (Probe::Good(Duration::from_millis(1)), Probe::Bad(Failure::Refused));
    let mut rows = rows(west(), |_| Sees::Well);
    rows[2] = [fast, fast, dead, dead, dead]
        .into_iter()
        .fold(Observation::new(name("eu-west-1")), |row, p| {
            row.observe(&regions[0], Capability::Api, p, &policy, at(1))
        })
        .seal(&regions);
    let verdicts = judge(&fresh(&rows), &regions, &policy, None);
    let seen = verdicts.view(name("eu-west-1")).seen(west(), Capability::Api);
    assert_eq!((seen.status, seen.latency), (Status::Healthy, None));
}

#[test]
fn the_lag_of_an_observer_in_doubt_is_not_known() {
    let (regions, east) = (regions(), name("us-east-1"));
    let sick = row(east, &regions, |n| if n == east { Sees::Nothing } else { Sees::Dead });
    let sick = sick.measure(west(), Lag::new(Some(Duration::ZERO), None));
    assert!(sick.is_suspect());
    assert_eq!(judge(&[(&sick, true)], &regions, &Policy::default(), None).lag(west(), east), None);
}

#[test]
fn a_verdict_says_why_and_what_would_change_it() {
    let print = |rows: &[(&Observation, bool)]| {
        let verdicts = judge(rows, &regions(), &Policy::default(), None);
        verdicts.verdict(west(), Capability::ObjectWrite).unwrap().to_string()
    };
    let dead = rows(west(), |_| Sees::Dead);
    assert_eq!(
        print(&fresh(&dead)),
        "us-west-2 object_write unhealthy: 3 of 3 fresh outsiders vote down \
         (us-east-1: timeout, eu-west-1: timeout, us-east-2: timeout); \
         rises after 2 good probes in a row at a majority"
    );
    let well = rows(west(), |_| Sees::Well);
    assert_eq!(
        print(&fresh(&well)[..3]),
        "us-west-2 object_write healthy: 2 of 2 fresh outsiders vote up (us-east-1: 80 ms, eu-west-1: 80 ms), \
         not counted (us-east-2: no row); falls after 3 bad probes in a row at a majority"
    );
    let slow = rows(west(), |_| Sees::Slow);
    assert_eq!(
        print(&fresh(&slow)[..3]),
        "us-west-2 object_write degraded: 2 of 2 fresh outsiders vote slow or down \
         (us-east-1: 900 ms, eu-west-1: 900 ms), not counted (us-east-2: no row); \
         recovers at 500ms and 10% errors or less, falls after 3 bad probes in a row at a majority"
    );
    assert_eq!(
        print(&[(&dead[1], true), (&dead[2], false)]),
        "us-west-2 object_write unknown: 1 of the 2 votes needed (us-east-1: timeout), \
         not counted (eu-west-1: stale, us-east-2: no row); known when 1 more can be counted"
    );
}

#[test]
fn latency_is_ones_own_or_else_the_median() {
    let regions = regions();
    let latency_ms = |here: &str| {
        [("us-east-1", 20), ("eu-west-1", 140), ("us-east-2", 50)]
            .iter()
            .find(|(n, _)| *n == here)
            .map_or(1, |(_, ms)| *ms)
    };
    let rows: Vec<_> = regions
        .iter()
        .map(|observer| {
            let good = Probe::Good(Duration::from_millis(latency_ms(observer.name.as_str())));
            let probe = |row: Observation, _| {
                row.observe(&regions[0], Capability::Api, good, &Policy::default(), at(1))
            };
            let row = Observation::new(observer.name);
            if observer.name == west() { row.seal(&regions) } else { (0..2).fold(row, probe).seal(&regions) }
        })
        .collect();
    let verdicts = judge(&fresh(&rows), &regions, &Policy::default(), None);
    let from = |here: &str| verdicts.view(name(here)).seen(west(), Capability::Api).latency;
    assert_eq!(from("eu-west-1"), Some(Duration::from_millis(140)));
    assert_eq!(from("us-west-2"), Some(Duration::from_millis(50)));
    assert_eq!(from("sa-east-1"), Some(Duration::from_millis(50)));
}

#[test]
fn lag_is_told_by_the_receiving_region_while_it_can_be_trusted() {
    let east = name("us-east-1");
    let rows = rows(west(), |_| Sees::Well);
    let (behind, loss) = (Duration::from_secs(10), Duration::from_secs(12));
    let row = rows[1].clone().measure(west(), Lag::new(Some(behind), Some(loss)));
    let lag = |fresh| judge(&[(&row, fresh)], &regions(), &Policy::default(), None).lag(west(), east);
    assert_eq!(lag(true), Some(behind));
    assert_eq!(lag(false), None);
    let verdicts = judge(&[(&row, true)], &regions(), &Policy::default(), None);
    assert_eq!(verdicts.loss_max(west(), east, at(7)), None, "nobody knows how old the row is");
    let aged = verdicts.aged([(east, Duration::from_secs(3))].into(), Timestamp::from_millis(5_000));
    // Twelve seconds as told, three until the rows were read, and two since.
    let told = aged.loss_max(west(), east, Timestamp::from_millis(7_000));
    assert_eq!(told, Some(Duration::from_secs(17)));
    assert_eq!(judge(&[(&row, true)], &regions(), &Policy::default(), None).lag(east, west()), None);
}

#[test]
fn a_frozen_prober_turns_from_voter_to_silence_while_the_others_turn_the_verdict() {
    // us-west-2 dies whole: its prober stops, and the three others see nothing of it.
    let (regions, policy) = (regions(), Policy::default());
    let mut rows = rows(west(), |_| Sees::Well);
    let mut memory = Freshness::default();
    let mut statuses = vec![];
    for tick in 0..6 {
        for row in rows.iter_mut().skip(1) {
            let outcome =
                if tick < 2 { Probe::Good(Duration::from_millis(80)) } else { Probe::Bad(Failure::Timeout) };
            *row =
                row.clone().observe(&regions[0], Capability::Api, outcome, &policy, at(tick)).seal(&regions);
        }
        memory = rows.iter().fold(memory, |m, row| m.look(row.observer(), row.seq(), at(tick)));
        let seen: Vec<_> =
            rows.iter().map(|r| (r, memory.is_fresh(r.observer(), &policy, at(tick)))).collect();
        assert!(!seen[0].1, "a row that never moves is never fresh");
        statuses.push(judge(&seen, &regions, &policy, None).status(west(), Capability::Api));
    }
    use Status::{Healthy, Unhealthy, Unknown};
    assert_eq!(statuses, [Unknown, Healthy, Healthy, Healthy, Unhealthy, Unhealthy]);
}

proptest! {
    /// Whatever the rows say, their order does not matter.
    #[test]
    fn order_is_irrelevant(
        seen in vec(sees(), 4),
        fresh in vec(any::<bool>(), 4),
        shuffled in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let names: Vec<_> = regions().iter().map(|r| r.name).collect();
        let rows = rows(west(), |o| seen[names.iter().position(|n| *n == o).unwrap()]);
        let sorted: Vec<_> = rows.iter().zip(fresh.iter().copied()).collect();
        let mixed: Vec<_> = shuffled.iter().map(|&i| sorted[i]).collect();
        let policy = Policy::default();
        prop_assert_eq!(judge(&sorted, &regions(), &policy, None), judge(&mixed, &regions(), &policy, None));
    }

    /// A region's own row never moves the verdict on that region.
    #[test]
    fn nobody_votes_on_itself(own in sees(), others in vec(sees(), 3), own_fresh: bool) {
        let names: Vec<_> = regions().iter().map(|r| r.name).collect();
        let of = |own: Sees| rows(west(), |o| if o == west() { own } else { others[names.iter().position(|n| *n == o).unwrap() - 1] });
        let status = |rows: &[Observation], own_fresh| {
            let mut seen = fresh(rows);
            seen[0].1 = own_fresh;
            judge(&seen, &regions(), &Policy::default(), None).status(west(), Capability::ObjectRead)
        };
        prop_assert_eq!(status(&of(own), own_fresh), status(&of(Sees::Nothing), true));
    }

    /// Stale and suspect rows say as much as missing ones.
    #[test]
    fn stale_and_suspect_votes_never_matter(seen in vec(sees(), 4), silent in 0..4_usize, sick: bool) {
        let (regions, policy) = (regions(), Policy::default());
        let names: Vec<_> = regions.iter().map(|r| r.name).collect();
        let mut rows = rows(west(), |o| seen[names.iter().position(|n| *n == o).unwrap()]);
        if sick {
            // It has lost everyone: its votes are all down, and all wrong.
            rows[silent] = row(names[silent], &regions, |n| if n == names[silent] { Sees::Nothing } else { Sees::Dead });
            prop_assert!(rows[silent].is_suspect());
        }
        let with: Vec<_> = rows.iter().enumerate().map(|(i, r)| (r, sick || i != silent)).collect();
        let without: Vec<_> = with.iter().enumerate().filter(|(i, _)| *i != silent).map(|(_, s)| *s).collect();
        let (with, without) = (judge(&with, &regions, &policy, None), judge(&without, &regions, &policy, None));
        for verdict in with.iter() {
            prop_assert_eq!(verdict.status, without.status(verdict.region, verdict.capability));
            prop_assert_eq!(Some(verdict.tally), without.verdict(verdict.region, verdict.capability).map(|v| v.tally));
        }
    }

    /// Fewer votes than are needed never say healthy or unhealthy, even with a verdict before.
    #[test]
    fn missing_rows_are_unknown(seen in sees(), kept in 0..2_usize) {
        let (regions, policy) = (regions(), Policy::default());
        let before = judge(&fresh(&rows(west(), |_| Sees::Well)), &regions, &policy, None);
        let rows = rows(west(), |_| seen);
        let verdicts = judge(&fresh(&rows[..kept]), &regions, &policy, Some(&before));
        prop_assert!(verdicts.iter().all(|v| v.status == Status::Unknown));
        prop_assert!(verdicts.panics().is_empty());
    }

    /// Doubled rows count once: an older row of the same observer changes nothing.
    #[test]
    fn an_observer_has_one_vote(seen in vec(sees(), 4), doubled in 0..4_usize, old in sees()) {
        let (regions, policy) = (regions(), Policy::default());
        let names: Vec<_> = regions.iter().map(|r| r.name).collect();
        let older = row(names[doubled], &regions, |_| old);
        let rows: Vec<_> = rows(west(), |o| seen[names.iter().position(|n| *n == o).unwrap()])
            .into_iter()
            .map(|row| row.seal(&regions))
            .collect();
        let once = judge(&fresh(&rows), &regions, &policy, None);
        let twice: Vec<_> = [(&older, true)].into_iter().chain(fresh(&rows)).collect();
        prop_assert_eq!(judge(&twice, &regions, &policy, None), once);
    }

    /// Rows of observers that are not configured count for nothing.
    #[test]
    fn strangers_have_no_vote(seen in sees()) {
        let (regions, policy) = (regions(), Policy::default());
        let rows = rows(west(), |_| Sees::Well);
        let strangers: Vec<_> = (1..9).map(|i| row(name(&format!("ap-south-{i}")), &regions, |_| seen)).collect();
        let all: Vec<_> = fresh(&rows).into_iter().chain(fresh(&strangers)).collect();
        prop_assert_eq!(judge(&all, &regions, &policy, None).to_string(), judge(&fresh(&rows), &regions, &policy, None).to_string());
    }

    /// More bad news never makes a verdict better.
    #[test]
    fn worse_votes_never_improve_a_verdict(seen in vec(sees(), 3), worse in 0..3_usize) {
        let badness = |s: Status| match s {
            Status::Healthy => 0,
            Status::Degraded => 1,
            Status::Unknown => 2,
            Status::Unhealthy => 3,
            Status::Offline => 4,
        };
        prop_assume!(matches!(seen[worse], Sees::Well | Sees::Slow));
        let mut bad = seen.clone();
        bad[worse] = Sees::Dead;
        let (before, after) = (west_seen(seen[0], seen[1], seen[2], None), west_seen(bad[0], bad[1], bad[2], None));
        prop_assert!(badness(after) >= badness(before), "{before} became {after}");
    }
}

#[test]
fn what_was_never_judged_is_unknown() {
    let verdicts = Verdicts::default();
    assert_eq!(verdicts.status(west(), Capability::ObjectWrite), Status::Unknown);
}
