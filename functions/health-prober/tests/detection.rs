//! How long a hard loss of the primary region goes unnoticed, over many drawn phases.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]
#![allow(clippy::print_stdout, reason = "the distribution is what one runs it for")]

mod world;

use std::time::Duration;

use futures::{
    FutureExt,
    future::{join_all, select},
};
use sealane::store::ControlTable;
use tokio::time::{Instant, sleep, timeout};
use world::{World, name};

/// Drawn losses. Virtual time makes them cheap.
const DRAWS: u64 = 60;

/// Between the loss of the primary region and the first write of a controller that acts
/// on it, with every phase drawn: of the schedules, of the clocks, of the loss.
async fn detected(seed: u64) -> Duration {
    let world = World::new(seed, (500, 1500));
    let observers = world.config.regions.iter().map(|r| r.name);
    let probers: Vec<_> = observers
        .map(|here| {
            let (skew, phase) = (world.draw(0, 250), world.draw(0, 60_000));
            let world = world.clone();
            async move { world.schedule(here, skew, phase).await }
        })
        .collect();
    let lost = async {
        sleep(Duration::from_secs(75) + world.draw(0, 60_000)).await;
        let control = ControlTable::new(vec![world.control.clone()]);
        let before = control.record().await.unwrap().unwrap();
        assert_eq!((before.epoch, before.active), (1, name("us-west-2")), "no false alarm before");
        world.lose(name("us-west-2"), true);
        let since = Instant::now();
        while control.record().await.unwrap().unwrap().phase == before.phase {
            sleep(Duration::from_millis(50)).await;
        }
        since.elapsed()
    };
    let probers = join_all(probers).map(|_| Duration::MAX).boxed();
    select(lost.boxed(), probers).await.factor_first().0
}

#[tokio::test(start_paused = true)]
async fn a_lost_region_is_noticed_within_seconds() {
    let mut all = Vec::new();
    for seed in 0..DRAWS {
        all.push(timeout(Duration::from_secs(400), detected(seed)).await.unwrap());
    }
    all.sort_unstable();
    let at = |percent: usize| all[(all.len() * percent).div_ceil(100) - 1];
    println!(
        "detection of {} losses: p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        all.len(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
    assert!(at(50) <= Duration::from_secs(8), "p50 {:?}", at(50));
    assert!(at(99) <= Duration::from_secs(15), "p99 {:?}", at(99));
}

/// An observer that alone gets no answer from the primary region has it looked at by the
/// others, and that is all that it brings about.
#[tokio::test(start_paused = true)]
async fn a_sick_observer_turns_no_vote_and_at_most_doubles_the_probes() {
    let (sick, west) = (name("us-east-2"), name("us-west-2"));
    let world = World::new(7, (500, 1500));
    let observers = world.config.regions.iter().map(|r| r.name);
    let probers = join_all(observers.map(|here| {
        let world = world.clone();
        async move { world.schedule(here, Duration::ZERO, Duration::from_millis(10)).await }
    }));
    let play = async {
        sleep(Duration::from_secs(120)).await;
        let quiet = world.probes(west);
        sleep(Duration::from_secs(240)).await;
        let well = world.probes(west) - quiet;
        for _ in 0..12 {
            // One tick gets an answer and the next one does not, so that its doubts are always new.
            world.blind(sick, west, true);
            sleep(Duration::from_secs(10)).await;
            world.blind(sick, west, false);
            sleep(Duration::from_secs(10)).await;
        }
        let doubted = world.probes(west) - quiet - well;
        assert!(doubted > well, "its doubts are heeded: {doubted} after {well}");
        // Its own burst asks up to three times; each of the others at most twice.
        assert!(4 * doubted <= 10 * well, "{doubted} after {well}");
        let control = ControlTable::new(vec![world.control.clone()]);
        let record = control.record().await.unwrap().unwrap();
        assert_eq!((record.epoch, record.active), (1, west));
        for row in world.rows(name("us-east-1")).await.iter().filter(|row| row.observer() != sick) {
            assert!(row.missed().next().is_none(), "{} misses something", row.observer());
        }
    };
    select(play.boxed(), probers.boxed()).await;
}

/// What the sandbox before it measured was measured up to that one's last look: a row that says it
/// again under a new number would pass for younger than it is, and a bound of loss for smaller.
#[tokio::test(start_paused = true)]
async fn a_new_sandbox_does_not_pass_off_an_old_measurement_as_new() {
    let (west, east) = (name("us-west-2"), name("us-east-1"));
    let world = World::new(3, (500, 1500));
    let prober = || world.schedule(east, Duration::ZERO, Duration::from_millis(10));
    let own = async || world.rows(east).await.into_iter().find(|row| row.observer() == east).unwrap();
    assert!(timeout(Duration::from_secs(45), prober()).await.is_err(), "it goes on until it is killed");
    let left = own().await;
    assert!(left.lag(west).unwrap().loss_max().is_some(), "the marks of the first sandbox arrived");
    world.lose(west, true);
    let lost = Instant::now();
    sleep(Duration::from_secs(40)).await;
    let watch = async {
        let mut written = 0;
        while written < 3 {
            sleep(Duration::from_millis(20)).await;
            let row = own().await;
            written = row.seq() - left.seq();
            let bound = row.lag(west).and_then(|lag| lag.loss_max()).filter(|_| written > 0);
            assert!(bound.is_none_or(|bound| bound >= lost.elapsed()), "row {written} tells of {bound:?}");
        }
    };
    select(watch.boxed_local(), prober().boxed_local()).await.factor_first();
}
