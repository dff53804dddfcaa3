//! Observers that fell silent although nothing was wrong with their regions.
//!
//! A prober that is killed is replaced by the one that stands by. If both are, the next one comes
//! with the schedule, up to a minute later. Where that befalls a run in which a region is lost
//! besides, there may be too few voters for a verdict on those that are left, and then nothing
//! moves. Such a run fails like any other that lacks what must come; here its cause is told.

use std::time::Duration;

use sealane::region::RegionName;

use super::Evidence;

/// A live observer writes its row every ten seconds, and up to ten seconds later where one
/// invocation takes the place of another.
const SILENCE_MAX: Duration = Duration::from_secs(25);

/// Time from one invocation of the schedule to the next.
const MINUTE: Duration = Duration::from_secs(60);

/// An observer that was silent for too long, from shortly before the fault on, in a region in
/// which all worked.
pub fn absent(evidence: &Evidence) -> Option<RegionName> {
    let observers = evidence.config.regions.iter().map(|region| region.name);
    observers.into_iter().find(|observer| {
        let heard = excused(evidence, *observer).chain(spoke(evidence, *observer));
        let (from, to) = (evidence.since.saturating_sub(SILENCE_MAX), evidence.ended);
        let mut heard: Vec<Duration> =
            heard.filter(|at| (from..=to).contains(at)).chain([from, to]).collect();
        heard.sort_unstable();
        heard.windows(2).any(|two| two[1] - two[0] > SILENCE_MAX)
    })
}

fn spoke(evidence: &Evidence, observer: RegionName) -> impl Iterator<Item = Duration> {
    evidence.spoke.get(&observer).into_iter().flatten().copied()
}

/// Moments in which its own region was out of order, or had been until the schedule last came: a
/// silence is nobody's then.
fn excused(evidence: &Evidence, observer: RegionName) -> impl Iterator<Item = Duration> {
    let outages = evidence.truth.outages.iter().filter(move |outage| outage.region == observer);
    outages.flat_map(move |outage| {
        let until = outage.until.map_or(evidence.ended, |until| until + MINUTE);
        let next = move |at: &Duration| (*at < until).then(|| (*at + SILENCE_MAX).min(until));
        std::iter::successors(Some(outage.from), next)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        cloud,
        measure::{Extent, Outage, Shown, Truth},
    };

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A run from 100 to 200 s in which everybody speaks each ten seconds, but `silent` not from 110 to `back`.
    fn run(silent: &str, back: u64) -> Evidence {
        let config = cloud::config(&serde_json::Value::Null);
        let silent: RegionName = silent.parse().unwrap();
        let speaks = |name: RegionName| {
            let at = (0..40).map(|turn| s(turn * 10));
            (name, at.filter(|at| name != silent || *at <= s(110) || *at >= s(back)).collect())
        };
        Evidence {
            spoke: config.regions.iter().map(|region| speaks(region.name)).collect(),
            config,
            truth: Truth::default(),
            since: s(100),
            ended: s(200),
            records: Vec::new(),
            accounts: Vec::new(),
            rulings: Vec::new(),
            asked: Vec::new(),
            acknowledged: Vec::new(),
            held: BTreeMap::new(),
            unreplicated: BTreeMap::new(),
            shown: Shown::default(),
            entries: Vec::new(),
            reads: Vec::new(),
            histories: BTreeMap::new(),
        }
    }

    #[test]
    fn a_prober_that_waits_for_its_schedule_is_absent() {
        assert_eq!(absent(&run("us-east-1", 130)), None, "one that missed a turn is not");
        assert_eq!(absent(&run("us-east-1", 170)), Some("us-east-1".parse().unwrap()));
        assert_eq!(absent(&run("us-east-1", 900)), Some("us-east-1".parse().unwrap()));
    }

    #[test]
    fn who_cannot_speak_is_not_absent_and_has_a_minute_to_return() {
        let lost = |until| {
            let region = "us-east-1".parse().unwrap();
            let outages = vec![Outage { region, extent: Extent::TABLES, from: s(112), until }];
            Evidence { truth: Truth { outages }, ..run("us-east-1", 195) }
        };
        assert_eq!(absent(&lost(None)), None);
        assert_eq!(absent(&lost(Some(s(125)))), None, "silent for ten seconds beyond its minute");
        assert_eq!(absent(&lost(Some(s(108)))), Some("us-east-1".parse().unwrap()));
    }
}
