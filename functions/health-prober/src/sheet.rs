//! What a look has asked, what came back, and what that comes to.
//!
//! A probe that failed or is late is asked again beside the first one, a second
//! later and another second later, so that timeouts do not add up. That must not
//! make a slow region a dead one: answers are taken in the order in which they were
//! asked for, and the first good one ends the matter, however late it comes.

use std::collections::BTreeMap;

use sealane::{
    health::Probe,
    region::{Capability, RegionName},
};

use crate::probe::Service;

/// Rounds of one look; a higher threshold is reached over several ticks.
pub(crate) const ROUNDS_MAX: u32 = 5;

/// What one service of one region answered in one round.
type Answer = Vec<(Capability, Probe)>;

/// The answers of one look.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    lines: BTreeMap<(RegionName, Service), Line>,
}

/// One service of one region.
#[derive(Debug)]
struct Line {
    /// What the look wants to know of it, and whether that was held up before.
    wanted: Vec<(Capability, bool)>,
    /// Rounds that it may take.
    rounds_max: u32,
    /// What each round answered; `None` while it is out.
    rounds: Vec<Option<Answer>>,
}

impl Sheet {
    /// Adds a capability to what this look wants to know; `holds_up`: the observer's
    /// vote says that it answers, so that a failure is worth asking again at once.
    pub(crate) fn want(
        &mut self,
        region: RegionName,
        capability: Capability,
        holds_up: bool,
        threshold: u32,
    ) {
        let empty =
            || Line { wanted: Vec::new(), rounds_max: threshold.clamp(1, ROUNDS_MAX), rounds: Vec::new() };
        let line = self.lines.entry((region, Service::of(capability))).or_insert_with(empty);
        line.wanted.push((capability, holds_up));
    }

    /// What to ask now that the time for another round has come.
    pub(crate) fn ask(&mut self) -> Vec<(RegionName, Service, usize)> {
        let open = self.lines.iter_mut().filter(|(_, line)| line.wants_another());
        open.map(|(&(region, service), line)| {
            line.rounds.push(None);
            (region, service, line.rounds.len() - 1)
        })
        .collect()
    }

    /// Enters what a round came to.
    pub(crate) fn enter(&mut self, region: RegionName, service: Service, round: usize, answer: Answer) {
        let line = self.lines.get_mut(&(region, service));
        if let Some(place) = line.and_then(|line| line.rounds.get_mut(round)) {
            *place = Some(answer);
        }
    }

    /// Whether nothing that is still out, or could be asked, would be taken.
    pub(crate) fn is_settled(&self) -> bool {
        self.lines.values().all(|line| line.wanted.iter().all(|(c, up)| line.outcome(*c, *up).is_some()))
    }

    /// Whether every first probe has been answered, well or not.
    pub(crate) fn is_first_round_in(&self) -> bool {
        self.lines.values().all(|line| line.rounds.first().is_some_and(Option::is_some))
    }

    /// What was held up and has not answered well at first asking.
    pub(crate) fn doubted(&self) -> Vec<(RegionName, Capability)> {
        let doubted = |(&(region, _), line): (&(RegionName, Service), &Line)| {
            let doubted = line.wanted.iter().filter(|(c, holds_up)| *holds_up && !line.is_good(0, *c));
            doubted.map(|(c, _)| (region, *c)).collect::<Vec<_>>()
        };
        self.lines.iter().flat_map(doubted).collect()
    }

    /// What it comes to, a region at a time: for each capability the probes that
    /// count, in order. A probe that is still out counts for nothing.
    pub(crate) fn outcomes(&self) -> BTreeMap<RegionName, Answer> {
        let mut outcomes: BTreeMap<RegionName, Answer> = BTreeMap::new();
        for ((region, _), line) in &self.lines {
            let probes = line.wanted.iter().flat_map(|(capability, holds_up)| {
                let counted = line.outcome(*capability, *holds_up).unwrap_or_default();
                counted.into_iter().map(|probe| (*capability, probe))
            });
            outcomes.entry(*region).or_default().extend(probes);
        }
        outcomes
    }
}

impl Line {
    fn probe(&self, round: usize, capability: Capability) -> Option<Probe> {
        let answer = self.rounds.get(round)?.as_ref()?;
        answer.iter().find(|(c, _)| *c == capability).map(|(_, probe)| *probe)
    }

    fn is_good(&self, round: usize, capability: Capability) -> bool {
        matches!(self.probe(round, capability), Some(Probe::Good(_)))
    }

    /// Whether something that is held up failed or is late in the last round. What is
    /// not held up is asked once.
    fn wants_another(&self) -> bool {
        let Some(last) = self.rounds.len().checked_sub(1) else { return true };
        let limit = self.rounds.len() >= self.rounds_max as usize;
        let open =
            |(c, up): &(Capability, bool)| *up && self.outcome(*c, *up).is_none() && !self.is_good(last, *c);
        !limit && self.wanted.iter().any(open)
    }

    /// The probes that count, or `None` while that depends on one that is out or unasked:
    /// the bad ones up to the first good one.
    fn outcome(&self, capability: Capability, holds_up: bool) -> Option<Vec<Probe>> {
        let mut counted = Vec::new();
        let limit = if holds_up { self.rounds_max as usize } else { 1 };
        for round in 0..limit {
            let answered = self.rounds.get(round)?.as_ref()?;
            // A door that is not there asks nothing, and never will.
            let Some((_, probe)) = answered.iter().find(|(c, _)| *c == capability) else { break };
            counted.push(*probe);
            if matches!(probe, Probe::Good(_)) {
                break;
            }
        }
        Some(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use sealane::health::Failure;
    use std::time::Duration;

    const API: Capability = Capability::Api;
    const GOOD: Probe = Probe::Good(Duration::from_millis(30));
    const BAD: Probe = Probe::Bad(Failure::Timeout);

    fn west() -> RegionName {
        "us-west-2".parse().unwrap()
    }

    fn sheet(holds_up: bool, threshold: u32) -> Sheet {
        let mut sheet = Sheet::default();
        sheet.want(west(), API, holds_up, threshold);
        sheet
    }

    fn counted(sheet: &Sheet) -> Vec<Probe> {
        sheet.outcomes()[&west()].iter().map(|(_, probe)| *probe).collect()
    }

    fn rounds(asked: &[(RegionName, Service, usize)]) -> Vec<usize> {
        asked.iter().map(|(.., round)| *round).collect()
    }

    #[test]
    fn a_late_good_answer_is_just_slow() {
        let mut sheet = sheet(true, 3);
        assert_eq!(rounds(&sheet.ask()), [0]);
        assert_eq!(rounds(&sheet.ask()), [1], "late after a second");
        assert_eq!(rounds(&sheet.ask()), [2]);
        sheet.enter(west(), Service::Api, 1, vec![(API, BAD)]);
        sheet.enter(west(), Service::Api, 2, vec![(API, BAD)]);
        assert!(!sheet.is_settled(), "the first probe may yet be answered");
        sheet.enter(west(), Service::Api, 0, vec![(API, Probe::Good(Duration::from_millis(1_900)))]);
        assert!(sheet.is_settled());
        assert_eq!(counted(&sheet), [Probe::Good(Duration::from_millis(1_900))]);
    }

    #[test]
    fn three_timeouts_are_three_bad_probes() {
        let mut sheet = sheet(true, 3);
        let asked: Vec<_> = (0..5).flat_map(|_| sheet.ask()).collect();
        assert_eq!(rounds(&asked), [0, 1, 2], "no more than the threshold");
        for round in 0..3 {
            assert!(!sheet.is_settled());
            sheet.enter(west(), Service::Api, round, vec![(API, BAD)]);
        }
        assert!(sheet.is_settled());
        assert_eq!(counted(&sheet), [BAD; 3]);
    }

    #[test]
    fn what_is_not_held_up_is_asked_once() {
        let mut sheet = sheet(false, 3);
        assert_eq!(rounds(&sheet.ask()), [0]);
        assert!(sheet.ask().is_empty());
        assert_eq!(sheet.doubted(), []);
        sheet.enter(west(), Service::Api, 0, vec![(API, BAD)]);
        assert!(sheet.is_settled());
        assert_eq!(counted(&sheet), [BAD]);
    }

    #[test]
    fn what_answered_in_time_is_not_asked_again_for_its_neighbour() {
        let mut sheet = sheet(true, 3);
        sheet.want(west(), Capability::TableRead, true, 3);
        sheet.want(west(), Capability::TableWrite, true, 3);
        sheet.ask();
        sheet.enter(west(), Service::Api, 0, vec![(API, GOOD)]);
        let again = sheet.ask();
        assert_eq!(again, [(west(), Service::Table, 1)]);
        assert_eq!(sheet.doubted(), [(west(), Capability::TableRead), (west(), Capability::TableWrite)]);
    }

    #[test]
    fn a_service_without_a_door_settles_to_nothing() {
        let mut sheet = sheet(true, 3);
        sheet.ask();
        sheet.enter(west(), Service::Api, 0, vec![]);
        assert!(sheet.is_settled() && counted(&sheet).is_empty());
    }

    proptest! {
        /// In whatever order answers come: only bad ones before the last that counts, the
        /// same ones as if each had been waited for, and never more than the threshold.
        #[test]
        fn answers_count_in_the_order_of_asking(
            threshold in 1..9_u32,
            good in vec(any::<bool>(), 8),
            delays in vec(0..4_usize, 8),
        ) {
            let mut sheet = sheet(true, threshold);
            let mut out: Vec<(usize, usize)> = Vec::new();
            for beat in 0..20 {
                let asked = sheet.ask();
                out.extend(asked.iter().map(|(.., round)| (beat + delays[*round], *round)));
                for (_, round) in out.extract_if(.., |(due, _)| *due <= beat) {
                    let probe = if good[round] { GOOD } else { BAD };
                    sheet.enter(west(), Service::Api, round, vec![(API, probe)]);
                }
            }
            prop_assert!(sheet.is_settled());
            let limit = threshold.min(ROUNDS_MAX) as usize;
            let waited: Vec<Probe> = match good[..limit].iter().position(|g| *g) {
                Some(first) => [vec![BAD; first], vec![GOOD]].concat(),
                None => vec![BAD; limit],
            };
            prop_assert_eq!(counted(&sheet), waited);
        }
    }
}
