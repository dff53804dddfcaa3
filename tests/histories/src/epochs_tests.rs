//! Each rule on records that keep it and on some that break it.

use sealane::{
    failover::{Reason, StartedBy},
    time::Timestamp,
    workset::State,
};

use super::*;
use crate::{Deed, Told, fixture};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

/// An answer of one second.
fn look(sent: u64, version: u64, epoch: u64, active: &str) -> Look {
    Look { sent: s(sent), heard: s(sent + 1), version, epoch, active: region(active) }
}

fn moved() -> Vec<Look> {
    vec![look(0, 1, 1, "us-west-2"), look(10, 2, 1, "us-west-2"), look(20, 3, 2, "us-east-1")]
}

fn judged(looks: &[Look]) -> Vec<Misfit> {
    judge_epochs(looks, &[], &[], &BTreeMap::new(), s(10))
}

#[test]
fn a_record_that_goes_on_is_fine_whoever_hears_of_it_late() {
    let late = Look { heard: s(30), ..look(9, 1, 1, "us-west-2") };
    assert_eq!(judged(&[moved(), vec![late]].concat()), []);
}

#[test]
fn a_record_that_went_back_is_found() {
    let back = look(30, 2, 1, "us-west-2");
    assert!(matches!(judged(&[moved(), vec![back]].concat())[..], [Misfit::RecordsDisagree { .. }]));
}

#[test]
fn two_active_regions_in_one_epoch_are_found() {
    for wrong in [look(30, 4, 2, "eu-west-1"), look(30, 3, 2, "eu-west-1"), look(30, 4, 1, "us-east-1")] {
        let misfits = judged(&[moved(), vec![wrong]].concat());
        assert!(matches!(misfits[..], [Misfit::RecordsDisagree { .. }]), "{wrong:?}: {misfits:?}");
    }
    let unmoved = look(30, 4, 3, "us-east-1");
    assert_eq!(judged(&[moved(), vec![unmoved]].concat()).len(), 1, "an epoch begins with another region");
    let unseen = look(30, 9, 4, "us-east-1");
    assert_eq!(judged(&[moved(), vec![unseen]].concat()), [], "there and back, unseen");
}

fn account(to: &str) -> Moved {
    Moved {
        epoch: 2,
        from: region("us-west-2"),
        to: region(to),
        reason: Reason::Began,
        started_by: StartedBy::Automation,
        lag_ms: None,
        loss_max_ms: None,
        saw: Vec::new(),
        steps: Vec::new(),
        verified: true,
        ended: Timestamp::default(),
        chain: None,
    }
}

#[test]
fn an_account_that_tells_of_another_region_is_found() {
    let told = |to| judge_epochs(&moved(), &[account(to)], &[], &BTreeMap::new(), s(10));
    assert_eq!(told("us-east-1"), []);
    assert!(matches!(told("eu-west-1")[..], [Misfit::AccountDiffers { epoch: 2, .. }]));
}

fn written(by: &str, epoch: u64) -> BTreeMap<String, Vec<Event>> {
    let event = fixture::event(1, None, State::Ready, "call");
    let event = Event { region: region(by), epoch: Some(epoch), ..event };
    BTreeMap::from([("run-1".to_owned(), vec![event])])
}

#[test]
fn a_region_that_took_a_write_in_the_epoch_of_another_is_found() {
    let told = |by, epoch| judge_epochs(&moved(), &[], &[], &written(by, epoch), s(10));
    assert_eq!(told("us-west-2", 1), []);
    assert_eq!(told("us-east-1", 2), []);
    assert!(matches!(told("us-west-2", 2)[..], [Misfit::WroteOutsideItsEpoch { epoch: 2, .. }]));
}

#[test]
fn a_write_that_was_sent_long_after_its_epoch_is_found() {
    let sent_at = |sent| Entry {
        worker: 0,
        id: "run-1".to_owned(),
        deed: Deed::Register,
        told: Told::Done(None),
        version: Some(1),
        sent: s(sent),
        heard: s(sent + 1),
        write: "call".to_owned(),
    };
    let told = |sent| judge_epochs(&moved(), &[], &[sent_at(sent)], &written("us-west-2", 1), s(10));
    assert_eq!(told(31), []);
    assert!(matches!(told(32)[..], [Misfit::WroteAfterItsEpoch { epoch: 1, .. }]));
}
