//! Every schedule of a flow: all places to die, in all combinations, by exhaustion.
//!
//! A run that a crash ends leaves rows behind and nothing else, and the runs after it
//! depend on these rows alone. So what starts from equal rows is run once, and counted as
//! often as it is reached; nothing is left out and nothing is drawn by lot.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
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

/// Time from a crash, or from the end of a run, to the next start.
const RESTART: Duration = Duration::from_secs(1);

/// Runs `scene` in a time of its own, which passes only while everyone sleeps.
pub(super) fn alone<T>(scene: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("{error}")).block_on(scene)
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
    /// Gates that it passed.
    passed: usize,
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
        let mut passed = 0;
        let mut reached = actor.run().await;
        while reached != Reached::End && !dies(passed, &stage) {
            actor.gate.open();
            passed += 1;
            reached = actor.run().await;
        }
        drop(actor);
        advance(RESTART).await;
        Run { left: stage.left(), passed, ended: reached == Reached::End }
    })
}

/// What happens next to two sandboxes at work.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// This one makes its next call and hears the answer.
    Step(usize),
    /// This one dies before its next call, and its trigger starts another.
    DieBefore(usize),
    /// This one dies after its next call, unheard, and its trigger starts another.
    DieAfter(usize),
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
    /// Runs that were made; fewer than schedules, since equal ones are made once.
    pub(super) runs: u64,
    /// Promises that were not kept, each with the schedule's flow.
    pub(super) violations: BTreeSet<String>,
}

impl<'a> Explorer<'a> {
    pub(super) fn new(flow: &'a Flow) -> Self {
        Self { flow, known: HashMap::new(), judged: BTreeSet::new(), runs: 0, violations: BTreeSet::new() }
    }

    /// The number of schedules with at most this many crashes.
    pub(super) fn explore(&mut self, crashes: u32) -> u64 {
        let flow = self.flow;
        if flow.together {
            self.pair(&mut Vec::new(), crashes)
        } else {
            self.single(&flow.start.clone(), 0, crashes)
        }
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
        let whole = self.run(trigger, left, None);
        let mut schedules = self.single(&whole.left, delivered + 1, crashes);
        if crashes > 0 {
            for place in 0..whole.passed {
                let died = self.run(trigger, left, Some(place));
                debug_assert!(!died.ended, "a run repeats itself");
                schedules = schedules.saturating_add(self.single(&died.left, delivered, crashes - 1));
            }
        }
        self.known.insert(key, schedules);
        schedules
    }

    fn run(&mut self, trigger: &Trigger, left: &Durable, place: Option<usize>) -> Run {
        self.runs += 1;
        run(self.flow, trigger, left, |passed, _| place == Some(passed))
    }

    /// Two sandboxes at once, which take turns at every call.
    fn pair(&mut self, path: &mut Vec<Choice>, crashes: u32) -> u64 {
        self.runs += 1;
        let scene = replay(self.flow, path);
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
                path.push(choice);
                schedules = schedules.saturating_add(self.pair(path, crashes));
                path.pop();
            }
        }
        self.known.insert(key, schedules);
        schedules
    }

    /// Checks the promises once for each different end.
    fn judge(&mut self, left: &Durable) {
        if self.judged.insert(left.print(())) {
            let name = self.flow.name;
            let broken = promise::broken(self.flow, left).into_iter();
            self.violations.extend(broken.map(|broken| format!("{name}: {broken}")));
        }
    }
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
