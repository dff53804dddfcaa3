//! The history of a workset: one row a write, never changed.

use serde::{Deserialize, Serialize};

use super::{
    name::{Actor, Text},
    record::Workset,
    state::State,
};
use crate::{region::RegionName, time::Timestamp};

/// Who writes, where and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The verified caller.
    pub actor: Actor,
    /// The region whose API serves the call.
    pub region: RegionName,
    /// The time there.
    pub at: Timestamp,
}

/// One write of a workset, as its history keeps it.
///
/// Each is its own row, so that the history never outgrows an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The version that this write made.
    pub version: u64,
    /// The state before; `None` for the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<State>,
    /// The state after. The same as `from` when only progress was reported.
    pub to: State,
    /// When it was written, by the clock of `region`.
    #[serde(rename = "at_ms")]
    pub at: Timestamp,
    /// The region whose API wrote it.
    pub region: RegionName,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<1024>>,
    /// Who asked for it.
    pub actor: Actor,
}

impl Event {
    /// The event of the write that made `after`.
    pub(super) fn of(after: &Workset, from: Option<State>, reason: Option<Text<1024>>, by: &By) -> Self {
        Self {
            version: after.version,
            from,
            to: after.state,
            at: by.at,
            region: by.region,
            reason,
            actor: by.actor.clone(),
        }
    }
}
