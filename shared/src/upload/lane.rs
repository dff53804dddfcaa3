//! A lane: one wanted copy on its way, through one region or, when that fails, several.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{checksum::Checksum, region::RegionName, time::Timestamp, units::ByteSize};

use super::{Plan, Reason, receipt::How};

/// A copy as the store proved it: what was read back, not what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The bucket that holds it.
    pub bucket: String,
    /// Its version; `None` in a bucket without versions.
    pub version_id: Option<String>,
    /// Its size as found.
    pub size: ByteSize,
    /// Its checksum as found.
    pub checksum: Checksum,
    /// How size and checksum were found.
    pub how: How,
    /// Time from the first byte sent to the proof.
    pub duration: Duration,
}

/// Where a lane stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was sent to the region yet.
    Waiting,
    /// Bytes are being sent.
    Uploading,
    /// All bytes are sent; the copy is being completed and checked.
    Completing,
    /// The copy was checked.
    Verified(Stored),
    /// The region holds no copy.
    Failed(Reason),
    /// The region was asked to complete the copy and nobody knows whether it did.
    Unknown(Reason),
    /// Nothing more is tried here: the copy is left to server-side replication.
    Owed(Reason),
}

/// How one try in one region ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It has not ended.
    Running,
    /// The copy is there and was checked.
    Verified,
    /// There is no copy.
    Failed,
    /// There may be a copy.
    Unknown,
    /// It was given up before its end.
    Dropped,
}

/// One try in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The region.
    pub region: RegionName,
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why, unless it went well.
    pub reason: Option<Reason>,
}

/// What happens to a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first byte is sent.
    Begun(Timestamp),
    /// The last byte is sent.
    Sent,
    /// The copy was read back.
    Proved(Stored),
    /// The try ended without a copy.
    Failed(Reason),
    /// The try ended, perhaps with a copy.
    LostSight(Reason),
    /// Another region takes over.
    MovedTo(RegionName),
    /// Nothing more is tried.
    GivenUp(Reason),
}

/// The event does not follow from the lane's state: a bug in the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lane to `{region}` is `{state}`, where `{event}` cannot happen")]
pub struct OutOfTurn {
    region: RegionName,
    state: String,
    event: String,
}

/// One wanted copy on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    home: RegionName,
    region: RegionName,
    state: State,
    attempts: Vec<Attempt>,
}

impl Lane {
    /// A copy wanted in `home`.
    pub const fn new(home: RegionName) -> Self {
        Self { home, region: home, state: State::Waiting, attempts: Vec::new() }
    }

    /// The lanes of a plan, in its order.
    pub fn all(plan: &Plan) -> Vec<Self> {
        plan.lanes.iter().map(|region| Self::new(*region)).collect()
    }

    /// The region that the plan wants the copy in, and that is owed if no other region takes it.
    pub const fn home(&self) -> RegionName {
        self.home
    }

    /// The region that it goes to now.
    pub const fn region(&self) -> RegionName {
        self.region
    }

    /// Where it stands.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Every try so far, oldest first.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Moves the lane on by one event.
    pub fn apply(&mut self, event: Event) -> Result<(), OutOfTurn> {
        use AttemptOutcome as Outcome;
        let (state, ending) = match (&self.state, event) {
            (State::Waiting, Event::Begun(at)) => {
                let region = self.region;
                self.attempts.push(Attempt { region, at, outcome: Outcome::Running, reason: None });
                (State::Uploading, None)
            }
            (State::Uploading, Event::Sent) => (State::Completing, None),
            (State::Completing, Event::Proved(stored)) => {
                (State::Verified(stored), Some((Outcome::Verified, None)))
            }
            (State::Uploading | State::Completing, Event::Failed(why)) => {
                (State::Failed(why.clone()), Some((Outcome::Failed, Some(why))))
            }
            (State::Completing, Event::LostSight(why)) => {
                (State::Unknown(why.clone()), Some((Outcome::Unknown, Some(why))))
            }
            (State::Failed(_) | State::Unknown(_), Event::MovedTo(region)) => {
                self.region = region;
                (State::Waiting, None)
            }
            (State::Uploading, Event::GivenUp(why)) => {
                (State::Owed(why.clone()), Some((Outcome::Dropped, Some(why))))
            }
            (State::Waiting | State::Failed(_) | State::Unknown(_), Event::GivenUp(why)) => {
                (State::Owed(why), None)
            }
            (state, event) => return Err(out_of_turn(self.region, state, &event)),
        };
        self.state = state;
        if let (Some((outcome, reason)), Some(last)) = (ending, self.attempts.last_mut()) {
            last.outcome = outcome;
            last.reason = reason;
        }
        Ok(())
    }
}

/// The refusal, with no more of state and event than their names.
fn out_of_turn(region: RegionName, state: &State, event: &Event) -> OutOfTurn {
    let state = match state {
        State::Waiting => "waiting",
        State::Uploading => "uploading",
        State::Completing => "completing",
        State::Verified(_) => "verified",
        State::Failed(_) => "failed",
        State::Unknown(_) => "unknown",
        State::Owed(_) => "owed",
    };
    let event = match event {
        Event::Begun(_) => "begun",
        Event::Sent => "sent",
        Event::Proved(_) => "proved",
        Event::Failed(_) => "failed",
        Event::LostSight(_) => "lost sight",
        Event::MovedTo(_) => "moved",
        Event::GivenUp(_) => "given up",
    };
    OutOfTurn { region, state: state.to_owned(), event: event.to_owned() }
}

/// The region that takes over the failed lane number `failed`, or `None` when
/// the copy must be left owed.
///
/// Never a region that any lane of this upload uses or has tried, and at most
/// `cross_region_retries` further regions for one copy.
pub fn next_region(
    plan: &Plan,
    lanes: &[Lane],
    failed: usize,
    cross_region_retries: u32,
) -> Option<RegionName> {
    let lane = lanes.get(failed)?;
    let moves = lane.attempts.len().saturating_sub(1);
    if moves >= usize::try_from(cross_region_retries).unwrap_or(usize::MAX) {
        return None;
    }
    let taken = |region: RegionName| {
        lanes.iter().any(|l| l.region == region || l.attempts.iter().any(|a| a.region == region))
    };
    plan.spare.iter().copied().find(|region| !taken(*region))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::Policy;
    use proptest::{collection::vec, prelude::*};

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    fn plan(copies: usize, regions: usize) -> Plan {
        let all: Vec<_> = (0..regions).map(region).collect();
        Plan::new(&Policy { copies, ..Policy::default() }, &all, &all).unwrap()
    }

    fn stored() -> Stored {
        let (version_id, size, checksum) = (Some("v1".to_owned()), ByteSize(9), Checksum::from_u64(7));
        Stored {
            bucket: "b".to_owned(),
            version_id,
            size,
            checksum,
            how: How::ReadBack,
            duration: Duration::ZERO,
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..9_u64).prop_map(|ms| Event::Begun(Timestamp::from_millis(ms))),
            Just(Event::Sent),
            Just(Event::Proved(stored())),
            Just(Event::Failed(Reason::Stopped)),
            Just(Event::LostSight(Reason::TimedOut { after_ms: 1 })),
            (0..4_usize).prop_map(|i| Event::MovedTo(region(i))),
            Just(Event::GivenUp(Reason::Stopped)),
        ]
    }

    proptest! {
        /// However events arrive, a refused one changes nothing, a verified lane stays
        /// verified, and it was proved after everything was sent.
        #[test]
        fn lanes_only_move_forward(events in vec(event(), 0..30)) {
            let mut lane = Lane::new(region(0));
            let mut sent = false;
            for event in events {
                let before = lane.clone();
                match lane.apply(event.clone()) {
                    Err(_) => prop_assert_eq!(&lane, &before),
                    Ok(()) => {
                        prop_assert!(!matches!(before.state, State::Verified(_) | State::Owed(_)));
                        sent = match event { Event::Begun(_) => false, Event::Sent => true, _ => sent };
                    }
                }
                if matches!(lane.state, State::Verified(_)) {
                    prop_assert!(sent);
                    prop_assert_eq!(lane.attempts.last().unwrap().outcome, AttemptOutcome::Verified);
                }
            }
            prop_assert_eq!(lane.home(), region(0));
            let running = lane.attempts.iter().filter(|a| a.outcome == AttemptOutcome::Running).count();
            prop_assert_eq!(running, usize::from(matches!(lane.state, State::Uploading | State::Completing)));
        }

        /// When every region fails, no region is tried twice by one upload, and no copy
        /// is moved more often than the budget says.
        #[test]
        fn no_region_is_tried_twice(copies in 1..5_usize, more in 0..5_usize, retries in 0..4_u32, order in vec(0..5_usize, 0..60)) {
            let plan = plan(copies, copies + more);
            let mut lanes = Lane::all(&plan);
            for i in order.into_iter().map(|i| i % copies) {
                if matches!(lanes[i].state, State::Owed(_)) {
                    continue;
                }
                lanes[i].apply(Event::Begun(Timestamp::default())).unwrap();
                lanes[i].apply(Event::Failed(Reason::Stopped)).unwrap();
                let event = match next_region(&plan, &lanes, i, retries) {
                    Some(region) => Event::MovedTo(region),
                    None => Event::GivenUp(Reason::Stopped),
                };
                lanes[i].apply(event).unwrap();
            }
            let mut tried: Vec<_> = lanes.iter().flat_map(|l| l.attempts.iter().map(|a| a.region)).collect();
            let total = tried.len();
            tried.sort_unstable();
            tried.dedup();
            prop_assert_eq!(tried.len(), total);
            prop_assert!(lanes.iter().all(|l| l.attempts.len() <= retries as usize + 1));
        }
    }

    #[test]
    fn no_budget_means_no_second_region() {
        let plan = plan(1, 3);
        let mut lanes = Lane::all(&plan);
        lanes[0].apply(Event::Begun(Timestamp::default())).unwrap();
        lanes[0].apply(Event::Failed(Reason::Stopped)).unwrap();
        assert_eq!(next_region(&plan, &lanes, 0, 0), None);
        assert_eq!(next_region(&plan, &lanes, 0, 1), Some(region(1)));
    }
}
