//! What workers did with worksets through the public API, and whether it fits together.
//!
//! An entry is an interval: its effect, if it had one, lies somewhere between the moment it
//! was sent and the moment its answer was heard. A rule is broken only where no choice of
//! moments within the intervals keeps it.

use std::{collections::BTreeMap, time::Duration};

use sealane::workset::{Event, State};

use super::Broken;

/// What a worker asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To have a workset registered.
    Register,
    /// The next workset with its lock, or the lock of a named one, for this long.
    Lock(Duration),
    /// To hold the lock of this token for this much longer.
    Renew(u64, Duration),
    /// To be rid of the lock of this token.
    Release(u64),
    /// To move a workset, by the lock of this token or by none.
    Move(State, Option<u64>),
}

/// What a worker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// That it is done; of a lock, with its token.
    Done(Option<u64>),
    /// That it is refused, and nothing was done.
    Refused,
    /// Nothing that settles it.
    Unknown,
}

/// One call, with all its repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who called.
    pub worker: usize,
    /// The workset; empty where a claim brought none.
    pub id: String,
    /// What was asked for.
    pub deed: Deed,
    /// What was told.
    pub told: Told,
    /// When it was first sent.
    pub sent: Duration,
    /// When the last answer was heard, or no longer waited for.
    pub heard: Duration,
    /// The name that the write of the call carries in the history.
    pub write: String,
}

impl Entry {
    /// Whether a write was acknowledged that the history must hold.
    pub fn is_written(&self) -> bool {
        matches!((self.deed, self.told), (Deed::Register | Deed::Move(..), Told::Done(_)))
    }

    /// The token of the lock that it took.
    fn granted(&self) -> Option<u64> {
        match (self.deed, self.told) {
            (Deed::Lock(_), Told::Done(token)) => token,
            (Deed::Lock(_) | Deed::Register | Deed::Renew(..) | Deed::Release(_) | Deed::Move(..), _) => None,
        }
    }
}

/// A lock, for as long as nobody else can have had it.
#[derive(Debug, Clone, Copy)]
struct Hold<'a> {
    entry: &'a Entry,
    token: u64,
    from: Duration,
    until: Duration,
}

/// What does not fit together in what workers did, and in the histories as they were at the end.
pub fn judge_history(entries: &[Entry], histories: &BTreeMap<String, Vec<Event>>) -> Vec<Broken> {
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
fn tokens(id: &str, holds: &[Hold<'_>]) -> Vec<Broken> {
    let pairs = holds.iter().flat_map(|one| holds.iter().map(move |other| (one, other)));
    let wrong = pairs.filter(|(one, other)| {
        let after = one.entry.heard < other.entry.sent && one.token >= other.token;
        let same = one.token == other.token && one.entry.write < other.entry.write;
        after || same
    });
    let told = |(one, other): (&Hold<'_>, &Hold<'_>)| Broken::TokensOutOfOrder {
        id: id.to_owned(),
        first: one.token,
        then: other.token,
        at: other.entry.heard,
    };
    wrong.map(told).collect()
}

/// While a lock is held for certain, nobody else takes it.
fn overlaps(id: &str, holds: &[Hold<'_>]) -> Vec<Broken> {
    let pairs = holds.iter().flat_map(|one| holds.iter().map(move |other| (one, other)));
    let within = |one: &Hold<'_>, other: &Entry| one.from < other.sent && other.heard < one.until;
    let twice = pairs.filter(|(one, other)| one.entry.write != other.entry.write && within(one, other.entry));
    let told = |(one, other): (&Hold<'_>, &Hold<'_>)| Broken::HeldTwice {
        id: id.to_owned(),
        holder: one.entry.worker,
        other: other.entry.worker,
        at: other.entry.heard,
    };
    twice.map(told).collect()
}

/// No write is let in that shows an older token than one that was given out before it was sent, and
/// none without a token while another holds the lock for certain.
fn moves(id: &str, entries: &[&Entry], holds: &[Hold<'_>]) -> Vec<Broken> {
    let mut broken = Vec::new();
    for entry in entries.iter().filter(|entry| matches!(entry.told, Told::Done(_))) {
        let Deed::Move(_, shown) = entry.deed else { continue };
        let barred = |hold: &&Hold<'_>| match shown {
            Some(token) => hold.token > token && hold.from < entry.sent,
            None => hold.from < entry.sent && entry.heard < hold.until,
        };
        broken.extend(holds.iter().find(barred).map(|hold| Broken::WroteWithoutItsLock {
            id: id.to_owned(),
            worker: entry.worker,
            holder: hold.entry.worker,
            at: entry.heard,
        }));
    }
    broken
}

/// States follow each other along legal moves, but where two regions wrote one version.
fn illegal(id: &str, events: &[Event]) -> Vec<Broken> {
    let mut by_version: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in events {
        by_version.entry(event.version).or_default().push(event);
    }
    let is_legal = |event: &Event| match event.from {
        None => event.version == 1 && event.to == State::Ready,
        Some(from) => from == event.to || from.may_become(event.to).is_ok(),
    };
    let bad = |event: &Event| Broken::IllegalMove { id: id.to_owned(), version: event.version, to: event.to };
    let mut broken: Vec<Broken> = events.iter().filter(|event| !is_legal(event)).map(bad).collect();
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
#[path = "history_tests.rs"]
mod tests;
