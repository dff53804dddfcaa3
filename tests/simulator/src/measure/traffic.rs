//! Where clients' requests went, and when 99% of the new ones went elsewhere.

use std::{collections::BTreeSet, time::Duration};

use sealane::region::RegionName;

use crate::cloud::Place;

/// What a client wanted a region for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// A region to put an object into.
    ObjectWrite,
    /// The region that takes the writes of worksets.
    Primary,
}

/// One request for a region. Times are since the simulation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When it was asked.
    pub at: Duration,
    /// Where the client is.
    pub by: Place,
    /// What for.
    pub wanted: Wanted,
    /// Where the request was sent; `None`: nowhere, because the answer was not known
    /// or writes were about to move.
    pub sent_to: Option<RegionName>,
}

/// Percent of new requests that must go elsewhere for the traffic to count as moved.
const MOVED_PERCENT: usize = 99;

/// The span over which that share is taken.
const WINDOW: Duration = Duration::from_secs(1);

/// How long after `since` it took until, in every following second to the end, 99% of
/// the new requests of that second went to a region that is not `from`. `None`: never.
///
/// A request that was sent nowhere did not go elsewhere.
pub fn moved_after(
    asked: &[Asked],
    wanted: &BTreeSet<Wanted>,
    from: RegionName,
    since: Duration,
) -> Option<Duration> {
    let mut new: Vec<(Duration, bool)> = asked
        .iter()
        .filter(|a| a.at >= since && wanted.contains(&a.wanted))
        .map(|a| (a.at, a.sent_to.is_some_and(|to| to != from)))
        .collect();
    new.sort_unstable_by_key(|(at, _)| *at);
    if new.is_empty() {
        return None;
    }
    // Traffic can have moved only from the start or just after a request that did not go.
    let after_bad = new.iter().filter(|(_, good)| !good).map(|(at, _)| *at + Duration::from_millis(1));
    let mut candidates: Vec<Duration> = std::iter::once(since).chain(after_bad).collect();
    candidates.sort_unstable();
    let holds = |start: &Duration| new.iter().any(|(at, _)| at >= start) && every_second_moved(&new, *start);
    let earliest = candidates.iter().rev().take_while(|start| holds(start)).last()?;
    Some(earliest.saturating_sub(since))
}

fn every_second_moved(new: &[(Duration, bool)], start: Duration) -> bool {
    let mut rest = &new[new.partition_point(|(at, _)| *at < start)..];
    let mut window = start;
    while !rest.is_empty() {
        window += WINDOW;
        let (now, later) = rest.split_at(rest.partition_point(|(at, _)| *at < window));
        let good = now.iter().filter(|(_, good)| *good).count();
        if good * 100 < now.len() * MOVED_PERCENT {
            return false;
        }
        rest = later;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn region(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    fn asked(at_ms: u64, to: Option<&str>) -> Asked {
        Asked {
            at: Duration::from_millis(at_ms),
            by: Place::Client(0),
            wanted: Wanted::ObjectWrite,
            sent_to: to.map(region),
        }
    }

    fn moved_ms(requests: &[Asked], since_ms: u64) -> Option<u128> {
        let wanted = BTreeSet::from([Wanted::ObjectWrite]);
        moved_after(requests, &wanted, region("us-west-2"), Duration::from_millis(since_ms))
            .map(|span| span.as_millis())
    }

    #[test]
    fn traffic_has_moved_after_the_last_request_to_the_old_region() {
        let all = [
            asked(0, Some("us-west-2")),
            asked(1_000, Some("us-west-2")),
            asked(2_000, Some("us-east-1")),
            asked(3_000, Some("us-west-2")),
            asked(4_000, Some("us-east-1")),
        ];
        assert_eq!(moved_ms(&all, 500), Some(2_501));
        assert_eq!(moved_ms(&all[..4], 500), None, "nothing shows that it ever moved");
    }

    #[test]
    fn a_request_sent_nowhere_did_not_go_elsewhere() {
        assert_eq!(moved_ms(&[asked(0, None), asked(100, Some("us-east-1"))], 0), Some(1));
    }

    #[test]
    fn one_straggler_in_a_hundred_is_allowed() {
        let mut all: Vec<Asked> = (0..990).map(|i| asked(i * 10, Some("us-east-1"))).collect();
        all[550] = asked(5_500, Some("us-west-2"));
        assert_eq!(moved_ms(&all, 0), Some(0));
        all[551] = asked(5_510, Some("us-west-2"));
        assert!(moved_ms(&all, 0) > Some(5_000));
    }

    proptest! {
        /// Whatever came before, from the time told on every second is 99% elsewhere.
        #[test]
        fn from_then_on_every_second_is_good(goods in vec(any::<bool>(), 1..300)) {
            let requests: Vec<Asked> = (0_u64..).zip(&goods)
                .map(|(i, good)| asked(i * 100, Some(if *good { "us-east-1" } else { "us-west-2" }))).collect();
            let wanted = BTreeSet::from([Wanted::ObjectWrite]);
            match moved_after(&requests, &wanted, region("us-west-2"), Duration::ZERO) {
                Some(span) => {
                    let new: Vec<_> = requests.iter().map(|a| (a.at, a.sent_to == Some(region("us-east-1")))).collect();
                    prop_assert!(every_second_moved(&new, span));
                }
                None => prop_assert!(!goods[goods.len() - 1]),
            }
        }
    }
}
