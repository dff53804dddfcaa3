//! Who may work on a workset: one holder at a time, until a given time.
//!
//! The rule: of all locks ever taken on a workset, each has a higher token than
//! the one before, and a guarded write is refused unless it shows the highest.
//! Expiry only decides when another may take over. It compares the clocks of
//! two machines and so may be off by their difference; the token is what makes
//! a holder that was taken over harmless, however wrong its clock is.
//!
//! Each function makes the next row; the caller writes it under the condition
//! that the old one still stands.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{name::Actor, state::State};
use crate::time::{Human, Timestamp};

/// How long a lock is held without renewal: 1 s to 24 h, 3600 s by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease(Duration);

/// The duration is not a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a lock cannot be held for `{}` (want `1s` to `24h`, and renew it to hold it longer)", Human(*.0))]
pub struct InvalidLease(Duration);

impl Lease {
    const MIN: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(24 * 3600);

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self(Duration::from_secs(3600))
    }
}

impl TryFrom<Duration> for Lease {
    type Error = InvalidLease;

    fn try_from(span: Duration) -> Result<Self, Self::Error> {
        if (Self::MIN..=Self::MAX).contains(&span) { Ok(Self(span)) } else { Err(InvalidLease(span)) }
    }
}

/// A lock that was taken and not given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Who holds it.
    pub owner: Actor,
    /// The fencing token: higher with every lock taken. At least 1.
    pub token: u64,
    /// From when on another may take it.
    #[serde(rename = "expires_ms")]
    pub expires_at: Timestamp,
}

impl Lock {
    /// Whether another may take it.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// The lock row of a workset. It outlives the locks, or tokens could not rise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// The token of the last lock taken; 0 before the first.
    pub token_last: u64,
    /// The lock, unless it was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
}

/// Why a lock was not taken, kept or accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Somebody holds it.
    #[error("the workset is locked by `{owner}` for another {} (until {until_ms} ms after the epoch)", Human(*.left))]
    Held {
        /// Who.
        owner: Actor,
        /// Until when, in milliseconds since the Unix epoch.
        until_ms: u64,
        /// How much longer; the caller may try again after that.
        left: Duration,
    },
    /// The workset's state has nothing to lock.
    #[error("a workset in `{0}` cannot be locked (only `ready` and `retrying` can)")]
    NotLockable(State),
    /// Nobody holds it: it was given back, or never taken.
    #[error("no lock is held on the workset, so token `{0}` opens nothing (take the lock first)")]
    NotHeld(u64),
    /// Another took the lock over.
    #[error("lock token `{presented}` was superseded by `{last}` (stop this work, and take the lock again)")]
    Superseded {
        /// The token that the caller showed.
        presented: u64,
        /// The token of the last lock taken.
        last: u64,
    },
}

impl Slot {
    /// The slot after `owner` took the lock on a workset in `state`, with a
    /// token higher than any before. An expired lock is taken over.
    ///
    /// A holder is refused its own lock too: two processes that share a name
    /// would both believe that they hold it.
    ///
    /// # Errors
    /// [`Denied::NotLockable`] or [`Denied::Held`].
    pub fn acquire(&self, state: State, owner: Actor, lease: Lease, now: Timestamp) -> Result<Self, Denied> {
        if !state.is_lockable() {
            return Err(Denied::NotLockable(state));
        }
        self.refuse_if_held(now)?;
        let token = self.token_last.saturating_add(1);
        let lock = Lock { owner, token, expires_at: now.after(lease.get()) };
        Ok(Self { token_last: token, lock: Some(lock) })
    }

    /// The slot after the holder of `token` renewed its lock. A renewal never
    /// shortens a lock, and may come late as long as nobody took over.
    ///
    /// # Errors
    /// [`Denied::Superseded`] or [`Denied::NotHeld`].
    pub fn renew(&self, token: u64, lease: Lease, now: Timestamp) -> Result<Self, Denied> {
        let lock = self.lock_of(token)?;
        let expires_at = lock.expires_at.max(now.after(lease.get()));
        Ok(Self { token_last: self.token_last, lock: Some(Lock { expires_at, ..lock.clone() }) })
    }

    /// The slot after the holder of `token` gave its lock back.
    ///
    /// # Errors
    /// [`Denied::Superseded`] or [`Denied::NotHeld`].
    pub fn release(&self, token: u64) -> Result<Self, Denied> {
        self.lock_of(token)?;
        Ok(Self { token_last: self.token_last, lock: None })
    }

    /// The slot after an operator took the lock from whoever holds it. The token of
    /// that holder opens nothing any more.
    ///
    /// # Errors
    /// [`Denied::NotHeld`] if nobody holds it.
    pub fn broken(&self) -> Result<Self, Denied> {
        match &self.lock {
            Some(_) => Ok(Self { token_last: self.token_last, lock: None }),
            None => Err(Denied::NotHeld(self.token_last)),
        }
    }

    /// Refuses a write to the workset by anyone but the holder. `presented` is
    /// the token that the writer showed; without one it may write only while
    /// nobody holds the lock.
    ///
    /// # Errors
    /// [`Denied::Superseded`], [`Denied::NotHeld`] or [`Denied::Held`].
    pub fn guard(&self, presented: Option<u64>, now: Timestamp) -> Result<(), Denied> {
        match presented {
            Some(token) => self.lock_of(token).map(|_| ()),
            None => self.refuse_if_held(now),
        }
    }

    fn refuse_if_held(&self, now: Timestamp) -> Result<(), Denied> {
        match &self.lock {
            Some(lock) if !lock.is_expired(now) => Err(Denied::Held {
                owner: lock.owner.clone(),
                until_ms: lock.expires_at.as_millis(),
                left: lock.expires_at.since(now),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn lock_of(&self, token: u64) -> Result<&Lock, Denied> {
        match &self.lock {
            Some(lock) if lock.token == token => Ok(lock),
            Some(_) => Err(Denied::Superseded { presented: token, last: self.token_last }),
            None => Err(Denied::NotHeld(token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Acquire(usize, u64),
        Renew(usize, u64),
        Release(usize),
        Write(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_usize, 1..20_u64).prop_map(|(who, s)| Step::Acquire(who, s)),
            (0..3_usize, 1..20_u64).prop_map(|(who, s)| Step::Renew(who, s)),
            (0..3_usize).prop_map(Step::Release),
            (0..3_usize).prop_map(Step::Write),
            (0..15_u64).prop_map(Step::Wait),
        ]
    }

    fn actor(who: usize) -> Actor {
        format!("worker-{who}").parse().unwrap()
    }

    fn lease(secs: u64) -> Lease {
        Duration::from_secs(secs).try_into().unwrap()
    }

    proptest! {
        /// Under any interleaving a lock that has not expired is never taken
        /// over, tokens strictly rise, and only the last holder gets to write.
        #[test]
        fn one_holder_at_a_time(steps in vec(step(), 1..60)) {
            let (mut slot, mut now) = (Slot::default(), Timestamp::from_millis(0));
            // The token that each worker believes in.
            let mut tokens = [0_u64; 3];
            for step in steps {
                let before = slot.clone();
                match step {
                    Step::Wait(s) => now = now.after(Duration::from_secs(s)),
                    Step::Acquire(who, s) => if let Ok(next) = slot.acquire(State::Ready, actor(who), lease(s), now) {
                        prop_assert!(before.lock.is_none_or(|l| l.is_expired(now)));
                        prop_assert!(next.token_last > before.token_last);
                        tokens[who] = next.token_last;
                        slot = next;
                    },
                    Step::Renew(who, s) => if let Ok(next) = slot.renew(tokens[who], lease(s), now) {
                        let (old, new) = (before.lock.unwrap(), next.lock.clone().unwrap());
                        prop_assert_eq!((&new.owner, new.token), (&old.owner, old.token));
                        prop_assert!(new.expires_at >= old.expires_at && !new.is_expired(now));
                        slot = next;
                    },
                    Step::Release(who) => if let Ok(next) = slot.release(tokens[who]) {
                        prop_assert_eq!(before.lock.unwrap().owner, actor(who));
                        slot = next;
                    },
                    Step::Write(who) => {
                        let writes = slot.guard(Some(tokens[who]), now).is_ok();
                        prop_assert_eq!(writes, slot.lock.as_ref().is_some_and(|l| l.owner == actor(who)));
                        prop_assert!(!writes || tokens[who] == slot.token_last);
                    }
                }
                prop_assert!(slot.token_last >= before.token_last);
                prop_assert!(slot.lock.as_ref().is_none_or(|l| l.token == slot.token_last));
            }
        }

        /// Only work that has not begun can be locked.
        #[test]
        fn only_ready_and_retrying_can_be_locked(state in select(&State::ALL[..])) {
            let taken = Slot::default().acquire(state, actor(0), Lease::default(), Timestamp::from_millis(0));
            let lockable = matches!(state, State::Ready | State::Retrying);
            prop_assert_eq!(taken.is_ok(), lockable);
        }

        /// A lock is another's to take from the millisecond in which it expires.
        #[test]
        fn a_lock_is_stolen_only_when_expired(held_s in 1..86_400_u64, off_ms in 0..5_u64) {
            let passed_ms = held_s * 1_000 + off_ms - 2;
            let start = Timestamp::from_millis(1_000);
            let slot = Slot::default().acquire(State::Ready, actor(0), lease(held_s), start).unwrap();
            let now = start.after(Duration::from_millis(passed_ms));
            let stolen = slot.acquire(State::Ready, actor(1), Lease::default(), now);
            prop_assert_eq!(stolen.is_ok(), passed_ms >= held_s * 1_000);
            prop_assert_eq!(slot.guard(None, now).is_ok(), passed_ms >= held_s * 1_000);
        }
    }

    #[test]
    fn a_refusal_names_the_holder_and_the_time() {
        let start = Timestamp::from_millis(0);
        let slot = Slot::default().acquire(State::Ready, actor(0), Lease::default(), start).unwrap();
        let refused = slot.acquire(State::Ready, actor(1), Lease::default(), start).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the workset is locked by `worker-0` for another 1h (until 3600000 ms after the epoch)"
        );
    }

    #[test]
    fn a_late_holder_may_renew_until_another_takes_over() {
        let start = Timestamp::from_millis(0);
        let slot = Slot::default().acquire(State::Ready, actor(0), lease(1), start).unwrap();
        let late = start.after(Duration::from_secs(5));
        assert!(slot.renew(1, lease(1), late).is_ok());
        let stolen = slot.acquire(State::Ready, actor(1), lease(1), late).unwrap();
        assert_eq!(stolen.renew(1, lease(1), late), Err(Denied::Superseded { presented: 1, last: 2 }));
        assert_eq!(stolen.release(1), Err(Denied::Superseded { presented: 1, last: 2 }));
    }

    #[test]
    fn a_lock_given_back_opens_nothing() {
        let start = Timestamp::from_millis(0);
        let slot = Slot::default().acquire(State::Retrying, actor(0), lease(9), start).unwrap();
        let free = slot.release(1).unwrap();
        assert_eq!(free.guard(Some(1), start), Err(Denied::NotHeld(1)));
        assert_eq!(free.guard(None, start), Ok(()));
        assert_eq!(free.acquire(State::Ready, actor(1), lease(9), start).unwrap().token_last, 2);
    }

    #[test]
    fn the_holder_of_a_broken_lock_writes_no_more() {
        let start = Timestamp::from_millis(0);
        let slot = Slot::default().acquire(State::Ready, actor(0), lease(9), start).unwrap();
        let broken = slot.broken().unwrap();
        assert_eq!(broken.guard(Some(1), start), Err(Denied::NotHeld(1)));
        assert_eq!(broken.renew(1, lease(9), start), Err(Denied::NotHeld(1)));
        assert_eq!(broken.acquire(State::Ready, actor(1), lease(9), start).unwrap().token_last, 2);
        assert_eq!(broken.broken(), Err(Denied::NotHeld(1)));
    }

    #[test]
    fn leases_have_bounds() {
        let fits = |ms: u64| Lease::try_from(Duration::from_millis(ms)).is_ok();
        assert_eq!([999, 1_000, 86_400_000, 86_400_001].map(fits), [false, true, true, false]);
    }
}
