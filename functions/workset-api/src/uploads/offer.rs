//! What a caller is shown of an upload, and the URLs that it is given.

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    checksum::Checksum,
    ports::{Clock, Rows, Signed, Slip, Uploads},
    region::RegionName,
    time::Timestamp,
    upload::{
        Receipt,
        ticket::{Leg, Stage, Ticket, TicketId},
    },
};
use serde::Serialize;
use serde_json::json;

use super::{Desk, present, unserved};
use crate::problem::Problem;

/// How long an URL is good for.
const VALID: Duration = Duration::from_secs(15 * 60);

/// URLs of one reply. With a session's credentials, a key of 1,024 bytes that are all escaped and a
/// long upload id an URL has up to 6 KB, and a reply of a Lambda function ends at 6 MB.
pub(super) const URLS_MAX: u32 = 500;

/// An upload as its caller sees it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    id: &'a TicketId,
    state: &'static str,
    /// The key of the object, below the tenant's prefix.
    key: &'a str,
    region: RegionName,
    bucket: &'a str,
    /// How the region was chosen.
    why: &'a str,
    size_bytes: u64,
    crc64nvme: Checksum,
    /// How many parts there are.
    parts: u32,
    /// Regions that were left, and are never tried again.
    tried: Vec<RegionName>,
    /// Regions among them whose parts are still to be freed.
    owed_aborts: Vec<RegionName>,
    created_ms: Timestamp,
    /// What the completed upload can show for itself.
    receipt: Option<&'a Receipt>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(ticket: &'a Ticket) -> Result<Self, Problem> {
        let left = |leg: &&Leg| leg.left.is_some();
        let receipt = match &ticket.stage {
            Stage::Completed(receipt) => Some(&**receipt),
            Stage::Open | Stage::Aborted => None,
        };
        let leg = match receipt.and_then(|_| ticket.legs.iter().find(|leg| !left(leg))) {
            Some(leg) => leg,
            None => present(ticket)?,
        };
        Ok(Self {
            id: &ticket.id,
            state: ticket.stage.as_str(),
            key: ticket.wanted.key.as_str(),
            region: leg.region,
            bucket: &leg.bucket,
            why: &leg.why,
            size_bytes: ticket.wanted.pieces.size().0,
            crc64nvme: ticket.wanted.pieces.checksum(),
            parts: ticket.wanted.pieces.count(),
            tried: ticket.legs.iter().filter(left).map(|leg| leg.region).collect(),
            owed_aborts: ticket.owed_aborts().map(|leg| leg.region).collect(),
            created_ms: ticket.created_at,
            receipt,
        })
    }
}

/// A part that the caller may put.
#[derive(Serialize)]
struct PartUrl {
    number: u32,
    method: &'static str,
    url: String,
    /// To be sent as they are: the signature covers them.
    headers: BTreeMap<String, String>,
}

impl<R: Rows, C: Clock, O: Uploads> Desk<'_, R, C, O> {
    /// The upload, with URLs for the parts from `first` to `last` if it is open.
    pub(super) async fn offer(
        &self,
        ticket: &Ticket,
        (first, last): (u32, u32),
    ) -> Result<serde_json::Value, Problem> {
        let shown = Shown::of(ticket)?;
        if ticket.stage != Stage::Open {
            let none: [(); 0] = [];
            return Ok(json!({
                "served_by": self.primary, "upload": shown, "parts": none, "expires_ms": null, "next": null,
            }));
        }
        let now = self.app.now();
        let last = last.min(ticket.wanted.pieces.count());
        let mut valid = VALID;
        let mut parts = Vec::new();
        for number in first..=last {
            let Signed { url, headers, valid: good_for } = self.signed(ticket, number).await?;
            valid = valid.min(good_for);
            parts.push(PartUrl { number, method: "PUT", url, headers });
        }
        let next = (last < ticket.wanted.pieces.count()).then_some(last + 1);
        Ok(json!({
            "served_by": self.primary, "upload": shown, "parts": parts, "expires_ms": now.after(valid), "next": next,
        }))
    }

    async fn signed(&self, ticket: &Ticket, number: u32) -> Result<Signed, Problem> {
        let leg = present(ticket)?;
        let piece = ticket.wanted.pieces.get(number).ok_or_else(|| super::ended(ticket))?;
        let (key, upload) = (ticket.wanted.key.as_str(), leg.upload.as_str());
        let slip = Slip { key, upload, number, size: piece.size, checksum: piece.checksum };
        let signed = self.bucket(leg.region)?.sign_part(slip, VALID).await;
        signed.map_err(|error| unserved(leg.region, &error))
    }
}
