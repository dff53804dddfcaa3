//! Writes that were acknowledged, against the histories that tell of them, and reads.
//!
//! A workset is one register: its versions are the order of its writes. Where two regions wrote one
//! version there are two orders until they meet, and the rules of order are silent; that both writes are
//! told of is a rule all the same.

use std::collections::{BTreeMap, BTreeSet};

use sealane::{region::RegionName, workset::Event};

use crate::{Deed, Entry, Misfit, Seen, Told};

/// The entries of one workset, with its events as one replica has them.
struct Story<'a> {
    id: &'a str,
    entries: Vec<&'a Entry>,
    /// By version.
    events: Vec<&'a Event>,
    /// By the call that wrote.
    written: BTreeMap<&'a str, Vec<&'a Event>>,
}

/// What does not fit together in acknowledged writes and in the histories as `replica` tells them.
///
/// `reported` are the calls whose writes are listed as conflicts: not lost without a word.
pub fn judge_writes(
    entries: &[Entry],
    replica: RegionName,
    histories: &BTreeMap<String, Vec<Event>>,
    reported: &BTreeSet<String>,
) -> Vec<Misfit> {
    let mut by_id: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.id.is_empty()) {
        by_id.entry(&entry.id).or_default().push(entry);
    }
    let stories = by_id.into_iter().map(|(id, entries)| {
        let mut events: Vec<&Event> = histories.get(id).into_iter().flatten().collect();
        events.sort_by_key(|event| event.version);
        let mut written: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &events {
            written.entry(&event.request).or_default().push(event);
        }
        Story { id, entries, events, written }
    });
    let judged = stories.flat_map(|story| {
        let each = story.entries.iter().flat_map(|entry| story.kept(entry, replica, reported));
        let mut misfits: Vec<Misfit> = each.collect();
        misfits.extend(story.twice());
        misfits.extend(story.after_release());
        if story.events.windows(2).all(|pair| pair[0].version < pair[1].version) {
            misfits.extend(story.order());
            misfits.extend(story.fences());
        }
        misfits
    });
    judged.collect()
}

impl<'a> Story<'a> {
    /// The write of a call.
    fn event(&self, entry: &Entry) -> Option<&'a Event> {
        self.written.get(entry.write.as_str())?.first().copied()
    }

    /// An acknowledged write is in the history as it was told, and a refused one is not in it.
    fn kept(&self, entry: &Entry, replica: RegionName, reported: &BTreeSet<String>) -> Option<Misfit> {
        let (id, write, at) = (self.id.to_owned(), entry.write.clone(), entry.heard);
        let event = self.event(entry);
        if entry.deed.is_write() && entry.told == Told::Refused {
            return event.map(|event| Misfit::RefusedAndWritten { id, write, version: event.version, at });
        }
        if !entry.is_written() {
            return None;
        }
        let Some(event) = event else {
            let missing = Misfit::MissingWrite { id, write, sent: entry.sent, at, replica };
            return (!reported.contains(&entry.write)).then_some(missing);
        };
        if entry.version.is_some_and(|told| told < event.version) {
            return Some(Misfit::AnswerDiffers {
                id,
                write,
                told: entry.version,
                kept: Some(event.version),
                at,
            });
        }
        let shown = entry.deed.guard().flatten().filter(|token| event.fence != Some(*token))?;
        Some(Misfit::AnswerDiffers { id, write, told: Some(shown), kept: event.fence, at })
    }

    /// A call writes once, however often it was sent.
    fn twice(&self) -> Vec<Misfit> {
        let is_own = |write: &&str| self.entries.iter().any(|entry| entry.write == **write);
        let twice = self.written.iter().filter(|(write, events)| events.len() > 1 && is_own(write));
        let told = |(write, events): (&&str, &Vec<&Event>)| Misfit::WrittenTwice {
            id: self.id.to_owned(),
            write: (*write).to_owned(),
            versions: events.iter().map(|event| event.version).collect(),
        };
        twice.map(told).collect()
    }

    /// Whoever gave a lock back writes no more by its token.
    fn after_release(&self) -> Vec<Misfit> {
        let released = |token: u64, entry: &Entry| {
            self.entries.iter().any(|other| {
                let is_release =
                    matches!((other.deed, other.told), (Deed::Release(of), Told::Done(_)) if of == token);
                is_release && other.heard < entry.sent
            })
        };
        let late = self.entries.iter().filter(|entry| {
            entry.is_written() && entry.deed.guard().flatten().is_some_and(|token| released(token, entry))
        });
        let told = |entry: &&Entry| Misfit::WroteWithoutItsLock {
            id: self.id.to_owned(),
            worker: entry.worker,
            write: entry.write.clone(),
            holder: entry.worker,
            at: entry.heard,
        };
        late.map(told).collect()
    }

    /// What was acknowledged before another write was sent comes before it.
    fn order(&self) -> Vec<Misfit> {
        let written = self.entries.iter().filter(|entry| entry.is_written());
        let placed: Vec<(&Entry, u64)> =
            written.filter_map(|entry| Some((*entry, self.event(entry)?.version))).collect();
        let pairs = placed.iter().flat_map(|one| placed.iter().map(move |other| (one, other)));
        let wrong = pairs.filter(|(one, other)| one.0.heard < other.0.sent && one.1 >= other.1);
        let told = |(one, other): (&(&Entry, u64), &(&Entry, u64))| Misfit::VersionsOutOfOrder {
            id: self.id.to_owned(),
            first: (one.1, one.0.heard),
            then: (other.1, other.0.sent),
        };
        wrong.map(told).collect()
    }

    /// Who writes under a lock ends the writes under every older one.
    fn fences(&self) -> Vec<Misfit> {
        let back = self.events.windows(2).filter(|pair| pair[1].fence < pair[0].fence);
        back.map(|pair| Misfit::FenceWentBack { id: self.id.to_owned(), version: pair[1].version }).collect()
    }
}

/// Reads that show what nobody wrote.
pub fn judge_reads(seen: &[Seen], histories: &BTreeMap<String, Vec<Event>>) -> Vec<Misfit> {
    let written: BTreeSet<(&str, u64, _)> = histories
        .iter()
        .flat_map(|(id, events)| events.iter().map(move |event| (id.as_str(), event.version, event.to)))
        .collect();
    let phantoms = seen.iter().filter(|seen| !written.contains(&(&seen.id, seen.version, seen.state)));
    let told = |seen: &Seen| Misfit::PhantomRead {
        id: seen.id.clone(),
        version: seen.version,
        state: seen.state,
        at: seen.heard,
    };
    phantoms.map(told).collect()
}

#[cfg(test)]
#[path = "writes_tests.rs"]
mod tests;
