//! The routes of worksets.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{
    Extension,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sealane::{
    ports::{Clock, Rows},
    region::RegionName,
    store::{Held, WorksetTable, WriteError},
    workset::{self, By, Cursor, Event, Invalid, Registration, Transition, Workset, WorksetId, collisions},
};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    caller::Caller,
    dress::RequestId,
    extract::{Body, Id, Nothing, Params, page_limit},
    problem::{Kind, Problem},
    replica::{Served, ask},
};

/// Times that a transition is decided anew because another write came first.
const TRIES_MAX: usize = 4;

/// Items of a page when the caller does not say.
const LIMIT: usize = 50;

type Shared<R, C> = State<Arc<App<R, C>>>;

/// One workset.
#[derive(Debug, Serialize)]
pub(crate) struct One {
    workset: Workset,
}

/// A page of worksets.
#[derive(Debug, Serialize)]
pub(crate) struct Many {
    worksets: Vec<Workset>,
    next: Option<String>,
}

/// A page of a workset's history, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct Events {
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
    caller: Caller,
    Id(id): Id,
    Params(place): Params<Where>,
) -> Result<Served<One>, Problem> {
    let forced = forced(&app, place.region.as_deref())?;
    let tables = &app.deps.worksets;
    let (served_by, held) = ask(&app, tables, forced, |table| table.get(&caller.tenant, &id)).await?;
    let Held { workset, .. } = held.ok_or_else(|| missing(&id))?;
    Ok(Served { served_by, body: One { workset } })
}

/// `GET /v1/worksets`
pub(crate) async fn list<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    caller: Caller,
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
    let (served_by, listed) = ask(&app, &app.deps.worksets, forced, |table| {
        table.list(&caller.tenant, which.state, from.as_ref(), limit)
    })
    .await?;
    let next = listed.next.map(|cursor| cursor.to_string());
    Ok(Served { served_by, body: Many { worksets: listed.worksets, next } })
}

/// `GET /v1/worksets/{id}/events`
pub(crate) async fn events<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    caller: Caller,
    Id(id): Id,
    Params(since): Params<Since>,
) -> Result<Served<Events>, Problem> {
    let forced = forced(&app, since.region.as_deref())?;
    let limit = page_limit(since.limit, LIMIT)?;
    let from = since.cursor.as_deref().map(parse_place).transpose()?;
    let (served_by, history) =
        ask(&app, &app.deps.worksets, forced, |table| table.history(&caller.tenant, &id, from, limit))
            .await?;
    let history = history.ok_or_else(|| missing(&id))?;
    let last = history.events.last().filter(|_| history.more);
    let body = Events {
        collisions: collisions(&history.events).iter().map(|group| group[0].version).collect(),
        next: last.map(|event| format!("{}.{}", event.version, event.region)),
        events: history.events,
    };
    Ok(Served { served_by, body })
}

/// The place in a history that a cursor names: `<version>.<region>`.
fn parse_place(text: &str) -> Result<(u64, RegionName), Problem> {
    let parsed = text
        .split_once('.')
        .and_then(|(version, region)| Some((version.parse().ok()?, region.parse().ok()?)));
    parsed.ok_or_else(|| Problem::new(Kind::InvalidQuery, workset::InvalidCursor.to_string()))
}

/// `POST /v1/worksets`
pub(crate) async fn register<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    caller: Caller,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    Body(registration): Body<Registration>,
) -> Result<Response, Problem> {
    let primary = app.primary().await?;
    let table = replica(&app, primary)?;
    let new = registered(&app, registration, &caller, primary, &request)?;
    let id = new.workset.id.clone();
    for _ in 0..TRIES_MAX {
        app.still(primary).await?;
        match table.create(&new).await {
            Ok(()) => return Ok(written(StatusCode::CREATED, primary, new.workset)),
            Err(WriteError::Lost) => {}
            Err(error) => return Err(unwritten(&app, &id, primary, error).await),
        }
        // It was there: the same registration again, or another one.
        match table.get(&caller.tenant, &id).await? {
            Some(held) if is_same(&held.workset, &new.workset) => {
                return Ok(written(StatusCode::OK, primary, held.workset));
            }
            Some(_) => {
                let detail = format!("`{id}` is registered already, with other values (choose another id)");
                return Err(Problem::new(Kind::WorksetExists, detail));
            }
            None => {}
        }
    }
    Err(contended(&id))
}

/// The workset that `request` describes, and every problem of it at once.
fn registered<R, C: Clock>(
    app: &App<R, C>,
    request: Registration,
    caller: &Caller,
    region: RegionName,
    request_id: &str,
) -> Result<Held, Problem> {
    let preferred = request.preferred_region.clone();
    // Text that is no region name at all is a problem of the registration itself.
    let preferred = preferred.filter(|name| name.parse::<RegionName>().is_ok());
    let unknown = preferred.and_then(|name| app.known(&name).err());
    let unknown = unknown
        .map(|problem| workset::Problem { field: "preferred_region", problem: problem.detail().to_owned() });
    let by = By { actor: caller.actor.clone(), region, at: app.now(), request: request_id.to_owned() };
    let made = match workset::register(request, caller.tenant.clone(), &by) {
        Ok((workset, last)) if unknown.is_none() => return Ok(Held { workset, last }),
        Ok(_) => Invalid { problems: Vec::new() },
        Err(invalid) => invalid,
    };
    let invalid = Invalid { problems: made.problems.into_iter().chain(unknown).collect() };
    Err(Problem::new(Kind::InvalidWorkset, invalid.to_string()).with_errors(invalid.problems))
}

/// Whether both were registered with the same values, whatever became of them since.
fn is_same(held: &Workset, new: &Workset) -> bool {
    let values = |w: &Workset| {
        (w.bucket.clone(), w.prefix.clone(), w.priority, w.kind, w.metadata.clone(), w.preferred_region)
    };
    values(held) == values(new)
}

/// `POST /v1/worksets/{id}/transitions`
pub(crate) async fn transition<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    caller: Caller,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    Body(change): Body<Transition>,
) -> Result<Response, Problem> {
    let primary = app.primary().await?;
    let table = replica(&app, primary)?;
    for _ in 0..TRIES_MAX {
        let old = match table.get(&caller.tenant, &id).await {
            Ok(held) => held.ok_or_else(|| missing(&id))?,
            Err(error) => return Err(unwritten(&app, &id, primary, WriteError::Failed(error)).await),
        };
        let by = By { actor: caller.actor.clone(), region: primary, at: app.now(), request: request.clone() };
        let (workset, last) = workset::transition(&old.workset, change.clone(), &by, seed(&request))?;
        let new = Held { workset, last };
        app.still(primary).await?;
        match table.replace(&old, &new).await {
            Ok(()) => return Ok(written(StatusCode::OK, primary, new.workset)),
            Err(WriteError::Lost) => {}
            Err(error) => return Err(unwritten(&app, &id, primary, error).await),
        }
    }
    Err(contended(&id))
}

/// Spreads the delays of retries: differs between requests, and not between tries of one.
fn seed(request: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.hash(&mut hasher);
    hasher.finish()
}

fn forced<R, C: Clock>(app: &App<R, C>, region: Option<&str>) -> Result<Option<RegionName>, Problem> {
    region.map(|name| app.known(name)).transpose()
}

fn replica<R, C>(app: &App<R, C>, region: RegionName) -> Result<&WorksetTable<R>, Problem> {
    app.deps.worksets.get(&region).ok_or_else(|| {
        let detail = format!("`{region}` takes the writes and is not a full region of this configuration");
        Problem::new(Kind::Misconfigured, detail)
    })
}

fn written(status: StatusCode, served_by: RegionName, workset: Workset) -> Response {
    let location = HeaderValue::from_str(&format!("/v1/worksets/{}", workset.id));
    let mut reply = Served { served_by, body: One { workset } }.into_response();
    *reply.status_mut() = status;
    if let (Ok(location), StatusCode::CREATED) = (location, status) {
        reply.headers_mut().insert(header::LOCATION, location);
    }
    reply
}

/// What to tell of a write that failed or may have.
async fn unwritten<R: Rows, C: Clock>(
    app: &App<R, C>,
    id: &WorksetId,
    primary: RegionName,
    error: WriteError,
) -> Problem {
    // Writes may have moved meanwhile: the next request looks anew.
    app.forget_outlook().await;
    match error {
        WriteError::Lost => contended(id),
        WriteError::Failed(error) => error.into(),
        WriteError::Unknown(_) => {
            let detail = format!(
                "`{primary}` did not say whether it wrote `{id}` (read it before you repeat the request)"
            );
            Problem::new(Kind::OutcomeUnknown, detail).caused_by(&error)
        }
    }
}

fn contended(id: &WorksetId) -> Problem {
    let detail = format!("others wrote `{id}` first, {TRIES_MAX} times (nothing was written; try again)");
    Problem::new(Kind::Contended, detail)
}

fn missing(id: &WorksetId) -> Problem {
    Problem::new(Kind::WorksetNotFound, format!("there is no workset `{id}` (register it first)"))
}
