//! Signed parts of buckets in memory: an URL that names all that it is good for.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use super::{Hook, Hooked, MemoryObjects};
use crate::ports::{Objects as _, ObjectsError, Part, Signed, Signs, Slip};

impl Signs for MemoryObjects {
    async fn sign_part(&self, slip: Slip<'_>, valid: Duration) -> Result<Signed, ObjectsError> {
        let Slip { key, upload, number, size, checksum } = slip;
        let url = format!("memory://{}/{key}?uploadId={upload}&partNumber={number}", self.bucket());
        let headers = BTreeMap::from([
            ("content-length".to_owned(), size.0.to_string()),
            ("x-amz-checksum-crc64nvme".to_owned(), checksum.to_string()),
        ]);
        Ok(Signed { url, headers, valid })
    }
}

impl<H: Hook> Signs for Hooked<H> {
    async fn sign_part(&self, slip: Slip<'_>, valid: Duration) -> Result<Signed, ObjectsError> {
        self.inner().sign_part(slip, valid).await
    }
}

impl MemoryObjects {
    /// Puts `body` as whoever was given `url` and `headers` does, and refuses what they are not good for.
    ///
    /// # Errors
    /// As [`put_part`](crate::ports::Objects::put_part).
    pub async fn put_signed(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: Bytes,
    ) -> Result<Part, ObjectsError> {
        let refused = |why: &str| ObjectsError::Refused {
            bucket: self.bucket().to_owned(),
            key: url.to_owned(),
            source: why.into(),
        };
        let path = url.strip_prefix(&format!("memory://{}/", self.bucket()));
        let (key, query) =
            path.and_then(|path| path.split_once("?uploadId=")).ok_or_else(|| refused("url"))?;
        let (upload, number) = query.split_once("&partNumber=").ok_or_else(|| refused("url"))?;
        let number = number.parse().map_err(|_| refused("the number of the part"))?;
        if headers.get("content-length") != Some(&body.len().to_string()) {
            return Err(refused("the length differs"));
        }
        let sum = headers.get("x-amz-checksum-crc64nvme").and_then(|sum| sum.parse().ok());
        self.put_part(key, upload, number, body, sum.ok_or_else(|| refused("the checksum"))?).await
    }
}
