//! Each rule on a history that keeps it and on one that breaks it.

use super::*;
use crate::fixture;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn entry(worker: usize, deed: Deed, told: Told, sent: u64, heard: u64) -> Entry {
    let write = format!("{worker} {sent}");
    Entry { worker, id: "run-1".to_owned(), deed, told, version: None, sent: s(sent), heard: s(heard), write }
}

fn lock(worker: usize, token: u64, sent: u64, heard: u64) -> Entry {
    entry(worker, Deed::Lock(s(20)), Told::Done(Some(token)), sent, heard)
}

fn judged(entries: &[Entry]) -> Vec<Misfit> {
    judge_history(entries, &BTreeMap::new())
}

#[test]
fn a_lock_that_changes_hands_after_its_lease_or_its_release_is_fine() {
    let expired = [lock(0, 1, 10, 11), lock(1, 2, 29, 31)];
    let released =
        [lock(0, 1, 10, 11), entry(0, Deed::Release(1), Told::Unknown, 15, 16), lock(1, 2, 15, 17)];
    for entries in [&expired[..], &released] {
        assert_eq!(judged(entries), []);
    }
}

#[test]
fn two_holders_at_once_are_found() {
    let twice = [lock(0, 1, 10, 11), lock(1, 2, 12, 13)];
    let [Misfit::HeldTwice { holder: 0, other: 1, .. }] = &judged(&twice)[..] else {
        panic!("{:?}", judged(&twice))
    };
    let renewed =
        [lock(0, 1, 10, 11), entry(0, Deed::Renew(1, s(20)), Told::Done(None), 25, 26), lock(1, 2, 31, 32)];
    assert!(matches!(judged(&renewed)[..], [Misfit::HeldTwice { .. }]), "{:?}", judged(&renewed));
}

#[test]
fn tokens_that_do_not_rise_are_found() {
    for second in [1, 2] {
        let entries = [lock(0, 2, 10, 11), lock(1, second, 40, 41)];
        assert!(matches!(judged(&entries)[0], Misfit::TokensOutOfOrder { .. }), "{:?}", judged(&entries));
    }
}

#[test]
fn writes_of_who_lost_the_lock_and_of_who_never_had_it_are_found() {
    let moved = |worker, token, sent| {
        entry(worker, Deed::Move(State::InProgress, token), Told::Done(None), sent, sent + 1)
    };
    let taken_over = [lock(0, 1, 10, 11), lock(1, 2, 40, 41)];
    for (late, is_fine) in [(moved(0, Some(1), 40), true), (moved(0, Some(1), 42), false)] {
        let entries: Vec<Entry> = taken_over.iter().cloned().chain([late]).collect();
        assert_eq!(judged(&entries).is_empty(), is_fine, "{:?}", judged(&entries));
    }
    for (bare, is_fine) in [(moved(2, None, 45), false), (moved(2, None, 70), true)] {
        let entries: Vec<Entry> = taken_over.iter().cloned().chain([bare]).collect();
        assert_eq!(judged(&entries).is_empty(), is_fine, "{:?}", judged(&entries));
    }
}

/// Who renews a lock that ran out has it again if nobody took it, and did not have it in between.
#[test]
fn a_lock_that_ran_out_and_was_renewed_was_not_held_in_between() {
    let renewed = |at| entry(0, Deed::Renew(1, s(20)), Told::Done(None), at, at + 1);
    let moved = |sent| entry(2, Deed::Move(State::InProgress, None), Told::Done(None), sent, sent + 1);
    for (renewed_at, moved_at, is_fine) in
        [(50, 40, true), (50, 55, false), (25, 40, false), (25, 46, true), (50, 71, true)]
    {
        let entries = [lock(0, 1, 10, 11), renewed(renewed_at), moved(moved_at)];
        assert_eq!(judged(&entries).is_empty(), is_fine, "{renewed_at} {moved_at}: {:?}", judged(&entries));
    }
}

fn event(version: u64, from: Option<State>, to: State) -> Event {
    fixture::event(version, from, to, &format!("call {version}"))
}

#[test]
fn moves_that_the_state_machine_does_not_have_are_found() {
    let told = |events: Vec<Event>| judge_history(&[], &BTreeMap::from([("run-1".to_owned(), events)]));
    let begun = event(1, None, State::Ready);
    let running = event(2, Some(State::Ready), State::InProgress);
    assert_eq!(told(vec![begun.clone(), running.clone()]), []);
    assert!(matches!(
        told(vec![begun.clone(), event(2, Some(State::Ready), State::Complete)])[..],
        [Misfit::IllegalMove { version: 2, .. }]
    ));
    let leap = event(3, Some(State::Error), State::Failed);
    assert!(matches!(
        told(vec![begun.clone(), running.clone(), leap.clone()])[..],
        [Misfit::IllegalMove { version: 3, .. }]
    ));
    let other = event(2, Some(State::Ready), State::Canceled);
    assert_eq!(
        told(vec![begun, running, other, leap]),
        [],
        "two writes of one version are a conflict, and told"
    );
}
