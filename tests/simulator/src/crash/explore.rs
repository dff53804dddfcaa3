//! Every schedule of a flow: all places to die, in all combinations, by exhaustion.
//!
//! A run that a crash ends leaves rows behind and nothing else, and the runs after it
//! depend on these rows alone. So what starts from equal rows is run once, and counted as
//! often as it is reached; nothing is left out and nothing is drawn by lot.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{runtime, time::advance};

use super::{
    flows::Flow,
    gate::{Gate, Reached, Side},
    promise,
    stage::{Durable, Stage},
    trigger::Trigger,
};
use crate::cloud::words;

/// Time from a crash, or from the end of a run, to the next start.
const RESTART: Duration = Duration::from_secs(1);

/// Runs `scene` in a time of its own, which passes only while everyone sleeps.
pub(super) fn alone<T>(scene: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("{error}")).block_on(scene)
}

/// What `scene` came to, or the words of its panic.
fn caught<T>(scene: impl FnOnce() -> T) -> Result<T, String> {
    // What a panic leaves half done belongs to this run alone and is dropped with it.
    let done = catch_unwind(AssertUnwindSafe(scene));
    done.map_err(|payload| format!("it panicked: {}", words(&*payload)))
}

/// A sandbox at work.
struct Actor {
    gate: Arc<Gate>,
    flow: Pin<Box<dyn Future<Output = ()>>>,
}

impl Actor {
    fn start(flow: &Flow, trigger: &Trigger, stage: &Stage, number: usize) -> Self {
        let gate = Arc::new(Gate::new(stage.clock(number)));
        let sandbox = stage.sandbox(&flow.config, &gate, flow.mistake);
        Self { gate, flow: Box::pin(trigger.clone().fire(sandbox)) }
    }

    async fn run(&mut self) -> Reached {
        self.gate.run(&mut self.flow).await
    }

    /// Goes on to before its next call, or to its end.
    async fn step(&mut self) -> Reached {
        loop {
            self.gate.open();
            match self.run().await {
                Reached::Gate(Side::After) => {}
                reached @ (Reached::Gate(Side::Before) | Reached::End) => return reached,
            }
        }
    }
}

/// What one run came to.
struct Run {
    left: Durable,
    /// The gates that it passed.
    passed: Vec<Side>,
    ended: bool,
}

/// One run of a flow, dropped at the first gate where `dies` says so.
pub(super) fn until(
    flow: &Flow,
    trigger: &Trigger,
    left: &Durable,
    dies: impl FnMut(usize, &Stage) -> bool,
) -> Durable {
    run(flow, trigger, left, dies).left
}

fn run(flow: &Flow, trigger: &Trigger, left: &Durable, mut dies: impl FnMut(usize, &Stage) -> bool) -> Run {
    alone(async {
        let stage = Stage::new(left).await;
        let mut actor = Actor::start(flow, trigger, &stage, 0);
        let mut passed = Vec::new();
        let mut reached = actor.run().await;
        while let Reached::Gate(side) = reached
            && !dies(passed.len(), &stage)
        {
            actor.gate.open();
            passed.push(side);
            reached = actor.run().await;
        }
        drop(actor);
        advance(RESTART).await;
        Run { left: stage.left(), passed, ended: reached == Reached::End }
    })
}

/// What happens next: one choice after another is a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The only sandbox runs to its end, and the next trigger is delivered.
    End,
    /// The only sandbox dies at the gate of this number, on this side of a call.
    Die(usize, Side),
    /// This one makes its next call and hears the answer.
    Step(usize),
    /// This one dies before its next call, and its trigger starts another.
    DieBefore(usize),
    /// This one dies after its next call, unheard, and its trigger starts another.
    DieAfter(usize),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => write!(f, "end"),
            Self::Die(gate, Side::Before) => write!(f, "before:{gate}"),
            Self::Die(gate, Side::After) => write!(f, "after:{gate}"),
            Self::Step(who) => write!(f, "step/{who}"),
            Self::DieBefore(who) => write!(f, "before/{who}"),
            Self::DieAfter(who) => write!(f, "after/{who}"),
        }
    }
}

impl Choice {
    /// The choice that is written like this; `None`: none is.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text == "end" {
            return Some(Self::End);
        }
        if let Some((side, gate)) = text.split_once(':') {
            let gate = gate.parse().ok()?;
            return match side {
                "before" => Some(Self::Die(gate, Side::Before)),
                "after" => Some(Self::Die(gate, Side::After)),
                _ => None,
            };
        }
        let (what, who) = text.split_once('/')?;
        let who = who.parse().ok().filter(|who| *who < 2)?;
        match what {
            "step" => Some(Self::Step(who)),
            "before" => Some(Self::DieBefore(who)),
            "after" => Some(Self::DieAfter(who)),
            _ => None,
        }
    }
}

/// Where two sandboxes are after some choices.
struct Scene {
    left: Durable,
    ended: [bool; 2],
    heard: [u64; 2],
}

/// All schedules of one flow.
pub(super) struct Explorer<'a> {
    flow: &'a Flow,
    known: HashMap<u128, u64>,
    judged: BTreeSet<u128>,
    path: Vec<Choice>,
    /// Runs that were made; fewer than schedules, since equal ones are made once.
    pub(super) runs: u64,
    /// Promises that were not kept, each with the first schedule that showed it.
    pub(super) violations: BTreeMap<String, String>,
}

impl<'a> Explorer<'a> {
    pub(super) fn new(flow: &'a Flow) -> Self {
        Self {
            flow,
            known: HashMap::new(),
            judged: BTreeSet::new(),
            path: Vec::new(),
            runs: 0,
            violations: BTreeMap::new(),
        }
    }

    /// The number of schedules with at most this many crashes.
    pub(super) fn explore(&mut self, crashes: u32) -> u64 {
        let flow = self.flow;
        if flow.together { self.pair(crashes) } else { self.single(&flow.start.clone(), 0, crashes) }
    }

    /// One sandbox at a time: each trigger is delivered until a run of it ends.
    fn single(&mut self, left: &Durable, delivered: usize, crashes: u32) -> u64 {
        let Some(trigger) = self.flow.triggers.get(delivered) else {
            self.judge(left);
            return 1;
        };
        let key = left.print((delivered, crashes));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        self.path.push(Choice::End);
        let Some(whole) = self.run(trigger, left, None) else {
            self.path.pop();
            return 1;
        };
        let mut schedules = self.single(&whole.left, delivered + 1, crashes);
        self.path.pop();
        if crashes > 0 {
            for (place, side) in whole.passed.into_iter().enumerate() {
                self.path.push(Choice::Die(place, side));
                let died = self.run(trigger, left, Some(place));
                debug_assert!(died.as_ref().is_none_or(|died| !died.ended), "a run repeats itself");
                let further = died.map_or(1, |died| self.single(&died.left, delivered, crashes - 1));
                schedules = schedules.saturating_add(further);
                self.path.pop();
            }
        }
        self.known.insert(key, schedules);
        schedules
    }

    /// One delivery; `None` when it panicked, which is a promise that was not kept.
    fn run(&mut self, trigger: &Trigger, left: &Durable, place: Option<usize>) -> Option<Run> {
        self.runs += 1;
        let made = caught(|| run(self.flow, trigger, left, |passed, _| place == Some(passed)));
        made.map_err(|words| self.blame(words)).ok()
    }

    /// Two sandboxes at once, which take turns at every call.
    fn pair(&mut self, crashes: u32) -> u64 {
        self.runs += 1;
        let scene = match caught(|| replay(self.flow, &self.path)) {
            Ok(scene) => scene,
            Err(words) => {
                self.blame(words);
                return 1;
            }
        };
        if scene.ended == [true; 2] {
            self.judge(&scene.left);
            return 1;
        }
        let key = scene.left.print((crashes, scene.ended, scene.heard));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let mut schedules = 0_u64;
        for who in (0..2).filter(|who| !scene.ended[*who]) {
            let deaths = [Choice::DieBefore(who), Choice::DieAfter(who)];
            let deaths = deaths.into_iter().filter(|_| crashes > 0).map(|choice| (choice, crashes - 1));
            for (choice, crashes) in std::iter::once((Choice::Step(who), crashes)).chain(deaths) {
                self.path.push(choice);
                schedules = schedules.saturating_add(self.pair(crashes));
                self.path.pop();
            }
        }
        self.known.insert(key, schedules);
        schedules
    }

    /// Checks the promises once for each different end.
    fn judge(&mut self, left: &Durable) {
        if self.judged.insert(left.print(())) {
            match caught(|| promise::broken(self.flow, left)) {
                Ok(broken) => broken.into_iter().for_each(|broken| self.blame(broken)),
                Err(words) => self.blame(words),
            }
        }
    }

    /// Notes what was broken by the schedule that is gone through.
    fn blame(&mut self, broken: String) {
        let path = &self.path;
        self.violations.entry(broken).or_insert_with(|| written(path));
    }
}

/// A schedule as it is written.
fn written(path: &[Choice]) -> String {
    path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// What one schedule of `flow` breaks; `None` when it is a schedule of another flow.
pub(super) fn again(flow: &Flow, path: &[Choice]) -> Option<Vec<String>> {
    let ended = if flow.together {
        let pair = |c: &Choice| matches!(c, Choice::Step(_) | Choice::DieBefore(_) | Choice::DieAfter(_));
        if !path.iter().all(pair) {
            return None;
        }
        caught(|| replay(flow, path).left)
    } else {
        let mut left = flow.start.clone();
        let mut delivered = 0;
        for choice in path {
            let trigger = flow.triggers.get(delivered)?;
            let place = match choice {
                Choice::End => None,
                Choice::Die(place, _) => Some(*place),
                Choice::Step(_) | Choice::DieBefore(_) | Choice::DieAfter(_) => return None,
            };
            match caught(|| run(flow, trigger, &left, |passed, _| place == Some(passed))) {
                Ok(run) => left = run.left,
                Err(words) => return Some(vec![words]),
            }
            delivered += usize::from(place.is_none());
        }
        Ok(left)
    };
    let broken = ended.and_then(|left| caught(|| promise::broken(flow, &left)));
    Some(broken.unwrap_or_else(|words| vec![words]))
}

/// Two sandboxes after these choices, from the start.
fn replay(flow: &Flow, path: &[Choice]) -> Scene {
    alone(async {
        let stage = Stage::new(&flow.start).await;
        let start = |who: usize| Actor::start(flow, &flow.triggers[who], &stage, who);
        let mut actors = [start(0), start(1)];
        let mut ended = [false; 2];
        for (actor, ended) in actors.iter_mut().zip(&mut ended) {
            *ended = actor.run().await == Reached::End;
        }
        for choice in path {
            match *choice {
                // Schedules of one sandbox at a time only.
                Choice::End | Choice::Die(..) => {}
                Choice::Step(who) => ended[who] = actors[who].step().await == Reached::End,
                Choice::DieBefore(who) | Choice::DieAfter(who) => {
                    if matches!(choice, Choice::DieAfter(_)) {
                        actors[who].gate.open();
                        actors[who].run().await;
                    }
                    actors[who] = start(who);
                    advance(RESTART).await;
                    ended[who] = actors[who].run().await == Reached::End;
                }
            }
        }
        let heard = [actors[0].gate.heard(), actors[1].gate.heard()];
        Scene { left: stage.left(), ended, heard }
    })
}
