//! Calls that may be sent again: what is kept of each, so that it takes effect once.
//!
//! A call is named by its tenant, its operation and the key that the caller chose.
//! Its record has an owner and an epoch: whoever takes over a call that nobody
//! finished raises the epoch, and every write of the record is conditional on the
//! one that was read, so that a first owner who comes back late changes nothing.
//! The journal names what a call was about to do before it did it, and the effects
//! carry the name of the call, so that a take-over finds what was done already.
//!
//! A refusal has no effect, so it is not kept: sent again, the call is decided anew.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::name::WorksetId;
use crate::time::Timestamp;

/// How long the reply of a call is kept: longer than any queue redelivers.
pub const KEPT_FOR: Duration = Duration::from_secs(35 * 24 * 3600);

/// How long a call may be at work before another may take it over: longer than a
/// function may run. Clocks of two machines are compared here; a difference makes a
/// take-over early or late, and the epoch makes an early one harmless.
pub const AT_WORK_MAX: Duration = Duration::from_secs(30);

/// What the step of a call begins with that is about to write a workset.
const WRITES: &str = "write ";

/// Steps that a journal holds; the oldest give way.
const STEPS_MAX: usize = 64;

/// The key of a call: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(String);

/// The text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`idempotency-key` is not a key (want 1 to 128 visible ASCII characters, such as a UUID)")]
pub struct InvalidCallKey;

impl CallKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CallKey {
    type Err = InvalidCallKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidCallKey) }
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The reply that a call got, as it is given again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Where the made thing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The version of what the body shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The body.
    pub body: Value,
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its owner is at work, or died at it.
    AtWork,
    /// Its owner gave it back, having changed nothing.
    Released,
    /// It took effect, and this is what its caller was told.
    Done(Reply),
}

/// What is kept of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// A digest of what was sent.
    pub fingerprint: String,
    /// The request that works at it.
    pub owner: String,
    /// How many owners it has had.
    pub epoch: u64,
    /// When the owner began.
    #[serde(rename = "began_ms")]
    pub began_at: Timestamp,
    /// From when on the call counts as never made.
    #[serde(rename = "expires_ms")]
    pub expires_at: Timestamp,
    /// What it was about to do, in order, written before each was done.
    pub steps: Vec<String>,
    /// How far it has come.
    pub stage: Stage,
}

/// What to do about a call that arrives.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is new: do it.
    New,
    /// It took effect before: say the same again.
    Replay(Reply),
    /// Its owner gave it back or is overdue: go on where that one may have stopped.
    TakeOver,
    /// Another request is at it for up to so much longer.
    AtWork(Duration),
    /// The key was used for another call.
    Mismatch,
}

/// How a call with this `fingerprint` stands at `now`, from the record of its key.
pub fn standing(held: Option<&Call>, fingerprint: &str, now: Timestamp) -> Standing {
    let Some(held) = held.filter(|held| now < held.expires_at) else { return Standing::New };
    if held.fingerprint != fingerprint {
        return Standing::Mismatch;
    }
    match &held.stage {
        Stage::Done(reply) => Standing::Replay(reply.clone()),
        Stage::Released => Standing::TakeOver,
        Stage::AtWork => match AT_WORK_MAX.saturating_sub(now.since(held.began_at)) {
            Duration::ZERO => Standing::TakeOver,
            left => Standing::AtWork(left),
        },
    }
}

impl Call {
    /// The record of a call that `owner` begins with `step`, after `before` if somebody began it earlier.
    #[must_use]
    pub fn begun(before: Option<&Self>, fingerprint: &str, owner: &str, step: &str, now: Timestamp) -> Self {
        let before = before.filter(|before| now < before.expires_at);
        let call = Self {
            fingerprint: fingerprint.to_owned(),
            owner: owner.to_owned(),
            epoch: before.map_or(0, |before| before.epoch).saturating_add(1),
            began_at: now,
            expires_at: now.after(KEPT_FOR),
            steps: before.map(|before| before.steps.clone()).unwrap_or_default(),
            stage: Stage::AtWork,
        };
        call.noted(step)
    }

    /// The step of a call that is about to write a workset.
    pub fn write_step(id: &WorksetId) -> String {
        format!("{WRITES}{id}")
    }

    /// The workset that it was about to write last, while nobody has seen the end of that.
    pub fn open_write(&self) -> Option<WorksetId> {
        let last = self.steps.last().filter(|_| self.stage == Stage::AtWork)?;
        last.strip_prefix(WRITES)?.parse().ok()
    }

    /// The record with one more step in its journal.
    #[must_use]
    pub fn noted(mut self, step: &str) -> Self {
        if self.steps.last().is_none_or(|last| last != step) {
            self.steps.push(step.to_owned());
        }
        let over = self.steps.len().saturating_sub(STEPS_MAX);
        self.steps.drain(..over);
        self
    }

    /// The record of a call that took effect.
    #[must_use]
    pub fn done(self, reply: Reply) -> Self {
        Self { stage: Stage::Done(reply), ..self }
    }

    /// The record of a call that changed nothing.
    #[must_use]
    pub fn released(self) -> Self {
        Self { stage: Stage::Released, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply() -> Reply {
        Reply { status: 201, location: None, etag: None, body: Value::Null }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn begun() -> Call {
        Call::begun(None, "f", "first", "write", at(1_000))
    }

    proptest! {
        /// Until it expires, what was done is told again and never done again, and another payload is refused.
        #[test]
        fn what_was_done_is_never_done_again(after_ms in 0..40 * 86_400_000_u64, same: bool) {
            let kept = u128::from(after_ms) < KEPT_FOR.as_millis();
            let stands = standing(Some(&begun().done(reply())), if same { "f" } else { "g" }, at(1_000 + after_ms));
            let wanted = match (kept, same) {
                (true, true) => Standing::Replay(reply()),
                (true, false) => Standing::Mismatch,
                (false, _) => Standing::New,
            };
            prop_assert_eq!(stands, wanted);
        }

        /// An owner at work is left alone until it is overdue, and then somebody may go on.
        #[test]
        fn an_owner_is_left_alone_until_it_is_overdue(after_ms in 0..60_000_u64) {
            match standing(Some(&begun()), "f", at(1_000 + after_ms)) {
                Standing::AtWork(left) => prop_assert_eq!(left.as_millis(), 30_000 - u128::from(after_ms)),
                Standing::TakeOver => prop_assert!(after_ms >= 30_000),
                other => prop_assert!(false, "{:?}", other),
            }
        }

        /// Keys are visible ASCII, and nothing else is one.
        #[test]
        fn keys_are_visible_ascii(text in any::<String>()) {
            let fits = (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
            prop_assert_eq!(text.parse::<CallKey>().is_ok(), fits);
        }
    }

    #[test]
    fn a_take_over_raises_the_epoch_and_keeps_the_journal() {
        let second = Call::begun(Some(&begun()), "f", "second", "lock ws-002", at(99_000));
        assert_eq!((second.epoch, second.owner.as_str()), (2, "second"));
        assert_eq!(second.steps, ["write", "lock ws-002"]);
        assert_eq!(standing(Some(&second), "f", at(99_001)), Standing::AtWork(Duration::from_millis(29_999)));
    }

    #[test]
    fn a_write_is_open_until_its_end_is_seen() {
        let id: WorksetId = "ws-002".parse().unwrap();
        let writes = begun().noted(&Call::write_step(&id));
        assert_eq!(writes.open_write(), Some(id));
        let ended = [begun(), begun().noted("lock"), writes.clone().done(reply()), writes.released()];
        assert!(ended.iter().all(|call| call.open_write().is_none()));
    }

    #[test]
    fn a_released_call_is_begun_again_at_once_and_a_journal_is_bounded() {
        assert_eq!(standing(Some(&begun().released()), "f", at(1_000)), Standing::TakeOver);
        let long = (0..200).fold(begun(), |call, n| call.noted(&n.to_string()));
        assert_eq!((long.steps.len(), long.steps.last().map(String::as_str)), (64, Some("199")));
    }
}
