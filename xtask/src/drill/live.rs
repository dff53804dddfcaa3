//! The live drill: the built functions on the local cloud, seen by a client outside.
//!
//! Times are of this machine, with its load, and of one run each; the simulator has the distributions.
//! What counts here is that real programs, behind real sockets, do what the simulated ones do.

use super::{
    figures::{Figures, Report, Run},
    registry::Plan,
    scenario::{Act, Expect, Scenario},
    sight::{Episode, Said},
    stage::{DONE_WITHIN, Stage},
};
use crate::{
    cloud::{
        self, Up,
        configuration::Access,
        error::CloudError,
        folder::{Folder, write_whole},
        functions::{self, Binaries, CLI},
        region::PRIMARY,
    },
    demo::narrator::{Narrator, seconds},
};
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// How long one watches where nothing is to happen: longer than any move takes to begin.
const QUIET_FOR: Duration = Duration::from_secs(75);

/// How long one goes on watching after a move: a second one would be a false one.
const AFTERWARDS: Duration = Duration::from_secs(20);

/// How long work may take to return: recovery, hold-down and the steps.
const HOME_WITHIN: Duration = Duration::from_secs(600);

/// Old alarms that each topic is told of.
const STORM: u32 = 20;

/// Whether one region says so.
type Sees = fn(&Said) -> bool;

/// What is to be drilled on the local cloud.
#[derive(Debug, Clone)]
pub struct Live {
    /// The scenarios, in order.
    pub scenarios: Vec<Scenario>,
    /// How long `registry` goes on.
    pub minutes: u64,
    /// Where to write the figures.
    pub report: Option<PathBuf>,
    /// The functions, and the command line program beside them.
    pub binaries: Binaries,
}

impl Live {
    /// Runs the scenarios. A cloud that is up is used and left up; else one is brought up, and taken down.
    ///
    /// # Errors
    /// When the cloud cannot be brought up or a scenario does not end as it should.
    pub fn run(&self, folder: &Folder, say: &dyn Fn(&str)) -> Result<(), CloudError> {
        let narrator = Narrator::begin();
        let (binaries, sealane) = self.programs(folder, narrator)?;
        let up = cloud::up(folder, &binaries, Access::Open, &|step| narrator.say(step))?;
        let was_up = matches!(up, Up::Already(_));
        let stage = Stage::on(up.cloud(), sealane, narrator);
        let mut report = Report { live: true, ..Report::default() };
        let played = self.play(&stage, &mut report);
        let healed = stage.heal();
        if !was_up {
            cloud::down(folder)?;
        }
        say(&report.table());
        if let Some(path) = &self.report {
            write_whole(path, &format!("{:#}\n", json!(report)))?;
        }
        played.and(healed)?;
        let failed = report.failed();
        if failed.is_empty() {
            return Ok(());
        }
        Err(CloudError::failed(failed.join("; "), "the functions' logs tell more".to_owned()))
    }

    /// The functions and the command line program, built if they have to be.
    fn programs(&self, folder: &Folder, narrator: Narrator) -> Result<(Binaries, PathBuf), CloudError> {
        match &self.binaries {
            Binaries::Built { profile } => {
                narrator.say(&format!("building the functions and `sealane` (profile `{profile}`)"));
                let programs = functions::built(folder, profile)?;
                let sealane = functions::program(&programs, CLI.1)?;
                Ok((Binaries::Found(programs), sealane))
            }
            Binaries::From(place) => Ok((self.binaries.clone(), place.join(CLI.1))),
            Binaries::Found(programs) => Ok((self.binaries.clone(), functions::program(programs, CLI.1)?)),
        }
    }

    /// The plan of `registry`. Its notes lie beside the report, or with the cloud's files.
    fn plan(&self, stage: &Stage) -> Plan {
        let beside = self.report.as_ref().map(|report| report.with_extension("history.jsonl"));
        let notes = beside.unwrap_or_else(|| stage.cloud.folder.local().join("registry.history.jsonl"));
        Plan { minutes: self.minutes, seed: uuid::Uuid::new_v4().as_u64_pair().0, notes }
    }

    fn play(&self, stage: &Stage, report: &mut Report) -> Result<(), CloudError> {
        for scenario in &self.scenarios {
            stage.narrator.chapter(scenario.name());
            if *scenario == Scenario::Registry {
                report.registry = Some(stage.registry(&self.plan(stage))?);
                continue;
            }
            let mut runs = Vec::new();
            for act in scenario.acts() {
                stage.restore()?;
                stage.narrator.say("all regions are up, and work is at rest in the primary one");
                let run = stage.episode(*scenario, &act)?;
                stage.narrator.say(&told(&run));
                runs.push(run);
            }
            report.scenarios.insert(scenario.name(), Figures::of(&runs));
        }
        stage.restore()
    }
}

impl Stage {
    fn episode(&self, scenario: Scenario, act: &Act) -> Result<Run, CloudError> {
        match scenario {
            Scenario::StaleAlarmStorm => {
                let mut episode = Episode::default();
                let began = self.narrator.now_ms();
                self.narrator.say(&format!("old alarms in every region: {}", self.storm(STORM)?));
                self.watch(act, &mut episode, began, QUIET_FOR, |_, _| false);
                Ok(episode.ended(0))
            }
            Scenario::OperatorPin => self.pinned(act),
            Scenario::Failback => self.homecoming(act),
            Scenario::RegionLoss
            | Scenario::ServiceLoss
            | Scenario::SlowRegion
            | Scenario::SickObserver
            | Scenario::Partition
            | Scenario::DnsEmpty
            | Scenario::Registry => self.outage(act),
        }
    }

    /// Breaks it, and watches what comes of it and whether more does.
    fn outage(&self, act: &Act) -> Result<Run, CloudError> {
        let mut episode = Episode::default();
        let began = self.broken(act)?;
        let (within, called) = match act.expect {
            Expect::Moves => (DONE_WITHIN, 1),
            Expect::Routes => (DONE_WITHIN, 0),
            Expect::Nothing => (QUIET_FOR, 0),
        };
        let done = self.watch(act, &mut episode, began, within, |episode, _| episode.is_done(act));
        match act.expect {
            Expect::Nothing => {}
            Expect::Moves | Expect::Routes if done => {
                self.watch(act, &mut episode, began, AFTERWARDS, |_, _| false);
            }
            Expect::Moves | Expect::Routes => {
                episode.fail(format!("after {} s requests still go to {PRIMARY}", within.as_secs()));
            }
        }
        Ok(episode.ended(called))
    }

    /// A loss under a pin: nothing moves until the operator lets it.
    fn pinned(&self, act: &Act) -> Result<Run, CloudError> {
        self.pin()?;
        let mut episode = Episode::default();
        let began = self.broken(act)?;
        if self.watch(act, &mut episode, began, QUIET_FOR, |_, said| said.iter().any(Said::has_moved)) {
            episode.fail("work moved out of a region that an operator pinned it to".to_owned());
        }
        self.unpin()?;
        self.narrator.say("the pin is taken away");
        let unpinned = self.narrator.now_ms();
        if !self.watch(act, &mut episode, began, DONE_WITHIN, |_, said| said.iter().all(Said::has_moved)) {
            episode.fail("work did not move when the pin was gone".to_owned());
        }
        // What the operator waits for: from the release on.
        let took = self.narrator.now_ms() - unpinned;
        (episode.times().switch_ms, episode.times().moved_ms) = (Some(took), Some(took));
        Ok(episode.ended(1))
    }

    /// A loss, and then the way home: its times are from the healing on.
    fn homecoming(&self, act: &Act) -> Result<Run, CloudError> {
        let mut lost = Episode::default();
        let began = self.broken(act)?;
        if !self.watch(act, &mut lost, began, DONE_WITHIN, |_, said| said.iter().all(Said::has_moved)) {
            lost.fail("work did not move away, so it could not return".to_owned());
            return Ok(lost.ended(1));
        }
        self.heal()?;
        self.narrator.say("healed");
        let (mut episode, healed) = (Episode::default(), self.narrator.now_ms());
        let quiet = Act { sign: None, ..act.clone() };
        let up: Sees = |one| one.regions.as_ref().is_some_and(|regions| regions.waiting().is_empty());
        let active: Sees = |one| one.record.as_ref().is_some_and(|r| r.active.as_str() == PRIMARY);
        let steps = [
            ("the region was not judged up", up),
            ("work did not return", active),
            ("the return did not end", Said::is_calm),
        ];
        let mut at = Vec::new();
        for (otherwise, step) in steps {
            if !self.watch(&quiet, &mut episode, healed, HOME_WITHIN, |_, said| said.iter().all(step)) {
                episode.fail(otherwise.to_owned());
                return Ok(episode.ended(1));
            }
            at.push(self.narrator.now_ms() - healed);
        }
        let times = episode.times();
        (times.detection_ms, times.switch_ms, times.moved_ms) =
            (Some(at[0]), Some(at[1] - at[0]), Some(at[2]));
        Ok(episode.ended(1))
    }

    /// Breaks it, and says when.
    fn broken(&self, act: &Act) -> Result<u64, CloudError> {
        let began = self.narrator.now_ms();
        self.break_it(act)?;
        let words: Vec<String> = act.faults.iter().map(ToString::to_string).collect();
        self.narrator.say(&words.join("\n"));
        Ok(began)
    }
}

/// One run in words.
fn told(run: &Run) -> String {
    let time = |name: &str, ms: Option<u64>| ms.map(|ms| format!("{name} {}", seconds(ms)));
    let times = [
        time("detected after", run.detection_ms),
        time("switched", run.switch_ms),
        time("elsewhere after", run.moved_ms),
    ];
    let mut words: Vec<String> = times.into_iter().flatten().collect();
    words.push(format!("moves: {}, false ones: {}", run.moves, run.false_moves));
    words.extend(run.failed.iter().map(|what| format!("FAILED: {what}")));
    words.join(", ")
}
