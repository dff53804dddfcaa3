//! The verdict on one capability of one region, its tally, and why it is so.

use std::{fmt, time::Duration};

use super::{Ballot, ERROR_PERCENT_MAX, Policy, Standing, Tally, Vote};
use crate::{
    region::{Capability, HealthCheck, Region, RegionName, Status},
    time::Human,
};

/// The rule that gave a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The region is drained in the configuration; votes do not matter.
    Drained,
    /// Nobody watches the region (`health_check.enabled` is off).
    Unwatched,
    /// Fewer votes count than a verdict needs.
    TooFewVoters,
    /// More than half of the counted votes agree.
    Majority,
    /// Exactly half say one thing and half the other; the status is the previous
    /// one, or what is safe without one.
    Tie,
}

/// How one capability of one region stands, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The region judged.
    pub region: RegionName,
    /// What it was judged on.
    pub capability: Capability,
    /// How it stands.
    pub status: Status,
    /// The rule that said so.
    pub why: Why,
    /// The counted votes.
    pub tally: Tally,
    /// One ballot for each configured observer, counted or not.
    pub ballots: Vec<Ballot>,
    check: HealthCheck,
    policy: Policy,
}

impl Verdict {
    /// The verdict on one capability from all ballots; `previous` decides ties.
    pub(super) fn reach(
        region: &Region,
        capability: Capability,
        ballots: Vec<Ballot>,
        policy: &Policy,
        previous: Status,
    ) -> Self {
        let tally = Tally::of(&ballots);
        let (status, why) = if region.offline {
            (Status::Offline, Why::Drained)
        } else if !region.health_check.enabled {
            (Status::Unknown, Why::Unwatched)
        } else {
            decide(tally, policy.voters_min, previous)
        };
        let (check, policy) = (region.health_check, *policy);
        Self { region: region.name, capability, status, why, tally, ballots, check, policy }
    }

    /// Latency as `here` measures it, else the median of those whose votes count.
    pub fn latency(&self, here: RegionName) -> Option<Duration> {
        let own = self.ballots.iter().find(|b| {
            b.voter == here
                && matches!(b.standing, Standing::Counted | Standing::Own)
                && b.vote != Vote::Unknown
        });
        if let Some(own) = own {
            return own.latency;
        }
        let mut others: Vec<_> =
            self.ballots.iter().filter(|b| b.counts()).filter_map(|b| b.latency).collect();
        others.sort_unstable();
        others.get(others.len() / 2).copied()
    }
}

/// The status that the counted votes give, by more than half of them.
///
/// Fewer than `voters_min` say nothing, also when they agree: with three regions
/// a lost observer then neither blocks nor decides alone, if a witness votes too.
/// Half down and half not keeps the `previous` status, or says unknown. Half slow
/// or worse keeps what it was among the usable ones, or says degraded.
fn decide(tally: Tally, voters_min: usize, previous: Status) -> (Status, Why) {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let votes = tally.votes();
    if votes < voters_min.max(1) {
        return (Status::Unknown, Why::TooFewVoters);
    }
    let half = |n: usize| (2 * n).cmp(&votes);
    match (half(tally.down), half(tally.slow + tally.down)) {
        (Greater, _) => (Status::Unhealthy, Why::Majority),
        (Equal, _) => match previous {
            Status::Healthy | Status::Degraded | Status::Unhealthy => (previous, Why::Tie),
            Status::Offline | Status::Unknown => (Status::Unknown, Why::Tie),
        },
        (Less, Greater) => (Status::Degraded, Why::Majority),
        (Less, Equal) => match previous {
            Status::Healthy => (Status::Healthy, Why::Tie),
            Status::Degraded | Status::Unhealthy | Status::Offline | Status::Unknown => {
                (Status::Degraded, Why::Tie)
            }
        },
        (Less, Less) => (Status::Healthy, Why::Majority),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}: ", self.region, self.capability, self.status)?;
        match self.why {
            Why::Drained => {
                f.write_str("drained in the configuration; returns when its `status` is `healthy`")
            }
            Why::Unwatched => f.write_str("not watched; judged when `health_check.enabled` is on"),
            Why::TooFewVoters => self.fmt_too_few(f),
            Why::Majority | Why::Tie => {
                self.fmt_votes(f)?;
                f.write_str("; ")?;
                self.fmt_remedy(f)
            }
        }
    }
}

impl Verdict {
    /// The votes that gave the status, then those that did not count.
    fn fmt_votes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { up, slow, down } = self.tally;
        let votes = self.tally.votes();
        match (self.why, self.status) {
            (Why::Tie, _) => {
                write!(f, "a tie of {votes} fresh outsiders, {up} up, {slow} slow, {down} down")?
            }
            (_, Status::Unhealthy) => write!(f, "{down} of {votes} fresh outsiders vote down")?,
            (_, Status::Degraded) => {
                write!(f, "{} of {votes} fresh outsiders vote slow or down", slow + down)?;
            }
            (_, Status::Healthy | Status::Offline | Status::Unknown) => {
                write!(f, "{up} of {votes} fresh outsiders vote up")?;
            }
        }
        list(f, " (", ")", self.ballots.iter().filter(|b| b.counts()))?;
        list(f, ", not counted (", ")", self.uncounted())
    }

    fn fmt_too_few(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (votes, needed) = (self.tally.votes(), self.policy.voters_min.max(1));
        write!(f, "{votes} of the {needed} votes needed")?;
        list(f, " (", ")", self.ballots.iter().filter(|b| b.counts()))?;
        list(f, ", not counted (", ")", self.uncounted())?;
        write!(f, "; known when {} more can be counted", needed - votes)
    }

    /// What would change the status.
    fn fmt_remedy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (falls, rises) = (self.check.failure_threshold, self.check.success_threshold);
        let falling = format_args!("falls after {falls} bad probes in a row at a majority");
        match (self.why, self.status) {
            (Why::Tie, _) => f.write_str("the next vote that turns decides"),
            (_, Status::Unhealthy) => write!(f, "rises after {rises} good probes in a row at a majority"),
            (_, Status::Degraded) => {
                let limit = Human(self.policy.degraded_latency);
                write!(f, "recovers at {limit} and {ERROR_PERCENT_MAX}% errors or less, {falling}")
            }
            (_, Status::Healthy | Status::Offline | Status::Unknown) => f.write_fmt(falling),
        }
    }

    fn uncounted(&self) -> impl Iterator<Item = &Ballot> {
        self.ballots.iter().filter(|b| !b.counts() && b.voter != self.region)
    }
}

/// Prints ballots between `open` and `close`, and nothing for none.
fn list<'a>(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    close: &str,
    mut ballots: impl Iterator<Item = &'a Ballot>,
) -> fmt::Result {
    let Some(first) = ballots.next() else {
        return Ok(());
    };
    write!(f, "{open}{first}")?;
    for ballot in ballots {
        write!(f, ", {ballot}")?;
    }
    f.write_str(close)
}
