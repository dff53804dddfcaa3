//! The lanes of an upload on their way: which region each goes to next, when, and what they left behind.
//!
//! Rule: a region that is left is replaced at once. Only when one was left before for the same
//! kind of trouble is there a pause, which is drawn: then the trouble is perhaps not the region's, and
//! uploads that fail together are not to come to the next one together.

use std::{
    io,
    mem::{Discriminant, discriminant},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{
    blocks::Whole,
    journal::Journal,
    progress::Progress,
    ship::{Order, ShipError},
    source::SourceError,
    trip::{End, Ended},
};
use crate::{
    region::RegionName,
    time::Timestamp,
    upload::{Event, Lane, Leftover, Note, OutOfTurn, Reason, Receipt, Shipment, State, jitter, next_region},
};

/// A lane and the region that it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) lane: usize,
    pub(super) region: RegionName,
    /// Whether it may go to another region after this one, if there is one.
    pub(super) may_move: bool,
}

/// What the gate answered a lane.
pub(super) type Answer = (Seat, Result<(), Reason>);

/// The lanes of an upload and what they left behind.
pub(super) struct Lanes<'a> {
    order: &'a Order,
    journal: &'a dyn Journal,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    lanes: Vec<Lane>,
    leftovers: Vec<Leftover>,
    /// Why the source cannot be read any more.
    spoilt: Option<SourceError>,
    /// Whether there is a region that no lane has been to.
    elsewhere: &'a AtomicBool,
    /// For what regions were left, once each time.
    troubles: Vec<Discriminant<Reason>>,
}

impl<'a> Lanes<'a> {
    /// The lanes of `order`, which keep `elsewhere` true to the regions that are left to go to.
    pub(super) fn new(
        order: &'a Order,
        elsewhere: &'a AtomicBool,
        journal: &'a dyn Journal,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Self {
        let (lanes, leftovers, troubles) = (Lane::all(&order.plan), Vec::new(), Vec::new());
        let new = Self { order, journal, progress, lanes, leftovers, spoilt: None, elsewhere, troubles };
        new.look_around();
        new
    }

    /// The lanes that wait to be sent, with the region of each.
    pub(super) fn waiting(&self) -> Vec<Seat> {
        let waiting = |(_, lane): &(usize, &Lane)| matches!(lane.state(), State::Waiting);
        self.lanes.iter().enumerate().filter(waiting).map(|(i, _)| self.seat(i)).collect()
    }

    /// The lanes that are inside by now, and those that were sent elsewhere, to ask again.
    pub(super) fn seated(
        &mut self,
        mut inside: Vec<Seat>,
        asked: Vec<Answer>,
        now: Timestamp,
    ) -> Result<(Vec<Seat>, Vec<Seat>), OutOfTurn> {
        let mut again = Vec::new();
        for (seat, answer) in asked {
            match answer {
                Ok(()) => inside.push(seat),
                Err(reason) => {
                    (self.progress)(Progress::Dropped { region: seat.region, reason: reason.clone() });
                    // A gate that is shut is no trouble of a region's, and costs nobody anything.
                    let refused = Ended { began: now, sent: false, end: End::Failed(reason) };
                    again.extend(self.record(seat.lane, refused)?);
                }
            }
        }
        Ok((inside, again))
    }

    /// Takes in how a trip ended; where the lane goes next, and after which pause.
    pub(super) fn ended(&mut self, lane: usize, ended: Ended) -> Result<Option<(Duration, Seat)>, OutOfTurn> {
        let trouble = match &ended.end {
            End::Proved(_) => None,
            End::Failed(reason) | End::LostSight(reason) | End::Dropped(reason) => Some(discriminant(reason)),
        };
        let moved = self.record(lane, ended)?;
        let known = trouble.is_some_and(|trouble| self.troubles.contains(&trouble));
        self.troubles.extend(trouble);
        let attempt = u32::try_from(self.troubles.len()).unwrap_or(u32::MAX);
        let longest = if known { self.order.policy.failover_delay } else { Duration::ZERO };
        Ok(moved.map(|seat| (jitter(longest, self.order.seed, attempt), seat)))
    }

    /// Moves a lane on by how its trip ended, and to its next region.
    fn record(&mut self, i: usize, ended: Ended) -> Result<Option<Seat>, OutOfTurn> {
        let next = self.next(i);
        let spoilt = self.spoilt.as_ref().map(ToString::to_string);
        let lane = &mut self.lanes[i];
        lane.apply(Event::Begun(ended.began))?;
        if ended.sent {
            lane.apply(Event::Sent)?;
        }
        lane.apply(match (ended.end, spoilt) {
            (End::Proved(stored), _) => Event::Proved(stored),
            (End::Failed(reason), _) => Event::Failed(reason),
            (End::LostSight(reason), _) => Event::LostSight(reason),
            (End::Dropped(_), Some(detail)) => Event::GivenUp(Reason::SourceChanged { detail }),
            (End::Dropped(reason), None) if next.is_some() => Event::Failed(reason),
            (End::Dropped(reason), None) => Event::GivenUp(reason),
        })?;
        let (State::Failed(reason) | State::Unknown(reason)) = self.lanes[i].state().clone() else {
            self.look_around();
            return Ok(None);
        };
        let (from, next) = (self.lanes[i].region(), self.next(i));
        self.lanes[i].apply(next.map_or(Event::GivenUp(reason), Event::MovedTo))?;
        self.look_around();
        Ok(next.map(|to| {
            self.journal.note(Note::Moved { from, to });
            (self.progress)(Progress::Moved { from, to });
            self.seat(i)
        }))
    }

    /// Takes in how a reading ended.
    pub(super) fn read(&mut self, read: Result<(), SourceError>) {
        if let Err(error) = read {
            self.spoilt.get_or_insert(error);
        }
    }

    /// Takes in what a trip could not free.
    pub(super) fn left(&mut self, leftover: Option<Leftover>) {
        self.leftovers.extend(leftover);
    }

    /// Whether the source cannot be read any more.
    pub(super) const fn is_spoilt(&self) -> bool {
        self.spoilt.is_some()
    }

    fn seat(&self, lane: usize) -> Seat {
        let retries = usize::try_from(self.order.policy.cross_region_retries).unwrap_or(usize::MAX);
        let may_move = self.lanes[lane].attempts().len() < retries;
        Seat { lane, region: self.lanes[lane].region(), may_move }
    }

    /// The region that would take over this lane.
    fn next(&self, lane: usize) -> Option<RegionName> {
        let Order { plan, policy, .. } = self.order;
        next_region(plan, &self.lanes, lane, policy.cross_region_retries).filter(|_| self.spoilt.is_none())
    }

    fn look_around(&self) {
        let been = |region: &RegionName| {
            self.lanes.iter().any(|lane| {
                lane.region() == *region || lane.attempts().iter().any(|attempt| attempt.region == *region)
            })
        };
        let left = self.order.plan.spare.iter().any(|region| !been(region));
        self.elsewhere.store(left && self.spoilt.is_none(), Ordering::Relaxed);
    }

    /// What came of the upload of `whole`.
    pub(super) fn receipt(self, whole: Whole) -> Receipt {
        let Whole { size, checksum, files } = whole;
        let Order { upload_id, key, plan, .. } = self.order;
        let shipment = Shipment { upload_id: upload_id.clone(), key: key.clone(), size, checksum, files };
        Receipt::judge(&shipment, plan, &self.lanes).leaving(self.leftovers)
    }

    /// Why there is nothing to be said of the source at `path`.
    pub(super) fn unread(self, path: &Path) -> ShipError {
        let unread = || SourceError::Unreadable {
            path: path.to_owned(),
            source: io::Error::other("it was not read to its end"),
        };
        ShipError::Source { source: self.spoilt.unwrap_or_else(unread), leftovers: self.leftovers }
    }
}
