//! One region's S3 bucket for uploads whose parts others put, by the short way and without the SDK's client.
//!
//! The calls are few and small, and the SDK's code for them made the API's binary by a fifth larger. What a
//! region needs is made when it is asked first, so that a start pays nothing for regions that it never asks.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_smithy_runtime_api::client::http::SharedHttpConnector;

use super::{
    Aws, Limits,
    described::headers,
    errors::told,
    lean::{Fault, Lean, Place, joined, query},
};
use crate::{
    checksum::Checksum,
    endpoint,
    ports::{Attributes, Head, ObjectsError, Part, Signed, Slip, Stored, Uploads},
    region::Region,
};

/// Connections that are opened when they are wanted first, by every bucket that shares them.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<OnceLock<SharedHttpConnector>>);

/// One region's bucket, into which others put parts. Each call is tried once, since its caller repeats it.
#[derive(Clone)]
pub struct S3Uploads {
    aws: Aws,
    region: Region,
    bucket: String,
    owner: Option<String>,
    limits: Limits,
    pool: Pool,
    way: Arc<OnceLock<Option<Lean>>>,
}

impl fmt::Debug for S3Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Uploads").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl S3Uploads {
    /// The bucket of `region`, or `None` for a witness.
    pub(super) fn of(
        aws: &Aws,
        region: &Region,
        owner: Option<&str>,
        limits: Limits,
        pool: &Pool,
    ) -> Option<Self> {
        Some(Self {
            aws: aws.clone(),
            region: region.clone(),
            bucket: region.bucket.clone()?,
            owner: owner.map(str::to_owned),
            limits,
            pool: pool.clone(),
            way: Arc::default(),
        })
    }

    /// The way to the bucket, made when it is wanted first.
    fn way(&self, key: &str) -> Result<&Lean, ObjectsError> {
        let made = self.way.get_or_init(|| {
            let place = Place::of(&self.region, &self.bucket, &self.aws.sdk)?;
            let (keys, budgets) = (self.aws.keys.clone()?, Arc::clone(&self.aws.budgets));
            let Limits { attempt: limit, attempts, .. } = self.limits;
            let connector = self.pool.0.get_or_init(|| {
                // What stands in the configuration was checked there.
                let anywhere = endpoint::Policy { allow_local: true, hosts: None };
                self.aws.connections.connector(self.limits, &anywhere)
            });
            Some(Lean { place, keys, connector: connector.clone(), limit, attempts, budgets })
        });
        made.as_ref().ok_or_else(|| ObjectsError::Refused {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            source: "nothing signs for this bucket: want credentials, and no access point".into(),
        })
    }

    fn fault(&self, key: &str, fault: Fault) -> ObjectsError {
        told(&self.bucket, key, fault.failure(), fault.into())
    }

    fn owner_header(&self) -> Option<(String, String)> {
        Some(("x-amz-expected-bucket-owner".to_owned(), self.owner.clone()?))
    }
}

fn fixed<const N: usize>(words: [(&str, &str); N]) -> impl Iterator<Item = (String, String)> {
    words.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter()
}

impl Uploads for S3Uploads {
    fn bucket(&self) -> &str {
        &self.bucket
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError> {
        let way = self.way(key)?;
        let sums = [("x-amz-checksum-algorithm", "CRC64NVME"), ("x-amz-checksum-type", "FULL_OBJECT")];
        let headers = headers(attributes, self.region.kms_key.as_ref()).chain(fixed(sums));
        let url = way.place.asked(key, &query(&[("uploads", "")]));
        let said = way.ask(("POST", url), headers.chain(self.owner_header()), String::new()).await;
        said.and_then(|said| said.upload()).map_err(|fault| self.fault(key, fault))
    }

    async fn sign_part(&self, slip: Slip<'_>, valid: Duration) -> Result<Signed, ObjectsError> {
        let signed = self.way(slip.key)?.sign_part(slip, self.owner_header(), valid).await;
        signed.map_err(|fault| self.fault(slip.key, fault))
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError> {
        let way = self.way(key)?;
        let (mut parts, mut after) = (Vec::new(), String::new());
        loop {
            let mut asked = vec![("max-parts", "1000"), ("uploadId", upload)];
            asked.extend((!after.is_empty()).then_some(("part-number-marker", after.as_str())));
            let url = way.place.asked(key, &query(&asked));
            let said = way.ask(("GET", url), self.owner_header().into_iter(), String::new()).await;
            let page = said.and_then(|said| said.parts()).map_err(|fault| self.fault(key, fault))?;
            parts.extend(page.parts);
            match page.next {
                // A store that does not go on would be asked for ever.
                Some(next) if next != after => after = next,
                Some(_) | None => return Ok(parts),
            }
        }
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        checksum: Checksum,
    ) -> Result<Stored, ObjectsError> {
        let way = self.way(key)?;
        let sum = checksum.to_string();
        let sums = [("x-amz-checksum-crc64nvme", sum.as_str()), ("x-amz-checksum-type", "FULL_OBJECT")];
        let headers = fixed(sums).chain(fixed([("content-type", "application/xml")]));
        let url = way.place.asked(key, &query(&[("uploadId", upload)]));
        let said = way.ask(("POST", url), headers.chain(self.owner_header()), joined(parts)).await;
        let said = said.and_then(|said| Ok((said.completed()?, said)));
        let (etag, said) = said.map_err(|fault| self.fault(key, fault))?;
        Ok(Stored { version_id: said.word("x-amz-version-id"), etag, checksum: None })
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError> {
        let way = self.way(key)?;
        let url = way.place.asked(key, &query(&[("uploadId", upload)]));
        let said = way.ask(("DELETE", url), self.owner_header().into_iter(), String::new()).await;
        match said.map_err(|fault| self.fault(key, fault)) {
            Ok(_) | Err(ObjectsError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError> {
        let way = self.way(key)?;
        let asked: Vec<_> = version_id.map(|id| ("versionId", id)).into_iter().collect();
        let headers = fixed([("x-amz-checksum-mode", "ENABLED")]).chain(self.owner_header());
        match way.ask(("HEAD", way.place.asked(key, &query(&asked))), headers, String::new()).await {
            Ok(said) => Ok(Some(said.head())),
            // An answer to this has no document that would say what is missing.
            Err(Fault::Answered(answered)) if answered.status() == 404 => Ok(None),
            Err(fault) => Err(self.fault(key, fault)),
        }
    }

    async fn versions(&self, key: &str, most: u16) -> Result<Vec<String>, ObjectsError> {
        let way = self.way(key)?;
        let most = most.to_string();
        let url = way.place.of_bucket(&query(&[("versions", ""), ("max-keys", &most), ("prefix", key)]));
        let said = way.ask(("GET", url), self.owner_header().into_iter(), String::new()).await;
        said.and_then(|said| said.versions(key)).map_err(|fault| self.fault(key, fault))
    }
}
