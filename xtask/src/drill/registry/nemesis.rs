//! Whoever breaks things: one region at a time, and functions all the time.

use super::{
    record,
    sandbox::{Sandbox, Signal, sandboxes},
};
use crate::{
    cloud::region::PRIMARY,
    demo::{api::Api, scene::FULL},
    drill::{scenario::directions, stage::Stage},
    gates::fault::{CLIENT, Effect, Fault, Service},
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, time::Duration};

/// How long it waits for an answer to its own questions.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The operator who lets moves go that automation only proposes, and orders some.
const OPERATOR: &str = "drill";

/// The last part of the time, in which nothing new is broken.
const CALM_AT_THE_END: Duration = Duration::from_secs(15);

/// The function that is struck most.
const API: &str = "workset-api";

/// One way to break a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Cut off from everyone.
    Cut,
    /// Connections to it and from it are kept, and nothing comes through.
    Silent,
    /// It and the other regions do not reach each other; clients reach both sides.
    Apart,
    /// Its tables are lost.
    Tables,
    /// Clients do not reach its API.
    Unheard,
    /// It answers late.
    Slow,
    /// Nothing is broken: an operator orders a move there.
    Ordered,
}

impl Trouble {
    const ALL: [Self; 7] =
        [Self::Cut, Self::Silent, Self::Apart, Self::Tables, Self::Unheard, Self::Slow, Self::Ordered];

    const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut off",
            Self::Silent => "silent",
            Self::Apart => "apart from the others",
            Self::Tables => "without tables",
            Self::Unheard => "not reached by clients",
            Self::Slow => "slow",
            Self::Ordered => "made active by an operator",
        }
    }

    fn faults(self, region: &str) -> Vec<Fault> {
        let fault = |service, from: Option<&str>, effect| {
            vec![Fault { region: region.to_owned(), service, from: from.map(str::to_owned), effect }]
        };
        match self {
            Self::Cut => fault(None, None, Effect::Refuse),
            Self::Silent => fault(None, None, Effect::Silence),
            Self::Apart => directions(region, |from, to| from == region || to == region),
            Self::Tables => fault(Some(Service::DynamoDb), None, Effect::Refuse),
            Self::Unheard => fault(Some(Service::Api), Some(CLIENT), Effect::Refuse),
            Self::Slow => fault(None, None, Effect::SlowMs(150)),
            Self::Ordered => Vec::new(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// What regions suffered, and how often.
    pub troubles: BTreeMap<&'static str, u64>,
    /// Functions' processes that were killed, by function.
    pub killed: BTreeMap<String, u64>,
    /// Those that were stopped for a while.
    pub stopped: BTreeMap<String, u64>,
    /// Moves that automation proposed and the operator let go.
    pub approved: u64,
}

/// Whoever breaks things.
#[derive(Debug)]
pub(super) struct Nemesis<'a> {
    stage: &'a Stage,
    api: Api,
    dice: fastrand::Rng,
    /// Processes that were stopped, and when each goes on.
    asleep: Vec<(Duration, Sandbox)>,
    done: Done,
}

impl<'a> Nemesis<'a> {
    /// Nothing is broken so far.
    pub(super) fn new(stage: &'a Stage, seed: u64) -> Self {
        let api = Api::waiting(&stage.cloud.record, ANSWER_WITHIN);
        let dice = fastrand::Rng::with_seed(seed);
        Self { stage, api, dice, asleep: Vec::new(), done: Done::default() }
    }

    /// Breaks one thing after the other until that time, and heals them all.
    pub(super) fn rage(mut self, until: Duration) -> Done {
        let last = until.saturating_sub(CALM_AT_THE_END);
        while self.now() < last {
            let (region, trouble) = self.choose();
            self.begin(region, trouble);
            let lasts = self.between(12_000, 35_000);
            self.harass((self.now() + lasts).min(last));
            self.heal();
            let rests = self.between(8_000, 22_000);
            self.harass((self.now() + rests).min(last));
        }
        self.wake(Duration::MAX);
        self.done
    }

    fn now(&self) -> Duration {
        self.stage.narrator.now()
    }

    fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(self.dice.u64(least_ms..=most_ms))
    }

    /// A region, more often than not the active one, and what happens to it.
    fn choose(&mut self) -> (&'static str, Trouble) {
        let trouble = self.dice.choice(Trouble::ALL).unwrap_or(Trouble::Cut);
        let active = self.active().unwrap_or(PRIMARY);
        let others: Vec<&str> = FULL.into_iter().filter(|region| *region != active).collect();
        let other = self.dice.choice(others).unwrap_or(PRIMARY);
        let strikes_active = trouble != Trouble::Ordered && self.dice.u32(0..10) < 6;
        (if strikes_active { active } else { other }, trouble)
    }

    fn active(&self) -> Option<&'static str> {
        let record = FULL.into_iter().find_map(|region| record(&self.api, region))?;
        FULL.into_iter().find(|region| *region == record.active.as_str())
    }

    fn begin(&mut self, region: &str, trouble: Trouble) {
        self.stage.narrator.say(&format!("{region} is {trouble}"));
        *self.done.troubles.entry(trouble.name()).or_default() += 1;
        for fault in trouble.faults(region) {
            self.steer(self.stage.cloud.gates().add(fault));
        }
        if trouble == Trouble::Ordered {
            self.order("move", region);
        }
    }

    fn heal(&self) {
        self.steer(self.stage.cloud.gates().heal(None));
        self.stage.narrator.say("healed");
    }

    /// Tells when the gates did not do as they were asked.
    fn steer<T>(&self, asked: std::io::Result<T>) {
        if let Err(error) = asked {
            self.stage.narrator.say(&format!("the gates did not answer: {error}"));
        }
    }

    fn order(&self, verb: &str, region: &str) -> bool {
        let words = ["failover", verb, region, "--by", OPERATOR, "--reason", "the drill"];
        self.stage.sealane(&words).inspect_err(|error| self.stage.narrator.say(&error.to_string())).is_ok()
    }

    /// Kills and stops functions until that time, and lets go what automation proposes.
    fn harass(&mut self, until: Duration) {
        while self.now() < until {
            self.strike();
            if self.dice.u32(0..4) == 0 {
                self.approve();
            }
            let pause = self.now() + self.between(500, 2_500);
            while self.now() < pause.min(until) {
                self.stage.narrator.rest(Duration::from_millis(100));
                self.wake(self.now());
            }
        }
    }

    fn strike(&mut self) {
        let all = sandboxes(&self.stage.cloud.folder.scratch());
        let api_only = self.dice.u32(0..10) < 8;
        let struck = all.into_iter().filter(|one| one.function.ends_with(API) == api_only);
        let Some(sandbox) = self.dice.choice(struck.collect::<Vec<_>>()) else { return };
        let function = sandbox.function.clone();
        if self.dice.bool() {
            if sandbox.signal(Signal::Kill) {
                *self.done.killed.entry(function).or_default() += 1;
            }
        } else if sandbox.signal(Signal::Stop) {
            *self.done.stopped.entry(function).or_default() += 1;
            let until = self.now() + self.between(300, 9_000);
            self.asleep.push((until, sandbox));
        }
    }

    /// Lets go on what has been stopped for long enough.
    fn wake(&mut self, now: Duration) {
        let (awake, asleep) =
            std::mem::take(&mut self.asleep).into_iter().partition(|(until, _)| *until <= now);
        self.asleep = asleep;
        let awake: Vec<(Duration, Sandbox)> = awake;
        for (_, sandbox) in awake {
            sandbox.signal(Signal::Continue);
        }
    }

    /// Lets a move go that automation may not make by itself.
    fn approve(&mut self) {
        let record = FULL.into_iter().find_map(|region| record(&self.api, region));
        let Some(proposal) = record.and_then(|record| record.proposal) else { return };
        let waits = proposal.proposed_by.is_none()
            && proposal.approved_by.is_none()
            && proposal.rejected_by.is_none();
        if waits && self.order("approve", proposal.to.as_str()) {
            self.stage.narrator.say(&format!("the operator approves the move to {}", proposal.to));
            self.done.approved += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cloud::region::REGIONS,
        gates::fault::{GateId, condition},
    };

    #[test]
    fn a_region_that_is_apart_is_reached_by_clients_and_by_itself_alone() {
        let faults = Trouble::Apart.faults("us-east-1");
        let is_cut = |from: &str, to: &str| {
            condition(&GateId { from: from.into(), to: to.into(), service: Service::DynamoDb }, &faults)
                .refused
        };
        for other in REGIONS.map(|region| region.name).into_iter().filter(|other| *other != "us-east-1") {
            assert!(is_cut("us-east-1", other) && is_cut(other, "us-east-1"));
            assert!(!is_cut(CLIENT, other));
        }
        assert!(!is_cut(CLIENT, "us-east-1") && !is_cut("us-east-1", "us-east-1"));
    }

    #[test]
    fn every_trouble_but_an_order_breaks_something() {
        for trouble in Trouble::ALL {
            assert_eq!(trouble.faults(PRIMARY).is_empty(), trouble == Trouble::Ordered, "{trouble}");
        }
    }
}
