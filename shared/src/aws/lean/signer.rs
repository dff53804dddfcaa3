//! Requests that somebody else sends: signed in the URL, so that they need no credentials.

use std::{collections::BTreeMap, time::Duration};

use super::{Fault, Lean, SUM};
use crate::ports::{Signed, Slip};

impl Lean {
    /// Signs for one part. Length and checksum are headers that the signature covers; `owner` is the
    /// account that the bucket has to belong to.
    pub(in super::super) async fn sign_part(
        &self,
        slip: Slip<'_>,
        owner: Option<(String, String)>,
        valid: Duration,
    ) -> Result<Signed, Fault> {
        let Slip { key, upload, number, size, checksum } = slip;
        let url = self.place.url(key, Some((upload, number)));
        let bound =
            [("content-length".to_owned(), size.0.to_string()), (SUM.to_owned(), checksum.to_string())];
        let headers: BTreeMap<_, _> = bound.into_iter().chain(owner).collect();
        let (url, valid) = self.keys.presign(url, &headers, &self.place, valid).await?;
        Ok(Signed { url, headers, valid })
    }
}
