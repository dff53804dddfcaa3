//! The history of a workset: one row a write, never changed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    cursor::InvalidCursor,
    name::{Actor, Text},
    record::Workset,
    state::State,
};
use crate::{audit::Link, region::RegionName, time::Timestamp};

/// Who writes, where and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The verified caller.
    pub actor: Actor,
    /// The region whose replica takes the write.
    pub region: RegionName,
    /// The time at the API that serves the call.
    pub at: Timestamp,
    /// The request, which no other write shares: what an unanswered write is known by.
    pub request: String,
    /// The assignment under which the region takes writes; `None` where there is only one region.
    pub epoch: Option<u64>,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The workset was registered.
    Registered,
    /// It was moved to another state.
    Moved,
    /// Its run was reported on.
    Reported,
    /// What it is was changed.
    Amended,
    /// Its lock was taken by another than the last holder, whose writes end with this one.
    TakenOver,
    /// An operator took its lock from whoever held it.
    Broken,
}

impl Act {
    /// The name used in rows and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Moved => "moved",
            Self::Reported => "reported",
            Self::Amended => "amended",
            Self::TakenOver => "taken_over",
            Self::Broken => "broken",
        }
    }
}

/// Where an event stands in a history; also the cursor behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The version that was written.
    pub version: u64,
    /// The region whose replica took the write.
    pub region: RegionName,
    /// Tells two writes of one version in one region apart.
    pub mark: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:08x}", self.version, self.region, self.mark)
    }
}

impl FromStr for Place {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let parse = || {
            let (version, rest) = text.split_once('.')?;
            let (region, mark) = rest.split_once('.').filter(|(_, mark)| mark.len() == 8)?;
            let mark = u32::from_str_radix(mark, 16).ok()?;
            let place = Self { version: version.parse().ok()?, region: region.parse().ok()?, mark };
            Some(place).filter(|place| place.to_string() == text)
        };
        parse().ok_or(InvalidCursor)
    }
}

/// One write of a workset, as its history keeps it.
///
/// Each is its own row, so that the history never outgrows an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The version that this write made.
    pub version: u64,
    /// What it did; `None` in events that say no more than the two states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// The state before; `None` for the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<State>,
    /// The state after. The same as `from` when only progress was reported.
    pub to: State,
    /// When it was written, by the clock of the API that wrote it. For people only.
    #[serde(rename = "at_ms")]
    pub at: Timestamp,
    /// The region whose replica took the write.
    pub region: RegionName,
    /// The region that had written the version before, on which this write was decided: of two
    /// writes of one version, the one that the next was decided on is the one that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RegionName>,
    /// The assignment under which that region took writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The highest lock token that had written the workset after this write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<1024>>,
    /// Who asked for it.
    pub actor: Actor,
    /// The request that wrote it, which tells two writes apart that are alike in all else.
    #[serde(default)]
    pub request: String,
    /// What ties it to the write before; made when it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Link>,
}

impl Event {
    /// The event of the write that made `new` of `old`.
    pub(super) fn of(
        act: Act,
        new: &Workset,
        old: Option<&Workset>,
        reason: Option<Text<1024>>,
        by: &By,
    ) -> Self {
        Self {
            version: new.version,
            act: Some(act),
            from: old.map(|old| old.state),
            to: new.state,
            at: by.at,
            region: by.region,
            after: old.map(|old| old.written_in),
            epoch: by.epoch,
            fence: Some(new.fence).filter(|fence| *fence > 0),
            reason,
            actor: by.actor.clone(),
            request: by.request.clone(),
            chain: None,
        }
    }

    /// Whether the workset came into another state by it, or into being.
    pub fn changes_state(&self) -> bool {
        self.from != Some(self.to)
    }

    /// Where it stands in its history.
    pub fn place(&self) -> Place {
        let digest = rapidhash::v3::rapidhash_v3(self.request.as_bytes()).to_le_bytes();
        let mark = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Place { version: self.version, region: self.region, mark }
    }
}

/// The versions that more than one write made, with all their events.
///
/// A default global table lets two regions write the same version while they
/// cannot see each other, and later keeps one of the two rows without a word.
/// The history keeps both events, so this is how the lost one is found.
/// `history` may come in any order.
pub fn collisions(history: &[Event]) -> Vec<Vec<&Event>> {
    let mut by_version: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in history {
        by_version.entry(event.version).or_default().push(event);
    }
    by_version.into_values().filter(|events| events.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Every write that shares its version with another is reported, and no other.
        #[test]
        fn colliding_writes_are_all_reported(written in vec((1..8_u64, 0..3_u8), 0..16)) {
            let history: Vec<Event> = written.iter().map(|(version, region)| Event {
                version: *version,
                act: None,
                from: Some(State::Ready),
                to: State::InProgress,
                at: Timestamp::from_millis(0),
                region: format!("eu-west-{region}").parse().unwrap(),
                after: None,
                epoch: None,
                fence: None,
                reason: None,
                actor: "alice".parse().unwrap(),
                request: String::new(),
                chain: None,
            }).collect();
            let reported: usize = collisions(&history).iter().map(Vec::len).sum();
            let shared = |e: &&Event| history.iter().filter(|o| o.version == e.version).count() > 1;
            prop_assert_eq!(reported, history.iter().filter(shared).count());
            for group in collisions(&history) {
                prop_assert!(group.len() > 1 && group.iter().all(|e| e.version == group[0].version));
            }
        }
    }
}
