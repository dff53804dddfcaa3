//! Locks, the writes that they guard, and the moves of states.

use std::{collections::BTreeMap, time::Duration};

use sealane::workset::{Event, State};

use crate::{Deed, Entry, Misfit, Told};

/// A lock, for as long as nobody else can have had it.
#[derive(Debug, Clone, Copy)]
struct Hold<'a> {
    entry: &'a Entry,
    token: u64,
    from: Duration,
    until: Duration,
}

/// What does not fit together in what workers did, and in the histories as they were at the end.
pub fn judge_history(entries: &[Entry], histories: &BTreeMap<String, Vec<Event>>) -> Vec<Misfit> {
    let mut by_id: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.id.is_empty()) {
        by_id.entry(&entry.id).or_default().push(entry);
    }
    let of_locks = by_id.iter().flat_map(|(id, entries)| {
        let holds = holds(entries);
        let broken = [tokens(id, &holds), overlaps(id, &holds), moves(id, entries, &holds)];
        broken.into_iter().flatten().collect::<Vec<_>>()
    });
    of_locks.chain(histories.iter().flat_map(|(id, events)| illegal(id, events))).collect()
}

/// The locks that were taken, each with the times in which it was held for certain.
fn holds<'a>(entries: &[&'a Entry]) -> Vec<Hold<'a>> {
    entries.iter().flat_map(|entry| held(entry, entries)).collect()
}

/// A lock that ran out and was renewed, since nobody had taken it, was not held in between.
fn held<'a>(entry: &'a Entry, entries: &[&Entry]) -> Vec<Hold<'a>> {
    let (Some(token), Deed::Lock(lease)) = (entry.granted(), entry.deed) else { return Vec::new() };
    let renewals = entries.iter().filter_map(|later| match (later.deed, later.told) {
        (Deed::Renew(of, lease), Told::Done(_)) if of == token => Some((later.sent, later.heard, lease)),
        _ => None,
    });
    let mut renewals: Vec<_> = renewals.collect();
    renewals.sort_unstable();
    // The lease ran from some moment after the call was sent.
    let mut holds = vec![Hold { entry, token, from: entry.heard, until: entry.sent + lease }];
    for (sent, heard, lease) in renewals {
        match holds.last_mut().filter(|hold| heard <= hold.until) {
            Some(hold) => hold.until = hold.until.max(sent + lease),
            None => holds.push(Hold { entry, token, from: heard, until: sent + lease }),
        }
    }
    let releases = entries.iter().filter(|later| matches!(later.deed, Deed::Release(of) if of == token));
    let released = releases.map(|later| later.sent).min().unwrap_or(Duration::MAX);
    holds.into_iter().map(|hold| Hold { until: hold.until.min(released), ..hold }).collect()
}

/// Tokens rise with every lock that is taken, and no two locks have the same.
fn tokens(id: &str, holds: &[Hold<'_>]) -> Vec<Misfit> {
    let pairs = holds.iter().flat_map(|one| holds.iter().map(move |other| (one, other)));
    let wrong = pairs.filter(|(one, other)| {
        let after = one.entry.heard < other.entry.sent && one.token >= other.token;
        let same = one.token == other.token && one.entry.write < other.entry.write;
        after || same
    });
    let told = |(one, other): (&Hold<'_>, &Hold<'_>)| Misfit::TokensOutOfOrder {
        id: id.to_owned(),
        first: one.token,
        then: other.token,
        at: other.entry.heard,
    };
    wrong.map(told).collect()
}

/// While a lock is held for certain, nobody else takes it.
fn overlaps(id: &str, holds: &[Hold<'_>]) -> Vec<Misfit> {
    let pairs = holds.iter().flat_map(|one| holds.iter().map(move |other| (one, other)));
    let within = |one: &Hold<'_>, other: &Entry| one.from < other.sent && other.heard < one.until;
    let twice = pairs.filter(|(one, other)| one.entry.write != other.entry.write && within(one, other.entry));
    let told = |(one, other): (&Hold<'_>, &Hold<'_>)| Misfit::HeldTwice {
        id: id.to_owned(),
        holder: one.entry.worker,
        other: other.entry.worker,
        at: other.entry.heard,
    };
    twice.map(told).collect()
}

/// No write is let in that shows an older token than one that was given out before it was sent, and
/// none without a token while another holds the lock for certain.
fn moves(id: &str, entries: &[&Entry], holds: &[Hold<'_>]) -> Vec<Misfit> {
    let mut broken = Vec::new();
    for entry in entries.iter().filter(|entry| matches!(entry.told, Told::Done(_))) {
        let Some(shown) = entry.deed.guard() else { continue };
        let barred = |hold: &&Hold<'_>| match shown {
            Some(token) => hold.token > token && hold.from < entry.sent,
            None => hold.from < entry.sent && entry.heard < hold.until,
        };
        broken.extend(holds.iter().find(barred).map(|hold| Misfit::WroteWithoutItsLock {
            id: id.to_owned(),
            worker: entry.worker,
            write: entry.write.clone(),
            holder: hold.entry.worker,
            at: entry.heard,
        }));
    }
    broken
}

/// States follow each other along legal moves, but where two regions wrote one version.
fn illegal(id: &str, events: &[Event]) -> Vec<Misfit> {
    let mut by_version: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in events {
        by_version.entry(event.version).or_default().push(event);
    }
    let is_legal = |event: &Event| match event.from {
        None => event.version == 1 && event.to == State::Ready,
        Some(from) => from == event.to || from.may_become(event.to).is_ok(),
    };
    let bad = |event: &Event| Misfit::IllegalMove { id: id.to_owned(), version: event.version, to: event.to };
    let mut broken: Vec<Misfit> = events.iter().filter(|event| !is_legal(event)).map(bad).collect();
    for (version, written) in &by_version {
        let ([one], Some([next])) = (&written[..], by_version.get(&(version + 1)).map(Vec::as_slice)) else {
            continue;
        };
        if next.from != Some(one.to) {
            broken.push(bad(next));
        }
    }
    broken
}

#[cfg(test)]
#[path = "locks_tests.rs"]
mod tests;
