//! Leaving a region in the middle of an upload.

use std::ops::ControlFlow::{Break, Continue};

use axum::response::Response;
use sealane::{
    ports::{Clock, Rows, Uploads},
    region::RegionName,
    store::Versioned,
    upload::ticket::{Stage, Ticket, TicketId},
    workset::{self, Reply, Text},
};
use serde::Deserialize;

use super::{Desk, Swept, TRIES_MAX, contended, ended, invalid, present};
use crate::{extract::Post, once::Pen, problem::Problem};

/// Which region is left, and why.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// The region that the caller could not send to.
    from: String,
    reason: Option<Text<256>>,
}

/// `POST /v1/uploads/{id}:failover`
pub(super) async fn leave<R: Rows, C: Clock, O: Uploads>(
    desk: &Desk<'_, R, C, O>,
    id: &TicketId,
    post: Post<Ask>,
    request: &str,
) -> Result<Response, Problem> {
    let from = desk.app.known(&post.body.from)?;
    let mut pen = match Pen::begun(desk.app, desk.table, desk.caller, &post, request).await? {
        Continue(pen) => pen,
        Break(reply) => return desk.answer(reply, true).await,
    };
    let why = post.body.reason.as_ref().map_or("the client left it", Text::as_str);
    let outcome = desk.left(id, from, why, &mut pen).await;
    let reply = pen.ended(outcome).await?;
    desk.answer(reply, false).await
}

impl<R: Rows, C: Clock, O: Uploads> Desk<'_, R, C, O> {
    /// Moves the upload out of `from`, unless that was left before.
    async fn left(
        &self,
        id: &TicketId,
        from: RegionName,
        why: &str,
        pen: &mut Pen<'_, R>,
    ) -> Result<Reply, Problem> {
        for _ in 0..TRIES_MAX {
            let held = self.ticket(id).await?;
            let ticket = &held.value;
            if ticket.stage != Stage::Open {
                return Err(ended(ticket));
            }
            let here = present(ticket)?.region;
            if here != from && ticket.tried().contains(&from) {
                return Ok(self.moved(ticket));
            }
            if here != from {
                let problem = format!("the upload is in `{here}` and was never in `{from}` (name `{here}`)");
                return Err(invalid(vec![workset::Problem { field: "from", problem }]));
            }
            pen.begin("failover").await?;
            let leg = self.place(id, &ticket.wanted, &ticket.tried()).await?;
            let next = ticket.clone().moved(leg, why);
            if let Some(kept) = self.keep_begun(Some(&held), next).await? {
                let kept = self.tidy(kept).await?;
                return Ok(self.moved(&kept.value));
            }
        }
        Err(contended(id))
    }

    fn moved(&self, ticket: &Ticket) -> Reply {
        Reply { status: 200, location: None, ..self.told(ticket) }
    }

    /// Frees what was left behind, and notes what is. A completion there that nobody heard of ends the
    /// upload, so that nothing is sent twice. What fails here is owed, and tried again by every later
    /// call until the upload has ended; after that the bucket's lifecycle rule frees it.
    async fn tidy(&self, held: Versioned<Ticket>) -> Result<Versioned<Ticket>, Problem> {
        let Swept { freed, found } = self.swept(&held.value).await;
        if let Some((leg, found)) = &found {
            return self.settle(held, leg, found).await;
        }
        if freed.is_empty() {
            return Ok(held);
        }
        let noted = self.keep(Some(&held), held.value.clone().freed(&freed)).await;
        let noted = noted.inspect_err(|problem| {
            tracing::info!(detail = problem.detail(), "freed parts and did not note it");
        });
        Ok(noted.ok().flatten().unwrap_or(held))
    }
}
