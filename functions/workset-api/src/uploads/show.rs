//! How an upload stands, and URLs for further parts.

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use sealane::{
    ports::{Clock, Rows, Uploads},
    upload::ticket::{Spans, Stage, Ticket, TicketId},
    workset,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Buckets, Desk, Shared, ended, invalid,
    offer::{Shown, URLS_MAX},
    present, ticket_id,
};
use crate::{
    caller::Reads,
    extract::{Nothing, Params, Post},
    problem::Problem,
};

/// What the store has of an open upload.
#[derive(Debug, Serialize)]
struct Stored {
    /// The numbers of its parts, in runs.
    parts: Spans,
    /// Their bytes.
    size_bytes: u64,
}

/// `GET /v1/uploads/{id}`: no URLs, which let their holder write.
pub(super) async fn show<R: Rows, C: Clock, O: Uploads>(
    State(app): Shared<R, C>,
    Extension(buckets): Extension<Buckets<O>>,
    Reads(caller): Reads,
    Path(name): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = ticket_id(&name)?;
    let desk = Desk::open(&app, &buckets, &caller).await?;
    let ticket = desk.ticket(&id).await?.value;
    let stored = desk.stored(&ticket).await;
    let body = json!({ "served_by": desk.primary, "upload": Shown::of(&ticket)?, "stored": stored });
    Ok(Json(body).into_response())
}

/// The parts that URLs are wanted for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    from: u32,
    to: Option<u32>,
}

/// `POST /v1/uploads/{id}:sign`: changes nothing, so that nothing of it is kept.
pub(super) async fn sign<R: Rows, C: Clock, O: Uploads>(
    desk: &Desk<'_, R, C, O>,
    id: &TicketId,
    post: Post<Ask>,
) -> Result<Response, Problem> {
    let ticket = desk.ticket(id).await?.value;
    if ticket.stage != Stage::Open {
        return Err(ended(&ticket));
    }
    let wanted = span(&post.body, ticket.wanted.pieces.count())?;
    Ok(Json(desk.offer(&ticket, wanted).await?).into_response())
}

/// The numbers from the first wanted part to the last.
fn span(ask: &Ask, count: u32) -> Result<(u32, u32), Problem> {
    let wrong = |field, problem| Err(invalid(vec![workset::Problem { field, problem }]));
    let Ask { from, to } = *ask;
    if !(1..=count).contains(&from) {
        return wrong("from", format!("it is {from}, and the upload has parts 1 to {count}"));
    }
    let to = to.unwrap_or(count.min(from + (URLS_MAX - 1)));
    if to < from || to > count || to - from >= URLS_MAX {
        let most = count.min(from + (URLS_MAX - 1));
        return wrong("to", format!("it is {to} (want {from} to {most}: at most {URLS_MAX} parts at once)"));
    }
    Ok((from, to))
}

impl<R: Rows, C: Clock, O: Uploads> Desk<'_, R, C, O> {
    /// What the store has of it; `None` when it is not open, or the store does not say.
    async fn stored(&self, ticket: &Ticket) -> Option<Stored> {
        if ticket.stage != Stage::Open {
            return None;
        }
        let leg = present(ticket).ok()?;
        let parts = self.bucket(leg.region).ok()?.parts(ticket.wanted.key.as_str(), &leg.upload).await;
        let parts = parts.inspect_err(|error| {
            tracing::info!(region.name = %leg.region, error = super::cause(error), "showed an upload without its parts");
        });
        let parts = parts.ok()?;
        let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
        Some(Stored { parts: parts.iter().map(|part| part.number).collect(), size_bytes })
    }
}
