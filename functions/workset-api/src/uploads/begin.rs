//! Beginning an upload.

use std::ops::ControlFlow::{Break, Continue};

use axum::{Extension, extract::State, response::Response};
use sealane::{
    ports::{Clock, Rows, Uploads},
    upload::ticket::{Ask, Ticket, TicketId, Wanted},
    workset::{self, Reply},
};
use serde_json::json;

use super::{Buckets, Desk, Shared, contended, invalid, offer::URLS_MAX};
use crate::{
    app::App,
    caller::{Caller, Writes},
    dress::RequestId,
    extract::{Nothing, Params, Post},
    once::{Pen, replied},
    problem::{Kind, Problem},
};

/// `POST /v1/uploads`
pub(super) async fn begin<R: Rows, C: Clock, O: Uploads>(
    State(app): Shared<R, C>,
    Extension(buckets): Extension<Buckets<O>>,
    Writes(caller): Writes,
    Params(Nothing {}): Params<Nothing>,
    Extension(RequestId(request)): Extension<RequestId>,
    post: Post<Ask>,
) -> Result<Response, Problem> {
    let wanted = wanted(&app, &caller, post.body.clone())?;
    let desk = Desk::open(&app, &buckets, &caller).await?;
    let mut pen = match Pen::begun(&app, desk.table, &caller, &post, &request).await? {
        Continue(pen) => pen,
        Break(reply) => return desk.answer(reply, true).await,
    };
    let outcome = desk.begun(wanted, &request, &mut pen).await;
    let reply = pen.ended(outcome).await?;
    desk.answer(reply, false).await
}

/// What is asked for, if every field of it is right.
fn wanted<R, C: Clock>(app: &App<R, C>, caller: &Caller, ask: Ask) -> Result<Wanted, Problem> {
    let wanted = ask.read(&caller.tenant).map_err(invalid)?;
    let unknown = wanted.data_in.and_then(|region| app.known(region.as_str()).err());
    match unknown {
        None => Ok(wanted),
        Some(unknown) => {
            let problem = unknown.detail().to_owned();
            Err(invalid(vec![workset::Problem { field: "data_in", problem }]))
        }
    }
}

impl<R: Rows, C: Clock, O: Uploads> Desk<'_, R, C, O> {
    /// Begins an upload, or finds the one that an owner of this call before had begun.
    async fn begun(&self, wanted: Wanted, request: &str, pen: &mut Pen<'_, R>) -> Result<Reply, Problem> {
        let (tenant, now) = (&self.caller.tenant, self.app.now());
        let earlier: Vec<TicketId> = pen.journal().iter().filter_map(|step| step.parse().ok()).collect();
        for id in earlier {
            if let Some(held) = self.table.ticket(tenant, &id, now).await? {
                return Ok(self.told(&held.value));
            }
        }
        let id = TicketId::of(&format!("{tenant} {request} {}", now.as_millis()));
        pen.begin(id.as_str()).await?;
        let leg = self.place(&id, &wanted, &[]).await?;
        let kept = self.keep_begun(None, Ticket::begun(id.clone(), wanted, leg, now)).await?;
        kept.map(|kept| self.told(&kept.value)).ok_or_else(|| contended(&id))
    }

    /// What is kept of the reply: the URLs are made anew whenever it is given.
    pub(super) fn told(&self, ticket: &Ticket) -> Reply {
        Reply {
            status: 201,
            location: Some(format!("/v1/uploads/{}", ticket.id)),
            etag: None,
            body: json!({ "served_by": self.primary, "id": ticket.id }),
        }
    }

    /// The kept reply with what it leaves out.
    pub(super) async fn answer(&self, kept: Reply, again: bool) -> Result<Response, Problem> {
        let id = kept.body["id"].as_str().and_then(|id| id.parse::<TicketId>().ok());
        let id = id.ok_or_else(|| {
            Problem::new(Kind::Internal, "what was kept of the call names no upload (report the request id)")
        })?;
        let held = self.ticket(&id).await?;
        let body = self.offer(&held.value, (1, URLS_MAX)).await?;
        Ok(replied(Reply { body, ..kept }, again))
    }
}
