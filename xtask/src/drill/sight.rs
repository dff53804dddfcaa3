//! What a client outside sees of the regions: one look, and what several looks come to.

use super::{
    figures::Run,
    scenario::{Act, Expect, Sign},
};
use crate::{
    cloud::region::PRIMARY,
    demo::{
        api::{Api, Reply},
        watch::{Region, Regions},
    },
};
use sealane::{
    failover::{Phase, Record},
    region::Status,
};
use std::collections::BTreeMap;

/// What one region's API says; `None` of what it did not answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// How the regions stand.
    pub regions: Option<Regions>,
    /// The record of the active region.
    pub record: Option<Record>,
    /// The regions that an object would be sent to, best first.
    pub objects: Option<Vec<String>>,
    /// The regions that a read of a table would go to, best first.
    pub tables: Option<Vec<String>>,
}

impl Said {
    /// Asks `region` for everything.
    #[must_use]
    pub fn by(api: &Api, region: &str) -> Self {
        let ask = |path: &str| api.get(region, path).ok().filter(Reply::is_success).map(|reply| reply.body);
        let route = |needs: &str| {
            let body = ask(&format!("/v1/route?needs={needs}"))?;
            serde_json::from_value(body["ranked"].clone()).ok()
        };
        Self {
            regions: ask("/v1/regions").and_then(|body| serde_json::from_value(body).ok()),
            record: ask("/v1/failovers").and_then(|body| serde_json::from_value(body["record"].clone()).ok()),
            objects: route("object_write"),
            tables: route("table_read"),
        }
    }

    fn primary(&self) -> Option<&Region> {
        self.regions.as_ref()?.region(PRIMARY)
    }

    /// Whether the verdict on the primary region reads like this.
    #[must_use]
    pub fn shows(&self, sign: Sign) -> bool {
        let (capability, wanted) = match sign {
            Sign::Down(capability) => (capability, Status::Unhealthy),
            Sign::Slow(capability) => (capability, Status::Degraded),
        };
        let found =
            self.primary().and_then(|p| p.capabilities.iter().find(|one| one.capability == capability));
        found.is_some_and(|one| one.status == wanted)
    }

    /// Whether everything is as on a quiet day: all regions up, and work at rest in the primary one.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let up = self.regions.as_ref().is_some_and(|regions| regions.waiting().is_empty());
        let home = |record: &Record| record.active.as_str() == PRIMARY && record.phase == Phase::Steady;
        up && self.record.as_ref().is_some_and(home)
    }

    /// Whether another region than the primary one is active, and no move is under way.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.active.as_str() != PRIMARY && record.phase == Phase::Steady)
    }

    /// Whether requests that meet this sign are sent elsewhere: not to the primary region if it is down, and
    /// to it last if it is slow.
    fn avoids(&self, sign: Sign) -> bool {
        let (Sign::Down(capability) | Sign::Slow(capability)) = sign;
        let ranked = if capability.starts_with("object") { &self.objects } else { &self.tables };
        ranked.as_ref().is_some_and(|ranked| match sign {
            Sign::Down(_) => !ranked.iter().any(|region| region == PRIMARY),
            Sign::Slow(_) => ranked.len() > 1 && ranked.last().is_some_and(|region| region == PRIMARY),
        })
    }
}

/// One episode as it goes on.
#[derive(Debug, Clone, Default)]
pub struct Episode {
    run: Run,
    epoch_first: Option<u64>,
    /// The active region of each epoch, as any region told it.
    active: BTreeMap<u64, String>,
}

impl Episode {
    /// Takes in one look at all asked regions, `since_ms` after the fault.
    pub fn look(&mut self, act: &Act, said: &[Said], since_ms: u64) {
        let records: Vec<&Record> = said.iter().filter_map(|one| one.record.as_ref()).collect();
        for record in &records {
            let active = self.active.entry(record.epoch).or_insert_with(|| record.active.to_string());
            if *active != record.active.as_str() {
                let what =
                    format!("epoch {} has two active regions, {active} and {}", record.epoch, record.active);
                self.fail(what);
            }
            self.epoch_first.get_or_insert(record.epoch);
        }
        let Some(sign) = act.sign else { return };
        if said.iter().all(|one| one.shows(sign)) {
            self.run.detection_ms.get_or_insert(since_ms);
        }
        let Some(detected) = self.run.detection_ms else { return };
        let switched = records.iter().any(|record| record.active.as_str() != PRIMARY);
        if act.expect == Expect::Moves && switched {
            self.run.switch_ms.get_or_insert(since_ms - detected);
        }
        let avoided = said.iter().all(|one| one.avoids(sign));
        let moved = act.expect != Expect::Moves || said.iter().all(Said::has_moved);
        if avoided && moved {
            self.run.moved_ms.get_or_insert(since_ms);
        }
    }

    /// Whether everything that has to come of the fault has come of it.
    #[must_use]
    pub fn is_done(&self, act: &Act) -> bool {
        match act.expect {
            Expect::Moves | Expect::Routes => self.run.moved_ms.is_some(),
            Expect::Nothing => false,
        }
    }

    /// Times measured by other rules than those of [`look`](Self::look).
    pub fn times(&mut self) -> &mut Run {
        &mut self.run
    }

    /// Notes what did not hold, once.
    pub fn fail(&mut self, what: String) {
        if !self.run.failed.contains(&what) {
            self.run.failed.push(what);
        }
    }

    /// What came of it in the end: `called` moves of the active region were called for.
    #[must_use]
    pub fn ended(mut self, called: u64) -> Run {
        let last = self.active.last_key_value().map(|(epoch, _)| *epoch);
        self.run.moves = last.zip(self.epoch_first).map_or(0, |(last, first)| last - first);
        self.run.false_moves = self.run.moves.saturating_sub(called);
        if self.run.moves != called {
            let what = format!("the active region changed {} times (want {called})", self.run.moves);
            self.fail(what);
        }
        self.run
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::Scenario, *};
    use sealane::time::Timestamp;
    use serde_json::json;

    fn record(epoch: u64, active: &str) -> Record {
        let first = Record::first(active.parse().expect("a name"), Timestamp::default());
        Record { epoch, ..first }
    }

    fn said(status: &str, epoch: u64, active: &str, ranked: &[&str]) -> Said {
        let capability = json!({"capability": "table_write", "status": status});
        let regions = json!({"regions": [{"name": PRIMARY, "capabilities": [capability]}]});
        let ranked: Vec<String> = ranked.iter().map(|region| (*region).to_owned()).collect();
        Said {
            regions: serde_json::from_value(regions).expect("regions"),
            record: Some(record(epoch, active)),
            objects: Some(ranked.clone()),
            tables: Some(ranked),
        }
    }

    #[test]
    fn a_loss_is_timed_from_the_fault_to_the_verdict_the_switch_and_the_last_request() {
        let act = &Scenario::RegionLoss.acts()[0];
        let mut episode = Episode::default();
        let well = said("healthy", 1, PRIMARY, &[PRIMARY, "us-east-1"]);
        let seen = said("unhealthy", 1, PRIMARY, &["us-east-1"]);
        let switched = said("unhealthy", 2, "us-east-1", &["us-east-1"]);
        episode.look(act, &[well.clone(), well.clone()], 100);
        episode.look(act, &[well, seen.clone()], 4_000);
        episode.look(act, &[seen.clone(), seen.clone()], 5_000);
        episode.look(act, &[switched.clone(), seen], 6_000);
        assert!(!episode.is_done(act));
        episode.look(act, &[switched.clone(), switched], 7_000);
        assert!(episode.is_done(act));
        let run = episode.ended(1);
        assert_eq!((run.detection_ms, run.switch_ms, run.moved_ms), (Some(5_000), Some(1_000), Some(7_000)));
        assert_eq!((run.moves, run.false_moves, run.failed), (1, 0, vec![]));
    }

    #[test]
    fn a_move_that_nothing_called_for_is_a_false_one() {
        let act = &Scenario::SickObserver.acts()[0];
        let mut episode = Episode::default();
        episode.look(act, &[said("healthy", 4, PRIMARY, &[PRIMARY])], 100);
        episode.look(act, &[said("healthy", 5, "us-east-1", &[PRIMARY])], 200);
        let run = episode.ended(0);
        assert_eq!((run.moves, run.false_moves, run.failed.len()), (1, 1, 1));
    }

    #[test]
    fn two_active_regions_in_one_epoch_are_told() {
        let act = &Scenario::Partition.acts()[0];
        let mut episode = Episode::default();
        let sides = [said("healthy", 2, PRIMARY, &[]), said("healthy", 2, "us-east-1", &[])];
        episode.look(act, &sides, 100);
        assert!(episode.ended(0).failed[0].contains("two active regions"));
    }

    #[test]
    fn a_region_that_does_not_answer_proves_nothing() {
        let act = &Scenario::RegionLoss.acts()[0];
        let mut episode = Episode::default();
        let seen = said("unhealthy", 2, "us-east-1", &["us-east-1"]);
        episode.look(act, &[seen, Said::default()], 100);
        assert!(!episode.is_done(act));
        assert!(!Said::default().is_calm());
    }
}
