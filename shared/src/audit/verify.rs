//! Whether a chain is whole, and if not, what was done to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{digest::Digest, link::Link};
use crate::region::RegionName;

/// A record as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number in the chain.
    pub number: u64,
    /// The region that wrote it, where several may write.
    pub region: Option<RegionName>,
    /// The assignment under which it was written, where it is known.
    pub epoch: Option<u64>,
    /// Where it lies: the sort key of its row.
    pub place: String,
    /// Where it has to lie by what it says.
    pub home: String,
    /// All that it says.
    pub raw: Value,
}

/// What kind of chain it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// One list, whose numbers follow each other.
    List,
    /// One list, whose numbers rise.
    Rising,
    /// Versions, of which regions that could not see each other may have written one twice.
    Versions,
}

/// What was done to a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// A record is not what it was when it was written.
    Edited {
        /// Where it lies.
        place: String,
    },
    /// The record before another one is gone, or was changed together with its digest.
    Removed {
        /// The number of the record that is gone.
        number: u64,
        /// The record that follows it.
        before: String,
    },
    /// A record lies where it does not belong.
    Moved {
        /// Where it lies.
        place: String,
        /// Where it belongs.
        home: String,
    },
    /// Records of which at most one can be genuine: one writer never writes a number twice.
    Inserted {
        /// Where they lie.
        places: Vec<String>,
    },
    /// A record that says it was written in a region which did not take the writes under its assignment.
    Foreign {
        /// Where it lies.
        place: String,
        /// The assignment.
        epoch: u64,
        /// The region that took the writes.
        active: RegionName,
    },
    /// A record without a link, after others that have one.
    Unlinked {
        /// Where it lies.
        place: String,
    },
    /// A record follows the newest that the row knows of: the row was put back, or the record put in.
    Beyond {
        /// Where it lies.
        place: String,
    },
    /// The row is not what its last write left behind.
    Content,
    /// The row is gone, and its history is not.
    NoRow,
    /// A head that was kept is not in the chain any more: its end was cut off, or all of it rewritten.
    Cut {
        /// The number of the head.
        number: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { place } => write!(f, "`{place}` was changed after it was written"),
            Self::Removed { number, before } => {
                write!(f, "number {number}, which `{before}` follows, was taken out or changed")
            }
            Self::Moved { place, home } => write!(f, "`{place}` holds the record of `{home}`"),
            Self::Inserted { places } => {
                write!(f, "of `{}` at most one was written by whom it says", places.join("` and `"))
            }
            Self::Foreign { place, epoch, active } => {
                write!(
                    f,
                    "`{place}` says epoch {epoch}, under which `{active}` took the writes and no other region"
                )
            }
            Self::Unlinked { place } => write!(f, "`{place}` has no link, though older records have one"),
            Self::Beyond { place } => {
                write!(
                    f,
                    "`{place}` follows the newest record that the row knows of (the row was put back, or the record put in)"
                )
            }
            Self::Content => f.write_str("the row is not what its last write left behind"),
            Self::NoRow => f.write_str("the row is gone, and its history is not"),
            Self::Cut { number } => {
                write!(
                    f,
                    "the head that was kept, number {number}, is not there any more (cut off, or rewritten)"
                )
            }
        }
    }
}

/// Records of one number that regions wrote which could not see each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fork {
    /// The number.
    pub number: u64,
    /// Where they lie.
    pub places: Vec<String>,
}

/// The newest record of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub hash: Digest,
}

/// The heads of all chains, for somebody to keep where the writers of the tables cannot reach it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Heads {
    /// When they were read, in milliseconds since the Unix epoch. For people only.
    pub at_ms: u64,
    /// Whose worksets are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// By chain: `orders`, `moves`, and the ids of worksets as `workset <id>`.
    pub heads: BTreeMap<String, Head>,
}

/// What became of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verified {
    /// Records that were looked at.
    pub records: u64,
    /// Those that were written before there were links: nothing can be told of them.
    pub unchained: u64,
    /// What regions wrote that could not see each other. No tampering.
    pub forks: Vec<Fork>,
    /// What was done to it.
    pub findings: Vec<Finding>,
    /// Its newest record, if it has a link.
    pub head: Option<Head>,
}

/// Judges a chain of `entries`, in any order. `newest` is where the record lies that the row knows as
/// its last; without one the highest number is. `kept` is its head as somebody kept it.
pub fn verify(entries: &[Entry], rules: Rules, newest: Option<&str>, kept: Option<Head>) -> Verified {
    let linked: Vec<(&Entry, Link)> = entries.iter().filter_map(|e| Some((e, Link::read(&e.raw)?))).collect();
    let mut found = Verified {
        records: entries.len() as u64,
        unchained: (entries.len() - linked.len()) as u64,
        ..Verified::default()
    };
    let last = match newest {
        Some(place) => linked.iter().find(|(entry, _)| entry.place == place),
        None => linked.iter().max_by_key(|(entry, _)| entry.number),
    };
    found.head = last.map(|(entry, link)| Head { number: entry.number, hash: link.hash });
    found.findings.extend(each(entries, &linked));
    found.findings.extend(parents(entries, &linked, rules));
    siblings(&linked, rules, &mut found);
    if let Some(head) = found.head {
        let beyond = linked.iter().filter(|(_, link)| link.prev == Some(head.hash));
        found.findings.extend(beyond.map(|(entry, _)| Finding::Beyond { place: entry.place.clone() }));
    }
    if let Some(kept) = kept {
        let is_there = linked.iter().any(|(e, link)| e.number == kept.number && link.hash == kept.hash);
        found.findings.extend((!is_there).then_some(Finding::Cut { number: kept.number }));
    }
    found
}

/// The records of regions that did not take the writes. `active` says which region did under which
/// assignment, as far as that is known.
pub fn foreign(entries: &[Entry], active: &BTreeMap<u64, RegionName>) -> Vec<Finding> {
    let judge = |entry: &Entry| {
        let (region, epoch) = entry.region.zip(entry.epoch)?;
        let active = *active.get(&epoch).filter(|active| **active != region)?;
        Some(Finding::Foreign { place: entry.place.clone(), epoch, active })
    };
    entries.iter().filter_map(judge).collect()
}

/// What each record says of itself.
fn each(entries: &[Entry], linked: &[(&Entry, Link)]) -> Vec<Finding> {
    let first = linked.iter().map(|(entry, _)| entry.number).min().unwrap_or(u64::MAX);
    let mut findings = Vec::new();
    for entry in entries {
        let place = entry.place.clone();
        if entry.place != entry.home {
            findings.push(Finding::Moved { place: place.clone(), home: entry.home.clone() });
        }
        match Link::read(&entry.raw) {
            Some(link) if link.hash != Link::hash_of(&entry.raw) => findings.push(Finding::Edited { place }),
            None if entry.number > first => findings.push(Finding::Unlinked { place }),
            Some(_) | None => {}
        }
    }
    findings
}

/// Whether what each record follows is there.
fn parents(entries: &[Entry], linked: &[(&Entry, Link)], rules: Rules) -> Vec<Finding> {
    let by_hash: BTreeMap<Digest, u64> = linked.iter().map(|(e, link)| (link.hash, e.number)).collect();
    let first = linked.iter().map(|(entry, _)| entry.number).min().unwrap_or_default();
    let unlinked = |number: u64| entries.iter().any(|e| e.number == number && Link::read(&e.raw).is_none());
    let fits = |parent: u64, number: u64| match rules {
        Rules::List | Rules::Versions => parent + 1 == number,
        Rules::Rising => parent < number,
    };
    let is_whole = |entry: &Entry, link: &Link| match link.prev {
        Some(prev) => by_hash.get(&prev).is_some_and(|parent| fits(*parent, entry.number)),
        // The first of all, or the first that has a link.
        None if rules == Rules::Rising => entry.number == first,
        None => entry.number <= 1 || unlinked(entry.number - 1),
    };
    let torn = linked.iter().filter(|(entry, link)| !is_whole(entry, link));
    torn.map(|(entry, _)| Finding::Removed {
        number: entry.number.saturating_sub(1),
        before: entry.place.clone(),
    })
    .collect()
}

/// Records that follow the same one: a fork, if different regions wrote them under different
/// assignments, and else something that no writer does.
fn siblings(linked: &[(&Entry, Link)], rules: Rules, found: &mut Verified) {
    let mut groups: BTreeMap<(Option<Digest>, u64), Vec<&Entry>> = BTreeMap::new();
    for (entry, link) in linked {
        groups.entry((link.prev, entry.number)).or_default().push(entry);
    }
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let places = || group.iter().map(|entry| entry.place.clone()).collect::<Vec<_>>();
        let regions: BTreeSet<_> = group.iter().map(|entry| entry.region).collect();
        let epochs: Vec<u64> = group.iter().filter_map(|entry| entry.epoch).collect();
        let apart = epochs.iter().collect::<BTreeSet<_>>().len() == epochs.len();
        if rules == Rules::Versions && regions.len() == group.len() && apart {
            found.forks.push(Fork { number: group[0].number, places: places() });
        } else {
            found.findings.push(Finding::Inserted { places: places() });
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
