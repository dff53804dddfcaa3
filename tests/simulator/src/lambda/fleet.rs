//! The sandboxes of one function in one region.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    rc::Rc,
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{End, Fate, Freeze, Kill, Power, run};
use crate::{cloud::Cloud, dice::Dice};

/// A function as its main wires it.
pub trait Function: 'static {
    /// What a sandbox keeps between its invocations.
    type Sandbox: 'static;

    /// What an invocation that ended well gives to who waits for it.
    type Answer: 'static;

    /// A sandbox that has seen nothing.
    fn start(&self) -> Self::Sandbox;

    /// One invocation; the error in words.
    fn invoke<'a>(
        &'a self,
        sandbox: &'a mut Self::Sandbox,
        event: &'a Value,
    ) -> impl Future<Output = Result<Self::Answer, String>> + 'a;
}

/// What the function's settings in the template say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest that an invocation may take.
    pub timeout: Duration,
    /// What an invocation takes, or more: what befalls one does so within this span.
    pub usual: Duration,
    /// Invocations at once.
    pub concurrency: usize,
    /// How often a failed asynchronous invocation is tried again.
    pub retries: u32,
    /// Age at which an event that could not start is dropped.
    pub age_max: Duration,
}

/// How often things go wrong, in percent of the invocations; for those that take longer than a
/// minute, some in percent of their minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hazards {
    /// The sandbox is taken away while it works, in a minute.
    pub kill: f64,
    /// The sandbox stands still for a while, in a minute.
    pub freeze: f64,
    /// The event comes twice.
    pub double: f64,
    /// The sandbox is not used again.
    pub recycle: f64,
}

impl Hazards {
    /// What is always in the air.
    pub const USUAL: Self = Self { kill: 2.0, freeze: 2.0, double: 3.0, recycle: 10.0 };

    /// The same for a function that answers several requests a second: few find a sandbox that is new.
    pub const OF_REQUESTS: Self = Self { kill: 1.0, freeze: 1.0, double: 0.0, recycle: 3.0 };

    /// Nothing goes wrong.
    pub const NONE: Self = Self { kill: 0.0, freeze: 0.0, double: 0.0, recycle: 0.0 };
}

/// A flow is killed after fewer than two to this power polls, if by their number.
const POLLS_BITS_MAX: u64 = 11;

/// One more invocation at work, for as long as it lives.
struct Busy<'a>(&'a Cell<usize>);

impl<'a> Busy<'a> {
    fn raise(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The sandboxes of one function in one region; clones are the same fleet.
pub struct Fleet<F: Function>(Rc<Inner<F>>);

struct Inner<F: Function> {
    name: String,
    function: F,
    limits: Limits,
    hazards: Cell<Hazards>,
    power: Power,
    cloud: Cloud,
    dice: RefCell<Dice>,
    /// Each with the number of the region's losses when it started.
    idle: RefCell<Vec<(u64, F::Sandbox)>>,
    busy: Cell<usize>,
}

impl<F: Function> Clone for Fleet<F> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<F: Function> fmt::Debug for Fleet<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl<F: Function> Fleet<F> {
    /// A fleet without any sandbox yet. `name` tells it apart in the trace.
    pub fn new(name: String, function: F, limits: Limits, cloud: &Cloud, dice: &Dice, power: &Power) -> Self {
        Self(Rc::new(Inner {
            dice: RefCell::new(dice.fork(&name)),
            name,
            function,
            limits,
            hazards: Cell::new(Hazards::USUAL),
            power: power.clone(),
            cloud: cloud.clone(),
            idle: RefCell::default(),
            busy: Cell::new(0),
        }))
    }

    /// From now on these things go wrong so often.
    pub fn endanger(&self, hazards: Hazards) {
        self.0.hazards.set(hazards);
    }

    /// Sends an event that nobody waits for: it starts when there is room, is tried again
    /// when it fails, and now and then comes twice.
    pub fn send(&self, event: Value) {
        let double = {
            let mut dice = self.0.dice.borrow_mut();
            let late = dice.between(Duration::ZERO, Duration::from_secs(20));
            dice.chance(self.0.hazards.get().double).then_some(late)
        };
        if let Some(late) = double {
            let (fleet, event) = (self.clone(), event.clone());
            self.spawn(async move {
                sleep(late).await;
                fleet.deliver(&event).await;
            });
        }
        let fleet = self.clone();
        self.spawn(async move { fleet.deliver(&event).await });
    }

    /// Lets `actor` run by itself, under the fleet's name.
    pub fn spawn(&self, actor: impl Future<Output = ()> + 'static) {
        self.0.cloud.spawn(&*self.0.name, actor);
    }

    /// Carries out an event that somebody waits for: once, now or not at all.
    ///
    /// `None` when as many invocations run as may.
    pub async fn ask(&self, event: &Value) -> Option<End<Result<F::Answer, String>>> {
        if !self.0.power.is_on() {
            return Some(End::PowerLost);
        }
        if self.0.busy.get() >= self.0.limits.concurrency {
            self.note("was too busy");
            return None;
        }
        Some(self.invoke(event).await)
    }

    /// Carries out an event with all its retries.
    pub async fn deliver(&self, event: &Value) {
        for attempt in 0..=self.0.limits.retries {
            if !self.room().await {
                return self.note("dropped an event");
            }
            match self.invoke(event).await {
                End::Returned(Ok(_)) | End::PowerLost => return,
                End::Returned(Err(_)) | End::Killed | End::TimedOut => {}
            }
            if attempt < self.0.limits.retries {
                let wait = Duration::from_secs(5) * 4_u32.pow(attempt);
                let wait = self.0.dice.borrow_mut().between(wait, wait * 3);
                sleep(wait).await;
            }
        }
    }

    /// Waits until one more invocation may run; `false` when the event got too old.
    async fn room(&self) -> bool {
        let came = Instant::now();
        while self.0.power.is_on() && self.0.busy.get() >= self.0.limits.concurrency {
            if came.elapsed() > self.0.limits.age_max {
                return false;
            }
            sleep(Duration::from_secs(1)).await;
        }
        self.0.power.is_on()
    }

    async fn invoke(&self, event: &Value) -> End<Result<F::Answer, String>> {
        let inner = &*self.0;
        let _busy = Busy::raise(&inner.busy);
        let losses = inner.power.losses();
        let mut sandbox = match self.kept(losses) {
            Some(sandbox) => sandbox,
            None => self.start().await,
        };
        let fate = self.fate();
        // Boxed: a flow is a deep future.
        let flow = Box::pin(inner.cloud.guard(&inner.name, inner.function.invoke(&mut sandbox, event)));
        let end = match run(flow, fate, &inner.power).await {
            End::Returned(Some(result)) => End::Returned(result),
            // A panic takes the sandbox with it.
            End::Returned(None) | End::Killed => End::Killed,
            End::TimedOut => End::TimedOut,
            End::PowerLost => End::PowerLost,
        };
        self.note(match &end {
            End::Returned(Ok(_)) => "ended",
            End::Returned(Err(_)) => "failed",
            End::Killed => "was killed",
            End::TimedOut => "timed out",
            End::PowerLost => "lost its region",
        });
        let recycled = inner.dice.borrow_mut().chance(inner.hazards.get().recycle);
        if matches!(end, End::Returned(_)) && !recycled {
            inner.idle.borrow_mut().push((losses, sandbox));
        }
        end
    }

    /// The sandbox that was used last, if it was not lost with its region.
    fn kept(&self, losses: u64) -> Option<F::Sandbox> {
        let mut idle = self.0.idle.borrow_mut();
        idle.retain(|(started, _)| *started == losses);
        idle.pop().map(|(_, sandbox)| sandbox)
    }

    /// A cold start: what a sandbox needs before it can take its first event.
    async fn start(&self) -> F::Sandbox {
        let ms = Duration::from_millis;
        let cold = self.0.dice.borrow_mut().between(ms(15), ms(400));
        sleep(cold).await;
        self.note("started cold");
        self.0.function.start()
    }

    fn fate(&self) -> Fate {
        let Inner { limits, hazards, dice, .. } = &*self.0;
        let (mut dice, hazards) = (dice.borrow_mut(), hazards.get());
        // Half of those that are killed in their first minute are so by the number of their polls.
        let minutes = (limits.usual.as_secs_f64() / 60.0).max(1.0);
        let (killed, frozen, by_polls) = (
            dice.chance(hazards.kill * minutes),
            dice.chance(hazards.freeze * minutes),
            dice.chance(50.0 / minutes),
        );
        let moment = dice.between(Duration::ZERO, limits.usual);
        // Short flows have few polls, long ones thousands: each order of magnitude gets its share.
        let most = 1 << (dice.below(POLLS_BITS_MAX) + 1);
        let polls = u32::try_from(dice.below(most)).unwrap_or(u32::MAX);
        let freeze = Freeze {
            after: dice.between(Duration::ZERO, limits.usual),
            lasts: dice.between(Duration::from_millis(100), Duration::from_secs(12)),
        };
        let kill = if by_polls { Kill::AfterPolls(polls) } else { Kill::After(moment) };
        Fate { kill: killed.then_some(kill), freeze: frozen.then_some(freeze), timeout: limits.timeout }
    }

    fn note(&self, what: &str) {
        self.0.cloud.trace().note(self.0.cloud.now(), format_args!("{} {what}", self.0.name));
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    /// Takes ten seconds, and fails when told to.
    #[derive(Default)]
    struct Worker {
        at_work: Cell<usize>,
        together: Rc<Cell<usize>>,
        calls: Rc<Cell<usize>>,
        sandboxes: Rc<Cell<usize>>,
    }

    impl Function for Worker {
        type Sandbox = ();
        type Answer = ();

        fn start(&self) {
            self.sandboxes.set(self.sandboxes.get() + 1);
        }

        async fn invoke<'a>(&'a self, (): &'a mut (), event: &'a Value) -> Result<(), String> {
            self.calls.set(self.calls.get() + 1);
            self.at_work.set(self.at_work.get() + 1);
            self.together.set(self.together.get().max(self.at_work.get()));
            assert_ne!(event, "panic", "planted");
            sleep(Duration::from_secs(10)).await;
            self.at_work.set(self.at_work.get() - 1);
            if event == "fail" { Err("told to".to_owned()) } else { Ok(()) }
        }
    }

    /// Runs two events `apart` and says: invocations, the most at once, sandboxes.
    async fn two(event: &str, concurrency: usize, apart: Duration) -> (usize, usize, usize) {
        let worker = Worker::default();
        let seen = (Rc::clone(&worker.calls), Rc::clone(&worker.together), Rc::clone(&worker.sandboxes));
        let limits = Limits {
            timeout: Duration::from_secs(65),
            usual: Duration::from_secs(65),
            concurrency,
            retries: 2,
            age_max: Duration::from_secs(60),
        };
        let cloud = Cloud::new(1, &crate::cloud::config(&Value::Null));
        let dice = Dice::new(1);
        LocalSet::new()
            .run_until(async {
                let fleet = Fleet::new("worker".to_owned(), worker, limits, &cloud, &dice, &Power::default());
                fleet.endanger(Hazards::NONE);
                fleet.send(event.into());
                sleep(apart).await;
                fleet.send(event.into());
                sleep(Duration::from_secs(300)).await;
            })
            .await;
        (seen.0.get(), seen.1.get(), seen.2.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_double_delivery_overlaps_in_a_second_sandbox() {
        assert_eq!(two("go", 2, Duration::from_secs(3)).await, (2, 2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sandbox_is_used_again() {
        assert_eq!(two("go", 2, Duration::from_secs(20)).await, (2, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn reserved_concurrency_makes_an_event_wait() {
        assert_eq!(two("go", 1, Duration::from_secs(3)).await, (2, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_event_is_tried_twice_more() {
        assert_eq!(two("fail", 2, Duration::from_secs(200)).await.0, 6);
    }

    const LIMITS: Limits = Limits {
        timeout: Duration::from_secs(65),
        usual: Duration::from_secs(65),
        concurrency: 1,
        retries: 0,
        age_max: Duration::from_secs(60),
    };

    /// A fleet of one, its cloud and its power, handed to `scene`.
    async fn alone(scene: impl AsyncFnOnce(Fleet<Worker>, Cloud, Power)) {
        let cloud = Cloud::new(1, &crate::cloud::config(&Value::Null));
        let (worker, power) = (Worker::default(), Power::default());
        let fleet = Fleet::new("worker".to_owned(), worker, LIMITS, &cloud, &Dice::new(1), &power);
        fleet.endanger(Hazards::NONE);
        LocalSet::new().run_until(scene(fleet, cloud, power)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_kept_by_name_and_makes_room_for_the_next_event() {
        alone(async |fleet, cloud, _| {
            assert_eq!(fleet.ask(&"panic".into()).await, Some(End::Killed));
            let panics = cloud.panics();
            assert_eq!((panics.len(), panics[0].who.as_str()), (1, "worker"));
            assert!(panics[0].words.contains("planted"), "{panics:?}");
            assert_eq!(fleet.ask(&"go".into()).await, Some(End::Returned(Ok(()))));
            assert_eq!(fleet.0.function.sandboxes.get(), 2, "a panic takes the sandbox with it");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn no_sandbox_survives_the_loss_of_its_region() {
        alone(async |fleet, _, power| {
            fleet.ask(&"go".into()).await;
            fleet.ask(&"go".into()).await;
            assert_eq!(fleet.0.function.sandboxes.get(), 1);
            power.turn(false);
            assert_eq!(fleet.ask(&"go".into()).await, Some(End::PowerLost));
            power.turn(true);
            fleet.ask(&"go".into()).await;
            assert_eq!(fleet.0.function.sandboxes.get(), 2);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_turned_away_when_there_is_no_room() {
        alone(async |fleet, _, _| {
            let (go, late) = (Value::from("go"), Value::from("go"));
            let (first, second) = futures::join!(fleet.ask(&go), fleet.ask(&late));
            assert_eq!((first, second), (Some(End::Returned(Ok(()))), None));
        })
        .await;
    }
}
