//! Claiming the next workset: the first of the queue that nobody holds, with its lock.
//!
//! The lock decides who gets it, so that two regions that claim at once get two
//! worksets. The queue is an index and may lag; so the workset is read after its lock
//! was taken, when nobody else may move it any more, and a lock on one that has gone
//! is given back.

use std::ops::ControlFlow::{Break, Continue};

use axum::{Extension, extract::State, response::Response};
use sealane::{
    ports::{Clock, Rows, RowsError},
    region::RegionName,
    store::{Filter, LockRow, WorksetTable},
    workset::{Lease, Priority, Reply, State as Phase, Workset, WorksetId},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Shared,
    locks::{doubtful, lease},
    replica,
};
use crate::{
    app::App,
    caller::{Caller, Writes},
    dress::RequestId,
    etag,
    extract::{Nothing, Params, Post},
    once::Pen,
    problem::{Kind, Problem},
};

/// Worksets of the queue that are looked at, at once.
const PAGE: usize = 20;

/// Locked worksets that one claim passes over.
const PASSED_MAX: usize = 100;

/// What is claimed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ask {
    lease_s: Option<u64>,
    priority: Option<Priority>,
}

/// `POST /v1/worksets:claim`
pub(super) async fn claim<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
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
    let claim = Claim { app: &app, caller: &caller, table, primary, lease };
    let outcome = claim.next(post.body.priority, &mut pen).await;
    pen.close(outcome).await
}

struct Claim<'a, R, C> {
    app: &'a App<R, C>,
    caller: &'a Caller,
    table: &'a WorksetTable<R>,
    primary: RegionName,
    lease: Lease,
}

impl<R: Rows, C: Clock> Claim<'_, R, C> {
    /// The first of the queue whose lock can be taken.
    async fn next(&self, priority: Option<Priority>, pen: &mut Pen<'_, R>) -> Result<Reply, Problem> {
        if let Some(reply) = self.resumed(pen).await? {
            return Ok(reply);
        }
        let filter = Filter { state: Some(Phase::Ready), priority };
        let (mut from, mut passed) = (None, 0);
        loop {
            let page = self.table.list(&self.caller.tenant, filter, from.as_ref(), PAGE).await?;
            for workset in &page.worksets {
                let is_first = passed == 0;
                if let Some(reply) = self.take(workset, is_first, pen).await? {
                    return Ok(reply);
                }
                passed += 1;
            }
            from = page.next;
            if from.is_none() {
                let body = json!({ "served_by": self.primary, "workset": null, "lock": null });
                return Ok(Reply { status: 200, location: None, etag: None, body });
            }
            if passed >= PASSED_MAX {
                let detail = format!("the first {passed} of the queue are locked (try again in a moment)");
                return Err(Problem::new(Kind::Contended, detail));
            }
        }
    }

    /// What an owner before this one had taken already.
    async fn resumed(&self, pen: &mut Pen<'_, R>) -> Result<Option<Reply>, Problem> {
        let tenant = &self.caller.tenant;
        let chosen: Vec<WorksetId> = pen.journal().iter().filter_map(|step| step.parse().ok()).collect();
        for id in chosen {
            let row = self.app.deps.control.lock(tenant, &id).await?;
            if row.write != pen.write() || row.slot.lock.is_none() {
                continue;
            }
            if let Some(reply) = self.settle(&id, &row).await? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Takes the lock of `listed`, if nobody holds it and it still waits.
    async fn take(
        &self,
        listed: &Workset,
        is_first: bool,
        pen: &mut Pen<'_, R>,
    ) -> Result<Option<Reply>, Problem> {
        let (control, tenant, id) = (&self.app.deps.control, &self.caller.tenant, &listed.id);
        // No holder has written it, so most likely nobody ever took its lock: the write itself asks.
        let blind = is_first && listed.fence == 0;
        let old = if blind { LockRow::default() } else { control.lock(tenant, id).await? };
        // This very call took it before, and what was kept of the call is lost with its region.
        if old.write == pen.write() && old.slot.lock.is_some() {
            return self.settle(id, &old).await;
        }
        let Ok(slot) = old.slot.acquire(listed.state, self.caller.actor.clone(), self.lease, self.app.now())
        else {
            return Ok(None);
        };
        pen.begin(id.as_str()).await?;
        let row = match control.swap_lock(tenant, id, &old, slot, pen.write()).await {
            Ok(row) => row,
            Err(RowsError::Conflict) if blind => return Box::pin(self.take(listed, false, pen)).await,
            Err(RowsError::Conflict) => return Ok(None),
            Err(error) => return Err(doubtful(id, error)),
        };
        self.settle(id, &row).await
    }

    /// Answers with the workset whose lock is `row`, or gives the lock back when it waits no more.
    ///
    /// The lock is ours, and an outage leaves it so: the same call finds it again.
    async fn settle(&self, id: &WorksetId, row: &LockRow) -> Result<Option<Reply>, Problem> {
        let (control, tenant) = (&self.app.deps.control, &self.caller.tenant);
        let held = self.table.get(tenant, id).await.map_err(|error| {
            let detail = format!("`{id}` is locked and could not be read (send the call again with its key)");
            Problem::new(Kind::OutcomeUnknown, detail).caused_by(&error)
        })?;
        match held.filter(|held| held.workset.state == Phase::Ready) {
            Some(held) => Ok(Some(self.claimed(&held.workset, row))),
            None => {
                if let Ok(free) = row.slot.release(row.slot.token_last) {
                    control
                        .swap_lock(tenant, id, row, free, "given back")
                        .await
                        .map_err(|e| doubtful(id, e))?;
                }
                Ok(None)
            }
        }
    }

    fn claimed(&self, workset: &Workset, row: &LockRow) -> Reply {
        Reply {
            status: 201,
            location: Some(format!("/v1/worksets/{}", workset.id)),
            etag: Some(etag::of(workset)),
            body: json!({ "served_by": self.primary, "workset": workset, "lock": row.slot.lock }),
        }
    }
}
