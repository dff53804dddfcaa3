//! Each rule on a history that keeps it and on one that breaks it.

use std::time::Duration;

use sealane::workset::State;

use super::*;
use crate::fixture;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn entry(deed: Deed, told: Told, sent: u64) -> Entry {
    let write = format!("call {sent}");
    Entry {
        worker: 1,
        id: "run-1".to_owned(),
        deed,
        told,
        version: None,
        sent: s(sent),
        heard: s(sent + 1),
        write,
    }
}

/// Acknowledged, with the version that the answer showed.
fn done(deed: Deed, sent: u64, version: u64) -> Entry {
    Entry { version: Some(version), ..entry(deed, Told::Done(None), sent) }
}

fn event(version: u64, from: Option<State>, to: State, sent: u64) -> Event {
    fixture::event(version, from, to, &format!("call {sent}"))
}

fn judged(entries: &[Entry], events: &[Event]) -> Vec<Misfit> {
    let histories = BTreeMap::from([("run-1".to_owned(), events.to_vec())]);
    judge_writes(entries, "us-west-2".parse().unwrap(), &histories, &BTreeSet::new())
}

const BEGIN: Deed = Deed::Move(State::InProgress, None);

fn story() -> (Vec<Entry>, Vec<Event>) {
    let entries = vec![done(Deed::Register, 10, 1), done(BEGIN, 20, 2)];
    let events = vec![event(1, None, State::Ready, 10), event(2, Some(State::Ready), State::InProgress, 20)];
    (entries, events)
}

#[test]
fn a_history_that_tells_what_workers_were_told_is_fine() {
    let (entries, events) = story();
    assert_eq!(judged(&entries, &events), []);
    let doubtful = entry(BEGIN, Told::Unknown, 30);
    assert_eq!(judged(&[entries, vec![doubtful]].concat(), &events), [], "a doubtful write may be missing");
}

#[test]
fn an_acknowledged_write_that_is_nowhere_is_found_and_one_that_is_reported_is_not() {
    let (entries, events) = story();
    let [Misfit::MissingWrite { write, .. }] = &judged(&entries, &events[..1])[..] else {
        panic!("{:?}", judged(&entries, &events[..1]))
    };
    assert_eq!(write, "call 20");
    let histories = BTreeMap::from([("run-1".to_owned(), events[..1].to_vec())]);
    let reported = BTreeSet::from(["call 20".to_owned()]);
    assert_eq!(judge_writes(&entries, "us-west-2".parse().unwrap(), &histories, &reported), []);
}

#[test]
fn a_call_that_took_effect_twice_is_found() {
    let (entries, mut events) = story();
    events.push(event(3, Some(State::InProgress), State::InProgress, 20));
    let [Misfit::WrittenTwice { versions, .. }] = &judged(&entries, &events)[..] else {
        panic!("{:?}", judged(&entries, &events))
    };
    assert_eq!(versions, &[2, 3]);
}

#[test]
fn a_refusal_that_wrote_is_found() {
    let (mut entries, events) = story();
    entries[1].told = Told::Refused;
    assert!(matches!(judged(&entries, &events)[..], [Misfit::RefusedAndWritten { version: 2, .. }]));
}

#[test]
fn an_answer_may_show_a_later_version_than_the_one_it_made_and_no_earlier_one() {
    let (mut entries, events) = story();
    entries[0].version = Some(2);
    assert_eq!(judged(&entries, &events), []);
    entries[1].version = Some(1);
    assert!(matches!(judged(&entries, &events)[..], [Misfit::AnswerDiffers { kept: Some(2), .. }]));
}

#[test]
fn a_guarded_write_carries_its_token() {
    let (mut entries, mut events) = story();
    entries[1].deed = Deed::Move(State::InProgress, Some(7));
    assert!(matches!(
        judged(&entries, &events)[..],
        [Misfit::AnswerDiffers { told: Some(7), kept: None, .. }]
    ));
    events[1].fence = Some(7);
    assert_eq!(judged(&entries, &events), []);
}

#[test]
fn a_later_write_has_a_higher_version_unless_two_regions_wrote_one() {
    let (entries, mut events) = story();
    (events[0].version, events[1].version) = (2, 1);
    let entries: Vec<Entry> = entries.into_iter().map(|entry| Entry { version: None, ..entry }).collect();
    assert!(matches!(judged(&entries, &events)[..], [Misfit::VersionsOutOfOrder { .. }]));
    events.push(event(2, Some(State::Ready), State::Canceled, 99));
    assert_eq!(judged(&entries, &events), [], "a conflict is told of, and ends the order");
}

#[test]
fn tokens_that_write_never_become_lower() {
    let (entries, mut events) = story();
    (events[0].fence, events[1].fence) = (Some(3), Some(2));
    assert!(matches!(judged(&entries, &events)[..], [Misfit::FenceWentBack { version: 2, .. }]));
}

#[test]
fn a_lock_that_was_given_back_opens_nothing() {
    let (mut entries, mut events) = story();
    entries[1].deed = Deed::Move(State::InProgress, Some(7));
    events[1].fence = Some(7);
    for (released_at, is_fine) in [(15, false), (19, true), (30, true)] {
        let release = entry(Deed::Release(7), Told::Done(None), released_at);
        let misfits = judged(&[entries.clone(), vec![release]].concat(), &events);
        assert_eq!(misfits.is_empty(), is_fine, "{released_at}: {misfits:?}");
    }
}

#[test]
fn a_read_of_what_nobody_wrote_is_found() {
    let histories = BTreeMap::from([("run-1".to_owned(), story().1)]);
    let seen = |version, state| Seen { id: "run-1".to_owned(), version, state, heard: s(30) };
    assert_eq!(judge_reads(&[seen(1, State::Ready), seen(2, State::InProgress)], &histories), []);
    for phantom in [seen(3, State::InProgress), seen(2, State::Ready)] {
        assert!(matches!(judge_reads(&[phantom], &histories)[..], [Misfit::PhantomRead { .. }]));
    }
}
