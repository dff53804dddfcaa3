//! Uploads without credentials of one's own: the API picks a region and signs an URL for each part,
//! the client sends the parts to the store itself, and the API has them joined and checked.
//!
//! No byte of an object passes through here. An URL is good for one part of one upload, for the bytes
//! that were promised and no others, and for a quarter of an hour; it is told to its caller and
//! written down nowhere. What is known of an upload lies in the replica that takes the writes.

mod begin;
mod complete;
mod end;
mod leave;
mod offer;
mod place;
mod show;

use std::{collections::BTreeMap, fmt, sync::Arc};

use axum::{
    Extension, Router,
    extract::{FromRequest, Path, Request, State},
    http::{Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sealane::{
    ports::{Clock, ObjectsError, Rows, RowsError, Uploads},
    region::RegionName,
    store::{Versioned, WorksetTable},
    upload::ticket::{Found, Leg, Stage, Ticket, TicketId},
    workset,
};

use crate::{
    app::App,
    caller::{Caller, Writes},
    dress::RequestId,
    extract::{Nothing, Params, Post},
    no_such_method,
    problem::{Kind, Problem},
};

/// Times that a change is decided anew because another came first.
const TRIES_MAX: usize = 4;

type Shared<R, C> = State<Arc<App<R, C>>>;

/// The buckets of the full regions.
pub(crate) struct Buckets<O>(Arc<BTreeMap<RegionName, O>>);

impl<O> Clone for Buckets<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<O> fmt::Debug for Buckets<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The routes, which put into `buckets`.
pub(crate) fn routes<R, C, O>(buckets: BTreeMap<RegionName, O>) -> Router<Arc<App<R, C>>>
where
    R: Rows + Clone + Send + Sync + 'static,
    C: Clock + 'static,
    O: Uploads + Send + Sync + 'static,
{
    let one = get(show::show::<R, C, O>).post(act::<R, C, O>).delete(end::abort::<R, C, O>);
    // With a fallback of its own no other method gets past the layer.
    let one = one.fallback(no_such_method).layer(middleware::from_fn(only_its_methods));
    Router::new()
        .route("/v1/uploads", post(begin::begin::<R, C, O>))
        .route("/v1/uploads/{id}", one)
        .layer(Extension(Buckets(Arc::new(buckets))))
}

/// Refuses methods that an upload, or what can be done with one, does not have. The router cannot
/// tell `{id}` and `{id}:{verb}` apart, and would allow each what the other has.
async fn only_its_methods(request: Request, next: Next) -> Response {
    let is_call = request.uri().path().rsplit('/').next().is_some_and(|name| name.contains(':'));
    let (has, told): (&[Method], _) = match is_call {
        true => (&[Method::POST], "POST"),
        false => (&[Method::GET, Method::HEAD, Method::DELETE], "GET,HEAD,DELETE"),
    };
    if has.contains(request.method()) {
        return next.run(request).await;
    }
    let refused = no_such_method(request.method().clone()).await;
    ([(header::ALLOW, told)], refused).into_response()
}

/// `POST /v1/uploads/{id}:{verb}`.
async fn act<R, C, O>(
    State(app): Shared<R, C>,
    Extension(buckets): Extension<Buckets<O>>,
    Writes(caller): Writes,
    Path(name): Path<String>,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem>
where
    R: Rows,
    C: Clock + 'static,
    O: Uploads,
{
    let (ticket, verb) = name.split_once(':').unwrap_or((&name, ""));
    let ticket = ticket_id(ticket)?;
    let desk = Desk::open(&app, &buckets, &caller).await?;
    match verb {
        "complete" => complete::complete(&desk, &ticket, Post::from_request(request, &app).await?, &id).await,
        "failover" => leave::leave(&desk, &ticket, Post::from_request(request, &app).await?, &id).await,
        "sign" => show::sign(&desk, &ticket, Post::from_request(request, &app).await?).await,
        _ => {
            let detail = "an upload has no such call (want `:complete`, `:failover` or `:sign` after its id)";
            Err(Problem::new(Kind::NoSuchRoute, detail))
        }
    }
}

fn ticket_id(text: &str) -> Result<TicketId, Problem> {
    text.parse().map_err(|error| Problem::new(Kind::InvalidPath, format!("{error}")))
}

/// A caller's request, and what it works on.
struct Desk<'a, R, C, O> {
    app: &'a App<R, C>,
    buckets: &'a BTreeMap<RegionName, O>,
    caller: &'a Caller,
    /// The region that takes the writes.
    primary: RegionName,
    table: &'a WorksetTable<R>,
}

impl<'a, R: Rows, C: Clock, O: Uploads> Desk<'a, R, C, O> {
    async fn open(app: &'a App<R, C>, buckets: &'a Buckets<O>, caller: &'a Caller) -> Result<Self, Problem> {
        let primary = app.primary().await?;
        let table = app.worksets_of(primary).ok_or_else(|| misconfigured(primary))?;
        Ok(Self { app, buckets: &buckets.0, caller, primary, table })
    }

    /// The caller's upload of that id.
    async fn ticket(&self, id: &TicketId) -> Result<Versioned<Ticket>, Problem> {
        let held = match self.table.ticket(&self.caller.tenant, id, self.app.now()).await {
            Ok(held) => held,
            Err(error) => {
                // Writes may have moved meanwhile: the next request looks anew.
                self.app.forget_outlook().await;
                return Err(error.into());
            }
        };
        let missing = || Problem::new(Kind::UploadNotFound, format!("there is no upload `{id}` (begin one)"));
        held.ok_or_else(missing)
    }

    /// Replaces what is kept of an upload; `None` when another change came first.
    async fn keep(
        &self,
        old: Option<&Versioned<Ticket>>,
        new: Ticket,
    ) -> Result<Option<Versioned<Ticket>>, Problem> {
        self.app.still(self.primary).await?;
        match self.table.keep_ticket(&self.caller.tenant, old, new).await {
            Ok(kept) => Ok(Some(kept)),
            Err(RowsError::Conflict) => Ok(None),
            Err(error @ RowsError::NoAnswer { .. }) => {
                let detail = format!("{error}, so it is not known whether the upload was changed");
                Err(Problem::new(Kind::OutcomeUnknown, detail).caused_by(&error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`keep`](Self::keep), for an upload whose present leg was begun for it just now: what no row
    /// names is freed again. Where it is not known whether one does, it stays; it is empty.
    async fn keep_begun(
        &self,
        old: Option<&Versioned<Ticket>>,
        new: Ticket,
    ) -> Result<Option<Versioned<Ticket>>, Problem> {
        let (key, leg) = (new.wanted.key.clone(), present(&new)?.clone());
        let kept = self.keep(old, new).await;
        let unnamed = match &kept {
            Ok(kept) => kept.is_none(),
            Err(problem) => problem.kind() != Kind::OutcomeUnknown,
        };
        if unnamed && let Err(error) = self.bucket(leg.region)?.abort(key.as_str(), &leg.upload).await {
            tracing::warn!(region.name = %leg.region, %error, "left an upload to the bucket's lifecycle rule");
        }
        kept
    }

    fn bucket(&self, region: RegionName) -> Result<&'a O, Problem> {
        self.buckets.get(&region).ok_or_else(|| misconfigured(region))
    }

    /// Frees the parts that lie in regions which the upload has left, as far as those answer; gives the
    /// multipart uploads of which nothing is left.
    async fn freed(&self, ticket: &Ticket) -> Vec<String> {
        let mut freed = Vec::new();
        for leg in ticket.owed_aborts() {
            if self.frees(ticket, leg).await {
                freed.push(leg.upload.clone());
            }
        }
        freed
    }

    /// As [`freed`](Self::freed), and looks whether such a region had joined the parts before: what is
    /// gone cannot be completed any more, so one look tells for sure. Where nobody can look, the leg counts
    /// as not freed, so that a later call does both again.
    async fn swept(&self, ticket: &Ticket) -> Swept {
        let mut swept = Swept::default();
        for leg in ticket.owed_aborts() {
            if !self.frees(ticket, leg).await {
                continue;
            }
            match self.found(ticket, leg).await {
                Ok(found) => {
                    swept.freed.push(leg.upload.clone());
                    swept.found = swept.found.or_else(|| Some((leg.clone(), found?)));
                }
                Err(error) => {
                    tracing::warn!(region.name = %leg.region, error = cause(&error), "left a region to be looked at later");
                }
            }
        }
        swept
    }

    async fn frees(&self, ticket: &Ticket, leg: &Leg) -> bool {
        let Ok(bucket) = self.bucket(leg.region) else { return false };
        let freed = bucket.abort(ticket.wanted.key.as_str(), &leg.upload).await;
        let freed = freed.inspect_err(|error| {
            tracing::warn!(region.name = %leg.region, error = cause(error), "left parts to be freed later");
        });
        freed.is_ok()
    }
}

/// What came of tidying up behind an upload.
#[derive(Debug, Default)]
struct Swept {
    /// The multipart uploads of which nothing is left.
    freed: Vec<String>,
    /// The leg whose parts were joined, unheard, and the object that came of it.
    found: Option<(Leg, Found)>,
}

/// The leg that takes the parts now.
fn present(ticket: &Ticket) -> Result<&Leg, Problem> {
    let broken = || Problem::new(Kind::Internal, "the upload's row names no region (report the request id)");
    ticket.leg().ok_or_else(broken)
}

fn ended(ticket: &Ticket) -> Problem {
    let detail = match &ticket.stage {
        Stage::Completed(_) => {
            format!("the upload `{}` is completed (`:complete` gives its receipt)", ticket.id)
        }
        Stage::Aborted => format!("the upload `{}` was given up (begin a new one)", ticket.id),
        Stage::Open => format!("the store no longer has the parts of `{}` (begin a new upload)", ticket.id),
    };
    Problem::new(Kind::UploadEnded, detail)
}

fn contended(id: &TicketId) -> Problem {
    let detail = format!("others changed `{id}` first, {TRIES_MAX} times (send the call again)");
    Problem::new(Kind::Contended, detail)
}

fn misconfigured(region: RegionName) -> Problem {
    let detail = format!("`{region}` is not a full region of this configuration");
    Problem::new(Kind::Misconfigured, detail)
}

fn invalid(errors: Vec<workset::Problem>) -> Problem {
    let told: Vec<_> = errors.iter().map(|error| format!("`{}`: {}", error.field, error.problem)).collect();
    let detail = format!("the upload is not valid: {}", told.join("; "));
    Problem::new(Kind::InvalidUpload, detail).with_errors(errors)
}

/// What a bucket that did not do what was asked, and changed nothing, is told as.
fn unserved(region: RegionName, error: &ObjectsError) -> Problem {
    let (kind, remedy) = match error.is_outage() {
        true => (Kind::BucketUnavailable, "try again, or leave the region with `:failover`"),
        false => (Kind::Internal, "report the request id"),
    };
    Problem::new(kind, format!("the bucket of `{region}` does not serve this ({remedy})")).caused_by(error)
}

fn cause(error: &ObjectsError) -> String {
    Problem::new(Kind::Internal, "").caused_by(error).cause().unwrap_or_default().to_owned()
}
