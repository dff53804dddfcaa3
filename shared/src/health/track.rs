//! The fold: what an observer holds of one capability after each probe.
//!
//! Two thresholds keep an edge case from flapping: a vote falls after
//! `failure_threshold` bad probes in a row and rises after `success_threshold`
//! good ones; anything less leaves it as it was. A vote that is up is `slow`
//! while the smoothed latency or the recent error rate is over its limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Failure, Policy, Probe};
use crate::{
    region::HealthCheck,
    time::{Timestamp, millis},
};

/// Probes that the error rate looks back on: about five minutes of ticks.
const WINDOW: u8 = 32;
/// Probes in the window below which there is no error rate.
const VOLUME_MIN: u8 = 10;
/// Share of failed probes, in percent, above which a vote is slow.
pub const ERROR_PERCENT_MAX: u32 = 10;
/// Time after which the smoothed latency has fallen half of the way to a lower sample.
const FALL: Duration = Duration::from_secs(30);

/// What an observer says of one capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// It answers, and in time.
    Up,
    /// It answers, slowly or with errors.
    Slow,
    /// It does not answer.
    Down,
    /// Too few probes in a row agree to say anything.
    #[default]
    Unknown,
}

/// How many of the last probes came out alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Good(u32),
    Bad(u32),
}

/// The outcomes of the last [`WINDOW`] probes, the newest in the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Window {
    /// A set bit is a failed probe.
    bad: u32,
    /// Probes in it, at most [`WINDOW`].
    len: u8,
}

/// One capability of one region, as one observer has seen it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Track {
    vote: Vote,
    run: Run,
    latency_us: Option<u32>,
    window: Window,
    failure: Option<Failure>,
    probed_at: Timestamp,
}

/// A track as stored: vote, run (negative: bad), latency in µs, failures and
/// length of the window, last failure, time of the last probe in ms. A list
/// rather than a map, since the row is written at each tick to every replica
/// and paid by the kilobyte.
type Row = (Vote, i64, Option<u32>, (u32, u8), Option<Failure>, Timestamp);

impl Default for Track {
    /// A track before its first probe.
    fn default() -> Self {
        Self {
            vote: Vote::Unknown,
            run: Run::Good(0),
            latency_us: None,
            window: Window::default(),
            failure: None,
            probed_at: Timestamp::default(),
        }
    }
}

impl Track {
    /// This track after one more probe. `now` is the observer's own clock.
    #[must_use]
    pub fn observe(self, outcome: Probe, check: &HealthCheck, policy: &Policy, now: Timestamp) -> Self {
        let run = self.run.after(outcome);
        let turn = match run {
            Run::Good(n) => (n >= check.success_threshold.max(1)).then_some(Vote::Up),
            Run::Bad(n) => (n >= check.failure_threshold.max(1)).then_some(Vote::Down),
        };
        // The fall has been told by the vote; what came before the rise is not
        // told a second time by the error rate.
        let risen = self.vote == Vote::Down && turn == Some(Vote::Up);
        let window = if risen { Window::default() } else { self.window };
        let next = Self {
            vote: turn.unwrap_or(self.vote),
            run,
            latency_us: self.smoothed(outcome, now),
            window: window.after(outcome),
            failure: match outcome {
                Probe::Good(_) => self.failure,
                Probe::Bad(failure) => Some(failure),
            },
            probed_at: now,
        };
        Self { vote: next.graded(policy), ..next }
    }

    /// What the observer says now.
    pub const fn vote(&self) -> Vote {
        self.vote
    }

    /// Smoothed latency of the good probes; `None` before the first one.
    pub fn latency(&self) -> Option<Duration> {
        self.latency_us.map(|us| Duration::from_micros(us.into()))
    }

    /// Failed probes in the window, in percent; `None` while there are too few to say.
    pub fn error_percent(&self) -> Option<u32> {
        let failed = 100 * self.window.bad.count_ones();
        (self.window.len >= VOLUME_MIN).then(|| failed / u32::from(self.window.len))
    }

    /// Why the last failed probe failed.
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// When it was last probed, on the observer's own clock.
    pub const fn probed_at(&self) -> Timestamp {
        self.probed_at
    }

    /// Whether the vote says that it answers, so that a failure is worth asking again at once.
    pub const fn holds_up(&self) -> bool {
        matches!(self.vote, Vote::Up | Vote::Slow)
    }

    /// Whether the last probe failed, or enough before it did.
    pub fn is_missed(&self) -> bool {
        self.vote == Vote::Down || self.holds_up() && self.last_failed()
    }

    /// Whether it did not answer last time, or has not answered often enough since.
    pub(super) fn is_out_of_reach(&self) -> bool {
        self.last_failed() || self.vote == Vote::Down
    }

    fn last_failed(&self) -> bool {
        matches!(self.run, Run::Bad(_))
    }

    /// The latency after one more probe: up at once, down slowly, and untouched by a failure.
    fn smoothed(&self, outcome: Probe, now: Timestamp) -> Option<u32> {
        let Probe::Good(latency) = outcome else {
            return self.latency_us;
        };
        let sample = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        let Some(held) = self.latency_us else {
            return Some(sample);
        };
        let waited_ms = u128::from(millis(now.since(self.probed_at)));
        let above = u128::from(held.saturating_sub(sample));
        let fall = (above * waited_ms).div_ceil(waited_ms + FALL.as_millis());
        Some(held.max(sample) - u32::try_from(fall).unwrap_or(u32::MAX).min(held.saturating_sub(sample)))
    }

    /// The vote, with up told from slow.
    fn graded(&self, policy: &Policy) -> Vote {
        let late = self.latency().is_some_and(|l| l > policy.degraded_latency);
        let failing = self.window.len >= VOLUME_MIN
            && 100 * self.window.bad.count_ones() > ERROR_PERCENT_MAX * u32::from(self.window.len);
        match self.vote {
            Vote::Up | Vote::Slow if late || failing => Vote::Slow,
            Vote::Up | Vote::Slow => Vote::Up,
            Vote::Down => Vote::Down,
            Vote::Unknown => Vote::Unknown,
        }
    }
}

impl Run {
    const fn after(self, outcome: Probe) -> Self {
        match (self, outcome) {
            (Self::Good(n), Probe::Good(_)) => Self::Good(n.saturating_add(1)),
            (Self::Bad(n), Probe::Bad(_)) => Self::Bad(n.saturating_add(1)),
            (Self::Bad(_), Probe::Good(_)) => Self::Good(1),
            (Self::Good(_), Probe::Bad(_)) => Self::Bad(1),
        }
    }
}

impl Window {
    const fn after(self, outcome: Probe) -> Self {
        let failed = matches!(outcome, Probe::Bad(_));
        let len = if self.len < WINDOW { self.len + 1 } else { WINDOW };
        Self { bad: self.bad << 1 | failed as u32, len }
    }
}

impl From<Track> for Row {
    fn from(track: Track) -> Self {
        let run = match track.run {
            Run::Good(n) => i64::from(n),
            Run::Bad(n) => -i64::from(n),
        };
        let window = (track.window.bad, track.window.len);
        (track.vote, run, track.latency_us, window, track.failure, track.probed_at)
    }
}

impl From<Row> for Track {
    /// Total: a row that no observer of this version would write still reads as some track.
    fn from((vote, run, latency_us, (bad, len), failure, probed_at): Row) -> Self {
        let n = u32::try_from(run.unsigned_abs()).unwrap_or(u32::MAX);
        let run = if run < 0 { Run::Bad(n) } else { Run::Good(n) };
        let len = len.min(WINDOW);
        let filled = u32::MAX.checked_shr(u32::from(WINDOW - len)).unwrap_or(0);
        let window = Window { bad: bad & filled, len };
        Self { vote, run, latency_us, window, failure, probed_at }
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
