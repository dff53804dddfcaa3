//! A pick allocates nothing, whatever the strategy. In a binary of its own, since
//! counting replaces the allocator.

#[path = "support/pick.rs"]
mod support;

use sealane::route::{Load, Share};

#[test]
fn a_pick_allocates_nothing() {
    for case in support::cases() {
        let (roster, request) = (&case.roster, &case.request);
        let expected = roster.route(request).ranked.first().copied();
        let mut picked = None;
        let counted = allocation_counter::measure(|| picked = roster.pick(request));
        assert_eq!((counted.count_total, picked), (0, expected), "{}", case.name);
        assert!(picked.is_some(), "{}", case.name);
    }
}

#[test]
fn a_pick_under_load_and_shares_allocates_nothing() {
    for mut case in support::cases() {
        let names = case.roster.route(&case.request).ranked;
        case.request.loads =
            names.iter().map(|name| (*name, Load { uploads: 3, bandwidth_mbps: 9 })).collect();
        case.request.shares = names.iter().step_by(2).map(|name| (*name, Share::percent(25))).collect();
        let mut picked = None;
        let counted = allocation_counter::measure(|| picked = case.roster.pick(&case.request));
        assert_eq!((counted.count_total, picked.is_some()), (0, true), "{}", case.name);
    }
}

/// Otherwise the two above would pass with a counter that counts nothing.
#[test]
fn the_counter_counts() {
    let (roster, request) =
        support::cases().into_iter().map(|case| (case.roster, case.request)).next().unwrap();
    assert!(allocation_counter::measure(|| drop(roster.route(&request))).count_total > 0);
}
