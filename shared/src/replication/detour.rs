//! Rows whose copy is taken from another copy: who they wait for, and where they come from.
//!
//! Rule: a row belongs to the region that its source names, and changes hands with a higher epoch, so that
//! a worker of the region before changes nothing. `since` stays: what waits for a relay is owed all the while.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{region::RegionName, time::Timestamp};

use super::{Entry, Phase, Refused, Source, Token};

/// How a copy gets to its region by way of other copies of the same object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detour {
    /// The relays still ahead, the next one first: its copy is waited for.
    pub via: Vec<RegionName>,
    /// Until when that one is waited for; with none ahead, when the row was given to who pays it.
    pub until: Timestamp,
    /// Whether others wait for this row's copy.
    pub feeds: bool,
    /// What the copy would have been made from without relays, once a relay was given the row.
    pub home: Option<Source>,
}

impl Entry {
    /// This fresh row on its way over the relays `via`, the first of which is waited for until `until`;
    /// `feeds`: whether others wait for its own copy.
    #[must_use]
    pub fn routed(self, via: Vec<RegionName>, feeds: bool, until: Timestamp) -> Self {
        let detour = (feeds || !via.is_empty()).then_some(Detour { via, until, feeds, home: None });
        Self { detour, ..self }
    }

    /// The relay whose copy is waited for.
    pub fn awaits(&self) -> Option<RegionName> {
        match &self.phase {
            Phase::Pending => self.detour.as_ref().and_then(|detour| detour.via.first().copied()),
            Phase::Copying(_) | Phase::Verified { .. } | Phase::Failed { .. } | Phase::Void { .. } => None,
        }
    }

    /// Whether others wait for this row's copy.
    pub fn feeds(&self) -> bool {
        self.detour.as_ref().is_some_and(|detour| detour.feeds)
    }

    /// What the copy would have been made from without relays, if a relay was given the row.
    pub fn home(&self) -> Option<&Source> {
        self.detour.as_ref().and_then(|detour| detour.home.as_ref())
    }

    /// This row given to the relay whose copy is `source`; `None` unless it waits for that relay. What is
    /// still ahead after that is waited for as long as `wait`.
    #[must_use]
    pub fn given(self, source: Source, now: Timestamp, wait: Duration) -> Option<Self> {
        self.awaits()?;
        let mut detour = self.detour?;
        let place = detour.via.iter().position(|relay| *relay == source.region)?;
        detour.via.drain(..=place);
        detour.until = if detour.via.is_empty() { now } else { now.after(wait) };
        detour.home.get_or_insert(self.source);
        Some(Self { source, epoch: self.epoch + 1, detour: Some(detour), ..self })
    }

    /// This row still waiting, until `until`.
    #[must_use]
    pub fn waiting_until(mut self, until: Timestamp) -> Self {
        if let Some(detour) = &mut self.detour {
            detour.until = until;
        }
        self
    }

    /// This row paid by who has it, waiting for nobody.
    #[must_use]
    pub fn straight(mut self) -> Self {
        if let Some(detour) = &mut self.detour {
            detour.via.clear();
        }
        self
    }

    /// This row back with the region that gave it to a relay, which pays it straight; `None` if no relay was given
    /// it, while a claim on it holds, or once nothing is owed.
    #[must_use]
    pub fn taken_back(self, now: Timestamp) -> Option<Self> {
        let home = self.home().cloned()?;
        let feeds = self.feeds();
        self.inherited(home, now).map(|row| row.routed(Vec::new(), feeds, now))
    }

    /// The same by the relay's worker that holds the claim, as when the relay's copy was deleted.
    ///
    /// # Errors
    /// When the claim does not hold any more.
    pub fn returned(self, token: &Token) -> Result<Self, Refused> {
        let (home, feeds) = (self.home().cloned(), self.feeds());
        let source = home.unwrap_or_else(|| self.source.clone());
        let until = self.since;
        let back = self.sourced(token, source)?.routed(Vec::new(), feeds, until);
        Ok(Self { phase: Phase::Pending, epoch: back.epoch + 1, ..back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{replication::ObjectId, units::ByteSize};

    const WAIT: Duration = Duration::from_secs(300);

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    fn source(i: usize) -> Source {
        Source {
            region: region(i),
            bucket: format!("b{i}"),
            key: "k".to_owned(),
            version_id: Some(format!("v{i}")),
            etag: "e".to_owned(),
            size: ByteSize(1),
            checksum: None,
        }
    }

    fn at(s: u64) -> Timestamp {
        Timestamp::from_millis(s * 1_000)
    }

    fn waiting(via: &[usize]) -> Entry {
        let via = via.iter().copied().map(region).collect();
        Entry::owed(ObjectId::of_upload("u"), region(9), source(0), at(10)).routed(via, false, at(310))
    }

    #[test]
    fn a_row_that_waits_is_owed_since_it_was_written_and_due_when_it_has_waited() {
        let row = waiting(&[1]);
        assert_eq!((row.since, row.due(), row.awaits()), (at(10), Some(at(310)), Some(region(1))));
        assert_eq!(row.clone().straight().due(), Some(at(10)));
        assert_eq!(waiting(&[]).detour, None);
        assert_eq!(row.waiting_until(at(400)).due(), Some(at(400)));
    }

    #[test]
    fn a_row_passes_from_relay_to_relay_and_finds_its_way_back() {
        let row = waiting(&[1, 2]);
        assert_eq!(row.clone().given(source(3), at(20), WAIT), None, "it does not wait for that one");
        let first = row.clone().given(source(1), at(20), WAIT).unwrap();
        assert_eq!((first.awaits(), first.due(), first.epoch), (Some(region(2)), Some(at(320)), 1));
        let second = first.clone().given(source(2), at(30), WAIT).unwrap();
        assert_eq!((second.awaits(), second.due(), second.home()), (None, Some(at(30)), Some(&source(0))));
        // A relay that was passed over is no obstacle.
        assert_eq!(row.given(source(2), at(30), WAIT).unwrap().awaits(), None);
        let back = second.taken_back(at(400)).unwrap();
        assert_eq!((&back.source, back.detour, back.epoch), (&source(0), None, 3));
    }

    #[test]
    fn a_worker_of_the_relay_gives_back_only_what_it_holds() {
        let row = waiting(&[1]).given(source(1), at(20), WAIT).unwrap();
        let (held, token) = row.claim("w", at(30), WAIT).unwrap();
        assert_eq!(held.clone().taken_back(at(31)), None, "it is at work");
        let back = held.clone().returned(&token).unwrap();
        assert_eq!((&back.source, back.due(), back.home()), (&source(0), Some(at(10)), None));
        assert!(back.clone().verified(&token, None).is_err(), "its worker changes nothing any more");
        let late = Token { epoch: token.epoch - 1, ..token };
        assert!(held.returned(&late).is_err());
    }

    #[test]
    fn who_is_at_work_or_done_waits_for_nobody() {
        let (held, token) = waiting(&[1]).straight().claim("w", at(400), WAIT).unwrap();
        assert_eq!(held.clone().given(source(1), at(401), WAIT), None);
        assert_eq!(held.verified(&token, None).unwrap().taken_back(at(900)), None);
    }
}
