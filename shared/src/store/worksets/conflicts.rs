//! Writes that met around a failover: versions that were written more than once, and
//! versions beyond the workset's own, whose row another region's write has replaced.
//!
//! A default global table keeps the later of two rows without a word. Every write has
//! an event of its own, so what was lost is found here.

use std::collections::VecDeque;

use super::WorksetTable;
use crate::{
    ports::{Rows, RowsError},
    region::RegionName,
    workset::{Event, Place, Tenant, WorksetId},
};

/// Events that are looked at for one page.
const LOOK_AT: usize = 200;

/// The writes of one version, of which the workset keeps at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The version.
    pub version: u64,
    /// The region whose write was kept: the one that the next write was decided on. `None` where
    /// none was, or where the next version is itself in conflict.
    pub kept: Option<RegionName>,
    /// All writes of that version.
    pub writes: Vec<Event>,
}

/// Some conflicts of a workset, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conflicts {
    /// The conflicts.
    pub conflicts: Vec<Conflict>,
    /// Ask again from here; `None` at the end. A page without conflicts is not the end.
    pub next: Option<Place>,
}

impl<R: Rows> WorksetTable<R> {
    /// The conflicts of a workset among its events before `from`; `None` if the tenant has no
    /// workset of that id.
    ///
    /// # Errors
    /// When the replica does not answer or a row is not readable.
    pub async fn conflicts(
        &self,
        tenant: &Tenant,
        id: &WorksetId,
        from: Option<Place>,
    ) -> Result<Option<Conflicts>, RowsError> {
        let Some(held) = self.get(tenant, id).await? else { return Ok(None) };
        let Some(history) = self.history(tenant, id, from, LOOK_AT).await? else { return Ok(None) };
        let mut groups = grouped(history.events);
        // The oldest group may go on with the next page, which then begins with it.
        let cut = history.more && groups.len() > 1;
        let last = if cut { groups.pop_back() } else { None };
        let next = last.and(groups.back().and_then(|group| group.last()).map(Event::place));
        let ours = (held.workset.version, held.workset.written_in);
        Ok(Some(Conflicts { conflicts: judged(groups, ours, from.is_none()), next }))
    }
}

/// The events of a history, newest first, version by version.
fn grouped(events: Vec<Event>) -> VecDeque<Vec<Event>> {
    let mut groups: VecDeque<Vec<Event>> = VecDeque::new();
    for event in events {
        match groups.back_mut().filter(|group| group[0].version == event.version) {
            Some(group) => group.push(event),
            None => groups.push_back(vec![event]),
        }
    }
    groups
}

/// The groups that are conflicts. `ours` is the version and the region of the workset's row.
fn judged(groups: VecDeque<Vec<Event>>, ours: (u64, RegionName), newest: bool) -> Vec<Conflict> {
    let (mut conflicts, mut above) = (Vec::new(), None::<Event>);
    for writes in groups {
        let version = writes[0].version;
        let next = above.take().filter(|event| event.version == version + 1 && event.version <= ours.0);
        let kept = match version.cmp(&ours.0) {
            std::cmp::Ordering::Greater => None,
            std::cmp::Ordering::Equal if newest || version == ours.0 => Some(ours.1),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Less => next.and_then(|event| event.after),
        };
        if let [only] = writes.as_slice() {
            above = Some(only.clone());
        }
        let lost_alone = version > ours.0 || kept.is_some_and(|kept| writes.iter().all(|e| e.region != kept));
        if writes.len() > 1 || lost_alone {
            conflicts.push(Conflict { version, kept, writes });
        }
    }
    conflicts
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{time::Timestamp, workset::State};

    fn region(name: &str) -> RegionName {
        name.parse().unwrap()
    }

    fn event(version: u64, at: &str, after: Option<&str>) -> Event {
        Event {
            version,
            act: None,
            from: Some(State::Ready),
            to: State::Canceled,
            at: Timestamp::from_millis(0),
            region: region(at),
            after: after.map(region),
            epoch: None,
            fence: None,
            reason: None,
            actor: "ada".parse().unwrap(),
            request: String::new(),
            chain: None,
        }
    }

    fn told(events: Vec<Event>, ours: (u64, &str)) -> Vec<(u64, Option<String>, usize)> {
        let conflicts = judged(grouped(events), (ours.0, region(ours.1)), true);
        conflicts.into_iter().map(|c| (c.version, c.kept.map(|r| r.to_string()), c.writes.len())).collect()
    }

    #[test]
    fn a_history_of_one_writer_has_no_conflicts() {
        let events = vec![event(2, "us-west-2", Some("us-west-2")), event(1, "us-west-2", None)];
        assert_eq!(told(events, (2, "us-west-2")), []);
    }

    #[test]
    fn the_write_that_was_kept_is_the_one_that_the_next_was_decided_on() {
        let events = vec![
            event(3, "us-east-1", Some("us-east-1")),
            event(2, "us-west-2", Some("us-west-2")),
            event(2, "us-east-1", Some("us-west-2")),
            event(1, "us-west-2", None),
        ];
        assert_eq!(told(events.clone(), (3, "us-east-1")), [(2, Some("us-east-1".to_owned()), 2)]);
        assert_eq!(told(events[1..].to_vec(), (2, "us-west-2")), [(2, Some("us-west-2".to_owned()), 2)]);
    }

    /// The other region wrote more versions, and the last writer had fewer.
    #[test]
    fn versions_beyond_the_workset_were_lost() {
        let events = vec![
            event(3, "us-west-2", Some("us-west-2")),
            event(2, "us-west-2", Some("us-west-2")),
            event(2, "us-east-1", Some("us-west-2")),
        ];
        let wanted = [(3, None, 1), (2, Some("us-east-1".to_owned()), 2)];
        assert_eq!(told(events, (2, "us-east-1")), wanted);
    }

    proptest! {
        /// Whatever is written, every event that shares its version or lies beyond the row is told.
        #[test]
        fn no_write_that_met_another_goes_untold(
            mut written in vec((1..7_u64, 0..3_usize), 1..14), version in 1..7_u64, at in 0..3_usize,
        ) {
            let names = ["us-west-2", "us-east-1", "eu-west-1"];
            written.sort_by_key(|w| std::cmp::Reverse(w.0));
            let events: Vec<_> = written.iter().map(|(v, r)| event(*v, names[*r], None)).collect();
            let told = judged(grouped(events.clone()), (version, region(names[at])), true);
            for one in &events {
                let shared = events.iter().filter(|other| other.version == one.version).count() > 1;
                if shared || one.version > version {
                    prop_assert!(told.iter().any(|c| c.writes.contains(one)));
                }
            }
        }
    }
}
