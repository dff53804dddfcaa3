//! Passive signals: what a process learns of the regions from its own requests.
//!
//! Probes say how a region stands for everyone, seconds later. A process whose
//! requests go unanswered knows at once, and for itself only: it keeps away from
//! that region for a while, and asks the others first. No verdict changes by it,
//! nothing that decides on moves can see it, and the region stays the last
//! choice rather than none.
//!
//! Outlier detection as Envoy has it (`envoy.config.cluster.v3.OutlierDetection`):
//! `consecutive_5xx` 5, `base_ejection_time` 30 s times the ejections in a row,
//! `max_ejection_time` 300 s. Where it judges the failure percentage (85% of 50
//! requests in 10 s) this is keener, since a function's sandbox sees few requests.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{
    region::{Capability, RegionName},
    time::{Timestamp, millis},
};

/// When a process keeps away from a region, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassivePolicy {
    /// Requests in a row without an answer that eject. At least 1.
    pub in_a_row: u32,
    /// Share of requests without an answer that ejects. 0.5 is half.
    pub silent_ratio: f64,
    /// Requests in a window below which the share says nothing. At least 1.
    pub volume_min: u32,
    /// Length of the window that the share is taken over.
    pub window: Duration,
    /// Time of the first ejection; the second in a row lasts twice as long, and so on.
    pub base: Duration,
    /// Time that no ejection exceeds.
    pub base_max: Duration,
}

impl Default for PassivePolicy {
    fn default() -> Self {
        Self {
            in_a_row: 5,
            silent_ratio: 0.5,
            volume_min: 20,
            window: Duration::from_secs(30),
            base: Duration::from_secs(30),
            base_max: Duration::from_secs(300),
        }
    }
}

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The region answered, if only to refuse: a conflict, a missing row and an
    /// invalid request are answers.
    Given,
    /// Nothing came in time, or a server error.
    Silence,
}

/// Why a region is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Why {
    /// So many requests in a row were not answered.
    InARow {
        /// The requests.
        silent: u32,
    },
    /// So many of the requests in one window were not answered.
    Ratio {
        /// Those not answered.
        silent: u32,
        /// All of them.
        requests: u32,
    },
}

/// That this process keeps away from a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ejection {
    /// Why.
    pub why: Why,
    /// Seconds until it is asked as before, rounded up.
    pub left_s: u64,
}

/// The regions that this process keeps away from at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ejections(BTreeMap<(RegionName, Capability), Ejection>);

/// What a process remembers of its own requests. Bounded by the regions asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passive(BTreeMap<(Capability, RegionName), Met>);

/// What is remembered of one capability of one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Met {
    in_a_row: u32,
    window_from: Timestamp,
    requests: u32,
    silent: u32,
    /// The ejections in a row.
    times: u32,
    ejected: Option<(Why, Timestamp)>,
}

impl Passive {
    /// This memory after one more request, in a process that routes to `regions` regions.
    ///
    /// Never more than half of them are ejected at once: when most do not answer,
    /// the fault is likely here.
    #[must_use]
    pub fn after(
        mut self,
        (region, capability): (RegionName, Capability),
        answer: Answer,
        regions: usize,
        policy: &PassivePolicy,
        now: Timestamp,
    ) -> Self {
        let ours = |((of, name), met): (&(Capability, RegionName), &Met)| {
            *of == capability && *name != region && met.is_ejected(now)
        };
        let others = self.0.iter().filter(|met| ours(*met)).count();
        let room = (others + 1) * 2 <= regions;
        let met = self.0.entry((capability, region)).or_default();
        *met = match answer {
            Answer::Given => met.given(policy, now),
            Answer::Silence => met.silence(room, policy, now),
        };
        self
    }

    /// The regions to keep away from at `now`.
    pub fn ejections(&self, now: Timestamp) -> Ejections {
        let ejected = self.0.iter().filter_map(|((capability, region), met)| {
            let (why, until) = met.ejected.filter(|_| met.is_ejected(now))?;
            let left_s = millis(until.since(now)).div_ceil(1000);
            Some(((*region, *capability), Ejection { why, left_s }))
        });
        Ejections(ejected.collect())
    }
}

impl Ejections {
    /// Why and for how long this process keeps away, if it does.
    pub fn of(&self, region: RegionName, capability: Capability) -> Option<Ejection> {
        self.0.get(&(region, capability)).copied()
    }

    /// All of them, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (RegionName, Capability, Ejection)> + '_ {
        self.0.iter().map(|((region, capability), ejection)| (*region, *capability, *ejection))
    }
}

impl Met {
    fn is_ejected(&self, now: Timestamp) -> bool {
        self.ejected.is_some_and(|(_, until)| now < until)
    }

    /// After an answer. It ends an ejection, and the row of ejections once the region
    /// was back for as long as a first one lasts.
    fn given(self, policy: &PassivePolicy, now: Timestamp) -> Self {
        let met = self.counted(Answer::Given, policy, now);
        match met.ejected {
            Some((why, until)) if now < until => Self { ejected: Some((why, now)), ..met },
            Some((_, until)) if now.since(until) >= policy.base => Self { ejected: None, times: 0, ..met },
            Some(_) | None => met,
        }
    }

    /// After no answer.
    fn silence(self, room: bool, policy: &PassivePolicy, now: Timestamp) -> Self {
        let met = self.counted(Answer::Silence, policy, now);
        let why = if met.in_a_row >= policy.in_a_row {
            Some(Why::InARow { silent: met.in_a_row })
        } else if met.requests >= policy.volume_min
            && f64::from(met.silent) > policy.silent_ratio * f64::from(met.requests)
        {
            Some(Why::Ratio { silent: met.silent, requests: met.requests })
        } else {
            None
        };
        // A request that went there as the last resort does not lengthen what is under way.
        let Some(why) = why.filter(|_| room && !met.is_ejected(now)) else { return met };
        let times = met.times.saturating_add(1);
        let until = now.after(policy.base.saturating_mul(times).min(policy.base_max));
        Self { times, ejected: Some((why, until)), window_from: now, ..Self::default() }
    }

    fn counted(self, answer: Answer, policy: &PassivePolicy, now: Timestamp) -> Self {
        let fresh = now.since(self.window_from) < policy.window;
        let (requests, silent) = if fresh { (self.requests, self.silent) } else { (0, 0) };
        let failed = u32::from(answer == Answer::Silence);
        Self {
            in_a_row: if failed == 0 { 0 } else { self.in_a_row.saturating_add(1) },
            window_from: if fresh { self.window_from } else { now },
            requests: requests.saturating_add(1),
            silent: silent.saturating_add(failed),
            ..self
        }
    }
}

impl fmt::Display for Ejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::InARow { silent } => write!(f, "ejected here: {silent} requests in a row unanswered")?,
            Why::Ratio { silent, requests } => {
                write!(f, "ejected here: {silent} of {requests} requests unanswered")?;
            }
        }
        write!(f, "; again in {} s", self.left_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const NEEDS: Capability = Capability::TableRead;

    fn name(i: usize) -> RegionName {
        format!("xx-region-{i}").parse().unwrap()
    }

    fn at(s: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + s * 1000)
    }

    fn after(passive: Passive, region: usize, answer: Answer, s: u64) -> Passive {
        passive.after((name(region), NEEDS), answer, 4, &PassivePolicy::default(), at(s))
    }

    /// `count` requests in second `s` that were not answered.
    fn silent(passive: Passive, region: usize, count: usize, s: u64) -> Passive {
        (0..count).fold(passive, |passive, _| after(passive, region, Answer::Silence, s))
    }

    fn left(passive: &Passive, region: usize, s: u64) -> Option<u64> {
        passive.ejections(at(s)).of(name(region), NEEDS).map(|ejection| ejection.left_s)
    }

    proptest! {
        /// Whatever happens, at most half of the regions are ejected, none for longer than the
        /// longest ejection, and all are back when that is over.
        #[test]
        fn half_the_regions_stay_and_all_come_back(
            met in vec((0..6_usize, any::<bool>(), 0..40_u64), 0..300), regions in 0..7_usize,
        ) {
            let (policy, mut passive, mut now) = (PassivePolicy::default(), Passive::default(), 0);
            for (region, given, pause) in met {
                now += pause;
                let answer = if given { Answer::Given } else { Answer::Silence };
                passive = passive.after((name(region), NEEDS), answer, regions, &policy, at(now));
                let ejected = passive.ejections(at(now));
                prop_assert!(ejected.iter().count() * 2 <= regions);
                prop_assert!(ejected.iter().all(|(_, _, ejection)| (1..=300).contains(&ejection.left_s)));
            }
            prop_assert_eq!(passive.ejections(at(now + 300)), Ejections::default());
        }

        /// Answers, whatever they say, never eject.
        #[test]
        fn answers_never_eject(count in 0..200_usize) {
            let passive = (0..count).fold(Passive::default(), |passive, _| after(passive, 0, Answer::Given, 0));
            prop_assert_eq!(passive.ejections(at(0)), Ejections::default());
        }
    }

    #[test]
    fn five_silences_in_a_row_eject_for_thirty_seconds() {
        let passive = silent(Passive::default(), 0, 4, 0);
        assert_eq!(left(&passive, 0, 0), None);
        let passive = silent(passive, 0, 1, 0);
        assert_eq!(
            (left(&passive, 0, 0), left(&passive, 0, 29), left(&passive, 0, 30)),
            (Some(30), Some(1), None)
        );
        let text = passive.ejections(at(6)).of(name(0), NEEDS).unwrap().to_string();
        assert_eq!(text, "ejected here: 5 requests in a row unanswered; again in 24 s");
    }

    #[test]
    fn an_answer_breaks_the_row() {
        let passive = after(silent(Passive::default(), 0, 4, 0), 0, Answer::Given, 0);
        assert_eq!(left(&silent(passive, 0, 4, 1), 0, 1), None);
    }

    #[test]
    fn one_capability_does_not_eject_another() {
        let passive = silent(Passive::default(), 0, 9, 0);
        assert_eq!(passive.ejections(at(0)).of(name(0), Capability::ObjectRead), None);
    }

    #[test]
    fn ejections_in_a_row_grow_up_to_the_longest() {
        let (mut passive, mut now, mut lasted) = (Passive::default(), 0, Vec::new());
        for _ in 0..12 {
            passive = silent(passive, 0, 5, now);
            let length = left(&passive, 0, now).unwrap();
            lasted.push(length);
            now += length;
        }
        assert_eq!(lasted, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    }

    #[test]
    fn a_region_that_is_back_for_a_while_begins_anew() {
        let passive = silent(Passive::default(), 0, 5, 0);
        let soon = after(passive.clone(), 0, Answer::Given, 59);
        assert_eq!(left(&silent(soon, 0, 5, 59), 0, 59), Some(60));
        let later = after(passive, 0, Answer::Given, 60);
        assert_eq!(left(&silent(later, 0, 5, 60), 0, 60), Some(30));
    }

    #[test]
    fn an_answer_ends_the_ejection() {
        let passive = after(silent(Passive::default(), 0, 5, 0), 0, Answer::Given, 3);
        assert_eq!(left(&passive, 0, 3), None);
    }

    #[test]
    fn half_of_many_requests_eject_and_half_of_few_do_not() {
        let both = |passive, s| after(after(passive, 0, Answer::Silence, s), 0, Answer::Given, s);
        let busy = (0..10).fold(Passive::default(), |passive, _| both(passive, 0));
        assert_eq!(left(&busy, 0, 0), None, "half is not more than half");
        assert!(left(&silent(busy, 0, 1, 0), 0, 0).is_some());
        let slow = (0..40).fold(Passive::default(), |passive, i| both(passive, i * 4));
        assert_eq!(left(&silent(slow, 0, 1, 160), 0, 160), None, "a window holds too few");
    }
}
