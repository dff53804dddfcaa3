//! Copies from bucket to bucket: the stores move the bytes, and what is sent names them.

use std::ops::Range;

use aws_sdk_s3::types::{ChecksumAlgorithm, MetadataDirective, TaggingDirective};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{S3Objects, if_match, if_none_match, number, range_header};
use crate::{
    aws::described::described,
    ports::{Attributes, CopySource, ObjectsError, Onto, Part, Stored},
};

/// What a copy source must have escaped: everything but unreserved characters and slashes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The bucket, key and version of a copy's source, as its header wants them.
fn source_header(source: &CopySource) -> String {
    let path = format!("{}/{}", source.bucket, utf8_percent_encode(&source.key, ESCAPED));
    match &source.version_id {
        Some(version) => format!("{path}?versionId={version}"),
        None => path,
    }
}

impl S3Objects {
    pub(super) async fn copy_whole(
        &self,
        source: &CopySource,
        key: &str,
        attributes: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        let copy = described!(attributes, self.client.copy_object())
            .bucket(&self.bucket)
            .key(key)
            .copy_source(source_header(source))
            .set_copy_source_if_match(source.etag.clone())
            .set_if_none_match(if_none_match(onto))
            .set_if_match(if_match(onto))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .metadata_directive(MetadataDirective::Replace)
            // The tags that are named here: a copy in parts can do no more, and both are to end alike.
            .tagging_directive(TaggingDirective::Replace)
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key.clone())
            .set_expected_bucket_owner(self.owner.clone())
            .set_expected_source_bucket_owner(self.owner.clone());
        let reply = copy.send().await.map_err(|e| self.failed(key, e))?;
        let result = reply.copy_object_result;
        let checksum = result.as_ref().and_then(|r| r.checksum_crc64_nvme.as_deref()?.parse().ok());
        Ok(Stored { version_id: reply.version_id, etag: result.and_then(|r| r.e_tag), checksum })
    }

    /// Copies one range as part `number` of `upload`: past the SDK where there is a shorter way, since
    /// a large object has thousands of parts.
    pub(super) async fn copy_range(
        &self,
        source: &CopySource,
        key: &str,
        (upload, part): (&str, u32),
        range: Range<u64>,
    ) -> Result<Part, ObjectsError> {
        let size_bytes = range.end.saturating_sub(range.start);
        if let Some(lean) = &self.lean {
            let copied = lean.copy_part(key, (upload, part), &self.range_headers(source, &range)).await;
            let copied = copied.map_err(|e| self.fault(key, e))?;
            return Ok(Part { number: part, etag: copied.etag, size_bytes, checksum: copied.checksum });
        }
        let copy = self
            .client
            .upload_part_copy()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number(part))
            .copy_source(source_header(source))
            .copy_source_range(range_header(&range))
            .set_copy_source_if_match(source.etag.clone())
            .set_expected_bucket_owner(self.owner.clone())
            .set_expected_source_bucket_owner(self.owner.clone());
        // Apart, or every part that goes the short way would hold the room for this one, too.
        let reply = Box::pin(copy.send()).await.map_err(|e| self.failed(key, e))?;
        let result = reply.copy_part_result;
        let checksum = result.as_ref().and_then(|r| r.checksum_crc64_nvme.as_deref()?.parse().ok());
        let etag = result.and_then(|r| r.e_tag).unwrap_or_default();
        Ok(Part { number: part, etag, size_bytes, checksum })
    }

    /// What a request for the copy of a range says besides the part that it makes.
    fn range_headers(&self, source: &CopySource, range: &Range<u64>) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-amz-copy-source", source_header(source)),
            ("x-amz-copy-source-range", range_header(range)),
        ];
        let pin = source.etag.iter().map(|etag| ("x-amz-copy-source-if-match", etag.clone()));
        headers.extend(pin);
        if let Some(owner) = &self.owner {
            headers.push(("x-amz-expected-bucket-owner", owner.clone()));
            headers.push(("x-amz-source-expected-bucket-owner", owner.clone()));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_with_its_version_and_escaped() {
        let named = |key: &str, version: Option<&str>| {
            let version_id = version.map(str::to_owned);
            source_header(&CopySource { bucket: "b".to_owned(), key: key.to_owned(), version_id, etag: None })
        };
        assert_eq!(named("a/b c+\u{fc}?x", Some("v.1_")), "b/a/b%20c%2B%C3%BC%3Fx?versionId=v.1_");
        assert_eq!(named("plain", None), "b/plain");
    }
}
