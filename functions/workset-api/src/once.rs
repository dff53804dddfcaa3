//! Calls that may be sent again and take effect once.
//!
//! A [`Pen`] is opened before a call is decided and closed after it. What the call is
//! about to do is written down before it is done, and what its caller was told
//! afterwards; a call that was refused changed nothing and leaves nothing behind but
//! its fingerprint. Effects carry the name of the call ([`Pen::write`]), so that one
//! whose owner died is found done where it was.

use std::ops::ControlFlow;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sealane::{
    ports::{Clock, Rows, RowsError},
    region::RegionName,
    store::{CallName, Versioned, WorksetTable},
    time::Timestamp,
    workset::{Call, Reply, Standing, WorksetId, standing},
};

use crate::{
    app::App,
    caller::Caller,
    extract::Post,
    problem::{Kind, Problem},
    replica::SERVED_BY,
};

/// The header that marks a reply as one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// One call on its way.
#[derive(Debug)]
pub(crate) struct Pen<'a, R> {
    kept: Option<Kept<'a, R>>,
    write: String,
    began: Timestamp,
}

/// Where the call is kept.
#[derive(Debug)]
struct Kept<'a, R> {
    table: &'a WorksetTable<R>,
    name: CallName,
    fingerprint: String,
    owner: String,
    held: Option<Versioned<Call>>,
    is_own: bool,
}

impl<'a, R: Rows> Pen<'a, R> {
    /// Begins the call, or gives the reply that it got before.
    ///
    /// # Errors
    /// When the key belongs to another call, or another request is at this one.
    pub(crate) async fn open<C: Clock, T>(
        app: &App<R, C>,
        table: &'a WorksetTable<R>,
        caller: &Caller,
        post: &Post<T>,
        request: &str,
    ) -> Result<ControlFlow<Response, Self>, Problem> {
        let opened = Self::begun(app, table, caller, post, request).await?;
        Ok(opened.map_break(|reply| replied(reply, true)))
    }

    /// As [`open`](Self::open), for a call whose reply holds more than what is kept of it.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) async fn begun<C: Clock, T>(
        app: &App<R, C>,
        table: &'a WorksetTable<R>,
        caller: &Caller,
        post: &Post<T>,
        request: &str,
    ) -> Result<ControlFlow<Reply, Self>, Problem> {
        let (tenant, operation) = (caller.tenant.clone(), post.operation.clone());
        let name = CallName { tenant, operation, key: post.key.clone() };
        let held = match table.call(&name).await {
            Ok(held) => held,
            Err(error) => {
                // Writes may have moved meanwhile: the next request looks anew.
                app.forget_outlook().await;
                return Err(error.into());
            }
        };
        let now = app.now();
        match standing(held.as_ref().map(|held| &held.value), &post.fingerprint, now) {
            Standing::Replay(reply) => return Ok(ControlFlow::Break(reply)),
            Standing::Mismatch => {
                let detail =
                    format!("the key `{}` was sent before with another body (take a new key)", name.key);
                return Err(Problem::new(Kind::IdempotencyKeyReused, detail));
            }
            Standing::AtWork(left) => return Err(at_work(&name).after(left)),
            Standing::New | Standing::TakeOver => {}
        }
        let write = format!("{} {}", name.operation, name.key);
        let fingerprint = post.fingerprint.clone();
        let kept = Kept { table, name, fingerprint, owner: request.to_owned(), held, is_own: false };
        Ok(ControlFlow::Continue(Self { kept: Some(kept), write, began: now }))
    }

    /// A write that is not kept, since the version that it names lets it happen once.
    pub(crate) fn unkept(request: &str) -> Self {
        Self { kept: None, write: request.to_owned(), began: Timestamp::default() }
    }

    /// A write that happens once by itself, as [`unkept`](Self::unkept), of a workset whose states
    /// somebody is told of: what it is about to do is written down all the same, so that nobody is told
    /// of it too seldom if this function dies over it.
    pub(crate) fn noted<C: Clock>(
        app: &App<R, C>,
        table: &'a WorksetTable<R>,
        caller: &Caller,
        id: &WorksetId,
        request: &str,
    ) -> Self {
        let unkept = Self::unkept(request);
        let is_told = !app.deps.config.told_states().is_empty();
        let Some(key) = request.parse().ok().filter(|_| is_told) else { return unkept };
        let (tenant, owner) = (caller.tenant.clone(), request.to_owned());
        let name = CallName { tenant, operation: format!("DELETE /v1/worksets/{id}"), key };
        let kept = Kept { table, name, fingerprint: owner.clone(), owner, held: None, is_own: false };
        Self { kept: Some(kept), began: app.now(), ..unkept }
    }

    /// The name that the effects of this call carry.
    pub(crate) fn write(&self) -> &str {
        &self.write
    }

    /// What an owner before this one was about to do, if there was one.
    pub(crate) fn journal(&self) -> &[String] {
        let held = self.kept.as_ref().filter(|kept| !kept.is_own).and_then(|kept| kept.held.as_ref());
        held.map_or(&[], |held| &held.value.steps)
    }

    /// Writes down that `step` is about to be done.
    ///
    /// # Errors
    /// When another request owns the call, or the table does not answer: then it must not be done.
    pub(crate) async fn begin(&mut self, step: &str) -> Result<(), Problem> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let next = match &kept.held {
            Some(held) if kept.is_own => {
                if held.value.steps.last().is_some_and(|last| last == step) {
                    return Ok(());
                }
                held.value.clone().noted(step)
            }
            held => {
                Call::begun(held.as_ref().map(|h| &h.value), &kept.fingerprint, &kept.owner, step, self.began)
            }
        };
        kept.held = Some(kept.table.keep_call(&kept.name, kept.held.as_ref(), next).await.map_err(
            |error| match error {
                RowsError::Conflict => at_work(&kept.name),
                error => error.into(),
            },
        )?);
        kept.is_own = true;
        Ok(())
    }

    /// Keeps the reply to a call that took effect, or lets go of one that changed nothing.
    pub(crate) async fn close(self, outcome: Result<Reply, Problem>) -> Result<Response, Problem> {
        self.ended(outcome).await.map(|reply| replied(reply, false))
    }

    /// As [`close`](Self::close), for a call whose reply holds more than what is kept of it.
    pub(crate) async fn ended(self, outcome: Result<Reply, Problem>) -> Result<Reply, Problem> {
        let (kept, held) = match self.kept {
            Some(Kept { table, name, held: Some(held), .. }) => (Some((table, name)), Some(held)),
            Some(_) | None => (None, None),
        };
        let next = match (&outcome, &held) {
            (_, None) => None,
            (Ok(reply), Some(held)) => Some(held.value.clone().done(reply.clone())),
            // Whoever sends it again finds out what became of it.
            (Err(problem), Some(_)) if problem.kind() == Kind::OutcomeUnknown => None,
            (Err(_), Some(held)) => Some(held.value.clone().released()),
        };
        if let (Some((table, name)), Some(next)) = (kept, next)
            && let Err(error) = table.keep_call(&name, held.as_ref(), next).await
        {
            // The effect carries the call's name, by which a repetition finds it.
            tracing::info!(%error, "left a call to be found by its effect");
        }
        outcome
    }
}

fn at_work(name: &CallName) -> Problem {
    let detail =
        format!("another request with the key `{}` is at work (send it again in a moment)", name.key);
    Problem::new(Kind::CallInProgress, detail)
}

/// The reply with its headers.
pub(crate) fn replied(reply: Reply, again: bool) -> Response {
    let region = reply
        .body
        .get("served_by")
        .and_then(|name| name.as_str())
        .and_then(|name| name.parse::<RegionName>().ok());
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Json(reply.body)).into_response();
    let mut set = |name: HeaderName, value: Option<&str>| {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    };
    set(SERVED_BY, region.as_ref().map(RegionName::as_str));
    set(header::LOCATION, reply.location.as_deref());
    set(header::ETAG, reply.etag.as_deref());
    set(REPLAYED, again.then_some("true"));
    response
}
