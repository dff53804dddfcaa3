//! A notice on its way to one target: how often it was told, when it is told next, and when it is
//! given up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{answer::Outcome, notice::Notice};
use crate::{time::Timestamp, upload::jitter};

/// The ceiling of the first wait; it doubles with each try.
const WAIT_BASE: Duration = Duration::from_secs(30);

/// The highest ceiling of a wait, and the longest that a target may ask for.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How long a notice that was heard is remembered, so that a late copy of its event is not told again.
pub const KEPT_FOR: Duration = Duration::from_secs(14 * 24 * 3600);

/// Longest reason that is kept, in characters.
const WHY_MAX: usize = 200;

/// How far a notice has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is told again, or for the first time.
    Waiting,
    /// It was heard.
    Told,
    /// It is told no more until an operator says so.
    Parked,
}

/// One notice for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// What is told.
    pub notice: Notice,
    /// How far it has come.
    pub stage: Stage,
    /// Tries that failed.
    pub attempts: u32,
    /// When it was queued, on the clock of the function that did.
    #[serde(rename = "queued_ms")]
    pub queued_at: Timestamp,
    /// When it is told next, on the clock of the function that said so.
    #[serde(rename = "next_ms")]
    pub next_at: Timestamp,
    /// What was wrong with the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Queued {
    /// A notice that nobody has tried to tell.
    pub const fn new(notice: Notice, now: Timestamp) -> Self {
        Self { notice, stage: Stage::Waiting, attempts: 0, queued_at: now, next_at: now, why: None }
    }

    /// Whether it is told at `now`. What another function's clock set further ahead than any wait
    /// is due: that clock was wrong, and early does no harm.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let ahead = self.next_at.since(now);
        self.stage == Stage::Waiting && (ahead.is_zero() || ahead > WAIT_MAX)
    }

    /// This notice after one more try. `seed` spreads the waits: full jitter below a ceiling that doubles.
    #[must_use]
    pub fn after(self, outcome: &Outcome, attempts_max: u32, now: Timestamp, seed: u64) -> Self {
        let failed = self.attempts.saturating_add(1);
        match outcome {
            Outcome::Told => Self { stage: Stage::Told, why: None, ..self },
            Outcome::Refused { why } => {
                Self { stage: Stage::Parked, attempts: failed, why: Some(clipped(why)), ..self }
            }
            Outcome::Again { why, .. } if failed >= attempts_max => {
                let why = format!("given up after {failed} tries, the last one {why}");
                Self { stage: Stage::Parked, attempts: failed, why: Some(clipped(&why)), ..self }
            }
            Outcome::Again { why, wait } => {
                let ceiling = WAIT_BASE.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(WAIT_MAX);
                let asked = wait.unwrap_or_default().min(WAIT_MAX);
                let next_at = now.after(jitter(ceiling, seed, failed).max(asked));
                Self { attempts: failed, why: Some(clipped(why)), next_at, ..self }
            }
        }
    }

    /// This notice, to be told once more at once, as an operator wants it.
    #[must_use]
    pub fn again(self, now: Timestamp) -> Self {
        Self { stage: Stage::Waiting, attempts: 0, next_at: now, ..self }
    }
}

fn clipped(why: &str) -> String {
    why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_MAX).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notify::What;

    pub(crate) fn queued(line: &str, order: u64, at_ms: u64) -> Queued {
        let notice = Notice {
            id: format!("{line}:{order}"),
            line: line.to_owned(),
            order: format!("{order:020}"),
            what: What::WorksetState,
            state: None,
            body: "{}".to_owned(),
        };
        Queued::new(notice, Timestamp::from_millis(at_ms))
    }

    fn again(wait_s: Option<u64>) -> Outcome {
        Outcome::Again { why: "no answer".to_owned(), wait: wait_s.map(Duration::from_secs) }
    }

    proptest! {
        /// A wait is never above its doubled ceiling, never below what the target asked for (an hour at
        /// most), and the notice is due when it is over.
        #[test]
        fn waits_grow_and_are_kept(tries in 1..40_u32, seed: u64, asked in prop::option::of(0..9_000_u64)) {
            let now = Timestamp::from_millis(5_000_000);
            let before = Queued { attempts: tries - 1, ..queued("l", 1, 0) };
            let after = before.after(&again(asked), u32::MAX, now, seed);
            let wait = after.next_at.since(now);
            let ceiling = WAIT_BASE.saturating_mul(1 << (tries - 1).min(16)).min(WAIT_MAX);
            let asked = Duration::from_secs(asked.unwrap_or_default()).min(WAIT_MAX);
            prop_assert!(wait <= ceiling.max(asked) && wait >= asked, "{:?}", wait);
            prop_assert_eq!(after.is_due(now), wait.is_zero());
            prop_assert!(after.is_due(after.next_at));
            prop_assert_eq!((after.stage, after.attempts), (Stage::Waiting, tries));
        }

        /// Whatever is answered, a notice ends told or parked after its tries at the latest, and a parked one has its reason.
        #[test]
        fn no_notice_is_tried_for_ever_and_none_is_lost(answers in prop::collection::vec(0..10_u8, 0..20), most in 1..12_u32) {
            let mut at = queued("l", 1, 0);
            let mut tries = 0;
            for answer in answers {
                if at.stage != Stage::Waiting {
                    break;
                }
                tries += 1;
                let outcome = match answer {
                    0 => Outcome::Told,
                    1 => Outcome::Refused { why: "410".to_owned() },
                    _ => again(None),
                };
                at = at.after(&outcome, most, Timestamp::default(), 7);
                match (&at.stage, outcome) {
                    (Stage::Told, outcome) => prop_assert_eq!(outcome, Outcome::Told),
                    (Stage::Parked, Outcome::Refused { .. }) => prop_assert!(at.why.is_some()),
                    (Stage::Parked, _) => prop_assert!(tries == most && at.why.is_some()),
                    (Stage::Waiting, outcome) => prop_assert!(outcome == again(None) && tries < most),
                }
            }
            prop_assert!(tries <= most);
            let woken = at.clone().again(Timestamp::from_millis(9));
            prop_assert!(woken.is_due(Timestamp::from_millis(9)) && woken.notice == at.notice);
        }
    }

    #[test]
    fn a_clock_that_was_far_ahead_holds_nothing_back() {
        let now = Timestamp::from_millis(1_000);
        let ahead = |ms| Queued { next_at: Timestamp::from_millis(ms), ..queued("l", 1, 0) }.is_due(now);
        assert!(ahead(1_000) && !ahead(1_001) && !ahead(3_601_000) && ahead(3_601_001));
    }
}
