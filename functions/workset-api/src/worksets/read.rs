//! Reading worksets: one, a page of them, their history, conflicts and queue.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{future::try_join_all, join};
use sealane::{
    ports::{Clock, Rows},
    region::RegionName,
    store::{Conflict, Filter, Held},
    time::millis,
    workset::{self, Cursor, Event, Place, Priority, Workset, WorksetId, collisions},
};
use serde::{Deserialize, Serialize};

use super::{Shared, missing};
use crate::{
    app::{App, Part},
    caller::Reads,
    etag::{self, IfNoneMatch},
    extract::{Id, Params, page_limit},
    problem::{Kind, Problem},
    replica::{Served, ask},
};

/// Worksets that are counted in a state; a queue that holds more says so.
const COUNT_MAX: u64 = 1_000;

/// Items of a page when the caller does not say.
const LIMIT: usize = 50;

/// One workset.
#[derive(Debug, Serialize)]
pub(crate) struct One {
    /// How far the replica may be behind the writes; `null`: not known.
    staleness_ms: Option<u64>,
    workset: Workset,
}

/// A page of worksets.
#[derive(Debug, Serialize)]
pub(crate) struct Many {
    staleness_ms: Option<u64>,
    worksets: Vec<Workset>,
    next: Option<String>,
}

/// A page of a workset's history, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct Events {
    staleness_ms: Option<u64>,
    events: Vec<Event>,
    /// Versions that more than one region wrote: the table kept one of the writes.
    collisions: Vec<u64>,
    next: Option<String>,
}

/// Which region to ask.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Where {
    region: Option<String>,
}

/// Which worksets to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    state: Option<workset::State>,
    priority: Option<Priority>,
    limit: Option<usize>,
    cursor: Option<String>,
    region: Option<String>,
}

/// Which events to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    limit: Option<usize>,
    cursor: Option<String>,
    region: Option<String>,
}

/// `GET /v1/worksets/{id}`
pub(crate) async fn show<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Reads(caller): Reads,
    Id(id): Id,
    Params(place): Params<Where>,
    IfNoneMatch(tags): IfNoneMatch,
) -> Result<Response, Problem> {
    let forced = forced(&app, place.region.as_deref())?;
    let tables = &app.deps.worksets;
    let read = ask(&app, tables, forced, |table| table.get(&caller.tenant, &id));
    let (read, ()) = join!(read, app.glance());
    let (served_by, held) = read?;
    let Held { workset, .. } = held.ok_or_else(|| missing(&id))?;
    let (tag, known) = (etag::of(&workset), tags.is_some_and(|tags| tags.hold(&workset)));
    let staleness_ms = app.staleness(served_by, Part::Rows).await.map(millis);
    let mut reply = Served { served_by, body: One { staleness_ms, workset } }.into_response();
    if known {
        reply = (StatusCode::NOT_MODIFIED, ()).into_response();
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        reply.headers_mut().insert(header::ETAG, tag);
    }
    Ok(reply)
}

/// `GET /v1/worksets`
pub(crate) async fn list<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Reads(caller): Reads,
    Params(which): Params<Which>,
) -> Result<Served<Many>, Problem> {
    let forced = forced(&app, which.region.as_deref())?;
    let limit = page_limit(which.limit, LIMIT)?;
    let invalid = |detail: String| Problem::new(Kind::InvalidQuery, detail);
    let from = which.cursor.as_deref().map(str::parse::<Cursor>).transpose();
    let from = from.map_err(|e| invalid(e.to_string()))?;
    if let (Some(cursor), Some(state)) = (&from, which.state)
        && cursor.state != state
    {
        return Err(invalid(format!("`cursor` is of a list of `{}`, not `{state}`", cursor.state)));
    }
    if let (Some(cursor), Some(priority)) = (&from, which.priority)
        && cursor.priority != priority
    {
        return Err(invalid(format!("`cursor` is of a list of `{}`, not `{priority}`", cursor.priority)));
    }
    let filter = Filter { state: which.state, priority: which.priority };
    let read = ask(&app, &app.deps.worksets, forced, |table| {
        table.list(&caller.tenant, filter, from.as_ref(), limit)
    });
    let (read, ()) = join!(read, app.glance());
    let (served_by, listed) = read?;
    let next = listed.next.map(|cursor| cursor.to_string());
    let staleness_ms = app.staleness(served_by, Part::Index).await.map(millis);
    Ok(Served { served_by, body: Many { staleness_ms, worksets: listed.worksets, next } })
}

/// `GET /v1/worksets/{id}/events`
pub(crate) async fn events<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Reads(caller): Reads,
    Id(id): Id,
    Params(since): Params<Since>,
) -> Result<Served<Events>, Problem> {
    let forced = forced(&app, since.region.as_deref())?;
    let limit = page_limit(since.limit, LIMIT)?;
    let from = place(since.cursor.as_deref())?;
    let (served_by, history) =
        ask(&app, &app.deps.worksets, forced, |table| table.history(&caller.tenant, &id, from, limit))
            .await?;
    let history = history.ok_or_else(|| missing(&id))?;
    let last = history.events.last().filter(|_| history.more);
    let body = Events {
        collisions: collisions(&history.events).iter().map(|group| group[0].version).collect(),
        staleness_ms: app.staleness(served_by, Part::Rows).await.map(millis),
        next: last.map(|event| event.place().to_string()),
        events: history.events,
    };
    Ok(Served { served_by, body })
}

/// The place in a history that a cursor names.
fn place(text: Option<&str>) -> Result<Option<Place>, Problem> {
    let parsed = text.map(str::parse::<Place>).transpose();
    parsed.map_err(|e| Problem::new(Kind::InvalidQuery, e.to_string()))
}

/// Writes of one version that met, and which of them was kept.
#[derive(Debug, Serialize)]
pub(crate) struct Met {
    version: u64,
    /// The region whose write was kept; `null`: none, or not known.
    kept: Option<RegionName>,
    writes: Vec<Event>,
}

/// A page of a workset's conflicts, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct Meetings {
    conflicts: Vec<Met>,
    /// Where to go on. A page without conflicts is not the end.
    next: Option<String>,
}

/// Where to go on with the conflicts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    cursor: Option<String>,
    region: Option<String>,
}

/// `GET /v1/worksets/{id}/conflicts`
pub(crate) async fn conflicts<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Reads(caller): Reads,
    Id(id): Id,
    Params(from): Params<From>,
) -> Result<Served<Meetings>, Problem> {
    let forced = forced(&app, from.region.as_deref())?;
    let from = place(from.cursor.as_deref())?;
    let read = ask(&app, &app.deps.worksets, forced, |table| table.conflicts(&caller.tenant, &id, from));
    let (served_by, found) = read.await?;
    let found = found.ok_or_else(|| missing(&id))?;
    let met = |Conflict { version, kept, writes }| Met { version, kept, writes };
    let next = found.next.map(|place| place.to_string());
    Ok(Served {
        served_by,
        body: Meetings { conflicts: found.conflicts.into_iter().map(met).collect(), next },
    })
}

/// How many worksets wait in each state, and what is next.
#[derive(Debug, Serialize)]
pub(crate) struct Queue {
    depth: BTreeMap<workset::State, u64>,
    /// The states that hold more than was counted.
    more_than_counted: Vec<workset::State>,
    /// The next one to be claimed, unless somebody holds its lock.
    next_ready: Option<WorksetId>,
    /// How long it has waited; by the clocks of two machines.
    next_ready_age_ms: Option<u64>,
}

/// `GET /v1/queue`
pub(crate) async fn queue<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Reads(caller): Reads,
    Params(place): Params<Where>,
) -> Result<Served<Queue>, Problem> {
    let forced = forced(&app, place.region.as_deref())?;
    let tenant = &caller.tenant;
    let (served_by, (counts, head)) = ask(&app, &app.deps.worksets, forced, |table| async move {
        let count = |state| async move { Ok((state, table.count(tenant, state, COUNT_MAX).await?)) };
        let counts = try_join_all(workset::State::ALL.map(count));
        let (counts, head) = join!(counts, table.head(tenant, workset::State::Ready));
        Ok((counts?, head?))
    })
    .await?;
    let waited = head.as_ref().map(|workset| millis(app.now().since(workset.created_at)));
    let body = Queue {
        depth: counts.iter().map(|(state, count)| (*state, count.counted)).collect(),
        more_than_counted: counts.iter().filter(|(_, count)| count.more).map(|(state, _)| *state).collect(),
        next_ready: head.map(|workset| workset.id),
        next_ready_age_ms: waited,
    };
    Ok(Served { served_by, body })
}

/// The region that the caller wants to be answered by, if any.
pub(crate) fn forced<R, C: Clock>(
    app: &App<R, C>,
    region: Option<&str>,
) -> Result<Option<RegionName>, Problem> {
    region.map(|name| app.replica_named(name)).transpose()
}
