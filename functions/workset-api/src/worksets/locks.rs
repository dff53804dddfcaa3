//! The lock of a workset: taken, renewed, given back, broken.
//!
//! It lies in the control table, where of two regions one wins, and so an outage of
//! that table refuses every lock and every guarded write: nothing exclusive goes on blindly.

use std::{
    ops::ControlFlow::{Break, Continue},
    time::Duration,
};

use axum::{Extension, Json, extract::State, response::Response};
use sealane::{
    ports::{Clock, Rows, RowsError},
    region::RegionName,
    store::LockRow,
    workset::{Denied, Lease, Lock, Reply, Slot, State as Phase, WorksetId},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Shared, TRIES_MAX, contended, fence::Change, missing, replica};
use crate::{
    app::App,
    caller::{Caller, Operates, Reads, Writes},
    dress::RequestId,
    extract::{Id, Nothing, Params, Post},
    once::Pen,
    problem::{Kind, Problem},
};

/// For how long a lock is wanted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ask {
    lease_s: Option<u64>,
}

/// Which lock is renewed, and for how long.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renew {
    token: u64,
    lease_s: Option<u64>,
}

/// Which lock is given back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    token: u64,
}

/// A lock as it stands.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: WorksetId,
    /// The lock; `null` if nobody holds it.
    lock: Option<Lock>,
    /// Whether another may take it over.
    is_expired: bool,
    token_last: u64,
}

/// `GET /v1/worksets/{id}/lock`
pub(super) async fn show<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Reads(caller): Reads,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Json<Shown>, Problem> {
    let LockRow { slot: Slot { token_last, lock }, .. } = app.deps.control.lock(&caller.tenant, &id).await?;
    let is_expired = lock.as_ref().is_some_and(|lock| lock.is_expired(app.now()));
    if token_last == 0 {
        // Nobody ever took it, so that it is not known here whether there is such a workset.
        let table = replica(&app, app.primary().await?)?;
        table.get(&caller.tenant, &id).await?.ok_or_else(|| missing(&id))?;
    }
    Ok(Json(Shown { id, lock, is_expired, token_last }))
}

/// `POST /v1/worksets/{id}/lock`
pub(super) async fn acquire<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    post: Post<Ask>,
) -> Result<Response, Problem> {
    let lease = lease(post.body.lease_s)?;
    let primary = app.primary().await?;
    let table = replica(&app, primary)?;
    let mut pen = match Pen::open(&app, table, &caller, &post, &request).await? {
        Continue(pen) => pen,
        Break(reply) => return Ok(reply),
    };
    let taken = async {
        let held = table.get(&caller.tenant, &id).await?.ok_or_else(|| missing(&id))?;
        let state = held.workset.state;
        let take = |slot: &Slot| slot.acquire(state, caller.actor.clone(), lease, app.now());
        let row = swap(&app, &caller, &id, &mut pen, take).await?;
        let change = Change { caller: &caller, id: &id, primary, write: pen.write() };
        let token = row.slot.token_last;
        if token > 1 && change.taken(&app, token, Phase::is_lockable).await?.is_none() {
            let back = app.deps.control.take_back(&caller.tenant, &id, &row).await;
            back.map_err(|error| doubtful(&id, error))?;
            let detail = format!("`{id}` was moved while its lock was taken (read it, and decide anew)");
            return Err(Problem::new(Kind::NotLockable, detail));
        }
        Ok(locked(201, primary, &id, &row))
    };
    let outcome = taken.await;
    pen.close(outcome).await
}

/// `POST /v1/worksets/{id}/lock/renew`
pub(super) async fn renew<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    post: Post<Renew>,
) -> Result<Response, Problem> {
    let (lease, token) = (lease(post.body.lease_s)?, post.body.token);
    let call = Held { app: &app, caller: &caller, id: &id, request: &request };
    call.change(&post, |slot| slot.renew(token, lease, app.now())).await
}

/// `POST /v1/worksets/{id}/lock/release`
pub(super) async fn release<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    post: Post<Release>,
) -> Result<Response, Problem> {
    let token = post.body.token;
    let call = Held { app: &app, caller: &caller, id: &id, request: &request };
    call.change(&post, |slot| slot.release(token)).await
}

/// `POST /v1/worksets/{id}/lock/break`: an operator takes the lock from whoever holds it.
pub(super) async fn break_lock<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Operates(caller): Operates,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    post: Post<Nothing>,
) -> Result<Response, Problem> {
    let primary = app.primary().await?;
    let mut pen = match Pen::open(&app, replica(&app, primary)?, &caller, &post, &request).await? {
        Continue(pen) => pen,
        Break(reply) => return Ok(reply),
    };
    let broken = async {
        let row = swap(&app, &caller, &id, &mut pen, Slot::broken).await?;
        let change = Change { caller: &caller, id: &id, primary, write: pen.write() };
        change.broken(&app, row.slot.token_last).await?;
        Ok(locked(200, primary, &id, &row))
    };
    let outcome = broken.await;
    pen.close(outcome).await
}

/// A lock that somebody is said to hold, and who wants to change it.
struct Held<'a, R, C> {
    app: &'a App<R, C>,
    caller: &'a Caller,
    id: &'a WorksetId,
    request: &'a str,
}

impl<R: Rows, C: Clock> Held<'_, R, C> {
    async fn change<T: Sync>(
        &self,
        post: &Post<T>,
        decide: impl Fn(&Slot) -> Result<Slot, Denied> + Send + Sync,
    ) -> Result<Response, Problem> {
        let Self { app, caller, id, request } = *self;
        let primary = app.primary().await?;
        let mut pen = match Pen::open(app, replica(app, primary)?, caller, post, request).await? {
            Continue(pen) => pen,
            Break(reply) => return Ok(reply),
        };
        let outcome = swap(app, caller, id, &mut pen, decide).await;
        pen.close(outcome.map(|row| locked(200, primary, id, &row))).await
    }
}

/// Writes what `decide` makes of the lock, once, and anew when another came first.
pub(super) async fn swap<R: Rows, C: Clock>(
    app: &App<R, C>,
    caller: &Caller,
    id: &WorksetId,
    pen: &mut Pen<'_, R>,
    decide: impl Fn(&Slot) -> Result<Slot, Denied> + Send + Sync,
) -> Result<LockRow, Problem> {
    let control = &app.deps.control;
    for _ in 0..TRIES_MAX {
        let (old, now) = (control.lock(&caller.tenant, id).await?, app.now());
        // This call took a lock before, and what was kept of the call does not say so.
        if let Some(token) = old.granted(pen.write(), now) {
            old.slot.guard(Some(token), now)?;
            return Ok(old);
        }
        // The first owner of this call died after it had done it, or its own answer was lost.
        if old.write == pen.write() {
            return Ok(old);
        }
        let slot = decide(&old.slot)?;
        pen.begin("lock").await?;
        match control.swap_lock(&caller.tenant, id, &old, slot, (pen.write(), now)).await {
            Ok(row) => return Ok(row),
            Err(RowsError::Conflict) => {}
            Err(error) => return Err(doubtful(id, error)),
        }
    }
    Err(contended(id))
}

/// What to tell of a lock's write that failed or may have.
pub(super) fn doubtful(id: &WorksetId, error: RowsError) -> Problem {
    if !matches!(error, RowsError::NoAnswer { .. }) {
        return error.into();
    }
    let detail =
        format!("nobody said whether the lock of `{id}` was written (send the call again with its key)");
    Problem::new(Kind::OutcomeUnknown, detail).caused_by(&error)
}

/// The reply that shows a lock as it was written.
fn locked(status: u16, served_by: RegionName, id: &WorksetId, row: &LockRow) -> Reply {
    let Slot { token_last, lock } = &row.slot;
    let body = json!({ "served_by": served_by, "id": id, "lock": lock, "token_last": token_last });
    Reply { status, location: (status == 201).then(|| format!("/v1/worksets/{id}/lock")), etag: None, body }
}

/// The lease that was asked for, or an hour.
pub(super) fn lease(seconds: Option<u64>) -> Result<Lease, Problem> {
    let Some(seconds) = seconds else { return Ok(Lease::default()) };
    Lease::try_from(Duration::from_secs(seconds))
        .map_err(|e| Problem::new(Kind::InvalidBody, format!("`lease_s`: {e}")))
}
