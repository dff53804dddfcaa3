//! Claiming the next workset: the first of the queue that nobody holds, with its lock.
//!
//! The lock decides who gets it, so that two regions that claim at once get two
//! worksets. The queue is an index and may lag; so the workset is read after its lock
//! was taken, when nobody else may move it any more, and a lock on one that has gone
//! is given back.

use std::ops::ControlFlow::{Break, Continue};

use axum::{Extension, extract::State, response::Response};
use futures::future::try_join_all;
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
    fence::Change,
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

/// What came of trying to take a lock.
enum Tried {
    /// It was taken, and this is the answer.
    Claimed(Reply),
    /// It was taken, and given back: the workset waits no more.
    Gone,
    /// Another holds it.
    Another,
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
            let mut waiting = page.worksets.as_slice();
            if passed == 0
                && let Some(head) = blindly(waiting)
                && !self.app.has_moved_lately().await
            {
                match self.take(head, &LockRow::default(), pen).await? {
                    Tried::Claimed(reply) => return Ok(reply),
                    Tried::Gone => waiting = &waiting[1..],
                    Tried::Another => {}
                }
            }
            if let Some(reply) = self.among(waiting, pen).await? {
                return Ok(reply);
            }
            passed += page.worksets.len();
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

    /// The first of `waiting` whose lock can be taken. All locks are read at once: behind many workers
    /// that hold one, a claim waits no longer than behind one.
    async fn among(&self, waiting: &[Workset], pen: &mut Pen<'_, R>) -> Result<Option<Reply>, Problem> {
        let (control, tenant) = (&self.app.deps.control, &self.caller.tenant);
        let rows = try_join_all(waiting.iter().map(|workset| control.lock(tenant, &workset.id))).await?;
        // This very call took one before, and what was kept of the call is lost with its region.
        for (workset, row) in waiting.iter().zip(&rows) {
            if let Some(reply) = self.again(&workset.id, row, pen).await? {
                return Ok(Some(reply));
            }
        }
        for (workset, row) in waiting.iter().zip(&rows) {
            if let Tried::Claimed(reply) = self.take(workset, row, pen).await? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// What an owner before this one had taken already.
    async fn resumed(&self, pen: &mut Pen<'_, R>) -> Result<Option<Reply>, Problem> {
        let tenant = &self.caller.tenant;
        let chosen: Vec<WorksetId> = pen.journal().iter().filter_map(|step| step.parse().ok()).collect();
        for id in chosen {
            let row = self.app.deps.control.lock(tenant, &id).await?;
            if let Some(reply) = self.again(&id, &row, pen).await? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// The answer that this call would have got, if the lock of `row` is the one that it took.
    async fn again(&self, id: &WorksetId, row: &LockRow, pen: &Pen<'_, R>) -> Result<Option<Reply>, Problem> {
        let now = self.app.now();
        let Some(token) = row.granted(pen.write(), now) else { return Ok(None) };
        // Given back or taken over since: it is not taken a second time for the same call.
        row.slot.guard(Some(token), now)?;
        self.settle(id, row, pen).await
    }

    /// Takes the lock of `listed`, which was read as `old`, if nobody holds it and it still waits.
    async fn take(&self, listed: &Workset, old: &LockRow, pen: &mut Pen<'_, R>) -> Result<Tried, Problem> {
        let (control, tenant, id) = (&self.app.deps.control, &self.caller.tenant, &listed.id);
        let now = self.app.now();
        let Ok(slot) = old.slot.acquire(listed.state, self.caller.actor.clone(), self.lease, now) else {
            return Ok(Tried::Another);
        };
        pen.begin(id.as_str()).await?;
        let row = match control.swap_lock(tenant, id, old, slot, (pen.write(), now)).await {
            Ok(row) => row,
            Err(RowsError::Conflict) => return Ok(Tried::Another),
            Err(error) => return Err(doubtful(id, error)),
        };
        Ok(self.settle(id, &row, pen).await?.map_or(Tried::Gone, Tried::Claimed))
    }

    /// Answers with the workset whose lock is `row`, or gives the lock back when it waits no more.
    async fn settle(
        &self,
        id: &WorksetId,
        row: &LockRow,
        pen: &Pen<'_, R>,
    ) -> Result<Option<Reply>, Problem> {
        let Self { app, caller, primary, .. } = *self;
        let change = Change { caller, id, primary, write: pen.write() };
        let held = change.taken(app, row.slot.token_last, |state| state == Phase::Ready).await?;
        if let Some(workset) = held {
            return Ok(Some(self.claimed(&workset, row)));
        }
        let back = app.deps.control.take_back(&caller.tenant, id, row).await;
        back.map(|()| None).map_err(|error| doubtful(id, error))
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

/// The head of the queue, if no holder has written it: most likely nobody ever took its lock, so
/// that the write itself may ask.
fn blindly(waiting: &[Workset]) -> Option<&Workset> {
    waiting.first().filter(|head| head.fence == 0)
}
