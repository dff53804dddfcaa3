//! Writing worksets: registering, moving, reporting, amending.

use std::ops::ControlFlow::{Break, Continue};

use axum::{Extension, extract::State, response::Response};
use sealane::{
    ports::{Clock, Rows},
    region::RegionName,
    store::{Held, WriteError},
    workset::{
        self, Amendment, By, Call, IllegalMove, Invalid, Registration, Reply, Report, State as Phase, Text,
        Transition, Workset, WorksetId,
    },
};
use serde::Deserialize;

use super::{
    Shared, TRIES_MAX, contended, replica,
    rewrite::{Wanted, rewrite, seed, unwritten, written},
};
use crate::{
    app::App,
    caller::{Caller, Operates, Writes},
    dress::RequestId,
    etag::IfMatch,
    extract::{Body, Id, Nothing, Params, Post},
    once::{Pen, replied},
    problem::{Kind, Problem},
};

/// `POST /v1/worksets`
pub(super) async fn register<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    post: Post<Registration>,
) -> Result<Response, Problem> {
    let primary = app.primary().await?;
    let mut pen = match Pen::open(&app, replica(&app, primary)?, &caller, &post, &request).await? {
        Continue(pen) => pen,
        Break(reply) => return Ok(reply),
    };
    let outcome = registered(&app, &caller, primary, post.body, &mut pen).await;
    pen.close(outcome).await
}

async fn registered<R: Rows, C: Clock>(
    app: &App<R, C>,
    caller: &Caller,
    primary: RegionName,
    registration: Registration,
    pen: &mut Pen<'_, R>,
) -> Result<Reply, Problem> {
    let table = replica(app, primary)?;
    let by = app.by(&caller.actor, primary, pen.write()).await;
    let new = described(app, registration, caller, &by)?;
    let id = new.workset.id.clone();
    for _ in 0..TRIES_MAX {
        pen.begin(&Call::write_step(&id)).await?;
        app.still(primary).await?;
        match table.create(&new).await {
            Ok(()) => return Ok(written(201, primary, &new.workset)),
            Err(WriteError::Lost) => {}
            Err(error) => return Err(unwritten(app, &id, primary, error).await),
        }
        // It was there: the same registration again, or another one.
        match table.get(&caller.tenant, &id).await? {
            Some(held) if is_same(&held.workset, &new.workset) => {
                return Ok(written(200, primary, &held.workset));
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
fn described<R, C: Clock>(
    app: &App<R, C>,
    request: Registration,
    caller: &Caller,
    by: &By,
) -> Result<Held, Problem> {
    let unknown = unknown_region(app, request.preferred_region.as_deref());
    let made = match workset::register(request, caller.tenant.clone(), by) {
        Ok((workset, last)) if unknown.is_none() => return Ok(Held { workset, last }),
        Ok(_) => Invalid { problems: Vec::new() },
        Err(invalid) => invalid,
    };
    let invalid = Invalid { problems: made.problems.into_iter().chain(unknown).collect() };
    Err(Problem::new(Kind::InvalidWorkset, invalid.to_string()).with_errors(invalid.problems))
}

/// What is wrong with a preferred region that nobody configured. Text that is no region name at
/// all is a problem of the request itself.
fn unknown_region<R, C: Clock>(app: &App<R, C>, preferred: Option<&str>) -> Option<workset::Problem> {
    let named = preferred.filter(|name| name.parse::<RegionName>().is_ok())?;
    let unknown = app.known(named).err()?;
    Some(workset::Problem { field: "preferred_region", problem: unknown.detail().to_owned() })
}

/// Whether both were registered with the same values, whatever became of them since.
fn is_same(held: &Workset, new: &Workset) -> bool {
    let values = |w: &Workset| {
        (w.bucket.clone(), w.prefix.clone(), w.priority, w.kind, w.metadata.clone(), w.preferred_region)
    };
    values(held) == values(new)
}

/// A call that moves a workset, with who makes it.
struct Move<'a, T> {
    caller: &'a Caller,
    id: &'a WorksetId,
    if_match: IfMatch,
    request: &'a str,
    post: Post<T>,
}

impl<T: Send + Sync> Move<'_, T> {
    /// Writes what `decide` makes of the workset, once.
    async fn make<R: Rows, C: Clock>(
        &self,
        app: &App<R, C>,
        token: Option<u64>,
        decide: impl Fn(&Workset, &T, &By) -> Result<(Workset, workset::Event), Problem> + Send + Sync,
    ) -> Result<Response, Problem> {
        let primary = app.primary().await?;
        let mut pen =
            match Pen::open(app, replica(app, primary)?, self.caller, &self.post, self.request).await? {
                Continue(pen) => pen,
                Break(reply) => return Ok(reply),
            };
        let wanted = Wanted { caller: self.caller, id: self.id, if_match: &self.if_match, token };
        let body = &self.post.body;
        let outcome = rewrite(app, primary, &wanted, &mut pen, |old, by| decide(old, body, by)).await;
        pen.close(outcome.map(|workset| written(200, primary, &workset))).await
    }
}

/// `POST /v1/worksets/{id}/transitions`
pub(super) async fn transition<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    if_match: IfMatch,
    post: Post<Transition>,
) -> Result<Response, Problem> {
    let token = post.body.token;
    if post.body.to == Phase::Deleted {
        let detail =
            format!("`{}` is deleted with `DELETE`, which needs `operate` and `if-match`", id.as_str());
        return Err(Problem::new(Kind::MissingScope, detail));
    }
    let call = Move { caller: &caller, id: &id, if_match, request: &request, post };
    call.make(&app, token, |old, change, by| {
        Ok(workset::transition(old, change.clone(), by, seed(&by.request))?)
    })
    .await
}

/// `POST /v1/worksets/{id}/progress`
pub(super) async fn progress<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    if_match: IfMatch,
    post: Post<Report>,
) -> Result<Response, Problem> {
    let token = post.body.token;
    let call = Move { caller: &caller, id: &id, if_match, request: &request, post };
    call.make(&app, token, |old, news, by| Ok(workset::report(old, news.clone(), by)?)).await
}

/// Why a workset is moved, and the token of the caller's lock.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reasoned {
    reason: Option<Text<1024>>,
    token: Option<u64>,
}

impl Reasoned {
    fn to(&self, state: Phase) -> Transition {
        Transition { reason: self.reason.clone(), token: self.token, ..Transition::to(state) }
    }
}

/// Makes a route that moves a workset to the state that `$aim` names for it.
macro_rules! mover {
    ($(#[$doc:meta])* $name:ident, $aim:expr) => {
        $(#[$doc])*
        pub(super) async fn $name<R: Rows, C: Clock>(
            State(app): Shared<R, C>,
            Writes(caller): Writes,
            Id(id): Id,
            Params(Nothing {}): Params<Nothing>,
            Extension(RequestId(request)): Extension<RequestId>,
            if_match: IfMatch,
            post: Post<Reasoned>,
        ) -> Result<Response, Problem> {
            let token = post.body.token;
            let call = Move { caller: &caller, id: &id, if_match, request: &request, post };
            call.make(&app, token, |old, why, by| {
                let aim: fn(Phase) -> Result<Phase, IllegalMove> = $aim;
                Ok(workset::transition(old, why.to(aim(old.state)?), by, seed(&by.request))?)
            })
            .await
        }
    };
}

mover! {
    /// `POST /v1/worksets/{id}/retry`: after a failure it waits out its delay; after that it is ready.
    retry, |state| match state {
        Phase::Retrying => Ok(Phase::Ready),
        other => other.may_become(Phase::Retrying).map(|()| Phase::Retrying),
    }
}
mover! {
    /// `POST /v1/worksets/{id}/cancel`
    cancel, |_| Ok(Phase::Canceled)
}
mover! {
    /// `POST /v1/worksets/{id}/archive`
    archive, |_| Ok(Phase::Archived)
}
mover! {
    /// `POST /v1/worksets/{id}/restore`: out of the archive, as new.
    restore, |state| match state {
        Phase::Archived => Ok(Phase::Ready),
        from => Err(IllegalMove { from, to: Phase::Ready }),
    }
}

/// `PATCH /v1/worksets/{id}`
pub(super) async fn amend<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Writes(caller): Writes,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    if_match: IfMatch,
    Body(change): Body<Amendment>,
) -> Result<Response, Problem> {
    let if_match = if_match.required()?;
    if let Some(unknown) = unknown_region(&app, change.preferred_region.as_deref()) {
        return Err(Problem::new(Kind::InvalidWorkset, unknown.problem.clone()).with_errors(vec![unknown]));
    }
    let primary = app.primary().await?;
    let wanted = Wanted { caller: &caller, id: &id, if_match: &if_match, token: change.token };
    let mut pen = Pen::unkept(&request);
    let amended =
        rewrite(&app, primary, &wanted, &mut pen, |old, by| Ok(workset::amend(old, change.clone(), by)?));
    amended.await.map(|workset| replied(written(200, primary, &workset), false))
}

/// `DELETE /v1/worksets/{id}`: what is archived becomes deleted, and keeps its history.
pub(super) async fn delete<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    Operates(caller): Operates,
    Id(id): Id,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let if_match = if_match.required()?;
    let primary = app.primary().await?;
    let wanted = Wanted { caller: &caller, id: &id, if_match: &if_match, token: None };
    let mut pen = Pen::noted(&app, replica(&app, primary)?, &caller, &id, &request);
    let deleted = rewrite(&app, primary, &wanted, &mut pen, |old, by| {
        Ok(workset::transition(old, Transition::to(Phase::Deleted), by, 0)?)
    });
    let outcome = deleted.await.map(|workset| written(200, primary, &workset));
    pen.close(outcome).await
}
