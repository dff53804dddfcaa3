//! A move that waits for an operator, and what operators may do with it.
//!
//! Whatever they do is one conditional write of the record; the next controller
//! that looks carries it out, by the same decision as ever.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    record::{Reason, Record, age_ms, clip},
    watch::Moment,
};
use crate::region::RegionName;

/// How long an operator's proposal waits for another operator, and for how long a
/// rejected move is not proposed again.
pub const PROPOSAL_TERM: Duration = Duration::from_secs(3600);

/// A move that waits for an operator, or that one has asked for or rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Where to.
    pub to: RegionName,
    /// Why.
    pub reason: Reason,
    /// The operator who proposed it; `None`: automation did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_by: Option<String>,
    /// Who approved it; `None` while it waits.
    pub approved_by: Option<String>,
    /// Who rejected it. It stays in the record, so that it is not proposed again at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_by: Option<String>,
    /// How long it had been so at the last write.
    #[serde(rename = "age_ms", with = "age_ms")]
    pub age: Duration,
}

impl Proposal {
    /// A move that automation may not start by itself.
    pub const fn of_automation(to: RegionName, reason: Reason) -> Self {
        Self { to, reason, proposed_by: None, approved_by: None, rejected_by: None, age: Duration::ZERO }
    }

    /// A move that an operator thought of.
    fn of_operator(to: RegionName, by: &str, note: &str) -> Self {
        Self { proposed_by: Some(clip(by)), ..Self::of_automation(to, Reason::Asked { note: clip(note) }) }
    }

    /// Whether nobody has answered it yet.
    pub const fn waits(&self) -> bool {
        self.approved_by.is_none() && self.rejected_by.is_none()
    }
}

/// Why an approval is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The record does not propose that move, or it is approved: read again and look.
    #[error("no move to `{to}` waits for approval")]
    NothingWaits {
        /// Where the move was to go.
        to: RegionName,
    },
    /// Who proposes a move does not approve it, too.
    #[error("`{by}` proposed the move to `{to}`, so another operator has to approve it")]
    OwnProposal {
        /// Where the move goes.
        to: RegionName,
        /// Who proposed it.
        by: String,
    },
}

impl Record {
    /// This record with an operator's approval of what it proposes, to be written in its stead.
    ///
    /// A rejected move can still be approved: operators may change their minds.
    ///
    /// # Errors
    /// When it no longer proposes to move to `to`, or when it was `by` who proposed it.
    pub fn approve(&self, to: RegionName, by: &str, moment: Moment) -> Result<Self, NotApproved> {
        let by = clip(by);
        let waiting = self.proposal.as_ref().filter(|p| p.to == to && p.approved_by.is_none());
        let waiting = waiting.ok_or(NotApproved::NothingWaits { to })?;
        if waiting.proposed_by.as_ref() == Some(&by) {
            return Err(NotApproved::OwnProposal { to, by });
        }
        let approved = Proposal { approved_by: Some(by), rejected_by: None, ..waiting.clone() };
        Ok(self.proposing(approved, moment))
    }

    /// This record with an operator's rejection of what it proposes, to be written in its stead.
    ///
    /// The move is not proposed again, nor started by itself, for [`PROPOSAL_TERM`].
    /// A move that was approved can be rejected until it has started.
    /// `None` when it does not propose to move to `to`: read again and look.
    pub fn reject(&self, to: RegionName, by: &str, moment: Moment) -> Option<Self> {
        let standing = self.proposal.as_ref().filter(|p| p.to == to && p.rejected_by.is_none())?;
        let rejected = Proposal { approved_by: None, rejected_by: Some(clip(by)), ..standing.clone() };
        Some(self.proposing(rejected, moment))
    }

    /// This record with an operator's proposal, which another operator has to approve,
    /// to be written in its stead.
    ///
    /// `None` when `to` is active already.
    pub fn propose(&self, to: RegionName, by: &str, note: &str, moment: Moment) -> Option<Self> {
        (to != self.active).then(|| self.proposing(Proposal::of_operator(to, by, note), moment))
    }

    /// This record with an operator's request to move to `to`, to be written in its stead:
    /// a proposal and its approval in one.
    ///
    /// `None` when `to` is active already.
    pub fn ask(&self, to: RegionName, by: &str, note: &str, moment: Moment) -> Option<Self> {
        let asked = Proposal { approved_by: Some(clip(by)), ..Proposal::of_operator(to, by, note) };
        (to != self.active).then(|| self.proposing(asked, moment))
    }

    fn proposing(&self, proposal: Proposal, moment: Moment) -> Self {
        let proposal = Proposal { age: Duration::ZERO, ..proposal };
        Self { proposal: Some(proposal), ..self.rewritten(moment) }
    }
}
