//! One observer's vote in one verdict, and the count of them.

use std::{fmt, time::Duration};

use super::{Failure, Observation, Track, Vote};
use crate::{
    region::{Capability, RegionName},
    time::millis,
};

/// Whether a vote counts, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Counted,
    /// A region does not vote on itself.
    Own,
    /// The observer doubts itself.
    Suspect,
    /// The observer's number no longer advances, or was seen only once.
    Stale,
    /// The observer has not probed often enough to say.
    Undecided,
    /// No row of this observer was read.
    Missing,
}

impl Standing {
    /// Why the vote does not count; empty for one that does.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "",
            Self::Own => "votes on itself",
            Self::Suspect => "suspects itself",
            Self::Stale => "stale",
            Self::Undecided => "undecided",
            Self::Missing => "no row",
        }
    }
}

/// What one observer contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    /// Whose it is.
    pub voter: RegionName,
    /// Whether it counts.
    pub standing: Standing,
    /// What it says.
    pub vote: Vote,
    /// The observer's smoothed latency; `None` when it never had an answer, or has none now.
    pub latency: Option<Duration>,
    /// Share of failed probes, in percent; `None` while there are too few.
    pub error_percent: Option<u32>,
    /// Why its last failed probe failed.
    pub failure: Option<Failure>,
}

impl Ballot {
    /// What `voter` says by its `row`, if one was read and whether it is fresh.
    pub(super) fn of(
        voter: RegionName,
        region: RegionName,
        capability: Capability,
        row: Option<(&Observation, bool)>,
    ) -> Self {
        let track = row.and_then(|(row, _)| row.track(region, capability));
        let vote = track.map_or(Vote::Unknown, Track::vote);
        let standing = match row {
            None => Standing::Missing,
            Some((_, false)) => Standing::Stale,
            Some((row, true)) if row.is_suspect() => Standing::Suspect,
            Some(_) if voter == region => Standing::Own,
            Some(_) if vote == Vote::Unknown => Standing::Undecided,
            Some(_) => Standing::Counted,
        };
        // What no longer answers was perhaps fast once; that says nothing now.
        let answers = matches!(vote, Vote::Up | Vote::Slow);
        Self {
            voter,
            standing,
            vote,
            latency: track.filter(|_| answers).and_then(Track::latency),
            error_percent: track.and_then(Track::error_percent),
            failure: track.and_then(Track::failure),
        }
    }

    /// Whether it counts.
    pub const fn counts(&self) -> bool {
        matches!(self.standing, Standing::Counted)
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.voter)?;
        match (self.standing, self.vote) {
            (Standing::Counted, Vote::Down) => match self.failure {
                Some(failure) => write!(f, "{failure}"),
                None => f.write_str("down"),
            },
            (Standing::Counted, Vote::Up | Vote::Slow | Vote::Unknown) => {
                write!(f, "{} ms", self.latency.map_or(0, millis))?;
                match self.error_percent {
                    Some(percent) if percent > 0 => write!(f, " with {percent}% errors"),
                    Some(_) | None => Ok(()),
                }
            }
            (standing, _) => f.write_str(standing.as_str()),
        }
    }
}

/// How many counted votes say what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Answers in time.
    pub up: usize,
    /// Answers slowly or with errors.
    pub slow: usize,
    /// Does not answer.
    pub down: usize,
}

impl Tally {
    /// The count of those `ballots` that count.
    pub(super) fn of(ballots: &[Ballot]) -> Self {
        ballots.iter().filter(|b| b.counts()).fold(Self::default(), |t, ballot| match ballot.vote {
            Vote::Up => Self { up: t.up + 1, ..t },
            Vote::Slow => Self { slow: t.slow + 1, ..t },
            Vote::Down => Self { down: t.down + 1, ..t },
            Vote::Unknown => t,
        })
    }

    /// Votes that count.
    pub const fn votes(&self) -> usize {
        self.up + self.slow + self.down
    }
}
