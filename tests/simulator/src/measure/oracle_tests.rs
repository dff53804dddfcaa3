//! Each oracle on a good run, and on one with a planted violation: an oracle that
//! never fires proves nothing.

use std::collections::BTreeSet;

use sealane::{
    config::Config,
    failover::{Phase, Record, Rule, Saw, Standing, Underway},
    region::Capability,
    time::Timestamp,
};

use super::*;
use crate::measure::{Extent, Outage, Ruled, Seen, Shown, Truth, Written};

const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
    {"name": "us-west-2", "bucket": "west"}, {"name": "us-east-1", "bucket": "east"},
    {"name": "eu-west-1", "bucket": "europe"}, {"name": "us-east-2", "role": "witness"}]}"#;

fn region(text: &str) -> RegionName {
    text.parse().unwrap()
}

fn west() -> RegionName {
    region("us-west-2")
}

fn east() -> RegionName {
    region("us-east-1")
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The record that moves work from west to east and may lose what is younger than `loss_max_ms`.
fn moved(old: &Record, loss_max_ms: Option<u64>) -> Record {
    let reason = Reason::Down { region: west(), capability: Capability::TableWrite };
    let underway = Underway {
        from: west(),
        to: east(),
        reason: reason.clone(),
        by: StartedBy::Automation,
        lag_ms: None,
        loss_max_ms,
        saw: vec![Saw { region: east(), standing: Standing::Up, votes: None, load: None, full: false }],
        steps: Vec::new(),
    };
    Record {
        version: old.version + 1,
        epoch: old.epoch + 1,
        active: east(),
        phase: Phase::Verifying { from: west() },
        reason,
        underway: Some(underway),
        ..old.clone()
    }
}

fn acknowledged(id: &str, region: RegionName, sent: Duration) -> Acknowledged {
    Acknowledged { id: id.to_owned(), region, sent, answered: sent + Duration::from_millis(200) }
}

/// West is lost at 40 s and left for east at 50 s; a write in each region arrived.
fn good() -> Evidence {
    let first = Record::first(west(), Timestamp::default());
    let second = moved(&first, Some(11_000));
    let both = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    Evidence {
        config: Config::read(Some(DOCUMENT), std::iter::empty()).unwrap(),
        truth: Truth {
            outages: vec![Outage { region: west(), extent: Extent::Region, from: s(40), until: None }],
        },
        since: s(40),
        ended: s(90),
        records: vec![Written { at: s(1), record: first }, Written { at: s(50), record: second }],
        accounts: Vec::new(),
        rulings: Vec::new(),
        asked: Vec::new(),
        acknowledged: vec![acknowledged("a", west(), s(30)), acknowledged("b", east(), s(60))],
        held: BTreeMap::from([(west(), both.clone()), (east(), both)]),
        unreplicated: BTreeMap::from([(2, s(10))]),
        shown: Shown { seen: Some(s(47)), detected: Some(s(48)), ..Shown::default() },
        entries: Vec::new(),
        reads: Vec::new(),
        histories: BTreeMap::new(),
        spoke: BTreeMap::new(),
    }
}

fn only(evidence: &Evidence) -> Broken {
    let mut broken = judge(evidence);
    assert_eq!(broken.len(), 1, "{broken:?}");
    broken.remove(0)
}

#[test]
fn a_good_run_breaks_nothing() {
    assert_eq!(judge(&good()), []);
    assert_eq!((false_moves(&good()), bounds_unknown(&good())), (0, 0));
}

#[test]
fn two_actives_in_one_epoch_are_found() {
    let mut run = good();
    run.records[1].record.epoch = 1;
    assert!(judge(&run).contains(&Broken::TwoActives { epoch: 1, one: west(), other: east() }));
}

#[test]
fn a_write_in_a_region_that_is_not_active_is_found() {
    let mut run = good();
    // Within the slack of a cached look, and then after it.
    run.acknowledged[0].sent = s(59);
    run.acknowledged[0].answered = s(59);
    assert_eq!(judge(&run), []);
    run.acknowledged[0].sent = s(61);
    run.acknowledged[0].answered = s(61);
    assert!(matches!(only(&run), Broken::WroteOutsideItsEpoch { .. }));
    run.acknowledged[0] = acknowledged("a", east(), s(20));
    assert!(matches!(only(&run), Broken::WroteOutsideItsEpoch { .. }), "before it became active");
}

#[test]
fn a_skipped_version_or_epoch_is_found() {
    let mut run = good();
    run.records[1].record.version = 3;
    assert!(matches!(only(&run), Broken::OutOfOrder { .. }));
    let mut run = good();
    run.records[1].record.epoch = 3;
    run.unreplicated.clear();
    assert!(matches!(only(&run), Broken::OutOfOrder { .. }));
    let mut run = good();
    run.records[0].record.epoch = 2;
    run.records[1].record.epoch = 3;
    run.unreplicated.clear();
    assert!(matches!(only(&run), Broken::OutOfOrder { .. }));
}

#[test]
fn a_run_without_an_active_region_is_found() {
    let mut run = good();
    run.acknowledged.clear();
    run.records.clear();
    assert!(matches!(only(&run), Broken::NoActive { .. }));
    let mut run = good();
    run.acknowledged.clear();
    for record in run.records.iter_mut().map(|w| &mut w.record) {
        record.active = region("us-east-2");
        record.epoch = 1;
    }
    assert!(judge(&run).iter().all(|b| matches!(b, Broken::NoActive { .. })));
    assert_eq!(judge(&run).len(), 2);
}

#[test]
fn a_move_into_a_region_that_is_long_down_is_found() {
    let mut run = good();
    run.truth.outages.push(Outage { region: east(), extent: Extent::TABLES, from: s(36), until: None });
    assert_eq!(judge(&run), [], "nobody can know yet");
    run.truth.outages[1].from = s(34);
    assert!(matches!(only(&run), Broken::MovedIntoDown { .. }));
    run.truth.outages[1].extent = Extent::OBJECTS;
    assert_eq!(judge(&run), [], "a primary does not need its bucket");
}

#[test]
fn a_move_into_a_region_that_was_not_seen_up_is_found() {
    let mut run = good();
    let underway = run.records[1].record.underway.as_mut().unwrap();
    underway.saw[0].standing = Standing::Unknown { capability: Capability::Api };
    assert!(matches!(only(&run), Broken::MovedUnseen { saw: Some(_), .. }));
    run.records[1].record.underway = None;
    assert!(matches!(only(&run), Broken::MovedUnseen { saw: None, .. }));
}

#[test]
fn a_pin_that_was_overruled_is_found() {
    let pin = |region, rule| Pin {
        region,
        rule,
        owner: "ada".to_owned(),
        reason: "drill".to_owned(),
        expires: Timestamp::from_millis(u64::MAX),
    };
    for (pinned, rule, at) in [(east(), Rule::Forbid, 30), (west(), Rule::Stay, 38)] {
        let mut run = good();
        run.rulings = vec![Ruled { at: s(at), region: pinned, pin: Some(pin(pinned, rule)) }];
        assert!(matches!(only(&run), Broken::PinOverruled { .. }), "{rule:?}");
        run.rulings[0].at = s(45);
        assert_eq!(judge(&run), [], "a turn that began before the pin may still end");
        run.rulings[0].at = s(10);
        run.rulings.push(Ruled { at: s(20), region: pinned, pin: None });
        assert_eq!(judge(&run), [], "it was taken back");
    }
}

#[test]
fn a_lost_write_is_found_unless_the_bound_covers_it() {
    let mut run = good();
    run.held.get_mut(&east()).unwrap().remove("a");
    assert!(matches!(only(&run), Broken::LostWrite { .. }), "20 s before the move, and 11 s were told");
    run.acknowledged[0] = acknowledged("a", west(), s(39));
    assert_eq!(judge(&run), [], "covered by the 11 s");
    run.held.get_mut(&west()).unwrap().remove("a");
    assert!(matches!(only(&run), Broken::LostWrite { .. }), "no replica has it");
    let mut run = good();
    run.held.get_mut(&east()).unwrap().remove("b");
    assert!(matches!(only(&run), Broken::LostWrite { .. }), "east was never left");
}

#[test]
fn a_bound_below_the_truth_is_found() {
    let mut run = good();
    run.unreplicated.insert(2, s(12));
    assert!(only(&run).is_bound());
    run.records[1].record.underway.as_mut().unwrap().loss_max_ms = None;
    assert_eq!(judge(&run), [], "unknown is not below the truth");
    assert_eq!(bounds_unknown(&run), 1, "and is counted");
}

#[test]
fn a_verdict_before_anything_was_wrong_is_found() {
    let mut run = good();
    run.shown.early = Some((s(20), Capability::ObjectRead));
    assert_eq!(only(&run), Broken::FalseVerdict { at: s(20), capability: Capability::ObjectRead });
}

#[test]
fn a_move_off_a_region_that_was_up_is_false() {
    let mut run = good();
    run.truth.outages[0].extent = Extent::OBJECTS;
    assert_eq!(false_moves(&run), 1);
    run.truth.outages.clear();
    assert_eq!(false_moves(&run), 1);
}

/// The same run on strongly consistent worksets, whose account says that nothing is lost.
fn good_and_strong() -> Evidence {
    let mut run = good();
    let document = DOCUMENT.replacen('{', r#"{"worksets": {"consistency": "strong"}, "#, 1);
    run.config = Config::read(Some(&document), std::iter::empty()).unwrap();
    run.records[1].record = moved(&run.records[0].record, Some(0));
    run.unreplicated = BTreeMap::from([(2, Duration::ZERO)]);
    run.reads = vec![Seen { id: "a".to_owned(), wrote: 2, read: Some(2), at: s(61) }];
    run
}

#[test]
fn nothing_excuses_a_write_that_a_strong_table_lost() {
    assert_eq!(judge(&good_and_strong()), []);
    let mut run = good_and_strong();
    run.held.get_mut(&east()).unwrap().remove("a");
    run.acknowledged[0] = acknowledged("a", west(), s(49));
    assert!(matches!(only(&run), Broken::LostWrite { .. }), "the region that was left has it");
}

#[test]
fn a_move_of_strong_worksets_that_rules_no_loss_out_is_found() {
    for told in [None, Some(11_000)] {
        let mut run = good_and_strong();
        run.records[1].record = moved(&run.records[0].record, told);
        let told = told.map(Duration::from_millis);
        assert_eq!(only(&run), Broken::LossNotRuledOut { epoch: 2, told });
    }
}

#[test]
fn a_version_that_was_written_twice_is_found_in_a_strong_table_only() {
    let by = |region| sealane::workset::By {
        actor: "ada".parse().unwrap(),
        region,
        at: Timestamp::default(),
        request: String::new(),
        epoch: None,
    };
    let event = |region| {
        let request = serde_json::json!({"id": "run-1", "bucket": "my-bucket", "prefix": "p"});
        let request = serde_json::from_value(request).unwrap();
        sealane::workset::register(request, "lab".parse().unwrap(), &by(region)).unwrap().1
    };
    let histories = BTreeMap::from([("run-1".to_owned(), vec![event(west()), event(east())])]);
    let mut run = good_and_strong();
    run.histories.clone_from(&histories);
    assert_eq!(only(&run), Broken::Collided { id: "run-1".to_owned(), version: 1 });
    assert_eq!(judge(&Evidence { histories, ..good() }), []);
}

#[test]
fn a_read_of_less_than_was_acknowledged_is_found() {
    for read in [Some(1), None] {
        let mut run = good_and_strong();
        run.reads[0].read = read;
        assert!(matches!(only(&run), Broken::StaleRead(_)), "{read:?}");
    }
}
