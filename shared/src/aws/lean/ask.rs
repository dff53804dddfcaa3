//! Requests about uploads and objects, whose answers are a status, headers and a small document.

use std::borrow::Cow;

use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};
use percent_encoding::utf8_percent_encode;

use super::{Fault, Lean, answer, place::IN_QUERY};
use crate::ports::{Attributes, Head, Metadata, Part, Tags};

/// Longest document that is read, in bytes: a page of 1,000 parts has a quarter of it.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// An answer that says that it went well, read to its end.
#[derive(Debug)]
pub(in super::super) struct Said {
    headers: Headers,
    document: String,
}

/// A page of the parts of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct PartsPage {
    pub(in super::super) parts: Vec<Part>,
    /// After which part the next page begins.
    pub(in super::super) next: Option<String>,
}

impl Lean {
    /// Sends one request, once, and reads its answer.
    pub(in super::super) async fn ask(
        &self,
        (method, url): (&'static str, String),
        headers: impl Iterator<Item = (String, String)>,
        body: String,
    ) -> Result<Said, Fault> {
        let headers = headers.map(|(name, value)| (Cow::from(name), value));
        let exchange = async {
            let identity = self.keys.identity().await?;
            let request = super::prepared((method, url), SdkBody::from(body.as_str()), headers)?;
            let reply = self.call(request, &identity, SignableBody::Bytes(body.as_bytes()))?.await?;
            let (status, headers) = (reply.status(), reply.headers().clone());
            let document = answer::whole(reply.into_body(), DOCUMENT_BYTES_MAX).await?;
            // The store says that it began at once, and how it ended only in the document.
            if !status.is_success() || document.contains("<Error>") {
                return Err(answer::Answered::of(status.as_u16(), &document).into());
            }
            Ok(Said { headers, document })
        };
        tokio::time::timeout(self.limit, exchange).await.unwrap_or(Err(Fault::Late))
    }
}

/// A query of these pairs, escaped; what has no value has no sign of one.
pub(in super::super) fn query(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| match *value {
        "" => (*name).to_owned(),
        value => format!("{name}={}", utf8_percent_encode(value, IN_QUERY)),
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// The document that names the parts to be joined.
pub(in super::super) fn joined(parts: &[Part]) -> String {
    let part = |Part { number, etag, checksum, .. }: &Part| {
        let etag = etag.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let sum = checksum.map(|sum| format!("<ChecksumCRC64NVME>{sum}</ChecksumCRC64NVME>"));
        let sum = sum.unwrap_or_default();
        format!("<Part>{sum}<ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    format!("<CompleteMultipartUpload xmlns=\"{namespace}\">{parts}</CompleteMultipartUpload>")
}

impl Said {
    /// A header.
    pub(in super::super) fn word(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(str::to_owned)
    }

    /// The name of the upload that was begun.
    pub(in super::super) fn upload(&self) -> Result<String, Fault> {
        let upload = self.element("InitiateMultipartUploadResult", "UploadId")?;
        upload.filter(|upload| !upload.is_empty()).ok_or(Fault::Cut)
    }

    /// A page of parts.
    pub(in super::super) fn parts(&self) -> Result<PartsPage, Fault> {
        let (mut parts, mut more, mut next) = (Vec::new(), false, None);
        self.each("ListPartsResult", |tag| {
            match tag.start_el().local() {
                "Part" => parts.push(part(tag)?),
                "IsTruncated" => more = try_data(tag)? == "true",
                "NextPartNumberMarker" => next = Some(try_data(tag)?.into_owned()),
                _ => {}
            }
            Ok(())
        })?;
        // A store that says there is more, and not from where, would be asked for ever.
        Ok(PartsPage { parts, next: next.filter(|_| more) })
    }

    /// The entity tag of what was completed, if the document says to its end that it was.
    pub(in super::super) fn completed(&self) -> Result<Option<String>, Fault> {
        if !self.document.trim_end().ends_with("</CompleteMultipartUploadResult>") {
            return Err(Fault::Cut);
        }
        self.element("CompleteMultipartUploadResult", "ETag")
    }

    /// The versions of `key` in a listing, without delete markers.
    pub(in super::super) fn versions(&self, key: &str) -> Result<Vec<String>, Fault> {
        let mut versions = Vec::new();
        self.each("ListVersionsResult", |tag| {
            if tag.start_el().matches("Version") {
                let (mut of, mut version) = (String::new(), String::new());
                while let Some(mut field) = tag.next_tag() {
                    match field.start_el().local() {
                        "Key" => of = try_data(&mut field)?.into_owned(),
                        "VersionId" => version = try_data(&mut field)?.into_owned(),
                        _ => {}
                    }
                }
                versions.extend((of == key).then_some(version));
            }
            Ok(())
        })?;
        Ok(versions)
    }

    /// What the headers say of an object.
    pub(in super::super) fn head(&self) -> Head {
        let metadata = |(name, value): (&str, &str)| {
            Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.to_owned()))
        };
        let metadata: Metadata = self.headers.iter().filter_map(metadata).collect();
        let number = |name| self.headers.get(name).and_then(|text| text.parse::<u64>().ok());
        Head {
            version_id: self.word("x-amz-version-id"),
            etag: self.word("etag"),
            size_bytes: number("content-length").unwrap_or_default(),
            checksum: self.headers.get(super::SUM).and_then(|sum| sum.parse().ok()),
            attributes: Attributes {
                content_type: self.word("content-type"),
                headers: crate::ports::Headers {
                    cache_control: self.word("cache-control"),
                    content_disposition: self.word("content-disposition"),
                    content_encoding: self.word("content-encoding"),
                    content_language: self.word("content-language"),
                },
                storage_class: self.word("x-amz-storage-class"),
                metadata,
                tags: Tags::new(),
            },
            tags: number("x-amz-tagging-count").and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        }
    }

    /// The text of the element `name` right below the one at the top.
    fn element(&self, top: &str, name: &str) -> Result<Option<String>, Fault> {
        let mut text = None;
        self.each(top, |tag| {
            if tag.start_el().matches(name) {
                text = Some(try_data(tag)?.into_owned());
            }
            Ok(())
        })?;
        Ok(text)
    }

    /// Shows `see` every element right below the one at the top, which has to be called `top`.
    fn each(
        &self,
        top: &str,
        mut see: impl FnMut(&mut ScopedDecoder<'_, '_>) -> Result<(), XmlDecodeError>,
    ) -> Result<(), Fault> {
        let mut document = Document::new(&self.document);
        let read = |error: XmlDecodeError| Fault::Unreadable(error.into());
        let mut root = document.root_element().map_err(read)?;
        if !root.start_el().matches(top) {
            return Err(Fault::Cut);
        }
        while let Some(mut tag) = root.next_tag() {
            see(&mut tag).map_err(read)?;
        }
        Ok(())
    }
}

fn part(tag: &mut ScopedDecoder<'_, '_>) -> Result<Part, XmlDecodeError> {
    let mut part = Part { number: 0, etag: String::new(), size_bytes: 0, checksum: None };
    while let Some(mut field) = tag.next_tag() {
        match field.start_el().local() {
            "PartNumber" => part.number = try_data(&mut field)?.parse().unwrap_or_default(),
            "ETag" => part.etag = try_data(&mut field)?.into_owned(),
            "Size" => part.size_bytes = try_data(&mut field)?.parse().unwrap_or_default(),
            "ChecksumCRC64NVME" => part.checksum = try_data(&mut field)?.parse().ok(),
            _ => {}
        }
    }
    Ok(part)
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
