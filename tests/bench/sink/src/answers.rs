//! The answers of S3 to what an upload asks.

use std::{collections::HashMap, convert::Infallible, future::pending, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::time::{sleep, sleep_until};

use super::region::{Kept, Next, Region};

const SUM: &str = "x-amz-checksum-crc64nvme";
/// Names what a part is copied from.
const SOURCE: &str = "x-amz-copy-source";
const META: &str = "x-amz-meta-";
/// Bytes at the end of a body in which trailers are looked for.
const TAIL: usize = 256;

type Answer = Response<Full<Bytes>>;

/// What was in a body that is gone.
struct Body {
    bytes: u64,
    tail: Vec<u8>,
}

/// Answers one request.
pub(super) async fn answer(region: Arc<Region>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    region.held().counts.requests += 1;
    let (head, body) = request.into_parts();
    let trailed = head.headers.contains_key("x-amz-trailer");
    let body = take(&region, body, trailed).await;
    let delay = region.delay();
    if !delay.is_zero() {
        sleep(delay).await;
    }
    let query = words(head.uri.query().unwrap_or_default());
    let path = percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
    let asked = |name: &str| query.get(name).map(String::as_str);
    Ok(match (&head.method, asked("uploadId"), asked("partNumber")) {
        (&Method::PUT, Some(upload), Some(part)) if head.headers.contains_key(SOURCE) => {
            let wait = region.held().copy_takes;
            sleep(wait).await;
            copy_part(&region, upload, part.parse().unwrap_or_default(), &head.headers)
        }
        (&Method::PUT, Some(_), Some(_)) if region.is_busy() => busy(),
        (&Method::PUT, Some(upload), Some(part)) => {
            put_part(&region, upload, part.parse().unwrap_or_default(), &head.headers, &body)
        }
        (&Method::PUT, None, None) if path.trim_matches('/').contains('/') => {
            put(&region, path, &head.headers, &body)
        }
        (&Method::POST, Some(upload), None) => complete(&region, path, upload, &head.headers),
        (&Method::POST, None, None) if query.contains_key("uploads") => begin(&region, &head.headers),
        (&Method::DELETE, Some(upload), None) => {
            let gone = region.held().uploads.remove(upload).is_some();
            reply(if gone { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
        }
        (&Method::GET, Some(upload), None) => list_parts(&region, upload),
        (&Method::HEAD, None, None) => look(&region, &path),
        (&Method::GET, None, None) => xml("ListBucketResult", "<IsTruncated>false</IsTruncated>"),
        _ => reply(StatusCode::OK),
    })
}

/// Discards a body, as fast as the region's troubles let it.
async fn take(region: &Region, mut body: Incoming, trailed: bool) -> Body {
    let mut taken = Body { bytes: 0, tail: Vec::new() };
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        taken.bytes += data.len() as u64;
        if trailed {
            taken.keep(&data);
        }
        match region.took(data.len() as u64) {
            Next::Go => {}
            Next::Wait(until) => sleep_until(until).await,
            // The cut ends the connection, and this with it.
            Next::Reset | Next::Hang => pending().await,
        }
    }
    taken
}

impl Body {
    fn keep(&mut self, data: &[u8]) {
        self.tail.extend_from_slice(&data[data.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }

    /// The checksum of the payload, from the header or from the trailer.
    fn checksum(&self, headers: &HeaderMap) -> Option<String> {
        let said = headers.get(SUM).and_then(|sum| sum.to_str().ok()).map(str::to_owned);
        said.or_else(|| {
            let tail = String::from_utf8_lossy(&self.tail);
            let (_, sum) = tail.rsplit_once(&format!("{SUM}:"))?;
            sum.split(['\r', '\n']).next().map(|sum| sum.trim().to_owned())
        })
    }

    /// Bytes of the payload, without the framing of chunks.
    fn payload(&self, headers: &HeaderMap) -> u64 {
        let decoded = headers.get("x-amz-decoded-content-length");
        decoded.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(self.bytes)
    }
}

fn put(region: &Region, path: String, headers: &HeaderMap, body: &Body) -> Answer {
    let (size, checksum) = (body.payload(headers), body.checksum(headers));
    let kept = Kept { size, checksum: checksum.clone(), metadata: metadata(headers), ..Kept::default() };
    let mut held = region.held();
    held.objects.insert(path, kept);
    held.made += 1;
    let made = held.made;
    with_sum(Response::builder().header("x-amz-version-id", format!("v{made}")), checksum)
        .header(header::ETAG, etag(made))
        .body(Full::default())
        .unwrap_or_default()
}

fn put_part(region: &Region, upload: &str, part: u32, headers: &HeaderMap, body: &Body) -> Answer {
    let (size, checksum) = (body.payload(headers), body.checksum(headers));
    let mut held = region.held();
    held.made += 1;
    let tag = etag(held.made);
    let Some(kept) = held.uploads.get_mut(upload) else { return missing() };
    kept.parts.insert(part, (size, tag.clone(), checksum.clone()));
    let answer = with_sum(Response::builder().header(header::ETAG, tag), checksum);
    answer.body(Full::default()).unwrap_or_default()
}

/// Notes a part that stands for a range of another object, whose bytes nobody has.
fn copy_part(region: &Region, upload: &str, part: u32, headers: &HeaderMap) -> Answer {
    let range = headers.get("x-amz-copy-source-range").and_then(|range| range.to_str().ok());
    let size = range.and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        to.parse::<u64>().ok()?.checked_sub(from.parse().ok()?)
    });
    let mut held = region.held();
    held.made += 1;
    let tag = etag(held.made);
    let Some(kept) = held.uploads.get_mut(upload) else { return missing() };
    kept.parts.insert(part, (size.map_or(0, |last| last + 1), tag.clone(), None));
    xml("CopyPartResult", &format!("<ETag>{}</ETag>", tag.replace('"', "&quot;")))
}

fn begin(region: &Region, headers: &HeaderMap) -> Answer {
    let mut held = region.held();
    held.made += 1;
    let upload = format!("upload-{}", held.made);
    held.uploads.insert(upload.clone(), Kept { metadata: metadata(headers), ..Kept::default() });
    xml("InitiateMultipartUploadResult", &format!("<UploadId>{upload}</UploadId>"))
}

fn complete(region: &Region, path: String, upload: &str, headers: &HeaderMap) -> Answer {
    let mut held = region.held();
    let Some(mut kept) = held.uploads.remove(upload) else { return missing() };
    kept.size = kept.parts.values().map(|(size, ..)| size).sum();
    kept.checksum = headers.get(SUM).and_then(|sum| sum.to_str().ok()).map(str::to_owned);
    kept.parts.clear();
    held.objects.insert(path, kept);
    held.made += 1;
    let (tag, made) = (etag(held.made), held.made);
    let mut answer = xml("CompleteMultipartUploadResult", &format!("<ETag>{tag}</ETag>"));
    if let Ok(version) = format!("v{made}").parse() {
        answer.headers_mut().insert("x-amz-version-id", version);
    }
    answer
}

fn list_parts(region: &Region, upload: &str) -> Answer {
    let held = region.held();
    let Some(kept) = held.uploads.get(upload) else { return missing() };
    let mut parts: Vec<_> = kept.parts.iter().collect();
    parts.sort_by_key(|(number, _)| **number);
    let rows = parts.into_iter().map(|(number, (size, tag, checksum))| {
        let sum = checksum
            .as_ref()
            .map_or(String::new(), |s| format!("<ChecksumCRC64NVME>{s}</ChecksumCRC64NVME>"));
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><Size>{size}</Size>{sum}</Part>")
    });
    xml("ListPartsResult", &format!("<IsTruncated>false</IsTruncated>{}", rows.collect::<String>()))
}

fn look(region: &Region, path: &str) -> Answer {
    let held = region.held();
    let Some(kept) = held.objects.get(path) else { return reply(StatusCode::NOT_FOUND) };
    let mut answer = with_sum(Response::builder(), kept.checksum.clone())
        .header(header::CONTENT_LENGTH, kept.size)
        .header(header::ETAG, "\"kept\"")
        .header(header::LAST_MODIFIED, "Sun, 22 Nov 2026 00:00:00 GMT");
    for (name, value) in &kept.metadata {
        answer = answer.header(name, value);
    }
    answer.body(Full::default()).unwrap_or_default()
}

fn with_sum(answer: http::response::Builder, checksum: Option<String>) -> http::response::Builder {
    match checksum {
        Some(sum) => answer.header(SUM, sum).header("x-amz-checksum-type", "FULL_OBJECT"),
        None => answer,
    }
}

fn metadata(headers: &HeaderMap) -> Vec<(String, String)> {
    let own = headers.iter().filter(|(name, _)| name.as_str().starts_with(META));
    own.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}

fn words(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn etag(n: u64) -> String {
    format!("\"{n:032x}\"")
}

fn busy() -> Answer {
    let mut answer = xml("Error", "<Code>SlowDown</Code><Message>please reduce your request rate</Message>");
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}

fn missing() -> Answer {
    let mut answer = xml("Error", "<Code>NoSuchUpload</Code><Message>there is no such upload</Message>");
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

fn xml(root: &str, inside: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><{root}>{inside}</{root}>");
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/xml");
    answer.body(Full::from(text)).unwrap_or_default()
}

fn reply(status: StatusCode) -> Answer {
    Response::builder().status(status).body(Full::default()).unwrap_or_default()
}
