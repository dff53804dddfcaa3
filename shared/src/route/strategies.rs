//! What each strategy promises.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    Strategy,
    properties::{NEEDS, name, pick, region, seen},
    *,
};
use crate::{
    health::{Seen, View},
    region::{Coordinates, Region, RegionName, Role, Status},
};

/// `count` regions, all healthy at 10 ms.
fn healthy(count: usize) -> (Vec<Region>, View) {
    let mut view = View::default();
    (0..count).for_each(|i| view.set(name(i), NEEDS, seen(Status::Healthy, 10)));
    ((0..count).map(region).collect(), view)
}

fn by(strategy: Strategy) -> Policy {
    Policy { strategy, ..Policy::default() }
}

fn index(picked: Option<RegionName>) -> usize {
    picked.unwrap().as_str().rsplit('-').next().unwrap().parse().unwrap()
}

/// How often each region is picked by the turns.
fn counts(turns: impl Iterator<Item = Turn>, regions: &[Region], view: &View, policy: &Policy) -> Vec<f64> {
    let mut counts = vec![0.0; regions.len()];
    for turn in turns {
        let request = Request { turn, ..Request::new(NEEDS) };
        counts[index(pick(&request, regions, view, policy))] += 1.0;
    }
    counts
}

fn weights(weights: &[u32]) -> (Vec<Region>, View) {
    let (mut regions, view) = healthy(weights.len());
    regions.iter_mut().zip(weights).for_each(|(region, weight)| region.weight = *weight);
    (regions, view)
}

/// Round trips in ms, as latencies of regions 0, 1, ...
fn latencies(ms: &[u64]) -> (Vec<Region>, View) {
    let (regions, mut view) = healthy(ms.len());
    ms.iter().enumerate().for_each(|(i, ms)| view.set(name(i), NEEDS, seen(Status::Healthy, *ms)));
    (regions, view)
}

proptest! {
    /// In any run of turns as long as there are regions, each has exactly one.
    #[test]
    fn round_robin_gives_each_region_one_turn_in_a_row_of_them(count in 1..9_usize, start in 0..1_000_000_u64) {
        let (regions, view) = healthy(count);
        let turns = (start..start + count as u64).map(Turn::Counter);
        let got = counts(turns, &regions, &view, &by(Strategy::RoundRobin));
        prop_assert!(got.iter().all(|n| *n == 1.0), "{got:?}");
    }

    /// Counted turns keep to the weights at every moment: off by a few turns, however long the run.
    #[test]
    fn counted_turns_match_the_weights_without_bursts(
        chosen in prop::collection::vec(1..50_u32, 1..6), start in 0..1_000_000_u64, run in 1..400_u64,
    ) {
        let (regions, view) = weights(&chosen);
        let total = f64::from(chosen.iter().sum::<u32>());
        let got = counts((start..start + run).map(Turn::Counter), &regions, &view, &by(Strategy::Weighted));
        for (count, weight) in got.iter().zip(&chosen) {
            let fair = run as f64 * f64::from(*weight) / total;
            prop_assert!((count - fair).abs() < 6.0, "{got:?} of {run}, fair {fair}");
        }
    }

    /// Below either threshold the current region is kept; above both it is left for the fastest.
    #[test]
    fn latency_switches_only_for_a_clear_gain(ms in prop::collection::vec(1..300_u64, 2..6)) {
        let (regions, view) = latencies(&ms);
        let request = Request { current: Some(name(0)), ..Request::new(NEEDS) };
        let best = ms.iter().copied().min().unwrap();
        let gain = ms[0] - best;
        let clear = gain > 10 && gain as f64 > 0.15 * ms[0] as f64;
        let picked = index(pick(&request, &regions, &view, &by(Strategy::Latency)));
        prop_assert_eq!(picked == 0, !clear);
        prop_assert!(picked == 0 || ms[picked] == best);
    }

    /// Latencies that waver by less than a clear gain never make a caller switch.
    #[test]
    fn latency_does_not_flap(waves in prop::collection::vec((100..=110_u64, 100..=110_u64), 1..50)) {
        let mut request = Request { current: Some(name(1)), ..Request::new(NEEDS) };
        for (a, b) in waves {
            let (regions, view) = latencies(&[a, b]);
            request.current = pick(&request, &regions, &view, &by(Strategy::Latency));
            prop_assert_eq!(request.current, Some(name(1)));
        }
    }

    /// A larger share lets in all that a smaller one did.
    #[test]
    fn shares_only_grow(session in "[a-z]{4,12}", small in 0..=100_u8, more in 0..=100_u8) {
        let (regions, view) = healthy(2);
        let kept = |percent| {
            let mut request = Request { session: Some(session.clone()), ..Request::new(NEEDS) };
            request.shares.insert(name(0), Share::percent(percent));
            route(&request, &regions, &view, &Policy::default()).ranked.contains(&name(0))
        };
        prop_assert!(!kept(small.min(more)) || kept(small.max(more)));
    }
}

#[test]
fn hashed_turns_match_the_weights() {
    let (regions, view) = weights(&[50, 30, 20]);
    let turns = (0..20_000_u64).map(|n| Turn::of(&n.to_le_bytes()));
    let got = counts(turns, &regions, &view, &by(Strategy::Weighted));
    // Five standard deviations of a binomial of 20,000 draws are below 360.
    for (count, fair) in got.iter().zip([10_000.0, 6_000.0, 4_000.0]) {
        assert!((count - fair).abs() < 360.0, "{got:?}");
    }
}

#[test]
fn hashed_round_robin_is_even_though_weights_differ() {
    let (regions, view) = weights(&[90, 5, 5]);
    let turns = (0..15_000_u64).map(|n| Turn::of(&n.to_le_bytes()));
    let got = counts(turns, &regions, &view, &by(Strategy::RoundRobin));
    assert!(got.iter().all(|count| (count - 5_000.0).abs() < 300.0), "{got:?}");
}

#[test]
fn smooth_turns_skip_a_region_that_is_down_and_share_by_weight() {
    let (regions, mut view) = weights(&[2, 1, 1]);
    view.set(name(2), NEEDS, seen(Status::Unhealthy, 10));
    let mut smooth = SmoothWeighted::default();
    let mut request = Request::new(NEEDS);
    let mut got = [0; 3];
    for _ in 0..300 {
        smooth.assign(&mut request, &Roster::new(&regions, &view, &by(Strategy::Weighted)));
        got[index(pick(&request, &regions, &view, &by(Strategy::Weighted)))] += 1;
    }
    assert_eq!(got, [200, 100, 0]);
}

#[test]
fn weight_zero_gets_nothing_under_weighted_only() {
    let (regions, view) = weights(&[0, 1]);
    let request = Request::new(NEEDS);
    assert_eq!(route(&request, &regions, &view, &by(Strategy::Weighted)).ranked, [name(1)]);
    assert_eq!(route(&request, &regions, &view, &by(Strategy::Priority)).ranked, [name(0), name(1)]);
}

#[test]
fn unknown_latency_ranks_last() {
    let (regions, mut view) = latencies(&[80, 90, 20]);
    view.set(name(0), NEEDS, Seen { status: Status::Healthy, latency: None });
    let ranked = route(&Request::new(NEEDS), &regions, &view, &by(Strategy::Latency)).ranked;
    assert_eq!(ranked, [name(2), name(1), name(0)]);
}

#[test]
fn a_fast_failure_is_not_a_fast_region() {
    let (regions, mut view) = latencies(&[1, 90]);
    view.set(name(0), NEEDS, seen(Status::Unhealthy, 1));
    assert_eq!(pick(&Request::new(NEEDS), &regions, &view, &by(Strategy::Latency)), Some(name(1)));
}

#[test]
fn geographic_goes_by_the_great_circle_and_says_when_it_cannot() {
    let (mut regions, view) = healthy(4);
    let at = |latitude, longitude| Some(Coordinates { latitude, longitude });
    // Dublin, Oregon, Tokyo, and one that did not say.
    regions[0].coordinates = at(53.35, -6.26);
    regions[1].coordinates = at(45.87, -119.69);
    regions[2].coordinates = at(35.68, 139.69);
    let policy = by(Strategy::Geographic);
    // From Kamchatka, Tokyo is near over land and Oregon over the date line.
    let request = Request { client: at(53.0, 158.6), ..Request::new(NEEDS) };
    let found = route(&request, &regions, &view, &policy);
    assert_eq!(found.ranked, [name(2), name(1), name(0), name(3)]);
    assert!(found.notes.is_empty());
    let lost = route(&Request::new(NEEDS), &regions, &view, &policy);
    assert_eq!(lost.ranked, [name(0), name(1), name(2), name(3)]);
    assert_eq!(lost.notes, [Note::NoClientCoordinates]);
}

#[test]
fn priority_one_is_first_and_ties_go_by_name() {
    let (mut regions, view) = healthy(3);
    (regions[0].priority, regions[1].priority, regions[2].priority) = (2, 1, 1);
    let ranked = route(&Request::new(NEEDS), &regions, &view, &by(Strategy::Priority)).ranked;
    assert_eq!(ranked, [name(1), name(2), name(0)]);
}

#[test]
fn the_data_s_own_region_is_free_and_an_unknown_price_is_last() {
    let (mut regions, view) = healthy(3);
    let policy = by(Strategy::Cost);
    let request = Request { data_in: Some(name(2)), ..Request::new(NEEDS) };
    let priced = route(&request, &regions, &view, &policy);
    assert_eq!(priced.ranked, [name(2), name(0), name(1)]);
    assert!(priced.to_string().contains("0.020 $/GB"), "{priced}");
    regions[2].transfer_out_usd_per_gb = None;
    let unpriced = route(&request, &regions, &view, &policy);
    assert_eq!(unpriced.ranked, [name(2), name(0), name(1)]);
    assert_eq!(unpriced.notes, [Note::NoPrice { data_in: Some(name(2)) }]);
}

#[test]
fn preferred_regions_come_first_and_the_session_s_before_them() {
    let (regions, view) = healthy(4);
    let mut policy = Policy { preferred_regions: vec![name(3), name(1)], ..by(Strategy::Priority) };
    let request = Request { session: Some("upload-7".to_owned()), ..Request::new(NEEDS) };
    let preferred = route(&request, &regions, &view, &policy).ranked;
    assert_eq!(preferred, [name(3), name(1), name(0), name(2)]);
    policy.sticky_sessions = true;
    let sticky = route(&request, &regions, &view, &policy);
    assert!(matches!(sticky.choices[0].outcome, Outcome::Kept { lead: Some(Lead::Sticky { .. }), .. }));
    let rest: Vec<_> = preferred.into_iter().filter(|name| *name != sticky.ranked[0]).collect();
    assert_eq!(sticky.ranked[1..], rest);
}

#[test]
fn the_share_lets_in_its_part_and_is_waived_when_nothing_else_is_up() {
    let (regions, mut view) = healthy(2);
    let mut request = Request::new(NEEDS);
    request.shares.insert(name(0), Share::percent(25));
    let policy = by(Strategy::Priority);
    let mut inside = 0;
    for n in 0..4_000 {
        request.turn = Turn::Counter(n);
        inside += u32::from(pick(&request, &regions, &view, &policy) == Some(name(0)));
    }
    assert!((880..1_120).contains(&inside), "{inside}");
    view.set(name(1), NEEDS, seen(Status::Unhealthy, 10));
    for n in 0..100 {
        request.turn = Turn::Counter(n);
        assert_eq!(pick(&request, &regions, &view, &policy), Some(name(0)));
    }
    request.shares.insert(name(0), Share::percent(0));
    assert_eq!(route(&request, &regions, &view, &policy).basis, Basis::ShareWaived);
}

#[test]
fn with_no_data_the_route_is_static_and_says_so() {
    let (regions, _) = healthy(3);
    let blind = route(&Request::new(NEEDS), &regions, &View::default(), &by(Strategy::Priority));
    assert_eq!(blind.ranked.len(), 3);
    assert_eq!(blind.basis, Basis::Static);
    assert!(blind.to_string().contains("health unknown"), "{blind}");
}

#[test]
fn the_explanation_reads_as_a_short_text() {
    let (mut regions, mut view) = latencies(&[12, 80, 5, 5, 5]);
    regions[2].residency = vec!["us".to_owned()];
    (0..2).for_each(|i| regions[i].residency = vec!["eu".to_owned()]);
    regions[3].role = Role::Witness;
    regions[4].residency = vec!["eu".to_owned()];
    view.set(name(4), NEEDS, Seen { status: Status::Unknown, latency: Some(Duration::ZERO) });
    let request = Request { residency: vec!["eu".to_owned()], ..Request::new(NEEDS) };
    let found = route(&request, &regions, &view, &by(Strategy::Latency));
    let lines = [
        "object_write by latency: xx-region-00, 2 of 5 regions",
        " 1. xx-region-00: healthy, 12.0 ms",
        " 2. xx-region-01: healthy, 80.0 ms",
        " -  xx-region-02: dropped, lacks residency `eu`",
        " -  xx-region-03: dropped, a witness holds no data",
        " -  xx-region-04: dropped, object_write is unknown, and others are up",
    ];
    assert_eq!(found.to_string(), lines.join("\n"));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["choices"][2]["dropped"]["rule"], "residency");
    assert_eq!(json["ranked"][0], "xx-region-00");
}

#[test]
fn more_regions_than_the_limit_are_named_as_such() {
    let (mut regions, view) = healthy(REGIONS_MAX + 3);
    regions.reverse();
    let found = route(&Request::new(NEEDS), &regions, &view, &by(Strategy::Priority));
    assert_eq!(found.ranked, (0..REGIONS_MAX).map(name).collect::<Vec<_>>());
    assert_eq!(found.notes, [Note::TooManyRegions { listed: REGIONS_MAX + 3 }]);
}
