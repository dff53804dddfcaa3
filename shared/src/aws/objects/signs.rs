//! Parts that others put.

use std::time::Duration;

use super::S3Objects;
use crate::ports::{ObjectsError, Signed, Signs, Slip};

impl Signs for S3Objects {
    async fn sign_part(&self, slip: Slip<'_>, valid: Duration) -> Result<Signed, ObjectsError> {
        let Some(signer) = &self.signer else {
            let (bucket, key) = (self.bucket.clone(), slip.key.to_owned());
            let source = "nothing signs for this bucket: want credentials, and no access point".into();
            return Err(ObjectsError::Refused { bucket, key, source });
        };
        signer.part(slip, self.owner_header(), valid).await.map_err(|fault| self.fault(slip.key, fault))
    }
}
