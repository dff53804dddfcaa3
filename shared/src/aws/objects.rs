//! One region's S3 bucket.
//!
//! Each call carries the checksum that the caller computed, the owner that the
//! bucket must have, and the region's key.

mod copies;

use std::{ops::Range, time::Duration};

use aws_sdk_s3::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, ByteStreamError},
    types::{
        ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
        ServerSideEncryption,
    },
};
use bytes::{Buf as _, Bytes, BytesMut};

use super::{
    described::{described, headers},
    errors::{Failure, classify, told},
    lean::{Fault, Lean},
    versions::Sequence,
};
use crate::{
    checksum::Checksum,
    ports::{
        Attributes, CopySource, Head, Headers, Objects, ObjectsError, Onto, OpenUpload, Part, Silence,
        Stored, Tags, Versions,
    },
    time::Timestamp,
};

/// One region's bucket.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
    bucket: String,
    owner: Option<String>,
    kms_key: Option<String>,
    /// Longest wait for the bytes of one read.
    body_max: Duration,
    /// The short way for bytes, where there is one.
    lean: Option<Lean>,
}

impl S3Objects {
    pub(super) fn new(
        client: Client,
        bucket: String,
        owner: Option<String>,
        kms_key: Option<String>,
        body_max: Duration,
    ) -> Self {
        Self { client, bucket, owner, kms_key, body_max, lean: None }
    }

    /// The same bucket, to which bytes go by `lean`.
    pub(super) fn with(self, lean: Option<Lean>) -> Self {
        Self { lean, ..self }
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms)
    }

    fn failed<E>(&self, key: &str, error: SdkError<E, HttpResponse>) -> ObjectsError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        told(&self.bucket, key, classify(&error), error.into())
    }

    fn fault(&self, key: &str, fault: Fault) -> ObjectsError {
        told(&self.bucket, key, fault.failure(), fault.into())
    }

    fn owner_header(&self) -> Option<(String, String)> {
        Some(("x-amz-expected-bucket-owner".to_owned(), self.owner.clone()?))
    }
}

/// The header that lets a write land where there is nothing.
fn if_none_match(onto: &Onto) -> Option<String> {
    match onto {
        Onto::Nothing => Some("*".to_owned()),
        Onto::Anything | Onto::Tag(_) => None,
    }
}

/// The header that lets a write land on top of one object alone.
fn if_match(onto: &Onto) -> Option<String> {
    match onto {
        Onto::Tag(tag) => Some(tag.clone()),
        Onto::Anything | Onto::Nothing => None,
    }
}

/// A byte range as HTTP writes it, whose end is inclusive.
fn range_header(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

/// The next `len` bytes of `body` after `skip`, and no more of it than that takes.
async fn window(mut body: ByteStream, skip: u64, len: u64) -> Result<Bytes, ByteStreamError> {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let (mut skip, mut left, mut kept) = (size(skip), size(len), BytesMut::new());
    while left > 0 {
        let Some(mut chunk) = body.try_next().await? else { break };
        let passed = skip.min(chunk.len());
        chunk.advance(passed);
        chunk.truncate(left);
        skip -= passed;
        left -= chunk.len();
        kept.extend_from_slice(&chunk);
    }
    Ok(kept.freeze())
}

fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl Objects for S3Objects {
    fn bucket(&self) -> &str {
        &self.bucket
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        checksum: Checksum,
        attributes: &Attributes,
    ) -> Result<Stored, ObjectsError> {
        if let Some(lean) = &self.lean {
            let put = lean.put(
                key,
                None,
                headers(attributes, self.kms_key.as_ref()).chain(self.owner_header()),
                (body, checksum),
            );
            let took = put.await.map_err(|e| self.fault(key, e))?;
            return Ok(Stored { version_id: took.version_id, etag: took.etag, checksum: None });
        }
        let put = described!(attributes, self.client.put_object())
            .bucket(&self.bucket)
            .key(key)
            .body(ByteStream::from(body))
            .checksum_crc64_nvme(checksum.to_string())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key.clone())
            .set_expected_bucket_owner(self.owner.clone());
        // The checksum says what the body is; hashing it once more for the signature costs more than sending it.
        let put = put.customize().disable_payload_signing();
        let reply = put.send().await.map_err(|e| self.failed(key, e))?;
        Ok(Stored { version_id: reply.version_id, etag: reply.e_tag, checksum: None })
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError> {
        let create = described!(attributes, self.client.create_multipart_upload())
            .bucket(&self.bucket)
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key.clone())
            .set_expected_bucket_owner(self.owner.clone());
        let reply = create.send().await.map_err(|e| self.failed(key, e))?;
        // It may have been begun all the same.
        reply.upload_id.ok_or_else(|| ObjectsError::NoAnswer {
            bucket: self.bucket.clone(),
            how: Silence::NoConnection,
            source: "the reply names no upload".into(),
        })
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &str,
        part: u32,
        body: Bytes,
        checksum: Checksum,
    ) -> Result<Part, ObjectsError> {
        let size_bytes = body.len() as u64;
        if let Some(lean) = &self.lean {
            let headers = self.owner_header().into_iter();
            let put = lean.put(key, Some((upload, part)), headers, (body, checksum));
            let took = put.await.map_err(|e| self.fault(key, e))?;
            let etag = took.etag.unwrap_or_default();
            return Ok(Part { number: part, etag, size_bytes, checksum: Some(checksum) });
        }
        let put = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number(part))
            .body(ByteStream::from(body))
            .checksum_crc64_nvme(checksum.to_string())
            .set_expected_bucket_owner(self.owner.clone());
        let put = put.customize().disable_payload_signing();
        let reply = put.send().await.map_err(|e| self.failed(key, e))?;
        Ok(Part { number: part, etag: reply.e_tag.unwrap_or_default(), size_bytes, checksum: Some(checksum) })
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError> {
        let list = self
            .client
            .list_parts()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .set_expected_bucket_owner(self.owner.clone());
        let mut pages = list.into_paginator().items().send();
        let mut parts = Vec::new();
        while let Some(part) = pages.next().await {
            let part = part.map_err(|e| self.failed(key, e))?;
            parts.push(Part {
                number: part.part_number.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
                etag: part.e_tag.unwrap_or_default(),
                size_bytes: part.size.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
                checksum: part.checksum_crc64_nvme.and_then(|c| c.parse().ok()),
            });
        }
        Ok(parts)
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        checksum: Option<Checksum>,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        let completed = parts.iter().map(|p| {
            CompletedPart::builder()
                .part_number(number(p.number))
                .e_tag(&p.etag)
                .set_checksum_crc64_nvme(p.checksum.map(|c| c.to_string()))
                .build()
        });
        let complete = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(
                CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build(),
            )
            .checksum_type(ChecksumType::FullObject)
            .set_checksum_crc64_nvme(checksum.map(|c| c.to_string()))
            .set_if_none_match(if_none_match(onto))
            .set_if_match(if_match(onto))
            .set_expected_bucket_owner(self.owner.clone());
        let reply = complete.send().await.map_err(|e| match e.code() {
            // What was to be replaced is gone; an upload that is gone has another code.
            Some("NoSuchKey") => told(&self.bucket, key, Failure::Condition, e.into()),
            _ => self.failed(key, e),
        })?;
        Ok(Stored { version_id: reply.version_id, etag: reply.e_tag, checksum: None })
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError> {
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .set_expected_bucket_owner(self.owner.clone());
        match abort.send().await.map_err(|e| self.failed(key, e)) {
            Ok(_) | Err(ObjectsError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>, ObjectsError> {
        let list = || {
            let list = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(prefix);
            list.set_expected_bucket_owner(self.owner.clone())
        };
        let (mut open, mut after) = (Vec::new(), (None, None));
        loop {
            let page = list().set_key_marker(after.0).set_upload_id_marker(after.1).send().await;
            let page = page.map_err(|e| self.failed(prefix, e))?;
            open.extend(page.uploads.unwrap_or_default().into_iter().filter_map(|one| {
                let begun = one.initiated.and_then(|at| at.to_millis().ok());
                let begun = Timestamp::from_millis(u64::try_from(begun.unwrap_or_default()).ok()?);
                Some(OpenUpload { key: one.key?, upload: one.upload_id?, begun })
            }));
            after = (page.next_key_marker, page.next_upload_id_marker);
            // A store that says there is more, and not from where, would be asked for ever.
            if !page.is_truncated.unwrap_or_default() || after.0.is_none() {
                return Ok(open);
            }
        }
    }

    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError> {
        let head = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .set_version_id(version_id.map(str::to_owned))
            .checksum_mode(ChecksumMode::Enabled)
            .set_expected_bucket_owner(self.owner.clone());
        let reply = match head.send().await.map_err(|e| self.failed(key, e)) {
            Ok(reply) => reply,
            Err(ObjectsError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Head {
            version_id: reply.version_id,
            etag: reply.e_tag,
            size_bytes: reply.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
            checksum: reply.checksum_crc64_nvme.and_then(|c| c.parse().ok()),
            attributes: Attributes {
                content_type: reply.content_type,
                headers: Headers {
                    cache_control: reply.cache_control,
                    content_disposition: reply.content_disposition,
                    content_encoding: reply.content_encoding,
                    content_language: reply.content_language,
                },
                storage_class: reply
                    .storage_class
                    .map(|class| class.as_str().to_owned())
                    .filter(|c| c != "STANDARD"),
                metadata: reply.metadata.unwrap_or_default().into_iter().collect(),
                tags: Tags::new(),
            },
            tags: reply.tag_count.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        }))
    }

    async fn tags(&self, key: &str, version_id: Option<&str>) -> Result<Tags, ObjectsError> {
        let get = self
            .client
            .get_object_tagging()
            .bucket(&self.bucket)
            .key(key)
            .set_version_id(version_id.map(str::to_owned))
            .set_expected_bucket_owner(self.owner.clone());
        let reply = get.send().await.map_err(|e| self.failed(key, e))?;
        Ok(reply.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: u16,
    ) -> Result<Versions, ObjectsError> {
        let list = self
            .client
            .list_object_versions()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_key_marker(after.map(str::to_owned))
            .max_keys(i32::from(most))
            .set_expected_bucket_owner(self.owner.clone());
        let sequence = Sequence::default();
        let reply = list.customize().interceptor(sequence.clone()).send().await;
        let reply = reply.map_err(|e| self.failed(prefix, e))?;
        let more = reply.is_truncated.unwrap_or_default();
        let (versions, markers) = (reply.versions, reply.delete_markers);
        let entries = sequence.merged(versions.unwrap_or_default(), markers.unwrap_or_default());
        Ok(Versions { entries, more })
    }

    async fn remove(&self, key: &str, version_id: &str) -> Result<(), ObjectsError> {
        let delete = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .version_id(version_id)
            .set_expected_bucket_owner(self.owner.clone());
        match delete.send().await.map_err(|e| self.failed(key, e)) {
            Ok(_) | Err(ObjectsError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn read(
        &self,
        key: &str,
        version_id: Option<&str>,
        range: Range<u64>,
    ) -> Result<Bytes, ObjectsError> {
        let get = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_version_id(version_id.map(str::to_owned))
            .range(range_header(&range))
            .set_expected_bucket_owner(self.owner.clone());
        let reply = get.send().await.map_err(|e| self.failed(key, e))?;
        // Some stores send the whole object for any range: what was not asked for is passed over.
        let skip = if reply.content_range.is_some() { 0 } else { range.start };
        let lost = |e: ByteStreamError| ObjectsError::NoAnswer {
            bucket: self.bucket.clone(),
            how: Silence::NoConnection,
            source: e.into(),
        };
        // The client's limits end where the body begins.
        let body = window(reply.body, skip, range.end.saturating_sub(range.start));
        match tokio::time::timeout(self.body_max, body).await {
            Ok(read) => read.map_err(lost),
            Err(late) => {
                let (bucket, how) = (self.bucket.clone(), Silence::Timeout);
                Err(ObjectsError::NoAnswer { bucket, how, source: late.into() })
            }
        }
    }

    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        attributes: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        self.copy_whole(source, key, attributes, onto).await
    }

    async fn copy_part(
        &self,
        source: &CopySource,
        key: &str,
        upload: &str,
        part: u32,
        range: Range<u64>,
    ) -> Result<Part, ObjectsError> {
        self.copy_range(source, key, (upload, part), range).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_ignores_the_range_gives_the_right_bytes_all_the_same() {
        let whole: Vec<u8> = (0..=255).collect();
        for (skip, len) in [(0, 10), (100, 50), (250, 50), (300, 1), (0, 0)] {
            let found = window(ByteStream::from(whole.clone()), skip, len).await.unwrap();
            let from = usize::try_from(skip).unwrap().min(256);
            let to = usize::try_from(skip + len).unwrap().min(256);
            assert_eq!(found, whole[from..to]);
        }
    }
}
