//! Mistakes in the choice of a region for one request.

use super::super::{Planted, suite::Suite};

/// The faults.
pub(super) const FAULTS: [Planted; 8] = [
    Planted {
        name: "residency-not-filtered",
        mistake: "an object may go where it must not lie",
        file: "shared/src/route/slate.rs",
        find: "who & roster.tagged(tag))",
        put: "who | roster.tagged(tag))",
        suite: Suite::Rules,
        tests: &["residency_role_and_tries_are_never_violated"],
    },
    Planted {
        name: "tried-region-chosen-again",
        mistake: "a request goes again to the region that failed it",
        file: "shared/src/route/slate.rs",
        find: "tried | roster.only(Some(*name)))",
        put: "tried & roster.only(Some(*name)))",
        suite: Suite::Rules,
        tests: &["residency_role_and_tries_are_never_violated"],
    },
    Planted {
        name: "down-region-offered",
        mistake: "a region that is down is offered like any other",
        file: "shared/src/route/slate.rs",
        find: "if health.panic { 0 } else { health.unhealthy },",
        put: "if health.panic { health.unhealthy } else { 0 },",
        suite: Suite::Rules,
        tests: &["down_is_never_chosen_but_in_a_panic"],
    },
    Planted {
        name: "full-region-offered",
        mistake: "a region without room is given more",
        file: "shared/src/route/slate.rs",
        find: "roster.at_capacity(request) & !held",
        put: "roster.at_capacity(request) & held",
        suite: Suite::Rules,
        tests: &["a_full_region_gets_nothing_new"],
    },
    Planted {
        name: "sticky-hash-by-sandbox",
        mistake: "each process hashes sessions in its own way",
        file: "shared/src/route/sticky.rs",
        find: "rapidhash_v3_seeded(bytes, &SECRETS)",
        put: "rapidhash_v3_seeded(bytes, &RapidSecrets::seed(u64::from(std::process::id())))",
        suite: Suite::Rules,
        tests: &["hashes_never_change_between_releases"],
    },
    Planted {
        name: "round-robin-from-a-constant",
        mistake: "every request is the first one",
        file: "shared/src/route/rank.rs",
        find: "at_turn(n, top),",
        put: "at_turn(n.min(0), top),",
        suite: Suite::Rules,
        tests: &["round_robin_gives_each_region_one_turn_in_a_row_of_them"],
    },
    Planted {
        name: "latency-switches-for-nothing",
        mistake: "a request leaves its region for a gain that means nothing",
        file: "shared/src/route/rank.rs",
        find: "gain > policy.latency_gain_min &&",
        put: "gain > policy.latency_gain_min ||",
        suite: Suite::Rules,
        tests: &["latency_switches_only_for_a_clear_gain"],
    },
    Planted {
        name: "unknown-latency-is-fastest",
        mistake: "a region that was never measured is taken for the fastest",
        file: "shared/src/route/rank.rs",
        find: "latency.map_or(UNKNOWN, nanos)",
        put: "latency.map_or(0, nanos)",
        suite: Suite::Rules,
        tests: &["unknown_latency_ranks_last"],
    },
];
