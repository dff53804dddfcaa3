//! Invocations of one prober that follow one another, and stand in for one another.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use std::time::Duration;

use futures::{FutureExt, future::select};
use health_prober::{Shift, State, watch};
use sealane::health::Observation;
use tokio::time::{Instant, sleep, timeout};
use world::{World, name};

const EAST: &str = "us-east-1";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn row(world: &World) -> Option<Observation> {
    world.rows(name(EAST)).await.into_iter().find(|row| row.observer() == name(EAST))
}

/// The longest time for which the row stood still, up to `ends` from now, and how often
/// another invocation took it up.
async fn watched(world: &World, ends: Duration) -> (Duration, u32) {
    let (began, mut held, mut changed) = (Instant::now(), row(world).await, Instant::now());
    let (mut still, mut taken) = (Duration::ZERO, 0);
    while began.elapsed() < ends {
        sleep(Duration::from_millis(100)).await;
        let now = row(world).await;
        if now != held {
            let rows = |row: &Option<Observation>| row.as_ref().map_or(0, Observation::shift_rows);
            taken += u32::from(rows(&now) < rows(&held));
            (held, changed) = (now, Instant::now());
        }
        still = still.max(changed.elapsed());
    }
    (still, taken)
}

#[tokio::test(start_paused = true)]
async fn a_killed_prober_is_missed_for_seconds_and_not_until_the_schedule_comes() {
    // The second one is new, and cannot know how old the row is that it finds.
    for (killed, still_max) in [(s(62), s(25)), (s(66), s(20)), (s(75), s(20)), (s(81), s(20))] {
        let world = World::new(5, (500, 1500));
        let deps = world.prober(name(EAST), Duration::ZERO);
        let (mut first, mut second) = (State::new(name(EAST)), State::new(name(EAST)));
        let one = timeout(killed, watch(&deps, &mut first)).map(drop);
        let two = async {
            sleep(s(60)).await;
            watch(&deps, &mut second).await;
        };
        let play = async {
            sleep(s(20)).await;
            watched(&world, s(98)).await
        };
        let probers = futures::future::join(one, two).map(|_| (Duration::MAX, 0));
        let (still, taken) = select(play.boxed_local(), probers.boxed_local()).await.factor_first().0;
        assert_eq!(taken, 1, "killed after {killed:?}");
        assert!(still <= still_max, "its row stood still for {still:?}, killed after {killed:?}");
    }
}

/// It leaves to the next one when the next one has seen, too, that the worker is alive.
#[tokio::test(start_paused = true)]
async fn who_stands_by_does_not_leave_while_the_row_stands_still() {
    let world = World::new(5, (500, 1500));
    let deps = world.prober(name(EAST), Duration::ZERO);
    let (mut first, mut second, mut third) =
        (State::new(name(EAST)), State::new(name(EAST)), State::new(name(EAST)));
    // The second would leave after 58 s, and the worker dies two seconds before that.
    let one = timeout(s(116), watch(&deps, &mut first)).map(drop);
    let two = async {
        sleep(s(60)).await;
        watch(&deps, &mut second).await;
    };
    let three = async {
        sleep(s(120)).await;
        watch(&deps, &mut third).await;
    };
    let play = async {
        sleep(s(20)).await;
        watched(&world, s(180)).await
    };
    let probers = futures::future::join3(one, two, three).map(|_| (Duration::MAX, 0));
    let (still, _) = select(play.boxed_local(), probers.boxed_local()).await.factor_first().0;
    assert!(still <= s(20), "its row stood still for {still:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_shift_is_relieved_without_a_gap() {
    let world = World::new(5, (500, 1500));
    let shift = Shift { rows: 9, ..Shift::default() };
    let probers =
        world.on_shifts(name(EAST), Duration::ZERO, Duration::ZERO, shift).map(|()| (Duration::MAX, 0));
    let play = async {
        sleep(s(20)).await;
        watched(&world, s(600)).await
    };
    let (still, taken) = select(play.boxed_local(), probers.boxed_local()).await.factor_first().0;
    // A tick each ten seconds, one when somebody begins, and one of who was relieved, which finds it out by that.
    let asked = world.probes(name("us-west-2"));
    assert!(asked <= 62 + 2 * u64::from(taken), "{asked} probes: who was relieved does not go on");
    assert!((5..=9).contains(&taken), "it was relieved {taken} times");
    assert!(still <= s(12), "the row stood still for {still:?}");
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_relieve_it_a_prober_goes_on_to_the_end_of_its_time() {
    let world = World::new(5, (500, 1500));
    let deps = world.prober(name(EAST), Duration::ZERO);
    let mut state = State::new(name(EAST));
    let began = Instant::now();
    watch(&deps, &mut state).await;
    let time = Shift::default().time;
    assert!((time - s(11)..=time).contains(&began.elapsed()), "it ended after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_stands_by_asks_no_region_anything() {
    let world = World::new(5, (500, 1500));
    let deps = world.prober(name(EAST), Duration::ZERO);
    let (mut first, mut second) = (State::new(name(EAST)), State::new(name(EAST)));
    let probes = async |world: &World| world.config.regions.iter().map(|r| world.probes(r.name)).sum::<u64>();
    let play = async {
        sleep(s(60)).await;
        let alone = probes(&world).await;
        assert!(timeout(s(55), watch(&deps, &mut second)).await.is_err(), "it stands by");
        (alone, probes(&world).await - alone)
    };
    let one = watch(&deps, &mut first).map(|_| (0, u64::MAX));
    let (alone, beside) = select(play.boxed_local(), one.boxed_local()).await.factor_first().0;
    assert!(alone > 0 && beside <= alone, "{beside} probes in its minute, and {alone} before");
}
