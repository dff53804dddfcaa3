use serde_json::Value;

use super::*;
use crate::measure::Broken;

fn run(scenario: Scenario, seed: u64, detection_s: u64) -> Outcome {
    let s = Duration::from_secs;
    Outcome {
        scenario,
        seed,
        seen: Some(s(detection_s - 1)),
        detection: Some(s(detection_s)),
        switch: Some(s(1)),
        moved: Some(s(detection_s + 5)),
        false_moves: 0,
        moves: 1,
        switches: 1,
        bounds_unknown: 0,
        missing_writes: 0,
        broken: Vec::new(),
        unmet: Vec::new(),
        late: Vec::new(),
        simulated: s(90),
        hash: seed,
    }
}

#[test]
fn the_report_has_the_promised_shape() {
    let runs = [run(Scenario::RegionLoss, 1, 6), run(Scenario::RegionLoss, 2, 9)];
    let report =
        serde_json::to_value(Report::of(&runs, &Summary { schedules: 12, ..Summary::default() })).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in ["seeds", "violations", "crash_schedules", "simulated_s", "scenarios"] {
        assert!(report.get(key).is_some(), "{key}");
    }
    assert_eq!(
        (&report["seeds"], &report["crash_schedules"], &report["simulated_s"]),
        (&2.into(), &12.into(), &180.into())
    );
    let figures = &report["scenarios"]["region_loss"];
    for key in ["seen_ms", "detection_ms", "switch_ms", "moved_ms"] {
        assert!(
            ["p50", "p99", "max"].iter().all(|p| keys(&figures[key]).contains(&(*p).to_owned())),
            "{key}"
        );
    }
    assert_eq!(
        (&figures["detection_ms"]["p50"], &figures["detection_ms"]["max"]),
        (&6_000.into(), &9_000.into())
    );
    for key in ["runs", "false_moves", "moves_per_episode_max", "rpo_bound_below_truth"] {
        assert!(figures[key].is_u64(), "{key}");
    }
    assert!(figures["replay"].is_array());
}

#[test]
fn a_missed_bar_makes_a_bad_report() {
    let good = Report::of(&[run(Scenario::RegionLoss, 1, 6)], &Summary::default());
    assert!(good.is_good(), "{:?}", good.bars);
    assert!(!Report::of(&[run(Scenario::RegionLoss, 1, 9)], &Summary::default()).is_good());
    let unmeasured = Outcome { detection: None, ..run(Scenario::RegionLoss, 1, 6) };
    assert!(!Report::of(&[unmeasured], &Summary::default()).is_good());
    let moved = Outcome { false_moves: 1, ..run(Scenario::SickObserver, 1, 6) };
    assert!(!Report::of(&[moved], &Summary::default()).is_good());
    let twice = Outcome { moves: 2, ..run(Scenario::Flapping20s, 1, 6) };
    assert!(!Report::of(&[twice], &Summary::default()).is_good());
    let unmet = Outcome { unmet: vec!["odd".to_owned()], ..run(Scenario::Failback, 1, 6) };
    let unmet = Report::of(&[unmet], &Summary::default());
    assert_eq!((unmet.is_good(), unmet.violations), (false, 1));
    assert_eq!(unmet.scenarios["failback"].replay, ["cargo xtask drill --scenario failback --seed 1: odd"]);
    let late = Outcome { late: vec!["odd".to_owned()], ..run(Scenario::Failback, 1, 6) };
    let late = Report::of(&[late], &Summary::default());
    assert_eq!((late.is_good(), late.violations), (false, 1), "a known cause excuses nothing");
}

#[test]
fn a_broken_promise_is_counted_and_can_be_run_again() {
    let broken = vec![
        Broken::NoActive { at: Duration::from_secs(40) },
        Broken::BoundBelowTruth { epoch: 2, told: Duration::ZERO, truth: Duration::from_secs(1) },
    ];
    let report = Report::of(&[Outcome { broken, ..run(Scenario::Partition, 77, 6) }], &Summary::default());
    let figures = &report.scenarios["partition"];
    assert_eq!((report.violations, figures.rpo_bound_below_truth, report.is_good()), (2, 1, false));
    assert_eq!(
        figures.replay[0],
        "cargo xtask drill --scenario partition --seed 77: no region that holds data was active at 40s"
    );
    assert!(table(&report).contains("missed: all violations is 2 (want at most 0)"));
}

#[test]
fn the_trace_hash_depends_on_the_order_of_the_runs() {
    let (a, b) = (run(Scenario::RegionLoss, 1, 6), run(Scenario::RegionLoss, 2, 6));
    let hash = |runs: &[Outcome]| Report::of(runs, &Summary::default()).trace_hash;
    assert_ne!(hash(&[a.clone(), b.clone()]), hash(&[b, a]));
}

#[test]
fn a_promise_that_a_crash_broke_counts() {
    let crashes = Summary { violations: vec!["steer: two actives".to_owned()], ..Summary::default() };
    let report = Report::of(&[run(Scenario::RegionLoss, 1, 6)], &crashes);
    assert_eq!((report.violations, report.is_good()), (1, false));
    assert!(table(&report).contains("steer: two actives"));
}

#[test]
fn a_false_move_is_a_failure_in_every_scenario_but_flapping() {
    for scenario in Scenario::ALL {
        let moved = Outcome { false_moves: 1, ..run(scenario, 1, 6) };
        let good = Report::of(&[moved], &Summary::default()).is_good();
        assert_eq!(good, scenario == Scenario::Flapping20s, "{scenario}");
    }
}

#[test]
fn too_many_moves_without_a_bound_are_a_failure() {
    let runs = |unknown| -> Vec<Outcome> {
        let of = |seed| Outcome {
            bounds_unknown: usize::from(seed <= unknown),
            ..run(Scenario::LagPaused, seed, 6)
        };
        (1..=100).map(of).collect()
    };
    assert!(Report::of(&runs(50), &Summary::default()).is_good());
    assert!(!Report::of(&runs(51), &Summary::default()).is_good());
}

#[test]
fn a_whole_drill_leaves_out_no_scenario_and_no_crash() {
    let all = Scenario::ALL.map(|scenario| run(scenario, 1, 6));
    let crashes = Summary { schedules: 1, ..Summary::default() };
    assert!(Report::of(&all, &crashes).whole().is_good());
    assert!(!Report::of(&all[1..], &crashes).whole().is_good());
    assert!(!Report::of(&all, &Summary::default()).whole().is_good());
    assert!(!Report::of(&[], &crashes).whole().is_good());
}
