use super::*;
use proptest::{collection::vec, prelude::*};

const TICK: Duration = Duration::from_secs(10);

fn check() -> HealthCheck {
    HealthCheck::default()
}

fn good(ms: u64) -> Probe {
    Probe::Good(Duration::from_millis(ms))
}

const BAD: Probe = Probe::Bad(Failure::Timeout);

/// The track after these probes, one a tick, and the time of the last of them.
fn fold(track: Track, probes: &[Probe]) -> Track {
    probes.iter().fold(track, |track, probe| {
        let now = track.probed_at().after(TICK);
        track.observe(*probe, &check(), &Policy::default(), now)
    })
}

fn up() -> Track {
    fold(Track::default(), &[good(80), good(80)])
}

fn down() -> Track {
    fold(up(), &[BAD, BAD, BAD])
}

/// Any failure.
fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Timeout),
        Just(Failure::Refused),
        Just(Failure::Throttled),
        Just(Failure::WrongValue),
        any::<u16>().prop_map(Failure::Status),
        Just(Failure::Other),
    ]
}

/// Any outcome: good ones from a microsecond to two seconds.
fn probe() -> impl Strategy<Value = Probe> {
    prop_oneof![
        (1..2_000_000_u64).prop_map(|us| Probe::Good(Duration::from_micros(us))),
        failure().prop_map(Probe::Bad),
    ]
}

#[test]
fn it_falls_at_the_third_failure_and_rises_at_the_second_success() {
    let votes = |track: Track, probes: &[Probe]| -> Vec<Vote> {
        (1..=probes.len()).map(|n| fold(track, &probes[..n]).vote()).collect()
    };
    assert_eq!(votes(Track::default(), &[good(80), good(80)]), [Vote::Unknown, Vote::Up]);
    assert_eq!(votes(up(), &[BAD, BAD, BAD]), [Vote::Up, Vote::Up, Vote::Down]);
    assert_eq!(votes(down(), &[good(80), good(80)]), [Vote::Down, Vote::Up]);
    assert_eq!(votes(Track::default(), &[BAD, BAD, BAD]), [Vote::Unknown, Vote::Unknown, Vote::Down]);
}

#[test]
fn only_a_failure_of_what_is_up_is_confirmed_at_once() {
    assert!(!up().is_missed());
    assert!(fold(up(), &[BAD]).is_missed());
    assert!(fold(up(), &[BAD, BAD]).is_missed());
    assert!(!fold(up(), &[BAD, good(80)]).is_missed());
    assert!(down().is_missed() && !down().holds_up());
    assert!(!fold(Track::default(), &[BAD]).is_missed());
}

#[test]
fn one_slow_answer_counts_at_once_and_is_forgotten_slowly() {
    let slow = fold(up(), &[good(2_000)]);
    assert_eq!(slow.vote(), Vote::Slow);
    assert_eq!(slow.latency(), Some(Duration::from_secs(2)));
    let later = fold(slow, &[good(80)]);
    assert!(later.latency() > Some(Duration::from_millis(1_500)), "{later:?}");
    assert_eq!(fold(slow, &[good(80); 12]).vote(), Vote::Up);
}

#[test]
fn errors_below_the_threshold_are_slow_once_there_is_volume() {
    // Every third probe fails: never three in a row, far over 10% all the same.
    let flaky: Vec<_> = (0..30).map(|n| if n % 3 == 0 { BAD } else { good(80) }).collect();
    assert_eq!(fold(up(), &flaky[..6]).vote(), Vote::Up, "too few probes for a rate");
    assert_eq!(fold(up(), &flaky).vote(), Vote::Slow);
    assert_eq!(fold(fold(up(), &flaky), &vec![good(80); 32]).vote(), Vote::Up);
}

#[test]
fn what_has_risen_is_not_slow_for_the_failures_before_its_fall() {
    let long_dead = fold(down(), &vec![BAD; 40]);
    assert_eq!(fold(long_dead, &[good(80); 12]).vote(), Vote::Up);
}

#[test]
fn a_million_good_probes_do_not_delay_the_fall() {
    let old = fold(up(), &vec![good(80); 10_000]);
    assert_eq!(fold(old, &[BAD, BAD, BAD]).vote(), Vote::Down);
}

proptest! {
    /// Whatever comes, a vote turns down only after three failures in a row, and up
    /// only after two successes.
    #[test]
    fn flapping_below_the_thresholds_never_turns_a_vote(start_up: bool, probes in vec(probe(), 0..60)) {
        let (mut track, mut run) = (if start_up { up() } else { down() }, 0_u32);
        let mut last = None;
        for probe in probes {
            let failed = matches!(probe, Probe::Bad(_));
            run = if last == Some(failed) { run + 1 } else { 1 };
            last = Some(failed);
            let next = fold(track, &[probe]);
            let turned = (track.vote() == Vote::Down) != (next.vote() == Vote::Down);
            prop_assert!(!turned || run >= if failed { 3 } else { 2 }, "{:?} after {run}", next.vote());
            track = next;
        }
    }

    /// The latency of a failure is none: failures leave the smoothed latency alone.
    #[test]
    fn failures_are_never_fast(before in vec(probe(), 0..30), failures in vec(failure(), 1..30)) {
        let track = fold(Track::default(), &before);
        let after = fold(track, &failures.into_iter().map(Probe::Bad).collect::<Vec<_>>());
        prop_assert_eq!(after.latency(), track.latency());
    }

    /// The smoothed latency is never below the last sample, nor above the worst one.
    #[test]
    fn latency_rises_at_once_and_stays_between(samples in vec((1..10_000_u64, 0..120_000_u64), 1..40)) {
        let (mut track, mut now, mut worst) = (Track::default(), Timestamp::from_millis(0), 0);
        for (ms, wait_ms) in samples {
            now = now.after(Duration::from_millis(wait_ms));
            track = track.observe(good(ms), &check(), &Policy::default(), now);
            worst = worst.max(ms);
            let held = track.latency().unwrap();
            prop_assert!(held >= Duration::from_millis(ms) && held <= Duration::from_millis(worst));
        }
    }

    /// Without two good probes in a row there is no vote up, whatever else there is.
    #[test]
    fn no_news_is_not_good_news(probes in vec(probe(), 0..20)) {
        let track = fold(Track::default(), &probes);
        let pair = probes.windows(2).any(|p| p.iter().all(|p| matches!(p, Probe::Good(_))));
        prop_assert!(pair || !matches!(track.vote(), Vote::Up | Vote::Slow));
    }

    /// A clock that jumps, back or ahead, turns no vote and breaks nothing.
    #[test]
    fn jumping_clocks_turn_no_vote(times: [u64; 12]) {
        let track = times.into_iter().fold(up(), |t, ms| {
            t.observe(good(80), &check(), &Policy::default(), Timestamp::from_millis(ms))
        });
        prop_assert_eq!(track.vote(), Vote::Up);
    }

    /// What is stored reads back the same.
    #[test]
    fn rows_round_trip(probes in vec(probe(), 0..50)) {
        let track = fold(Track::default(), &probes);
        let row = serde_json::to_string(&track).unwrap();
        prop_assert_eq!(serde_json::from_str::<Track>(&row).unwrap(), track, "{}", row);
    }

    /// Any row of the right shape reads, and can be folded on.
    #[test]
    fn odd_rows_are_harmless(run: i64, latency: Option<u32>, window: (u32, u8), at: u64, next in probe()) {
        let track = Track::from((Vote::Up, run, latency, window, None, Timestamp::from_millis(at)));
        let after = track.observe(next, &check(), &Policy::default(), Timestamp::from_millis(at));
        prop_assert!(after.error_percent().is_none_or(|p| p <= 100));
    }
}
