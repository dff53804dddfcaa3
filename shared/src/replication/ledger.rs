//! The ledger: one row for each object and destination, from owed to proved.
//!
//! Rule: only who holds a row's claim moves it on, and every claim has a higher
//! epoch than the one before, so a worker that was presumed dead and comes back
//! changes nothing. When a claim has expired is judged by another clock than
//! the one that set it; a skewed clock makes a take-over early or late, and the
//! epoch keeps even an early one from doing harm.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    checksum::Checksum,
    region::RegionName,
    time::Timestamp,
    units::ByteSize,
    upload::{Reason, backoff},
};

use super::{Detour, ObjectId};

/// The version that is copied, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The region it is copied from, which pays.
    pub region: RegionName,
    /// Its bucket there.
    pub bucket: String,
    /// Its key, the same in every region.
    pub key: String,
    /// Its version; `None` in a bucket without versions.
    pub version_id: Option<String>,
    /// Its ETag: pins the bytes, proves nothing about them.
    pub etag: String,
    /// Its size.
    pub size: ByteSize,
    /// Its checksum; `None` where the store keeps none and a copy must be read back.
    pub checksum: Option<Checksum>,
}

/// Who works on a row, and until when it may be left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The worker, such as a request id.
    pub owner: String,
    /// When others may take over.
    pub expires: Timestamp,
}

/// How far a copy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Owed, and nobody works on it.
    Pending,
    /// A worker copies.
    Copying(Claim),
    /// The destination holds the whole object.
    Verified {
        /// The version there; `None` in a bucket without versions.
        version_id: Option<String>,
    },
    /// The last try failed; it is owed still.
    Failed {
        /// Why.
        reason: Reason,
        /// When to try again.
        next_try: Timestamp,
    },
    /// There is nothing left to copy: the source is gone or was replaced. Nothing is owed any more.
    Void {
        /// Why.
        reason: Reason,
    },
}

/// What a worker shows to move a row on: its name, and the epoch of its claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The worker.
    pub owner: String,
    /// The epoch that its claim has.
    pub epoch: u64,
}

/// How failed copies are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first failure; doubles with each further one.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// 2 s to 5 min: a region that is back is paid within minutes, and one that is not is asked
    /// no more than that.
    fn default() -> Self {
        Self { base: Duration::from_secs(2), cap: Duration::from_secs(300) }
    }
}

/// Why a row was not changed. Normal between workers: leave the row to its owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The copy is there, or is no longer wanted.
    #[error("the copy of `{object}` in `{destination}` is settled")]
    Settled {
        /// The object.
        object: ObjectId,
        /// The region.
        destination: RegionName,
    },
    /// Another worker has it.
    #[error("the copy of `{object}` is claimed by `{owner}`")]
    Held {
        /// The object.
        object: ObjectId,
        /// The worker.
        owner: String,
    },
    /// The last try is too fresh.
    #[error("the copy of `{object}` failed and is not due for {wait:?}")]
    NotDue {
        /// The object.
        object: ObjectId,
        /// How long to wait.
        wait: Duration,
    },
    /// The claim was taken over, or the row is not being copied at all.
    #[error("the claim of `{owner}` on `{object}` has epoch {shown}, the row has {current}")]
    Superseded {
        /// The object.
        object: ObjectId,
        /// Who asked.
        owner: String,
        /// The epoch shown.
        shown: u64,
        /// The epoch of the row.
        current: u64,
    },
}

/// One row: an object and a region that shall hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The object: partition key.
    pub object: ObjectId,
    /// The region that shall hold it: sort key.
    pub destination: RegionName,
    /// What is copied.
    pub source: Source,
    /// How far it is.
    pub phase: Phase,
    /// Rises with each claim; 0 before the first.
    pub epoch: u64,
    /// Failed tries so far, take-overs from dead workers included.
    pub attempts: u32,
    /// When it became owed.
    pub since: Timestamp,
    /// The multipart upload at the destination that a successor can go on with.
    pub multipart: Option<String>,
    /// The last epoch whose copy was proved; 0 before that. What a later epoch put there and nobody
    /// has proved may be taken away again.
    #[serde(default)]
    pub proved: u64,
    /// How the copy gets there by way of other copies; `None`: straight from the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detour: Option<Detour>,
    /// The version of the same key that the destination shall hold before this one; `None`: there is
    /// none that it shall hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ObjectId>,
}

impl Entry {
    /// A copy that is owed from now on.
    pub const fn owed(object: ObjectId, destination: RegionName, source: Source, now: Timestamp) -> Self {
        Self {
            object,
            destination,
            source,
            phase: Phase::Pending,
            epoch: 0,
            attempts: 0,
            since: now,
            multipart: None,
            proved: 0,
            detour: None,
            after: None,
        }
    }

    /// This row to be paid once the destination holds `before`, the version of the same key below this one. An
    /// upload that was written twice lies below itself, and does not wait for that.
    #[must_use]
    pub fn following(self, before: Option<ObjectId>) -> Self {
        let after = before.filter(|before| *before != self.object);
        Self { after, ..self }
    }

    /// This row paid by another region from `source`, its own copy of the same bytes; `None` while a
    /// claim on it holds, or once nothing is owed.
    ///
    /// The epoch rises, so that a worker of the silent region that comes back changes nothing.
    #[must_use]
    pub fn inherited(self, source: Source, now: Timestamp) -> Option<Self> {
        match &self.phase {
            Phase::Verified { .. } | Phase::Void { .. } => None,
            Phase::Copying(held) if held.expires > now => None,
            Phase::Pending | Phase::Copying(_) | Phase::Failed { .. } => {
                Some(Self { source, phase: Phase::Pending, epoch: self.epoch + 1, detour: None, ..self })
            }
        }
    }

    /// This row to be tried again now, if its last try failed; its tries and its reason stay.
    #[must_use]
    pub fn hastened(mut self, now: Timestamp) -> Option<Self> {
        match &mut self.phase {
            Phase::Failed { next_try, .. } => *next_try = now,
            Phase::Pending | Phase::Copying(_) | Phase::Verified { .. } | Phase::Void { .. } => return None,
        }
        Some(self)
    }

    /// This row with its proved copy in version `to` of its region; `None` unless that was `from` before.
    #[must_use]
    pub fn moved(mut self, from: &str, to: Option<String>) -> Option<Self> {
        match &mut self.phase {
            Phase::Verified { version_id } if version_id.as_deref() == Some(from) => *version_id = to,
            Phase::Verified { .. }
            | Phase::Pending
            | Phase::Copying(_)
            | Phase::Failed { .. }
            | Phase::Void { .. } => return None,
        }
        Some(self)
    }

    /// This row owed once more: its copy may no longer be what the destination shows.
    #[must_use]
    pub fn reowed(self, now: Timestamp) -> Self {
        Self { phase: Phase::Pending, since: now, ..self.straight() }
    }

    /// A fresh row in the place of this one. The epoch goes on, so that no worker of this row moves
    /// the fresh one.
    #[must_use]
    pub fn replaced_by(&self, fresh: Self) -> Self {
        Self { object: self.object.clone(), epoch: self.epoch, proved: self.proved, ..fresh }
    }

    /// When a sweep shall look at the row; `None` once nothing is owed.
    pub const fn due(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Pending => match &self.detour {
                Some(detour) if !detour.via.is_empty() || detour.home.is_some() => Some(detour.until),
                Some(_) | None => Some(self.since),
            },
            Phase::Copying(claim) => Some(claim.expires),
            Phase::Failed { next_try, .. } => Some(*next_try),
            Phase::Verified { .. } | Phase::Void { .. } => None,
        }
    }

    /// Whether the row was given up since a newer version came to lie in the destination first. Nothing
    /// heals that: it is kept to be seen.
    pub const fn is_missed(&self) -> bool {
        matches!(self.phase, Phase::Void { reason: Reason::Overtaken { .. } })
    }

    /// Whether the destination still lacks its copy.
    pub const fn is_owed(&self) -> bool {
        self.due().is_some()
    }

    /// This row claimed by `owner` for `lease`, with the token that moves it on.
    ///
    /// An expired claim is taken over: it counts as a failed try, and its
    /// multipart upload is kept to go on with.
    pub fn claim(mut self, owner: &str, now: Timestamp, lease: Duration) -> Result<(Self, Token), Refused> {
        let object = || self.object.clone();
        match &self.phase {
            Phase::Verified { .. } | Phase::Void { .. } => {
                return Err(Refused::Settled { object: object(), destination: self.destination });
            }
            Phase::Copying(claim) if claim.expires > now => {
                return Err(Refused::Held { object: object(), owner: claim.owner.clone() });
            }
            Phase::Failed { next_try, .. } if *next_try > now => {
                return Err(Refused::NotDue { object: object(), wait: next_try.since(now) });
            }
            Phase::Copying(_) => self.attempts = self.attempts.saturating_add(1),
            Phase::Pending | Phase::Failed { .. } => {}
        }
        self.epoch += 1;
        self.phase = Phase::Copying(Claim { owner: owner.to_owned(), expires: now.after(lease) });
        let token = Token { owner: owner.to_owned(), epoch: self.epoch };
        Ok((self, token))
    }

    /// This row with its claim prolonged, as a copy longer than one invocation needs.
    pub fn renewed(mut self, token: &Token, now: Timestamp, lease: Duration) -> Result<Self, Refused> {
        self.held_by(token)?;
        self.phase = Phase::Copying(Claim { owner: token.owner.clone(), expires: now.after(lease) });
        Ok(self)
    }

    /// This row with the multipart upload that was begun for it written down.
    pub fn journaled(mut self, token: &Token, multipart: String) -> Result<Self, Refused> {
        self.held_by(token)?;
        self.multipart = Some(multipart);
        Ok(self)
    }

    /// This row with its multipart upload forgotten, after it was aborted or found gone.
    pub fn restarted(mut self, token: &Token) -> Result<Self, Refused> {
        self.held_by(token)?;
        self.multipart = None;
        Ok(self)
    }

    /// This row to be paid from another copy of the object, as when the region that paid is cut.
    ///
    /// Its multipart upload stays: parts of equal bytes fit together, and the
    /// checksum of the whole is proved in the end.
    pub fn sourced(mut self, token: &Token, source: Source) -> Result<Self, Refused> {
        self.held_by(token)?;
        self.source = source;
        Ok(self)
    }

    /// This row settled: the destination was found to hold the whole object.
    pub fn verified(mut self, token: &Token, version_id: Option<String>) -> Result<Self, Refused> {
        self.held_by(token)?;
        self.phase = Phase::Verified { version_id };
        self.proved = self.epoch;
        self.multipart = None;
        Ok(self)
    }

    /// This row owed again after a failed try, due after a backoff that `seed` spreads.
    pub fn failed(
        mut self,
        token: &Token,
        reason: Reason,
        now: Timestamp,
        policy: &RetryPolicy,
        seed: u64,
    ) -> Result<Self, Refused> {
        self.held_by(token)?;
        self.attempts = self.attempts.saturating_add(1);
        let next_try = now.after(backoff(self.attempts, policy.base, policy.cap, seed));
        self.phase = Phase::Failed { reason, next_try };
        Ok(self)
    }

    /// This row given up, since there is nothing left to copy.
    pub fn voided(mut self, token: &Token, reason: Reason) -> Result<Self, Refused> {
        self.held_by(token)?;
        self.phase = Phase::Void { reason };
        Ok(self)
    }

    /// Refuses a token that is not the one of the claim that holds now. An
    /// expired claim that nobody took over still holds.
    fn held_by(&self, token: &Token) -> Result<(), Refused> {
        let holds = matches!(&self.phase, Phase::Copying(claim) if claim.owner == token.owner);
        if holds && self.epoch == token.epoch {
            return Ok(());
        }
        let (object, owner) = (self.object.clone(), token.owner.clone());
        Err(Refused::Superseded { object, owner, shown: token.epoch, current: self.epoch })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} -> {}: ", self.source.key, self.source.region, self.destination)?;
        match &self.phase {
            Phase::Pending => write!(f, "owed"),
            Phase::Copying(claim) => write!(f, "copied by {}", claim.owner),
            Phase::Verified { version_id } => {
                write!(f, "verified, version {}", version_id.as_deref().unwrap_or("none"))
            }
            Phase::Failed { reason, .. } => {
                write!(f, "owed after {} failed tries: it {reason}", self.attempts)
            }
            Phase::Void { reason: reason @ Reason::Overtaken { .. } } => write!(f, "missed: it {reason}"),
            Phase::Void { reason } => write!(f, "void: {reason}"),
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
