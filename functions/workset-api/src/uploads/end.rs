//! Giving an upload up.

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use sealane::{
    ports::{Clock, Rows, Uploads},
    store::Versioned,
    upload::ticket::{Stage, Ticket, TicketId},
};
use serde_json::json;

use super::{
    Buckets, Desk, Shared, Swept, TRIES_MAX, contended, ended, offer::Shown, present, ticket_id, unserved,
};
use crate::{
    caller::Writes,
    extract::{Nothing, Params},
    problem::Problem,
};

/// `DELETE /v1/uploads/{id}`: frees the parts; from then on its URLs are good for nothing.
pub(super) async fn abort<R: Rows, C: Clock, O: Uploads>(
    State(app): Shared<R, C>,
    Extension(buckets): Extension<Buckets<O>>,
    Writes(caller): Writes,
    Path(name): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = ticket_id(&name)?;
    let desk = Desk::open(&app, &buckets, &caller).await?;
    let held = desk.given_up(&id).await?;
    let body = json!({ "served_by": desk.primary, "upload": Shown::of(&held.value)? });
    Ok(Json(body).into_response())
}

impl<R: Rows, C: Clock, O: Uploads> Desk<'_, R, C, O> {
    /// Gives the upload up. Nothing is given up that nobody could free: where the region is out of
    /// reach the upload stays open, as a completion may have gone through there.
    async fn given_up(&self, id: &TicketId) -> Result<Versioned<Ticket>, Problem> {
        for _ in 0..TRIES_MAX {
            let held = self.ticket(id).await?;
            match held.value.stage {
                Stage::Completed(_) => return Err(ended(&held.value)),
                Stage::Aborted if held.value.owed_aborts().next().is_none() => return Ok(held),
                Stage::Aborted => {}
                Stage::Open => {
                    let leg = present(&held.value)?.clone();
                    let aborted = self.bucket(leg.region)?.abort(held.value.wanted.key.as_str(), &leg.upload);
                    aborted.await.map_err(|error| unserved(leg.region, &error))?;
                    // What is gone cannot be completed any more, so one look tells for sure.
                    if let Some(found) = self.overlooked(&held.value, &leg).await? {
                        let held = self.settle(held, &leg, &found).await?;
                        return Err(ended(&held.value));
                    }
                }
            }
            let present: Vec<_> = held.value.leg().map(|leg| leg.upload.clone()).into_iter().collect();
            let given_up = held.value.clone().aborted().freed(&present);
            let Swept { freed, found } = self.swept(&given_up).await;
            if let Some((leg, found)) = &found {
                let held = self.settle(held, leg, found).await?;
                return Err(ended(&held.value));
            }
            if let Some(kept) = self.keep(Some(&held), given_up.freed(&freed)).await? {
                return Ok(kept);
            }
        }
        Err(contended(id))
    }
}
