//! Completing an upload: the store joins the parts, is asked what it has, and the receipt says so.
//!
//! A completion whose answer was lost is looked up, and called unknown if that fails: the object
//! carries the upload's id, so that it is found whoever completed it and however often it is asked for.

use std::ops::ControlFlow::{Break, Continue};

use axum::response::Response;
use sealane::{
    ports::{Clock, Head, ObjectsError, Rows, Uploads},
    store::Versioned,
    upload::{
        How,
        ticket::{Found, Leg, Stage, Ticket, TicketId},
    },
    workset::Reply,
};
use serde_json::json;

use super::{Desk, TRIES_MAX, contended, ended, offer::Shown, present, unserved};
use crate::{
    extract::{Nothing, Post},
    once::Pen,
    problem::{Kind, Problem},
};

/// Versions of the key that are looked at for one that was written over at once.
const VERSIONS_MAX: u16 = 20;

/// `POST /v1/uploads/{id}:complete`
pub(super) async fn complete<R: Rows, C: Clock, O: Uploads>(
    desk: &Desk<'_, R, C, O>,
    id: &TicketId,
    post: Post<Nothing>,
    request: &str,
) -> Result<Response, Problem> {
    let mut pen = match Pen::open(desk.app, desk.table, desk.caller, &post, request).await? {
        Continue(pen) => pen,
        Break(reply) => return Ok(reply),
    };
    let outcome = desk.completed(id, &mut pen).await;
    pen.close(outcome).await
}

impl<R: Rows, C: Clock, O: Uploads> Desk<'_, R, C, O> {
    async fn completed(&self, id: &TicketId, pen: &mut Pen<'_, R>) -> Result<Reply, Problem> {
        let held = self.ticket(id).await?;
        let held = match &held.value.stage {
            Stage::Completed(_) => held,
            Stage::Aborted => return Err(ended(&held.value)),
            Stage::Open => {
                pen.begin("complete").await?;
                let leg = present(&held.value)?.clone();
                let found = self.join(&held.value, &leg).await?;
                self.settle(held, &leg, &found).await?
            }
        };
        let body = json!({ "served_by": self.primary, "upload": Shown::of(&held.value)? });
        Ok(Reply { status: 200, location: None, etag: None, body })
    }

    /// Has the parts joined, and finds out what the store has then.
    async fn join(&self, ticket: &Ticket, leg: &Leg) -> Result<Found, Problem> {
        let (bucket, key, pieces) = (self.bucket(leg.region)?, &ticket.wanted.key, &ticket.wanted.pieces);
        let stored = match bucket.parts(key.as_str(), &leg.upload).await {
            Ok(stored) => stored,
            // It was completed before, or the store has given it up.
            Err(ObjectsError::Missing { .. }) => {
                return self.overlooked(ticket, leg).await?.ok_or_else(|| ended(ticket));
            }
            Err(error) => return Err(unserved(leg.region, &error)),
        };
        let parts = pieces.joined(&stored).map_err(|lacking| {
            let detail = format!("`{}` does not have as promised: parts {lacking} (send them)", leg.region);
            Problem::new(Kind::PartsMissing, detail)
        })?;
        match bucket.complete(key.as_str(), &leg.upload, &parts, pieces.checksum()).await {
            Ok(stored) => self.verified(ticket, leg, stored.version_id.as_deref()).await,
            Err(error) => self.looked_up(ticket, leg, error).await,
        }
    }

    /// What came of a completion that ended with `error`, which may be that of a repeat inside the client.
    async fn looked_up(&self, ticket: &Ticket, leg: &Leg, error: ObjectsError) -> Result<Found, Problem> {
        match (self.found(ticket, leg).await, &error) {
            (Ok(Some(found)), _) => Ok(found),
            (Err(_), _) | (Ok(None), ObjectsError::NoAnswer { .. }) => Err(unknown(leg).caused_by(&error)),
            (Ok(None), ObjectsError::Missing { .. }) => Err(ended(ticket)),
            (Ok(None), ObjectsError::Mismatch { .. }) => {
                let detail = format!(
                    "`{}` did not join the parts: one was replaced, or the whole has another checksum \
                     (send the parts again, then `:complete`)",
                    leg.region
                );
                Err(Problem::new(Kind::PartsMissing, detail).caused_by(&error))
            }
            // `ObjectsError` may grow: what is new is told as what it is to everybody else.
            (Ok(None), ObjectsError::Throttled { .. } | ObjectsError::Refused { .. } | _) => {
                Err(unserved(leg.region, &error))
            }
        }
    }

    /// Asks the store for what it has just completed.
    async fn verified(&self, ticket: &Ticket, leg: &Leg, version: Option<&str>) -> Result<Found, Problem> {
        let head = self.bucket(leg.region)?.head(ticket.wanted.key.as_str(), version).await;
        match head {
            Ok(Some(head)) if ticket.is_in(&head) => Ok(found(head)),
            Ok(_) => Err(unknown(leg)),
            Err(error) => Err(unknown(leg).caused_by(&error)),
        }
    }

    /// The object of this upload, if the store has it: as the newest version or below another.
    pub(super) async fn found(&self, ticket: &Ticket, leg: &Leg) -> Result<Option<Found>, ObjectsError> {
        let Some(bucket) = self.buckets.get(&leg.region) else { return Ok(None) };
        let key = ticket.wanted.key.as_str();
        let newest = bucket.head(key, None).await?.filter(|head| ticket.is_in(head));
        if let Some(head) = newest {
            return Ok(Some(found(head)));
        }
        for version in bucket.versions(key, VERSIONS_MAX).await? {
            let head = bucket.head(key, Some(&version)).await?;
            if let Some(head) = head.filter(|head| ticket.is_in(head)) {
                return Ok(Some(found(head)));
            }
        }
        Ok(None)
    }

    /// Writes down that the object was found in the region of `leg`, whatever was decided meanwhile.
    pub(super) async fn settle(
        &self,
        mut held: Versioned<Ticket>,
        leg: &Leg,
        found: &Found,
    ) -> Result<Versioned<Ticket>, Problem> {
        let unkept = |problem: Problem| {
            let detail = format!("the object is whole in `{}`, and that was not written down", leg.region);
            Problem::new(
                Kind::OutcomeUnknown,
                format!("{detail}: {} (send the call again)", problem.detail()),
            )
        };
        for _ in 0..TRIES_MAX {
            if matches!(held.value.stage, Stage::Completed(_)) {
                return Ok(held);
            }
            let now = self.app.now();
            // What other regions have of it is left behind from now on, the present one's as well.
            let freed = self.freed(&held.value.clone().completed(leg, found, now)).await;
            let new = held.value.clone().freed(&freed).completed(leg, found, now);
            if let Some(kept) = self.keep(Some(&held), new).await.map_err(unkept)? {
                return Ok(kept);
            }
            held = self.ticket(&held.value.id).await.map_err(unkept)?;
        }
        Err(unkept(contended(&held.value.id)))
    }

    /// The object that a completion has left in the region of `leg`, of which nobody was told.
    pub(super) async fn overlooked(&self, ticket: &Ticket, leg: &Leg) -> Result<Option<Found>, Problem> {
        self.found(ticket, leg).await.map_err(|error| unserved(leg.region, &error))
    }
}

fn found(head: Head) -> Found {
    // Without a checksum of its own the store has compared the one that it was given to complete.
    let how = if head.checksum.is_some() { How::ChecksumAttribute } else { How::WriteReply };
    Found { version_id: head.version_id, how }
}

fn unknown(leg: &Leg) -> Problem {
    let detail = format!(
        "`{}` was asked to complete the object, and it is not known yet whether it did (send the call again)",
        leg.region
    );
    Problem::new(Kind::OutcomeUnknown, detail)
}
