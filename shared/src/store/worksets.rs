//! The worksets table: one row a workset, and one row for each write of it.
//!
//! A write has to change a row and add to the history, and the table has no
//! write of two rows that also holds in other regions. So the workset's row
//! carries the event of its last write, and that one conditional write is the
//! whole commit. The event gets a row of its own right afterwards; where a crash
//! left that out, the next writer makes up for it before it replaces the row, and
//! a reader of the history sees the event in the workset's row until then. No
//! state is ever without its history, and no event tells of a write that lost.
//!
//! The row of an event is its entry in the outbox, too, where somebody is told of such events: it
//! lies in the index until they are. That costs no write more.
//!
//! Each event is tied to the one before by its [`Link`], so that the history is
//! the audit as well: what was changed or taken out of it later shows.
//!
//! Two regions that write one version while they cannot see each other leave an
//! event each, and [`collisions`](crate::workset::collisions) finds them. What is
//! lost without a trace needs both at once: a collision, and a crash of the
//! loser between its two writes.

mod conflicts;
mod outbox;
mod queue;

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{Replicas, decode, encode, unreadable};
use crate::{
    audit::{Link, content},
    ports::{self, Key, Row, Rows, RowsError, When},
    workset::{Cursor, Event, Place, Priority, State, Tenant, Workset, WorksetId, keys},
};

pub use conflicts::{Conflict, Conflicts};
pub use outbox::{Untold, Waiting};
pub use queue::Count;

/// JSON after which a list ends early: a reply of a Lambda function ends at 6 MB,
/// and there every quotation mark counts twice.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// A workset as its row holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The workset.
    pub workset: Workset,
    /// The write that made it so.
    pub last: Event,
}

/// Some worksets, state by state, each in the order of its queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listed {
    /// The worksets.
    pub worksets: Vec<Workset>,
    /// Ask again from here; `None` at the end. A short page is not the end.
    pub next: Option<Cursor>,
    bytes: usize,
}

/// Which worksets to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this priority.
    pub priority: Option<Priority>,
}

/// Some events of a workset, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The events.
    pub events: Vec<Event>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Why a workset was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another write came first; nothing of this one took effect.
    #[error("another write came first")]
    Lost,
    /// Nobody can tell yet whether the write took effect.
    #[error("it is not known whether the write took effect")]
    Unknown(#[source] RowsError),
    /// The write did not take effect.
    #[error(transparent)]
    Failed(RowsError),
}

/// The worksets table through one region's replica, or through any of those that hold one truth.
#[derive(Debug, Clone)]
pub struct WorksetTable<R> {
    rows: Replicas<R>,
    /// The states that somebody is told of when a workset reaches one.
    heard: Vec<State>,
}

impl<R: Rows> WorksetTable<R> {
    /// The table behind `rows`.
    pub fn new(rows: R) -> Self {
        Self::through(vec![rows])
    }

    /// The table behind `replicas`, nearest first. More than one only where they are strongly consistent.
    pub fn through(replicas: Vec<R>) -> Self {
        Self { rows: Replicas::new(replicas), heard: Vec::new() }
    }

    /// The table behind the replicas of all `tables`, which hold one truth and tell of the same states.
    #[must_use]
    pub fn joined<'a>(tables: impl IntoIterator<Item = &'a Self>) -> Self
    where
        R: Clone + 'a,
    {
        let (mut replicas, mut heard) = (Vec::new(), Vec::new());
        for table in tables {
            replicas.extend(table.rows.iter().cloned());
            heard.clone_from(&table.heard);
        }
        Self::through(replicas).telling(heard)
    }

    /// The same table for writers of which somebody is told: what brings a workset into one of `states`
    /// goes into the outbox. See [`Policy::states`](crate::notify::Policy::states).
    #[must_use]
    pub fn telling(self, states: Vec<State>) -> Self {
        Self { heard: states, ..self }
    }

    /// The workset, if the tenant has one of that id.
    ///
    /// # Errors
    /// When the replica does not answer or the row is not readable.
    pub async fn get(&self, tenant: &Tenant, id: &WorksetId) -> Result<Option<Held>, RowsError> {
        let row = self.rows.read(&meta(tenant, id)).await?;
        row.as_ref().map(decode).transpose()
    }

    /// The replicas.
    pub(super) const fn rows(&self) -> &Replicas<R> {
        &self.rows
    }

    /// Up to `limit` worksets of a tenant, after `from`: by priority, then age.
    ///
    /// Without a state it walks the queues of all states one after the other, and
    /// stops when it has enough: most tenants have most of theirs in a few states,
    /// and an index of its own would be paid for with every write. The index may
    /// lag behind the table.
    ///
    /// # Errors
    /// When the replica does not answer or a row is not readable.
    pub async fn list(
        &self,
        tenant: &Tenant,
        filter: Filter,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Listed, RowsError> {
        let mut listed = Listed::default();
        let begin = from.map(|cursor| cursor.state);
        let wanted = |s: &State| filter.state.is_none_or(|only| only == *s) && begin.is_none_or(|b| *s >= b);
        for state in State::ALL.into_iter().filter(wanted) {
            let from = from.filter(|cursor| cursor.state == state);
            let ended = self.queue(tenant, (state, filter.priority), from, limit, &mut listed).await?;
            if !ended {
                listed.next = listed.worksets.last().map(Cursor::after);
                break;
            }
        }
        Ok(listed)
    }

    /// Adds the queue of one state to `listed`; whether all of it went in.
    async fn queue(
        &self,
        tenant: &Tenant,
        (state, priority): (State, Option<Priority>),
        from: Option<&Cursor>,
        limit: usize,
        listed: &mut Listed,
    ) -> Result<bool, RowsError> {
        let queue = keys::queue(tenant, state);
        let span = priority.map(keys::span);
        let begin = span.as_ref().map(|(first, _)| queue::before(&queue, first));
        let mut next = from
            .map(|cursor| ports::Cursor {
                key: meta(tenant, &cursor.id),
                index: Some(Key::new(queue.clone(), cursor.place())),
            })
            .or(begin);
        let end = span.as_ref().map(|(_, last)| last.as_str());
        loop {
            // One more than wanted tells whether there are more.
            let wanted = limit.saturating_sub(listed.worksets.len()) + 1;
            let page = self.rows.list_index(&queue, end, next.as_ref(), wanted).await?;
            for row in &page.rows {
                let full = listed.worksets.len() >= limit || listed.bytes >= PAGE_BYTES_MAX;
                if full && !listed.worksets.is_empty() {
                    return Ok(false);
                }
                listed.bytes += row.body.len();
                listed.worksets.push(decode::<Held>(row)?.workset);
            }
            match page.next {
                Some(_) => next = page.next,
                None => return Ok(true),
            }
        }
    }

    /// Up to `limit` events of a workset, newest first, of places before `from`; `None` if the tenant has no workset of that id.
    ///
    /// # Errors
    /// When the replica does not answer or a row is not readable.
    pub async fn history(
        &self,
        tenant: &Tenant,
        id: &WorksetId,
        from: Option<Place>,
        limit: usize,
    ) -> Result<Option<History>, RowsError> {
        let Some(held) = self.get(tenant, id).await? else { return Ok(None) };
        let mut events = self.kept_events(tenant, id, from, limit + 1).await?;
        let last = held.last.place();
        let unseen = from.is_none_or(|from| last < from);
        if unseen && !events.iter().any(|event| event.place() == last) {
            events.push(held.last);
            events.sort_by_key(|event| Reverse(event.place()));
        }
        let more = events.len() > limit;
        events.truncate(limit);
        Ok(Some(History { events, more }))
    }

    /// Up to `wanted` events that have a row of their own, newest first, before `from`.
    async fn kept_events(
        &self,
        tenant: &Tenant,
        id: &WorksetId,
        from: Option<Place>,
        wanted: usize,
    ) -> Result<Vec<Event>, RowsError> {
        let item = keys::item(tenant, id);
        // The workset's own row sorts behind its events, so backwards they begin there.
        let start = from.map_or_else(|| keys::META.to_owned(), keys::event);
        let mut next = Some(ports::Cursor { key: Key::new(item.clone(), start), index: None });
        let mut events = Vec::new();
        while let Some(at) = next.take_if(|_| events.len() < wanted) {
            let page = self.rows.list(&item, true, Some(&at), wanted - events.len()).await?;
            for row in page.rows.iter().filter(|row| row.key.sort.starts_with(keys::EVENT_PREFIX)) {
                events.push(decode(row)?);
            }
            next = page.next;
        }
        Ok(events)
    }

    /// Writes a new workset, unless the tenant has one of that id.
    ///
    /// # Errors
    /// [`WriteError::Lost`] if there is one; otherwise as for [`replace`](Self::replace).
    pub async fn create(&self, new: &Held) -> Result<(), WriteError> {
        self.commit(&sealed(new, None)?, When::Absent).await
    }

    /// Replaces `old` by `new` if the replica still holds `old`.
    ///
    /// # Errors
    /// [`WriteError::Lost`] if it does not: read again and decide anew.
    /// [`WriteError::Unknown`] if the replica fell silent over the write.
    pub async fn replace(&self, old: &Held, new: &Held) -> Result<(), WriteError> {
        self.keep_event(old).await.map_err(WriteError::Failed)?;
        self.commit(&sealed(new, Some(old))?, When::Version(old.workset.version)).await
    }

    async fn commit(&self, new: &Held, when: When) -> Result<(), WriteError> {
        let workset = &new.workset;
        let row = encode(meta(&workset.tenant, &workset.id), workset.version, new);
        let place = keys::place(workset.priority, workset.created_at, &workset.id);
        let index = Some(Key::new(keys::queue(&workset.tenant, workset.state), place));
        let row = Row { index, ..row.map_err(WriteError::Failed)? };
        match self.rows.write(&row, when).await {
            Ok(()) => {}
            // After a retry inside the client, a refusal may be the refusal of our own write.
            Err(RowsError::Conflict) => self.settle(new, RowsError::Conflict).await?,
            Err(error @ RowsError::NoAnswer { .. }) => self.settle(new, error).await?,
            Err(error) => return Err(WriteError::Failed(error)),
        }
        if let Err(error) = self.keep_event(new).await {
            // The workset's row holds the event; the next writer gives it its own.
            tracing::info!(workset.version, %error, "left an event to the next writer");
        }
        Ok(())
    }

    /// Finds out by reading whether `new` was written, after `error` left it open.
    async fn settle(&self, new: &Held, error: RowsError) -> Result<(), WriteError> {
        let Workset { tenant, id, version, .. } = &new.workset;
        let held = match self.get(tenant, id).await {
            Ok(held) => held,
            Err(_) if matches!(error, RowsError::Conflict) => return Err(WriteError::Lost),
            Err(_) => return Err(WriteError::Unknown(error)),
        };
        match held {
            Some(held) if held == *new => Ok(()),
            Some(held) if held.workset.version > *version => match self.event_of(new).await {
                Ok(Some(event)) if event == new.last => Ok(()),
                Ok(_) => Err(WriteError::Lost),
                Err(_) => Err(WriteError::Unknown(error)),
            },
            // Refused, and the row is another's: a caller that decides anew meets the truth.
            _ if matches!(error, RowsError::Conflict) => Err(WriteError::Lost),
            Some(held) if held.workset.version == *version => Err(WriteError::Lost),
            // The old row is still there, and the write may yet arrive.
            Some(_) | None => Err(WriteError::Unknown(error)),
        }
    }

    async fn event_of(&self, held: &Held) -> Result<Option<Event>, RowsError> {
        let row = self.rows.read(&event_key(held)).await?;
        row.as_ref().map(decode).transpose()
    }

    /// Gives the event of the last write its own row. It is fine if it has one.
    async fn keep_event(&self, held: &Held) -> Result<(), RowsError> {
        let row = encode(event_key(held), 1, &held.last)?;
        let row = Row { index: self.untold_at(&row.key, &held.last), ..row };
        match self.rows.write(&row, When::Absent).await {
            Ok(()) | Err(RowsError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// `new` with its event tied to the one of `old`, which the write is conditional on. So the chain
/// has one end, and costs no write.
fn sealed(new: &Held, old: Option<&Held>) -> Result<Held, WriteError> {
    let Held { workset, last } = new;
    let prev = old.and_then(|old| old.last.chain).map(|link| link.hash);
    let link = content(workset).and_then(|content| Link::of(last, prev, Some(content)));
    let link = link.map_err(|e| WriteError::Failed(unreadable(&meta(&workset.tenant, &workset.id), e)))?;
    Ok(Held { workset: workset.clone(), last: Event { chain: Some(link), ..last.clone() } })
}

fn meta(tenant: &Tenant, id: &WorksetId) -> Key {
    Key::new(keys::item(tenant, id), keys::META)
}

fn event_key(held: &Held) -> Key {
    let Held { workset, last } = held;
    Key::new(keys::item(&workset.tenant, &workset.id), keys::event(last.place()))
}

#[cfg(test)]
#[path = "worksets_tests.rs"]
mod tests;
